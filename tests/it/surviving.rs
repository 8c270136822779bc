//! What happens to an archive when everything around birdkeep breaks.

pub mod kit;

mod crashes;
mod disk;
mod modes;
mod refusals;
