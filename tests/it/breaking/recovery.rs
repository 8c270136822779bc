//! The crash walk over the recovery from a crash, and over the recovery from that one (C8).

use std::time::Instant;

use super::kit::Scene;
use super::kit::run_traced;
use super::kit::wants;
use super::walk::Ground;
use super::walk::Pick;
use super::walk::Strike;
use super::walk::Walk;
use super::walk::after_strike;
use super::walk::heal;
use super::walk::must_skip;
use super::walk::rules;
use crate::support::faultio;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Place;
use crate::support::volume::FileSystem;

/// How far through the first run it is stopped, in hundredths: while the catalog is made, while recordings are, and
/// while it closes.
const FIRST_STOPS: [usize; 4] = [25, 70, 85, 97];

/// One in so many calls of a recovery is struck.
const STEP: usize = 8;

#[test]
fn killed_while_recovering_it_recovers() {
    recover(Strike::Kill);
}

#[test]
fn without_power_while_recovering_it_recovers() {
    recover(Strike::Cut);
}

fn recover(strike: Strike) {
    let kind = FileSystem::Ext4;
    if must_skip(kind) {
        return;
    }
    let begun = Instant::now();
    let walk = Walk {
        strike,
        kind,
        apart: false,
        pick: Pick::Every,
        besides: "",
    };
    let (scene, ground) = (Scene::of_three(), Ground::make(&walk).expect("file systems"));
    let step = if wants("BIRDKEEP_WALK", "all") { 1 } else { STEP };
    let (mut points, mut violations) = (0, Vec::new());
    for (index, hundredths) in FIRST_STOPS.into_iter().enumerate() {
        let first = scene.calls() * hundredths / 100;
        for point in (1 + index % step..).step_by(step) {
            let place = ground.clear(point).expect("an empty place");
            let name = format!("{strike:?} at {first}, then at {point}");
            let (struck, found) = twice(&walk, &scene, &ground, &place, first, point);
            violations.extend(found.into_iter().map(|violation| format!("{name}: {violation}")));
            points += 1;
            if !struck {
                break;
            }
        }
    }
    eprintln!(
        "crash walk: {strike:?} of recoveries: {points} points in {:.1} s, {} violations",
        begun.elapsed().as_secs_f64(),
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(points > FIRST_STOPS.len() * 2, "only {points} points");
}

/// Stopped at `first`, in the recovery at `point`, in the recovery from that at `point` again. Says whether the first
/// recovery met its point.
fn twice(
    walk: &Walk,
    scene: &Scene,
    ground: &Ground,
    place: &Place,
    first: usize,
    point: usize,
) -> (bool, Vec<String>) {
    let config = scene.install(place, 2, "[download]\nconcurrency = 1");
    let (mut ledger, mut violations, mut met) = (Ledger::default(), Vec::new(), false);
    for (run, at) in [first, point, point].into_iter().enumerate() {
        let ended = run_traced(scene, &config, &rules(walk, ground, at));
        if faultio::struck(&ended.trace).is_none() {
            break;
        }
        met |= run == 1;
        if walk.strike.cuts() {
            ground.power_on();
        }
        violations.extend(after_strike(scene, place, &ended, &mut ledger));
    }
    violations.extend(heal(&config));
    let findings = scene.check(place, Demand::Complete);
    violations.extend(ledger.observe(&findings));
    violations.extend(findings.violations);
    (met, violations)
}
