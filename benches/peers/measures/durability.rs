//! What it costs that a file is on the disk before its row says so.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use super::BIRDKEEP;
use super::Bench;
use super::downloads::archive;
use super::downloads::settings;
use crate::archiver::Archiver;
use crate::items::Links;
use crate::media;
use crate::report::Goal;
use crate::report::Measured;
use crate::run;
use crate::run::Figures;
use crate::run::WALL;
use crate::sets::Kind;
use crate::stage::Stage;
use crate::stage::Way;

/// The option that benchmarks alone know.
const NOT_DURABLE: &str = "--not-durable";

/// The same program twice.
pub fn price(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("durability");
    let known = Command::new(bench.birdkeep)
        .args(["--once", NOT_DURABLE, "--help"])
        .output()?;
    if !known.status.success() {
        measured
            .notes
            .push(format!("Left out: this birdkeep does not know {NOT_DURABLE}."));
        return Ok(measured);
    }
    let set = bench.set(Kind::Mix, 4_000, 200);
    let stage = Stage::set_up(
        bench.scratch,
        "durability",
        set,
        Way::Plain,
        Links::Alive,
        Duration::ZERO,
    )?;
    let without = "not durable";
    for round in 1..=bench.options.rounds {
        for (name, args) in [(BIRDKEEP, &["--once"][..]), (without, &["--once", NOT_DURABLE])] {
            let place = ("durability", round, name);
            let program = bench.birdkeep;
            let figures = archive(bench, &stage, program, place, &settings(&stage, Some(16)), args)?;
            measured.enter(name, round, figures);
        }
    }
    measured.goals = vec![Goal::ratio(
        "wall / not durable",
        (BIRDKEEP, WALL),
        (without, WALL),
        1.35,
    )];
    Ok(measured)
}

/// What strace sees: the kernel does not say whose flush a flush of the disk was.
pub fn flushes(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("flushes");
    for (name, kind, count) in [("mix", Kind::Mix, 4_000), ("tiny", Kind::Tiny, 20_000)] {
        let set = bench.set(kind, count, 200);
        let stage = Stage::set_up(
            bench.scratch,
            &format!("flushes-{name}"),
            set,
            Way::Plain,
            Links::Alive,
            Duration::ZERO,
        )?;
        let dir = bench.folder("flushes", 1, name)?;
        let archiver = Archiver::set_up(bench.birdkeep, &dir, &settings(&stage, Some(16)))?;
        let trace = dir.with_extension("strace");
        let once = archiver.once();
        let mut traced = Command::new("strace");
        traced
            .args([
                "-f",
                "--seccomp-bpf",
                "-y",
                "-e",
                "trace=fsync,fdatasync,syncfs,sync,sync_file_range",
                "-o",
            ])
            .arg(&trace)
            .arg(once.get_program())
            .args(once.get_args());
        run::measure(&traced, &dir)?.well().context("below strace")?;
        media::check_all(set, &dir)?;
        run::empty_files(&dir)?;
        let recordings = f64::from(u32::try_from(set.count)?);
        measured.enter(name, 1, count_syncs(&fs::read_to_string(&trace)?, recordings));
    }
    measured.notes.push(
        "Each sync is taken for one flush of the disk. A commit of the catalog is a sync of its write-ahead log."
            .to_owned(),
    );
    measured.goals = vec![
        Goal::most("mix: syncs a recording", ("mix", "syncs a recording"), 1.5),
        Goal::most("mix: catalog commits a recording", ("mix", "commits a recording"), 0.25),
        Goal::most("tiny: syncs a recording", ("tiny", "syncs a recording"), 1.5),
    ];
    Ok(measured)
}

fn count_syncs(trace: &str, recordings: f64) -> Figures {
    let (mut all, mut commits, mut files) = (0_u32, 0_u32, 0_u32);
    for line in trace.lines() {
        // `1234 fdatasync(9</path>) = 0`; a call that another thread interrupted ends on a line of its own.
        if !line.contains("sync") || line.contains(" resumed>") || line.contains("+++") {
            continue;
        }
        all += 1;
        commits += u32::from(line.contains("catalog.sqlite-wal"));
        files += u32::from(line.contains(".part") || line.contains("/staging/"));
    }
    Figures::from([
        ("syncs a recording".to_owned(), f64::from(all) / recordings),
        ("commits a recording".to_owned(), f64::from(commits) / recordings),
        (
            "syncs of staged files a recording".to_owned(),
            f64::from(files) / recordings,
        ),
    ])
}
