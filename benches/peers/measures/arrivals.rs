//! How long a recording that became available waits for its file.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::again::one;
use super::idle;
use crate::archiver::Archiver;
use crate::daemon::Daemon;
use crate::items::Links;
use crate::report::Goal;
use crate::report::Measured;
use crate::report::median;
use crate::run::Figures;
use crate::sets::Kind;
use crate::sets::Set;
use crate::sets::mix;
use crate::stage::Stage;
use crate::stage::Way;

/// The poll interval.
const INTERVAL_MS: u64 = 2_000;
const MEDIAN: &str = "median ms";

/// Alone, and while history is walked.
pub fn fresh(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("fresh");
    let [(small, _), (big, _)] = idle::sizes(bench);
    let (alone, beside) = ("alone", "beside a first walk");
    let samples = if bench.options.quick { 3 } else { 15 };
    for round in 1..=bench.options.rounds {
        let dir = idle::archived(bench, small)?;
        let set = Set {
            kind: Kind::Kept,
            count: small,
        };
        let name = format!("fresh/{round}-alone");
        let stage = Stage::set_up(bench.scratch, &name, set, Way::Plain, Links::Alive, Duration::ZERO)?;
        measured.enter(alone, round, wait_for_some(bench, &dir, &stage, samples, u64::MAX)?);
        let set = Set {
            kind: Kind::Rows,
            count: big,
        };
        let name = format!("fresh/{round}-beside");
        let stage = Stage::set_up(bench.scratch, &name, set, Way::Plain, Links::Alive, Duration::ZERO)?;
        let dir = bench.folder("fresh", round, beside)?;
        measured.enter(beside, round, wait_for_some(bench, &dir, &stage, samples, big / 99)?);
    }
    measured.notes.push(format!(
        "P is {INTERVAL_MS} ms. A recording counts as archived when its file has its name; its row follows within 100 ms."
    ));
    let bound = 150.0 + f64::from(u32::try_from(INTERVAL_MS / 2)?);
    measured.goals = vec![
        Goal::most("median ms, alone: P/2 + 150", (alone, MEDIAN), bound),
        Goal::ratio("beside a first walk / alone", (beside, MEDIAN), (alone, MEDIAN), 2.0),
    ];
    Ok(measured)
}

/// Publishes one recording after the other, until there are enough or that many pages were listed.
fn wait_for_some(bench: &Bench<'_>, dir: &Path, stage: &Stage, samples: u64, until_pages: u64) -> Result<Figures> {
    let interval = format!("{INTERVAL_MS}ms");
    let archiver = Archiver::set_up(bench.birdkeep, dir, &idle::at_rest(&stage.api_url, &interval))?;
    let mut daemon = Daemon::start(&archiver, &[])?;
    daemon.until("the first poll", || Ok(stage.api.counters()?.pages >= 3))?;
    let mut times = Vec::new();
    for sample in 0..samples {
        // At any moment between two polls.
        thread::sleep(Duration::from_millis(mix(sample ^ 0x77) % INTERVAL_MS));
        if stage.api.counters()?.pages >= until_pages {
            break;
        }
        let begun = Instant::now();
        let id = stage.api.publish()?;
        daemon.until("a new recording's file", || {
            is_there(&dir.join("recordings/bench"), &id)
        })?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    daemon.kill()?;
    let mut figures = one(MEDIAN, median(&times).unwrap_or(f64::NAN));
    figures.insert("longest ms".to_owned(), times.iter().copied().fold(0.0, f64::max));
    figures.insert("recordings".to_owned(), f64::from(u32::try_from(times.len())?));
    Ok(figures)
}

/// Whether a body of today has its name.
fn is_there(workspace: &Path, id: &str) -> Result<bool> {
    let mut newest = workspace.to_owned();
    for _ in 0..3 {
        let folders = fs::read_dir(&newest).into_iter().flatten().flatten();
        match folders.map(|entry| entry.path()).max() {
            Some(folder) => newest = folder,
            None => return Ok(false),
        }
    }
    let name = format!("_{id}.mp3");
    let mut files = fs::read_dir(&newest)?;
    Ok(files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().ends_with(&name))))
}
