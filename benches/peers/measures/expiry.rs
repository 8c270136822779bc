//! Links that were dead when they were listed.

use std::time::Duration;

use anyhow::Result;

use super::BIRDKEEP;
use super::Bench;
use super::downloads::archive;
use super::downloads::settings;
use crate::api::Counters;
use crate::archiver::Archiver;
use crate::items::Links;
use crate::media;
use crate::report::Goal;
use crate::report::Measured;
use crate::run;
use crate::run::REQUESTS;
use crate::run::WALL;
use crate::sets::Kind;
use crate::stage::Stage;
use crate::stage::Way;

/// A backlog whose links all died: every one must be had anew.
pub fn requests(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("requests");
    let set = bench.set(Kind::Dust, 100_000, 1_000);
    let stage = Stage::set_up(bench.scratch, "requests", set, Way::Plain, Links::Dead, Duration::ZERO)?;
    let dir = bench.folder("requests", 1, BIRDKEEP)?;
    let archiver = Archiver::set_up(bench.birdkeep, &dir, &settings(&stage, None))?;
    let mut figures = run::measure(&archiver.once(), &dir)?.well()?.figures;
    media::check_all(set, &dir)?;
    run::empty_files(&dir)?;
    stage.api.counters()?.enter(Counters::default(), &mut figures);
    measured.enter(BIRDKEEP, 1, figures);
    measured.goals = vec![Goal::most("API requests", (BIRDKEEP, REQUESTS), 3_100.0)];
    Ok(measured)
}

/// Half of them.
pub fn half_dead(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("half-dead");
    let set = bench.set(Kind::Mix, 4_000, 200);
    let set_up = |name: &str, links| Stage::set_up(bench.scratch, name, set, Way::Plain, links, Duration::ZERO);
    let alive = set_up("half-dead-none", Links::Alive)?;
    let half = set_up("half-dead-half", Links::HalfDead)?;
    let without = "none dead";
    for round in 1..=bench.options.rounds {
        for (name, stage) in [(without, &alive), (BIRDKEEP, &half)] {
            stage.api.forget()?;
            let program = bench.birdkeep;
            let place = ("half-dead", round, name);
            let figures = archive(bench, stage, program, place, &settings(stage, Some(16)), &["--once"])?;
            measured.enter(name, round, figures);
        }
    }
    measured
        .notes
        .push("All were archived, and no body of a refusal was kept: sizes were compared.".to_owned());
    measured.goals = vec![Goal::ratio("wall / none dead", (BIRDKEEP, WALL), (without, WALL), 1.25)];
    Ok(measured)
}
