//! Measures birdkeep beside what people would use instead, in one run on one machine: `docs/performance.md`.
//!
//! `cargo bench --bench peers -- [MEASURE…] [--rounds N] [--quick]`. Everything is on loopback and in a folder that is
//! gone at the end. Started again with a sub-command, this program is one of its own servers.

mod api;
mod archiver;
mod contenders;
mod daemon;
mod items;
mod latency;
mod machine;
mod measures;
mod media;
mod options;
mod program;
mod report;
mod rows;
mod run;
mod servers;
mod sets;
mod stage;
mod tls;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use anyhow::bail;

use options::Options;
use report::Measured;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        [servers::SERVE_API, set, media, links, delay] => {
            end_with_parent();
            let delay = Duration::from_millis(delay.parse()?);
            api::serve(set.parse()?, media.to_owned(), links.parse()?, delay)
        }
        [servers::SERVE_LATENCY, target] => {
            end_with_parent();
            latency::serve(target)
        }
        _ => measure_all(&Options::read(&args)?),
    }
}

/// A server is of no use without the run that started it.
fn end_with_parent() {
    // Where the kernel refuses, the server is killed by whoever started it, as always.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
}

fn measure_all(options: &Options) -> Result<()> {
    let scratch = stage::Scratch::new()?;
    let birdkeep = match (&options.birdkeep, options.measures.is_empty()) {
        (Some(given), _) => fs::canonicalize(given)?,
        (None, true) => return Ok(()),
        (None, false) => program::release(scratch.path())?,
    };
    let mut all: Vec<Measured> = Vec::new();
    let mut failed = Vec::new();
    for measure in &options.measures {
        tell(&format!("{}: {}", measure.name, measure.about));
        let bench = measures::Bench {
            birdkeep: &birdkeep,
            scratch: &scratch,
            options,
        };
        match (measure.run)(&bench) {
            Ok(measured) => {
                say(&measured.tables());
                all.push(measured);
            }
            Err(error) => {
                say(&format!("\n## {}\n\nfailed: {error:#}\n", measure.name));
                failed.push(measure.name);
            }
        }
        write_json(&options.out, &all)?;
    }
    say(&format!("\nall figures: {}", options.out.display()));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn write_json(path: &Path, all: &[Measured]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, serde_json::to_vec_pretty(all)?)?;
    Ok(())
}

/// Prints a result. Whoever closed our output does not want it.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says how far it is.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
