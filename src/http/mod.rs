//! Plumbing for HTTP: the two clients, bodies in memory, retry inside one request, links that cannot be printed, errors without URLs.
//!
//! Must not know: Bird's resources, S3's replies, recordings.

pub mod body;
pub mod client;
pub mod redact;
pub mod retry;
