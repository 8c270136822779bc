//! Plumbing for HTTP: the two clients, whom they trust and where they may go, retry inside one request, links that
//! cannot be printed, errors without URLs.
//!
//! Must not know: Bird's resources, S3's replies, recordings.

pub mod client;
pub mod redact;
pub mod resolve;
pub mod retry;
pub mod roots;
