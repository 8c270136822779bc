//! `birdkeep verify`: every damage is found and told apart, and put right only when that is asked for.

mod finding;
mod killed;
mod repairing;
mod scene;
mod scrubbing;
