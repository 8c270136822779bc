//! Plumbing for HTTP: the two clients, retry inside one request, links that cannot be printed, errors without URLs.
//!
//! Must not know: Bird's resources, S3's replies, recordings.

pub mod client;
pub mod redact;
pub mod retry;
