//! The command line: what can be asked, what is printed, which exit code comes of it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture should panic")]

mod checking;
mod dry_run;
mod reading;
mod retrying;
mod usage;
