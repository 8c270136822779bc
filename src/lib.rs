//! birdkeep keeps the call recordings of Bird (MessageBird) workspaces.
//!
//! The modules below stand in layer order: each may use only what its line in `docs/architecture.md` names.

pub mod config;
pub mod domain;
