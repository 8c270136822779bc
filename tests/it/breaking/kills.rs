//! Killed at random, again and again, with eight downloads at once: judged after each kill, and at some moments before.
//!
//! Half of the kills strike at a durable call, the others between any two instructions. Fixed seeds; `BIRDKEEP_WALK=all`
//! takes three of them.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use super::kit::Ended;
use super::kit::Scene;
use super::kit::run_traced;
use super::kit::run_until;
use super::kit::wants;
use super::walk::heal;
use crate::support::bird::RecordingSpec;
use crate::support::bird::Throttle;
use crate::support::faultio;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Place;
use crate::support::random::Random;

const ROUNDS: u64 = 200;
const AT_ONCE: u64 = 8;
/// New recordings a round, besides what the kill before left.
const MORE: usize = 8;
/// About as many durable calls as a round makes.
const CALLS: u64 = 350;

#[test]
fn killed_at_random_nothing_is_lost() {
    if let Err(why) = faultio::library() {
        assert!(!wants("BIRDKEEP_MUST_WALK", "1"), "{why}");
        eprintln!("SKIPPED: random kills: {why}");
        return;
    }
    let seeds: &[u64] = if wants("BIRDKEEP_WALK", "all") {
        &[1, 2, 3]
    } else {
        &[1]
    };
    for &seed in seeds {
        rounds(seed);
    }
}

fn rounds(seed: u64) {
    let (begun, mut random) = (Instant::now(), Random::new(seed));
    let mut scene = Scene::new([]);
    scene.bird.set_throttle(Throttle {
        media_delay: Duration::from_millis(5),
        ..Throttle::default()
    });
    let dir = TempDir::with_prefix("birdkeep-kills-").unwrap();
    let place = Place::new(dir.path().join("archive"));
    let config = scene.install(&place, 99, &format!("[download]\nconcurrency = {AT_ONCE}"));
    let (mut ledger, mut killed) = (Ledger::default(), 0);
    for round in 0..ROUNDS {
        for _ in 0..MORE {
            scene.add(RecordingSpec::new().duration_seconds(1));
        }
        let what = format!("seed {seed}, round {round}");
        let ended = if random.chance(0.5) {
            let nth = 1 + random.below(CALLS);
            let rules = format!("under={} not=-shm nth={nth} act=KILL", dir.path().display());
            run_traced(&scene, &config, &rules)
        } else {
            killed_from_outside(&scene, &place, &config, &mut random, &what)
        };
        killed += u64::from(ended.signal == Some(9));
        let findings = scene.check(&place, Demand::Crashed);
        let mut violations = ended.misbehaviour(&findings);
        violations.extend(ledger.observe(&findings));
        violations.extend(findings.violations);
        assert!(violations.is_empty(), "{what}: {}", violations.join("\n"));
    }
    assert_eq!(heal(&config), None);
    let findings = scene.check(&place, Demand::Complete);
    let violations = [ledger.observe(&findings), findings.violations].concat();
    assert!(violations.is_empty(), "seed {seed}: {}", violations.join("\n"));
    assert!(
        findings.rows.iter().all(|row| row.attempts == 0),
        "a crash was held against a recording"
    );
    let (asked, most) = (
        scene.bird.media_requests(),
        scene.offered.len() as u64 + killed * AT_ONCE,
    );
    assert!(
        asked <= most,
        "{asked} bodies were asked for, {most} at most could be wanted"
    );
    eprintln!(
        "random kills: seed {seed}: {killed} of {ROUNDS} rounds killed, {} recordings, {asked} asked for, in {:.1} s",
        scene.offered.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(killed > ROUNDS / 2, "only {killed} of {ROUNDS} rounds were killed");
}

/// Killed after so many more requests for bodies and a moment; now and then judged while it runs.
fn killed_from_outside(
    scene: &Scene,
    place: &Place,
    config: &std::path::Path,
    random: &mut Random,
    what: &str,
) -> Ended {
    let asked = scene.bird.media_requests() + random.below(MORE as u64);
    let moment = Duration::from_micros(random.below(6_000));
    let look = random.chance(0.25);
    let mut since = None;
    run_until(config, || {
        if scene.bird.media_requests() <= asked {
            return false;
        }
        let since = *since.get_or_insert_with(Instant::now);
        if look && fs::metadata(&place.catalog).is_ok() {
            let findings = scene.check(place, Demand::Running);
            assert!(
                findings.violations.is_empty(),
                "{what}, running: {}",
                findings.violations.join("\n")
            );
        }
        since.elapsed() >= moment
    })
}
