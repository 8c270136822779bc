//! The words every room shares: ids, recordings, states, keys, digests, times, reports.
//!
//! Pure values and pure decisions. Must not know: tokio, sqlx, reqwest, the file system, any other room.

pub mod address;
pub mod audio;
pub mod backoff;
pub mod clock;
pub mod completeness;
pub mod day;
pub mod digest;
pub mod explain;
pub mod finding;
pub mod found;
pub mod gone;
pub mod host;
pub mod ids;
pub mod key;
pub mod one_voice;
pub mod reach;
pub mod recording;
pub mod redact;
pub mod report;
pub mod state;
pub mod tally;
