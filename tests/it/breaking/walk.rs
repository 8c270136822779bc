//! One crash walk: at each durable call of a run the process dies or the power goes, and then the next run must heal it.
//!
//! Each point has a fresh archive. What was left is judged before anything heals it, and again after one more run.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Instant;

use super::kit::Ended;
use super::kit::Scene;
use super::kit::run;
use super::kit::run_traced;
use super::kit::wants;
use crate::support::faultio;
use crate::support::faultio::Traced;
use crate::support::invariants;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Place;
use crate::support::volume::FileSystem;
use crate::support::volume::Volume;
use crate::support::volume::clear_leftovers;

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    Kill,
    KillAfter,
    Cut,
    CutAfter,
}

impl Strike {
    /// Its name in the library.
    pub const fn act(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::KillAfter => "KILLAFTER",
            Self::Cut => "CUT",
            Self::CutAfter => "CUTAFTER",
        }
    }

    /// Whether it takes the file systems with it.
    pub const fn cuts(self) -> bool {
        matches!(self, Self::Cut | Self::CutAfter)
    }
}

/// Which points of a walk are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Every call.
    Every,
    /// All but those between two writes of the same file: nothing of that run of writes is durable before its sync.
    Telling,
    /// One in so many, begun at another one in each walk.
    OneIn(usize),
    /// The last so many of each hundred.
    Last(usize),
}

/// A walk.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    pub strike: Strike,
    pub kind: FileSystem,
    /// Whether the catalog lies on a file system of its own.
    pub apart: bool,
    pub pick: Pick,
    /// A rule of the library that holds all the while, besides the strike.
    pub besides: &'static str,
}

impl Walk {
    /// Its name in what is printed.
    pub fn name(&self) -> String {
        let volumes = if self.apart { "two volumes" } else { "one volume" };
        format!("{:?} {} {volumes}", self.strike, self.kind.name())
    }

    /// On one file system recordings come one by one, each with transactions of its own; on two all at once, which
    /// share them.
    const fn settings(&self) -> &'static str {
        if self.apart { "" } else { "[download]\nconcurrency = 1" }
    }

    /// Whether a point is taken, judged by the calls of an unfaulted run. Threads may swap a few of them.
    pub fn takes(&self, point: usize, unfaulted: &[Traced]) -> bool {
        match self.pick {
            Pick::Every => true,
            Pick::OneIn(step) => point % step == self.name().len() % step,
            Pick::Last(share) => point * 100 >= unfaulted.len() * (100 - share),
            Pick::Telling => {
                let around = unfaulted.get(point.saturating_sub(2)..=point);
                !around.is_some_and(|calls| {
                    let first = &calls[0];
                    calls.iter().all(|call| call.op == "write" && call.path == first.path)
                })
            }
        }
    }
}

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Walked {
    /// Durable calls of a run that nothing struck.
    pub calls: usize,
    pub points: usize,
    pub violations: Vec<String>,
    /// At how many points some, but not all, was archived when it struck: that the walk went through the middle.
    pub halfway: usize,
}

/// The file systems of a walk.
pub struct Ground {
    media: Volume,
    catalog: Option<Volume>,
}

impl Ground {
    /// New ones.
    ///
    /// # Errors
    /// Where this machine cannot.
    pub fn make(walk: &Walk) -> Result<Self, String> {
        Ok(Self {
            media: Volume::make(walk.kind)?,
            catalog: walk.apart.then(|| Volume::make(walk.kind)).transpose()?,
        })
    }

    /// The one or both.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        [Some(&self.media), self.catalog.as_ref()].into_iter().flatten()
    }

    /// Brings them back after a cut.
    ///
    /// # Panics
    /// If they do not come back.
    pub fn power_on(&self) {
        for volume in self.volumes() {
            volume.remount().expect("the file system comes back");
        }
    }

    fn places(&self) -> Vec<PathBuf> {
        self.volumes().map(Volume::place).collect()
    }

    /// An empty folder on each, durable, and nothing else.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear(&self, point: usize) -> Result<Place, String> {
        for volume in self.volumes() {
            let at = |point: usize| volume.place().join(format!("point-{point}"));
            for old in fs::read_dir(volume.place()).into_iter().flatten().flatten() {
                if old.file_name().to_string_lossy().starts_with("point-") {
                    fs::remove_dir_all(old.path()).map_err(|error| format!("{}: {error}", old.path().display()))?;
                }
            }
            fs::create_dir(at(point)).map_err(|error| format!("{}: {error}", at(point).display()))?;
            volume.sync()?;
        }
        let at = |volume: &Volume| volume.place().join(format!("point-{point}"));
        let archive = at(&self.media).join("archive");
        let catalog = match &self.catalog {
            Some(volume) => at(volume).join("catalog.sqlite"),
            None => archive.join("catalog.sqlite"),
        };
        Ok(Place { archive, catalog })
    }
}

/// Whether no walk can be walked here, which it says.
///
/// # Panics
/// Where the environment says that this machine must be able to.
pub fn must_skip(kind: FileSystem) -> bool {
    static CLEARED: Once = Once::new();
    CLEARED.call_once(clear_leftovers);
    let Some(why) = obstacle(kind) else {
        return false;
    };
    eprintln!("SKIPPED: crash walk: {why}");
    assert!(
        !wants("BIRDKEEP_MUST_WALK", "1"),
        "BIRDKEEP_MUST_WALK is set and: {why}"
    );
    true
}

fn obstacle(kind: FileSystem) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may mount".to_owned());
    }
    faultio::library()
        .err()
        .or_else(|| Volume::make(kind).err().map(|why| format!("no {}: {why}", kind.name())))
}

/// Walks until a run ends that nothing struck.
///
/// # Panics
/// Where the machine does not do as it is told.
pub fn walk(walk: &Walk) -> Walked {
    let begun = Instant::now();
    let (scene, ground) = (Scene::of_three(), Ground::make(walk).expect("file systems"));
    let mut walked = Walked::default();
    let place = ground.clear(0).expect("an empty place");
    let unfaulted = run_traced(
        &scene,
        &scene.install(&place, 2, walk.settings()),
        &rules(walk, &ground, 0),
    )
    .trace;
    walked.calls = unfaulted.len();
    for point in (1..).filter(|point| walk.takes(*point, &unfaulted)) {
        let place = ground.clear(point).expect("an empty place");
        if !step(walk, &scene, &ground, &place, point, &mut walked) {
            break;
        }
        walked.points += 1;
    }
    eprintln!(
        "crash walk: {}: {} points of {} in {:.1} s, {} violations",
        walk.name(),
        walked.points,
        walked.calls,
        begun.elapsed().as_secs_f64(),
        walked.violations.len()
    );
    walked
}

/// One point. Says whether anything was struck.
fn step(walk: &Walk, scene: &Scene, ground: &Ground, place: &Place, point: usize, walked: &mut Walked) -> bool {
    let config = scene.install(place, 2, walk.settings());
    let ended = run_traced(scene, &config, &rules(walk, ground, point));
    let struck = faultio::struck(&ended.trace).filter(|call| call.act.as_deref() == Some(walk.strike.act()));
    let at = struck.map_or_else(
        || format!("{:?} unfaulted", walk.strike),
        |call| {
            format!(
                "{:?} at {} ({} {})",
                walk.strike,
                call.number,
                call.op,
                call.path.display()
            )
        },
    );
    let mut violations = Vec::new();
    if walk.strike.cuts() && struck.is_some() {
        ground.power_on();
    }
    let (was_struck, mut ledger) = (struck.is_some(), Ledger::default());
    if was_struck {
        violations.extend(after_strike(scene, place, &ended, &mut ledger));
        if (1..scene.offered.len()).contains(&ledger.len()) {
            walked.halfway += 1;
        }
        violations.extend(heal(&config));
    } else if ended.code == Some(0) {
        violations.extend(invariants::order(&ended.trace, place));
    } else {
        violations.push(format!(
            "an unfaulted run ended with {:?}: {}",
            ended.code, ended.stderr
        ));
    }
    let findings = scene.check(place, Demand::Complete);
    violations.extend(ledger.observe(&findings));
    violations.extend(findings.violations);
    walked
        .violations
        .extend(violations.into_iter().map(|violation| format!("{at}: {violation}")));
    was_struck
}

/// A run with nothing in its way must do it.
pub fn heal(config: &Path) -> Option<String> {
    let healed = run(config, &["--once"], &[] as &[(&str, &str)]);
    let is_well = healed.code == Some(0);
    (!is_well).then(|| format!("the next run ended with {:?}: {}", healed.code, healed.stderr))
}

/// What must hold before anything is healed.
pub fn after_strike(scene: &Scene, place: &Place, ended: &Ended, ledger: &mut Ledger) -> Vec<String> {
    let findings = scene.check(place, Demand::Crashed);
    let mut violations = ended.misbehaviour(&findings);
    if ended.signal != Some(9) {
        violations.push(format!("it was to die and ended with {:?}", ended.code));
    }
    let rows: Vec<_> = findings
        .rows
        .iter()
        .filter(|row| row.state == "archived")
        .cloned()
        .collect();
    violations.extend(invariants::order_of_rows(&ended.trace, place, &rows, &ledger.paths()));
    violations.extend(invariants::no_sync_again(&ended.trace));
    violations.extend(ledger.observe(&findings));
    violations.extend(findings.violations);
    violations
}

/// What the library is told: strike at this point, or only count at point 0.
pub fn rules(walk: &Walk, ground: &Ground, point: usize) -> String {
    let places: Vec<_> = ground
        .places()
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let places = places.join(",");
    // What is in the -shm does not outlive the process.
    let strike = format!(
        "under={places} not=-shm nth={point} act={} cut={places}",
        walk.strike.act()
    );
    if walk.besides.is_empty() {
        strike
    } else {
        format!("{strike};under={places} {}", walk.besides)
    }
}
