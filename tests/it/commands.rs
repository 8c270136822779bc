//! The command line: what can be asked, what is printed, which exit code comes of it.

mod checking;
mod dry_run;
mod reading;
mod retrying;
mod usage;
