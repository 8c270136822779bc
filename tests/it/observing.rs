//! What a running daemon tells of itself: metrics, health, readiness; to whom, and whatever else is wrong.

mod documents;
pub mod kit;
mod listener;
mod numbers;
mod probing;
mod readiness;
