//! What every integration test and the demo stand on: a Bird to talk to and an archive to run birdkeep in.
//!
//! Shares no logic with birdkeep itself: what both sides got wrong in the same way would never show.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "compiled into several targets, none of which uses all of it; a broken fixture should panic"
)]

pub mod bird;
pub mod faultio;
pub mod harness;
pub mod invariants;
pub mod mp3;
pub mod random;
pub mod volume;
