//! The catalog's contract, held against real SQLite files with a clock that stands still unless moved.

mod books;
mod harness;
mod lists;
mod opening;
mod polls;
mod queue;
mod reading;
mod refusals;
mod retries;
mod statements;
mod upserts;
mod verifications;
