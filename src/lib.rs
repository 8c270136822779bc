//! birdkeep keeps the call recordings of Bird (MessageBird) workspaces on your own disk.
//!
//! The modules stand in layer order: each may use only those that its line in `docs/architecture.md` names, which a
//! test holds. Start reading at [`app`], or at [`domain`] for the words.

pub mod config;
pub mod domain;
pub mod lifecycle;
pub mod telemetry;

pub mod catalog;
pub mod http;
pub mod store;

pub mod api;

pub mod fetcher;
pub mod lister;
pub mod rebuild;
pub mod sweep;
pub mod verify;

pub mod queue;
pub mod scheduler;

pub mod standing;

pub mod metrics;

pub mod notify;
pub mod web;

pub mod app;

pub mod cli;
