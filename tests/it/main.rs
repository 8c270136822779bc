//! The integration tests: one binary, so that it links once.

mod catalog;
mod commands;
mod config;
mod layers;
mod pace;
mod simulator;
mod stopping;
mod store;
mod support;
mod surviving;
