//! What happens to an archive when everything around birdkeep breaks.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture should panic")]

pub mod kit;

mod crashes;
mod disk;
mod elsewhere;
mod modes;
mod order;
mod refusals;
mod sidecars;
