//! The integration tests: one binary, so that it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that meets what it does not expect should panic, and one that cannot run says so"
)]

mod breaking;
mod catalog;
mod commands;
mod config;
mod docs;
mod downloading;
mod layers;
mod listing;
mod pace;
mod security;
mod simulator;
mod stopping;
mod store;
mod support;
mod surviving;
mod verifying;
