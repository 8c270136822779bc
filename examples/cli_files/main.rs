//! Writes the man pages and the shells' completions, made from the command line itself, into a folder:
//! `cargo run --example cli_files -- FOLDER`. What is written, and where, is `render.rs`'s.

mod render;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        drop(writeln!(std::io::stderr(), "usage: cli_files FOLDER"));
        return ExitCode::from(64);
    };
    match render::write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "cli_files: {error}"));
            ExitCode::FAILURE
        }
    }
}
