//! The integration tests: one binary, so that it links once.

mod catalog;
mod config;
mod layers;
mod simulator;
mod stopping;
mod store;
mod support;
mod surviving;
