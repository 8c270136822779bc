//! The catalog out of the archive: made again, or brought level with files that it does not know.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture should panic")]

mod adopted;
mod identical;
mod identity;
mod killed;
pub mod kit;
mod large;
mod refusals;
pub mod restored;
mod strangers;
