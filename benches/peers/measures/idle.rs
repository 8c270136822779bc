//! Archives of many rows at rest: polls, starts and questions.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::Bench;
use super::again::one;
use super::downloads::settings;
use crate::archiver::Archiver;
use crate::archiver::Settings;
use crate::daemon::Daemon;
use crate::items::Links;
use crate::machine;
use crate::report::Goal;
use crate::report::Measured;
use crate::report::median;
use crate::rows;
use crate::run;
use crate::run::CPU;
use crate::run::Figures;
use crate::run::Meanwhile;
use crate::run::REQUESTS;
use crate::sets::Kind;
use crate::sets::Set;
use crate::stage::Stage;
use crate::stage::Way;

/// Polls over which their cost is averaged.
const POLLS: u32 = 20;
const POLL_CPU: &str = "CPU ms a poll";
const START: &str = "ms to the first request";

/// The sizes that are compared, each with what it is called.
pub fn sizes(bench: &Bench<'_>) -> [(u64, &'static str); 2] {
    if bench.options.quick {
        [(1_000, "1 k"), (10_000, "10 k")]
    } else {
        [(10_000, "10 k"), (1_000_000, "1 M")]
    }
}

/// An archive whose catalog says that so many recordings are archived. Made once in a run; their files are not there.
///
/// # Errors
/// It cannot be made.
pub fn archived(bench: &Bench<'_>, count: u64) -> Result<PathBuf> {
    let name = format!("archived-{count}");
    if let Some(dir) = bench.scratch.existing(&name) {
        return Ok(dir);
    }
    crate::tell(&format!("making a catalog of {count} archived rows"));
    let set = Set {
        kind: Kind::Rows,
        count,
    };
    let stage = Stage::set_up(
        bench.scratch,
        &format!("making-{count}"),
        set,
        Way::Plain,
        Links::Alive,
        Duration::ZERO,
    )?;
    let dir = bench.scratch.folder(&name)?;
    let archiver = Archiver::set_up(bench.birdkeep, &dir, &settings(&stage, None))?;
    run::measure(&archiver.once(), &dir)?.well()?;
    rows::pretend_archived(&archiver.catalog())?;
    Ok(dir)
}

/// What an operator would set, but that nothing is re-read: there is nothing.
pub fn at_rest(base_url: &str, interval: &str) -> Settings {
    Settings {
        base_url: base_url.to_owned(),
        interval: Some(interval.to_owned()),
        more: vec![("verify", "sample = \"off\"".to_owned())],
        ..Settings::default()
    }
}

/// Polls that bring nothing.
pub fn poll(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("idle-poll");
    let sizes = sizes(bench);
    for round in 1..=bench.options.rounds {
        for (count, label) in sizes {
            let dir = archived(bench, count)?;
            let set = Set {
                kind: Kind::Kept,
                count,
            };
            let name = format!("idle/{round}-{count}");
            let stage = Stage::set_up(bench.scratch, &name, set, Way::Plain, Links::Alive, Duration::ZERO)?;
            measured.enter(label, round, watch(bench, &dir, &stage)?);
        }
    }
    let (small, big) = (sizes[0].1, sizes[1].1);
    measured.notes.push(
        "CPU is the daemon's whole, over twenty polls a second apart: what it does between them is in it.".to_owned(),
    );
    measured.goals = vec![
        Goal::most("requests a poll", (big, REQUESTS), 1.0),
        Goal::most("bytes written a poll", (big, "bytes written a poll"), 0.0),
        Goal::most("CPU ms a poll", (big, POLL_CPU), 2.0),
        Goal::ratio(
            "CPU a poll / that of the smaller",
            (big, POLL_CPU),
            (small, POLL_CPU),
            1.3,
        ),
        Goal::most("RSS MiB at rest", (big, "RSS MiB at rest"), 32.0),
    ];
    Ok(measured)
}

fn watch(bench: &Bench<'_>, dir: &Path, stage: &Stage) -> Result<Figures> {
    let archiver = Archiver::set_up(bench.birdkeep, dir, &at_rest(&stage.api_url, "1s"))?;
    let mut daemon = Daemon::start(&archiver, &[])?;
    // The first polls take in that the list now says otherwise than the walk before.
    daemon.until("the first polls", || Ok(stage.api.counters()?.pages >= 5))?;
    let first = stage.api.counters()?.requests();
    daemon.until("a poll", || Ok(stage.api.counters()?.requests() > first))?;
    thread::sleep(Duration::from_millis(300));
    let (asked, used, written) = (
        stage.api.counters()?.requests(),
        machine::fine_cpu_seconds(daemon.pid()),
        machine::written_bytes(daemon.pid()),
    );
    let meanwhile = Meanwhile::begin(dir)?;
    thread::sleep(Duration::from_secs(u64::from(POLLS)));
    let polls = f64::from(POLLS);
    let mut figures = Figures::new();
    meanwhile.end(dir, &mut figures)?;
    figures.remove(run::FLUSHES);
    let used = machine::fine_cpu_seconds(daemon.pid()) - used;
    let asked = u32::try_from(stage.api.counters()?.requests() - asked)?;
    let written = u32::try_from(machine::written_bytes(daemon.pid()) - written).unwrap_or(u32::MAX);
    figures.insert(REQUESTS.to_owned(), (f64::from(asked) / polls).round());
    figures.insert(POLL_CPU.to_owned(), used * 1000.0 / f64::from(asked.max(1)));
    figures.insert("bytes written a poll".to_owned(), f64::from(written) / polls);
    for (name, field) in [("RSS MiB at rest", "VmRSS"), ("RSS MiB", "VmHWM")] {
        let bytes = machine::memory_bytes(daemon.pid(), field).context("the daemon is gone")?;
        figures.insert(name.to_owned(), f64::from(u32::try_from(bytes >> 10)?) / 1024.0);
    }
    daemon.kill()?;
    Ok(figures)
}

/// From exec to the first byte of the first request.
pub fn startup(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("startup");
    let sizes = sizes(bench);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("http://{}", listener.local_addr()?);
    for round in 1..=bench.options.rounds {
        for (count, label) in sizes {
            let dir = archived(bench, count)?;
            let archiver = Archiver::set_up(bench.birdkeep, &dir, &at_rest(&base_url, "60s"))?;
            let mut times = Vec::new();
            for _ in 0..10 {
                let begun = Instant::now();
                let daemon = Daemon::start(&archiver, &[])?;
                let (mut connection, _) = listener.accept()?;
                let mut byte = [0];
                ensure!(connection.read(&mut byte)? == 1, "no request came");
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                daemon.kill()?;
            }
            measured.enter(label, round, one(START, median(&times).unwrap_or(0.0)));
        }
    }
    let (small, big) = (sizes[0].1, sizes[1].1);
    measured.notes.push("Each is the median of ten starts.".to_owned());
    measured.goals = vec![
        Goal::most("ms to the first request", (big, START), 100.0),
        Goal::ratio("the same / that of the smaller", (big, START), (small, START), 1.5),
    ];
    Ok(measured)
}

/// What operators ask.
pub fn queries(bench: &Bench<'_>) -> Result<Measured> {
    const TIMES: u32 = 10;
    let mut measured = Measured::new("queries");
    let (count, label) = sizes(bench)[1];
    let dir = archived(bench, count)?;
    let archiver = Archiver::set_up(bench.birdkeep, &dir, &at_rest("http://127.0.0.1:9", "60s"))?;
    // That of a recording in the middle of the set.
    let found = rows::sqlite3(
        &archiver.catalog(),
        &format!("SELECT caller_digits FROM recordings WHERE seq = {};", count / 2),
    )?;
    let asked: [(&str, Vec<&str>); 4] = [
        (
            "list --number",
            vec!["list", "--number", found.trim(), "--format", "json"],
        ),
        (
            "list --since",
            vec!["list", "--since", "2026-01-29T12:00:00Z", "--format", "json"],
        ),
        ("status", vec!["status"]),
        ("--version", vec!["--version"]),
    ];
    for round in 1..=bench.options.rounds {
        for (name, args) in &asked {
            let script = "n=$1; shift; while [ $n -gt 0 ]; do \"$@\" >/dev/null || exit 1; n=$((n-1)); done";
            let once = archiver.command(args);
            let mut repeated = std::process::Command::new("sh");
            repeated.args(["-c", script, "sh", &TIMES.to_string()]);
            repeated.arg(once.get_program()).args(once.get_args());
            let mut figures = run::measure(&repeated, &dir)?.well()?.figures;
            let cpu = figures.remove(CPU).unwrap_or(0.0);
            figures.insert("CPU ms each".to_owned(), cpu * 1000.0 / f64::from(TIMES));
            measured.enter(&format!("{name} on {label}"), round, figures);
        }
    }
    measured.notes.push(format!(
        "Seconds are those of {TIMES} runs. --version is what starting costs alone."
    ));
    for (name, _) in &asked[..3] {
        let name = format!("{name} on {label}");
        measured
            .goals
            .push(Goal::most(&format!("{name}: CPU ms"), (&name, "CPU ms each"), 50.0));
    }
    Ok(measured)
}
