//! What is logged: where it goes, how often, and whether the pages that explain it are true.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture should panic")]

mod journal;
mod outages;
mod pages;
