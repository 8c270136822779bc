//! Whole sets fetched into empty folders: birdkeep with its list, its catalog and its sidecars, peers from a list of URLs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use super::BIRDKEEP;
use super::Bench;
use crate::archiver::Archiver;
use crate::archiver::Settings;
use crate::contenders::Peer;
use crate::items::Links;
use crate::media;
use crate::report::Goal;
use crate::report::Measured;
use crate::run;
use crate::run::CPU;
use crate::run::DURABLE;
use crate::run::Figures;
use crate::run::REQUESTS;
use crate::run::RSS;
use crate::sets::Kind;
use crate::sets::Set;
use crate::stage::Stage;
use crate::stage::Way;

const ALL_PEERS: &[Peer] = &[Peer::Curl, Peer::Wget2, Peer::Rclone, Peer::Aria2, Peer::Careful];

/// birdkeep archives a whole stage into a fresh folder, which is checked and emptied.
///
/// # Errors
/// It does not end well, or leaves something out.
pub fn archive(
    bench: &Bench<'_>,
    stage: &Stage,
    program: &Path,
    place: (&str, u32, &str),
    settings: &Settings,
    args: &[&str],
) -> Result<Figures> {
    let (measure, round, name) = place;
    let dir = bench.folder(measure, round, name)?;
    let archiver = Archiver::set_up(program, &dir, settings)?;
    let before = stage.api.counters()?;
    let ended = run::measure(&archiver.command(args), &dir)?;
    let after = stage.api.counters()?;
    let mut figures = ended.well().with_context(|| name.to_owned())?.figures;
    after.enter(before, &mut figures);
    media::check_all(stage.set, &dir)?;
    run::empty_files(&dir)?;
    Ok(figures)
}

/// What an operator would set for a stage.
pub fn settings(stage: &Stage, at_once: Option<u32>) -> Settings {
    Settings {
        base_url: stage.api_url.clone(),
        at_once,
        root: stage.root.clone(),
        ..Settings::default()
    }
}

/// All contenders in turn, round after round.
fn compete(
    bench: &Bench<'_>,
    stage: &Stage,
    measured: &mut Measured,
    peers: &[(Peer, u32)],
    at_once: &[Option<u32>],
) -> Result<()> {
    let wanted: Vec<Peer> = peers.iter().map(|(peer, _)| *peer).collect();
    let here = bench.peers(&wanted, measured);
    for round in 1..=bench.options.rounds {
        for at in at_once {
            for (name, program) in bench.birdkeeps() {
                let name = match at {
                    _ if at_once.len() == 1 => name.to_owned(),
                    Some(at) => format!("{name} @{at}"),
                    None => format!("{name} by default"),
                };
                let place = (measured.name.as_str(), round, name.as_str());
                let figures = archive(bench, stage, program, place, &settings(stage, *at), &["--once"])?;
                measured.enter(&name, round, figures);
            }
        }
        for (peer, at) in peers {
            if !here.contains(peer) {
                continue;
            }
            let alone = wanted.iter().filter(|other| *other == peer).count() == 1;
            let name = if alone {
                peer.name().to_owned()
            } else {
                format!("{} @{at}", peer.name())
            };
            let dir = bench.folder(&measured.name, round, &name)?;
            let ended = run::measure(&peer.command(&stage.lists, &dir, *at), &dir)?;
            let figures = ended.well().with_context(|| name.clone())?.figures;
            media::check_all(stage.set, &dir).with_context(|| name.clone())?;
            run::empty_files(&dir)?;
            measured.enter(&name, round, figures);
        }
    }
    Ok(())
}

fn all_at(at_once: u32) -> Vec<(Peer, u32)> {
    ALL_PEERS.iter().map(|peer| (*peer, at_once)).collect()
}

fn stage(bench: &Bench<'_>, name: &str, set: Set, way: Way) -> Result<Stage> {
    Stage::set_up(bench.scratch, name, set, way, Links::Alive, Duration::ZERO)
}

/// A goal over the durable wall clock of both.
fn durable(what: &str, by: &str, most: f64) -> Goal {
    Goal::ratio(what, (BIRDKEEP, DURABLE), (by, DURABLE), most)
}

/// The everyday case.
pub fn mix(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("mix");
    let set = bench.set(Kind::Mix, 4_000, 200);
    compete(
        bench,
        &stage(bench, "mix", set, Way::Plain)?,
        &mut measured,
        &all_at(16),
        &[Some(16)],
    )?;
    let (curl, careful, aria2) = (Peer::Curl.name(), Peer::Careful.name(), Peer::Aria2.name());
    measured.goals = vec![
        durable("durable / curl -Z", curl, 1.0).hoping("0.85"),
        durable("durable / careful script", careful, 0.48),
        durable("durable / aria2", aria2, 0.3),
        Goal::ratio("CPU / curl -Z", (BIRDKEEP, CPU), (curl, CPU), 2.0),
        Goal::ratio("CPU / careful script", (BIRDKEEP, CPU), (careful, CPU), 0.65),
        Goal::most("RSS MiB", (BIRDKEEP, RSS), 40.0),
        Goal::most("API requests", (BIRDKEEP, REQUESTS), 45.0),
    ];
    Ok(measured)
}

/// The same at a distance.
pub fn mix_latency(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("mix-latency");
    let set = bench.set(Kind::Mix, 4_000, 200);
    let stage = stage(bench, "mix-latency", set, Way::Far)?;
    let curls = [(Peer::Curl, 16), (Peer::Curl, 32), (Peer::Curl, 64)];
    compete(bench, &stage, &mut measured, &curls, &[Some(16), None])?;
    let best = "curl -Z at its best";
    measured.enter_least(best, &["curl -Z @16", "curl -Z @32", "curl -Z @64"], DURABLE);
    let (sixteen, free) = ("birdkeep @16", "birdkeep by default");
    measured.goals = vec![
        Goal::ratio(
            "@16: durable / curl -Z @16",
            (sixteen, DURABLE),
            ("curl -Z @16", DURABLE),
            1.05,
        )
        .hoping("0.96"),
        Goal::ratio(
            "by default: durable / curl -Z at its best",
            (free, DURABLE),
            (best, DURABLE),
            1.05,
        ),
        Goal::most("by default: RSS MiB", (free, RSS), 40.0),
    ];
    Ok(measured)
}

/// The same over TLS.
pub fn mix_https(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("mix-https");
    let set = bench.set(Kind::Mix, 4_000, 200);
    let stage = stage(bench, "mix-https", set, Way::Tls)?;
    let peers = [(Peer::Curl, 16), (Peer::Wget2, 16), (Peer::Careful, 16)];
    compete(bench, &stage, &mut measured, &peers, &[Some(16)])?;
    measured.goals = vec![durable("durable / curl -Z", Peer::Curl.name(), 1.1).hoping("0.89")];
    Ok(measured)
}

/// Where everything but the bytes costs.
pub fn tiny(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("tiny");
    let set = bench.set(Kind::Tiny, 20_000, 500);
    compete(
        bench,
        &stage(bench, "tiny", set, Way::Plain)?,
        &mut measured,
        &all_at(16),
        &[Some(16)],
    )?;
    measured.goals = vec![
        durable("durable / curl -Z", Peer::Curl.name(), 1.35).hoping("0.84"),
        durable("durable / careful script", Peer::Careful.name(), 0.26),
        durable("durable / aria2", Peer::Aria2.name(), 0.16),
    ];
    Ok(measured)
}

/// Where nothing but the bytes costs.
pub fn large(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("large");
    let set = bench.set(Kind::Large, 8, 2);
    compete(
        bench,
        &stage(bench, "large", set, Way::Plain)?,
        &mut measured,
        &all_at(8),
        &[Some(8)],
    )?;
    measured.goals = vec![
        durable("durable / curl -Z", Peer::Curl.name(), 0.7).hoping("0.50"),
        Goal::most("RSS MiB", (BIRDKEEP, RSS), 40.0),
    ];
    Ok(measured)
}

/// The same at a distance, where one stream is held to its window.
pub fn large_latency(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::new("large-latency");
    let set = bench.set(Kind::Large, 8, 2);
    let stage = stage(bench, "large-latency", set, Way::Far)?;
    let peers = [(Peer::Curl, 8), (Peer::Aria2, 8), (Peer::Aria2Ranges, 8)];
    compete(bench, &stage, &mut measured, &peers, &[Some(8)])?;
    measured.goals = vec![
        durable("durable / aria2", Peer::Aria2.name(), 1.1).hoping("0.96"),
        Goal {
            most: None,
            ..durable("durable / aria2 -x4", Peer::Aria2Ranges.name(), 1.2)
        },
    ];
    Ok(measured)
}
