//! Each durable call fails, once and from then on: nothing is lost, nothing lies, the next run gets there.
//!
//! Every kind of call with every error that it may give, at each of its occurrences until a run ends that met none.
//! CI takes samples of the frequent ones; `BIRDKEEP_WALK=all` takes all.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use super::kit::Ended;
use super::kit::Scene;
use super::kit::run_traced;
use super::kit::wants;
use super::walk::heal;
use crate::support::faultio;
use crate::support::invariants;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Place;
use crate::support::random::hash;

/// Runs side by side: most of a run with a lasting fault is waiting.
const WORKERS: usize = 4;

/// Far more than a run needs, and far less than one that spins.
const MOST_CPU: Duration = Duration::from_secs(4);

/// How many times the calls of an undisturbed run may be made by one that tries again; of short writes, each of which
/// takes half of what is left, many more.
const MOST_CALLS: usize = 4;
const MOST_SHORT_CALLS: usize = 16;

/// One fault.
#[derive(Debug, Clone, Copy)]
struct Fault {
    op: &'static str,
    act: &'static str,
    lasting: bool,
    /// One in so many occurrences is taken.
    step: usize,
}

impl Fault {
    /// Its first occurrence, another one for each fault.
    fn first(&self) -> usize {
        let seed = hash(format!("{}{}{}", self.op, self.act, self.lasting).as_bytes());
        1 + usize::try_from(seed % self.step as u64).unwrap_or(0)
    }
}

/// What came of all occurrences of all faults of one kind of call.
#[derive(Debug, Default)]
struct Tally {
    struck: usize,
    violations: Vec<String>,
}

fn fail_each(op: &'static str, acts: &[&'static str], step: usize) {
    if let Err(why) = faultio::library() {
        assert!(!wants("BIRDKEEP_MUST_WALK", "1"), "{why}");
        eprintln!("SKIPPED: injected errors: {why}");
        return;
    }
    let step = if wants("BIRDKEEP_WALK", "all") { 1 } else { step };
    let faults = acts
        .iter()
        .flat_map(|&act| [false, true].map(|lasting| Fault { op, act, lasting, step }));
    let (begun, queue) = (Instant::now(), Mutex::new(faults.collect::<VecDeque<_>>()));
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let scene = Scene::of_three();
                while let Some(fault) = { queue.lock().unwrap().pop_front() } {
                    let mut nth = fault.first();
                    while occurrence(&scene, fault, nth, &tally) {
                        nth += fault.step;
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    eprintln!(
        "injected errors: {op}: {} runs in {:.1} s, {} violations",
        tally.struck,
        begun.elapsed().as_secs_f64(),
        tally.violations.len()
    );
    assert!(tally.violations.is_empty(), "{}", tally.violations.join("\n"));
    assert!(tally.struck >= acts.len() * 2, "hardly anything failed: {tally:?}");
}

/// The fault at its nth occurrence. Says whether it struck.
fn occurrence(scene: &Scene, fault: Fault, nth: usize, tally: &Mutex<Tally>) -> bool {
    let dir = TempDir::with_prefix("birdkeep-errors-").unwrap();
    let times = if fault.act == "SHORT" {
        MOST_SHORT_CALLS
    } else {
        MOST_CALLS
    };
    let most_calls = times * scene.calls();
    let place = Place::new(dir.path().join("archive"));
    let config = scene.install(&place, 2, "");
    let under = format!("under={} not=-shm", dir.path().display());
    let Fault { op, act, lasting, .. } = fault;
    let lasts = match (lasting, act) {
        (false, _) => "",
        // What is interrupted is tried again at once, and no signal comes for ever.
        (true, "EINTR") => "%2",
        (true, _) => "+",
    };
    let rules = format!("{under} op={op} nth={nth}{lasts} act={act};{under}");
    let ended = run_traced(scene, &config, &rules);
    let struck = ended.trace.iter().find(|call| call.act.is_some());
    let at = struck.map_or_else(String::new, |call| call.path.display().to_string());
    let was_struck = struck.is_some();
    let mut ledger = Ledger::default();
    let mut violations = judge(scene, &place, &ended, &mut ledger);
    if ended.trace.len() > most_calls {
        violations.push(format!("it made {} calls", ended.trace.len()));
    }
    violations.extend(heal(&config));
    let findings = scene.check(&place, Demand::Complete);
    violations.extend(ledger.observe(&findings));
    violations.extend(findings.violations);
    let blamed = findings.rows.iter().filter(|row| row.attempts > 0);
    violations.extend(blamed.map(|row| format!("a fault of the disk was held against {row:?}")));
    let mut tally = tally.lock().unwrap();
    tally.struck += usize::from(was_struck);
    let name = format!("{op} {nth}{lasts} {act} ({at})");
    tally
        .violations
        .extend(violations.into_iter().map(|violation| format!("{name}: {violation}")));
    was_struck
}

/// What must hold right after the run that met the fault.
fn judge(scene: &Scene, place: &Place, ended: &Ended, ledger: &mut Ledger) -> Vec<String> {
    let findings = scene.check(place, Demand::Crashed);
    let mut violations = ended.misbehaviour(&findings);
    violations.extend(ledger.observe(&findings));
    if ended.code == Some(0) {
        violations.extend(scene.check(place, Demand::Complete).violations);
    }
    violations.extend(findings.violations);
    violations.extend(invariants::no_sync_again(&ended.trace));
    if ended.code.is_none() {
        violations.push(format!("a signal ended it: {:?}", ended.signal));
    }
    if ended.cpu > MOST_CPU {
        violations.push(format!("it was busy for {:?}", ended.cpu));
    }
    violations
}

#[test]
fn files_that_cannot_be_made() {
    fail_each("open", &["EIO", "ENOSPC", "EROFS", "EMFILE", "EINTR"], 2);
}

#[test]
fn writes_that_fail() {
    fail_each("write", &["EIO", "ENOSPC", "EROFS", "EINTR", "SHORT"], 13);
}

#[test]
fn files_that_cannot_be_cut() {
    fail_each("truncate", &["EIO", "ENOSPC", "EROFS", "EINTR"], 1);
}

#[test]
fn syncs_that_fail() {
    fail_each("fsync", &["EIO", "ENOSPC", "EROFS", "EINTR"], 4);
}

#[test]
fn names_that_are_refused() {
    fail_each("rename", &["EIO", "ENOSPC", "EROFS", "EXDEV", "EINTR"], 1);
}

#[test]
fn folders_that_cannot_be_made() {
    fail_each("mkdir", &["EIO", "ENOSPC", "EROFS", "EINTR"], 3);
}

#[test]
fn files_that_cannot_be_removed() {
    fail_each("unlink", &["EIO", "EROFS", "EINTR"], 1);
}

#[test]
fn modes_that_cannot_be_set() {
    fail_each("chmod", &["EIO", "EROFS", "EINTR"], 2);
}
