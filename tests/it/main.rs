//! The integration tests: one binary, so that it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that meets what it does not expect should panic, and one that cannot run says so"
)]

mod backing_up;
mod breaking;
mod catalog;
mod commands;
mod config;
mod docs;
mod downloading;
mod fuzz;
mod hostile;
mod layers;
mod listing;
mod model;
mod notifying;
mod observing;
mod pace;
mod packaging;
mod rebuilding;
mod reloading;
mod reporting;
mod rotating;
mod security;
mod simulator;
mod soak;
mod stopping;
mod store;
mod support;
mod surviving;
mod telling;
mod verifying;
