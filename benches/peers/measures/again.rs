//! Archives that were there before: nothing new, a run that was killed, re-reading everything.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use super::BIRDKEEP;
use super::Bench;
use super::downloads::archive;
use super::downloads::settings;
use crate::archiver::Archiver;
use crate::contenders::Peer;
use crate::daemon::Daemon;
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

fn mix_stage(bench: &Bench<'_>, name: &str) -> Result<Stage> {
    let set = bench.set(Kind::Mix, 4_000, 1_000);
    Stage::set_up(bench.scratch, name, set, Way::Plain, Links::Alive, Duration::ZERO)
}

/// Archives a stage and keeps it.
fn kept(bench: &Bench<'_>, stage: &Stage, dir: &Path) -> Result<Archiver> {
    let archiver = Archiver::set_up(bench.birdkeep, dir, &settings(stage, Some(16)))?;
    run::measure(&archiver.once(), dir)?.well()?;
    media::check_all(stage.set, dir)?;
    Ok(archiver)
}

/// What it costs to learn that there is nothing to do.
pub fn second_pass(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("second-pass");
    let stage = mix_stage(bench, "second-pass")?;
    let ours = bench.folder("second-pass", 0, BIRDKEEP)?;
    let archiver = kept(bench, &stage, &ours)?;
    let peers = bench.peers(&[Peer::Rclone], &mut measured);
    let theirs = bench.folder("second-pass", 0, "rclone")?;
    for peer in &peers {
        run::measure(&peer.command(&stage.lists, &theirs, 16), &theirs)?.well()?;
        media::check_all(stage.set, &theirs)?;
    }
    for round in 1..=bench.options.rounds {
        let before = stage.api.counters()?;
        let mut figures = run::measure(&archiver.once(), &ours)?.well()?.figures;
        stage.api.counters()?.enter(before, &mut figures);
        measured.enter(BIRDKEEP, round, figures);
        for peer in &peers {
            let ended = run::measure(&peer.command(&stage.lists, &theirs, 16), &theirs)?;
            measured.enter(peer.name(), round, ended.well()?.figures);
        }
    }
    run::empty_files(&ours)?;
    run::empty_files(&theirs)?;
    let rclone = Peer::Rclone.name();
    measured.goals = vec![Goal::ratio("wall / rclone", (BIRDKEEP, WALL), (rclone, WALL), 0.7)];
    Ok(measured)
}

/// Killed half way, and run again.
pub fn resume(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("resume");
    let stage = mix_stage(bench, "resume")?;
    let killed = "killed and resumed";
    for round in 1..=bench.options.rounds {
        let program = bench.birdkeep;
        let set = settings(&stage, Some(16));
        let whole = archive(bench, &stage, program, ("resume", round, BIRDKEEP), &set, &["--once"])?;
        measured.enter(BIRDKEEP, round, whole);
        let dir = bench.folder("resume", round, killed)?;
        let archiver = Archiver::set_up(program, &dir, &set)?;
        rustix::fs::sync();
        let begun = Instant::now();
        let mut first = Daemon::start(&archiver, &["--once"])?;
        first.until("half of all", || Ok(bodies_so_far(&dir) >= stage.set.count / 2))?;
        first.kill()?;
        let first_wall = begun.elapsed().as_secs_f64();
        let had = bodies_so_far(&dir);
        let ended = run::measure(&archiver.once(), &dir)?.well().context("the second run")?;
        media::check_all(stage.set, &dir)?;
        run::empty_files(&dir)?;
        let second_wall = ended.figures.get(WALL).copied().unwrap_or(f64::NAN);
        let mut figures = one(WALL, first_wall + second_wall);
        figures.insert("archived when killed".to_owned(), f64::from(u32::try_from(had)?));
        measured.enter(killed, round, figures);
    }
    measured.goals = vec![Goal::ratio(
        "wall of both / uninterrupted",
        (killed, WALL),
        (BIRDKEEP, WALL),
        1.1,
    )];
    Ok(measured)
}

/// Bodies that have their names; none while there is no folder yet.
fn bodies_so_far(dir: &Path) -> u64 {
    // Whoever counts now and then does not hold up whoever writes.
    thread::sleep(Duration::from_millis(20));
    media::count_bodies(&dir.join("recordings")).map_or(0, |(count, _)| count)
}

/// Everything read once more.
pub fn verify(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("verify");
    let stage = mix_stage(bench, "verify")?;
    let dir = bench.folder("verify", 0, BIRDKEEP)?;
    let archiver = kept(bench, &stage, &dir)?;
    let sums = "sha256sum -P2";
    for round in 1..=bench.options.rounds {
        let ended = run::measure(&archiver.command(&["verify"]), &dir)?.well()?;
        measured.enter(BIRDKEEP, round, ended.figures);
        let mut peer = Command::new("sh");
        peer.arg("-c")
            .arg("find recordings -name '*.mp3' -print0 | xargs -0 -P2 -n 64 sha256sum >/dev/null")
            .current_dir(&dir);
        measured.enter(sums, round, run::measure(&peer, &dir)?.well()?.figures);
    }
    run::empty_files(&dir)?;
    measured.goals = vec![Goal::ratio(
        "wall / sha256sum, two at a time",
        (BIRDKEEP, WALL),
        (sums, WALL),
        0.7,
    )];
    Ok(measured)
}

/// Figures of one number.
pub fn one(name: &str, value: f64) -> Figures {
    Figures::from([(name.to_owned(), value)])
}
