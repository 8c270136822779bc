//! An API and media hosts that mean harm, or do it all the same: what they may cost, and what must come of it.

mod bounded;
mod isolation;
mod memory;
mod mixed;
mod modes;
mod surroundings;
mod words;
