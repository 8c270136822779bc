//! The integration tests: one binary, so that it links once.

mod catalog;
mod config;
mod downloading;
mod layers;
mod listing;
mod simulator;
mod store;
mod support;
