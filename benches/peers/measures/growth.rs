//! First walks over lists without bodies: what the catalog costs, and how that grows.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;

use super::BIRDKEEP;
use super::Bench;
use super::again::one;
use super::downloads::settings;
use crate::archiver::Archiver;
use crate::items::Links;
use crate::report::Goal;
use crate::report::Measured;
use crate::rows;
use crate::rows::Import;
use crate::run;
use crate::run::RSS;
use crate::run::WALL;
use crate::sets::Kind;
use crate::sets::Set;
use crate::stage::Stage;
use crate::stage::Way;

const IMPORT: &str = "sqlite3 .import";
const EXPONENT: &str = "exponent of the total time";

/// Rows in, against the shell's own way to bring in the same rows.
pub fn backfill(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("backfill");
    let sizes: &[(u64, &str)] = if bench.options.quick {
        &[(1_000, "1 k"), (10_000, "10 k")]
    } else {
        &[(10_000, "10 k"), (100_000, "100 k"), (1_000_000, "1 M")]
    };
    for round in 1..=bench.options.rounds {
        let mut walls = Vec::new();
        for (count, label) in sizes {
            let set = Set {
                kind: Kind::Rows,
                count: *count,
            };
            let name = format!("backfill/{round}-{count}");
            let stage = Stage::set_up(bench.scratch, &name, set, Way::Plain, Links::Alive, Duration::ZERO)?;
            let dir = bench.folder("backfill", round, &format!("birdkeep-{count}"))?;
            let archiver = Archiver::set_up(bench.birdkeep, &dir, &settings(&stage, None))?;
            let ended = run::measure(&archiver.once(), &dir)?.well()?;
            ensure!(rows::count(&archiver.catalog())? == *count, "rows are missing");
            walls.push(ended.figures.get(WALL).copied().unwrap_or(0.0));
            measured.enter(&format!("{BIRDKEEP} {label}"), round, ended.figures);
            let csv = dir.with_extension("csv");
            let import = Import::of(&archiver.catalog(), &csv)?;
            run::empty_files(&dir)?;
            let dir = bench.folder("backfill", round, &format!("import-{count}"))?;
            let ended = run::measure(&import.command(&dir)?, &dir)?.well()?;
            ensure!(
                rows::count(&dir.join("catalog.sqlite"))? == *count,
                "rows were not imported"
            );
            measured.enter(&format!("{IMPORT} {label}"), round, ended.figures);
            run::empty_files(&dir)?;
            fs::remove_file(csv)?;
        }
        if let [.., smaller, larger] = walls[..] {
            measured.enter("growth by ten", round, one(EXPONENT, (larger / smaller).log10()));
        }
    }
    let label = sizes.last().map_or("", |(_, label)| label);
    let (ours, theirs) = (format!("{BIRDKEEP} {label}"), format!("{IMPORT} {label}"));
    measured
        .notes
        .push("The shell brings in text alone: its tables are not STRICT, and checks are off.".to_owned());
    measured.goals = vec![
        Goal::ratio("rows a second / .import", (&theirs, WALL), (&ours, WALL), 0.45).at_least(),
        Goal::most("exponent, the last two sizes", ("growth by ten", EXPONENT), 1.2),
        Goal::most("RSS MiB", (&ours, RSS), 48.0),
    ];
    Ok(measured)
}

/// Pages that take their time: a cursor allows one at a time.
pub fn walk_latency(bench: &Bench<'_>) -> Result<Measured> {
    const PAGE: Duration = Duration::from_millis(30);
    let mut measured = Measured::new("walk-latency");
    let set = bench.set(Kind::Rows, 9_900, 990);
    let stage = Stage::set_up(bench.scratch, "walk-latency", set, Way::Plain, Links::Alive, PAGE)?;
    let least = "pages × 30 ms";
    for round in 1..=bench.options.rounds {
        let dir = bench.folder("walk-latency", round, BIRDKEEP)?;
        let archiver = Archiver::set_up(bench.birdkeep, &dir, &settings(&stage, None))?;
        let before = stage.api.counters()?.pages;
        let ended = run::measure(&archiver.once(), &dir)?.well()?;
        let pages = u32::try_from(stage.api.counters()?.pages - before)?;
        measured.enter(BIRDKEEP, round, ended.figures);
        measured.enter(least, round, one(WALL, f64::from(pages) * PAGE.as_secs_f64()));
        run::empty_files(&dir)?;
    }
    measured.goals = vec![Goal::ratio(
        "wall / pages × 30 ms",
        (BIRDKEEP, WALL),
        (least, WALL),
        1.1,
    )];
    Ok(measured)
}
