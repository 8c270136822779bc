//! What the program is delivered in: units, image, Debian package, and the pages that are made from the command line.

mod debian;
mod image;
mod install;
mod units;

#[path = "../../examples/cli_files/render.rs"]
mod render;

use std::time::Duration;

use crate::docs::load;
use crate::docs::minimal;

/// How long what cannot be broken off may take after the grace.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The least time that whoever stops the program must give it, before it is killed.
fn time_to_end() -> Duration {
    load(&minimal(), Vec::new()).config.shutdown.grace + LAST_WAIT
}

/// Whether the command line takes these words, the program's name first. Help and version count as taken.
fn is_taken(words: &[&str]) -> Result<(), String> {
    match birdkeep::cli::command().try_get_matches_from(words) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The key that a variable sets, as `section.key`; none for what is no key of ours.
fn key_of(variable: &str) -> Option<String> {
    let path = variable.strip_prefix("BIRDKEEP_")?.to_ascii_lowercase();
    let (section, rest) = path.split_once("__")?;
    let key = match rest.split_once("__") {
        Some((_, key)) => format!("{section}.support.{key}"),
        None => format!("{section}.{rest}"),
    };
    Some(key)
}
