//! The one who looks: made once for the process, told what to look at, asked by everyone.
//!
//! A look is kept for a second, so that a flood of questions costs nothing, and is bounded in time. Must not know: who
//! asks.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::Phase;
use super::Standing;
use super::WorkspaceStanding;
use super::Wrong;
use super::disk::Disk;
use super::disk::Look;
use crate::catalog::CatalogError;
use crate::catalog::CatalogReader;
use crate::catalog::Soundness;
use crate::catalog::WorkspaceSummary;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::one_line;
use crate::domain::report::WalkKind;
use crate::domain::tally::Tallies;
use crate::domain::tally::Trouble;
use crate::domain::tally::WalkEnd;
use crate::domain::tally::WorkspaceTally;
use crate::store::Store;

/// How long a look is good for.
const KEPT: Duration = Duration::from_secs(1);

/// How long the catalog is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A refusal to view recordings that was not met again for this long is over: while there is something to fetch, it is
/// met every minute.
const DENIAL_FADES: Duration = Duration::from_secs(5 * 60);

/// The longest reason, in characters.
const LONGEST_REASON: usize = 400;

/// What there is to look at.
#[derive(Clone)]
pub struct Scene {
    /// The catalog's read side.
    pub reader: CatalogReader,
    /// The archive. Whoever looks at it holds its lock as long.
    pub store: Store,
    /// The configured workspaces.
    pub workspaces: Vec<WorkspaceName>,
    /// A list that was last read to its end longer ago than this is stale.
    pub stale_after: Duration,
}

struct Watched {
    phase: Phase,
    scene: Option<Arc<Scene>>,
    /// Counts what was told, so that an older look is known for one.
    turn: u64,
}

#[derive(Default)]
struct Held {
    look: Option<(u64, Instant, Arc<Standing>)>,
    disk: Disk,
}

/// Tells how the daemon stands.
pub struct Observer {
    clock: SharedClock,
    tallies: Arc<Tallies>,
    watched: Mutex<Watched>,
    held: tokio::sync::Mutex<Held>,
}

impl Observer {
    /// One that has nothing to look at yet.
    #[must_use]
    pub fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            tallies: Arc::default(),
            watched: Mutex::new(Watched {
                phase: Phase::Starting,
                scene: None,
                turn: 0,
            }),
            held: tokio::sync::Mutex::default(),
        })
    }

    /// What the rooms tally.
    #[must_use]
    pub const fn tallies(&self) -> &Arc<Tallies> {
        &self.tallies
    }

    /// From now on this is what to look at; what was before is let go of.
    pub fn look_at(&self, scene: Scene) {
        let mut watched = self.watched();
        watched.scene = Some(Arc::new(scene));
        watched.turn += 1;
    }

    /// Lets go of the archive and the catalog.
    pub fn leave(&self) {
        let mut watched = self.watched();
        watched.scene = None;
        watched.turn += 1;
    }

    /// The daemon is there in its life now. From stopping there is no way back: whatever else ends meanwhile may say so.
    pub fn phase_is(&self, phase: Phase) {
        let mut watched = self.watched();
        if watched.phase != Phase::Stopping {
            watched.phase = phase;
        }
        watched.turn += 1;
    }

    /// What was seen is old: the next question is answered by a new look.
    pub fn look_again(&self) {
        self.watched().turn += 1;
    }

    /// How the daemon stands, at most a second ago. Cancel-safe, and bounded: a catalog or a disk that does not answer
    /// within seconds is told as that.
    pub async fn standing(&self) -> Arc<Standing> {
        let mut held = self.held.lock().await;
        let (phase, scene, turn) = {
            let watched = self.watched();
            (watched.phase, watched.scene.clone(), watched.turn)
        };
        if let Some((of_turn, at, standing)) = &held.look
            && *of_turn == turn
            && at.elapsed() < KEPT
        {
            return Arc::clone(standing);
        }
        let standing = Arc::new(self.look(phase, scene.as_deref(), &mut held.disk).await);
        held.look = Some((turn, Instant::now(), Arc::clone(&standing)));
        standing
    }

    async fn look(&self, phase: Phase, scene: Option<&Scene>, disk: &mut Disk) -> Standing {
        let now = self.clock.now();
        let Some(scene) = scene else {
            return self.without_a_scene(phase, now);
        };
        let (look, read) = tokio::join!(disk.look(&scene.store), read(scene, now));
        let Look { space, refusal } = look;
        let (rows, catalog_fault) = match read {
            Ok(rows) => (Some(rows), None),
            Err(why) => (None, Some(one_line(&why, LONGEST_REASON))),
        };
        let of = |name: &WorkspaceName| {
            let mut summaries = rows.iter().flat_map(|rows| &rows.summaries);
            summaries.find(|summary| summary.name == *name).cloned()
        };
        let workspaces = scene.workspaces.iter().map(|name| {
            let tally = self.tallies.workspace(name);
            workspace(name.clone(), tally, of(name), scene.stale_after, now)
        });
        let workspaces: Vec<WorkspaceStanding> = workspaces.collect();
        // A catalog that can be read and takes nothing is no outage of upstream that may be sat out.
        let not_kept = workspaces.iter().find_map(|workspace| workspace.tally.not_kept.get());
        let local_fault = not_kept.or_else(|| self.tallies.local_fault.get());
        let local_fault = local_fault.map(|trouble| one_line(&trouble.reason, LONGEST_REASON));
        Standing {
            at: now,
            phase,
            workspaces,
            stale_after: scene.stale_after,
            catalog_fault,
            disk: refusal.or(local_fault),
            space,
            due_now: rows.as_ref().map(|rows| rows.due_now),
            soundness: rows.map(|rows| rows.soundness),
            in_flight: self.tallies.in_flight(),
            upstream_offset_seconds: self.tallies.upstream_offset(),
        }
    }

    fn without_a_scene(&self, phase: Phase, now: Timestamp) -> Standing {
        Standing {
            at: now,
            phase,
            workspaces: Vec::new(),
            stale_after: Duration::ZERO,
            catalog_fault: None,
            disk: None,
            space: None,
            soundness: None,
            due_now: None,
            in_flight: self.tallies.in_flight(),
            upstream_offset_seconds: self.tallies.upstream_offset(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Rows {
    summaries: Vec<WorkspaceSummary>,
    soundness: Soundness,
    due_now: u64,
}

async fn read(scene: &Scene, now: Timestamp) -> Result<Rows, String> {
    let reads = async {
        Ok::<Rows, CatalogError>(Rows {
            summaries: scene.reader.workspaces().await?,
            soundness: scene.reader.soundness().await?,
            due_now: scene.reader.due_now(&scene.workspaces, now).await?,
        })
    };
    match tokio::time::timeout(PATIENCE, reads).await {
        Ok(rows) => rows.map_err(|error| chain(&error)),
        Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
    }
}

fn workspace(
    name: WorkspaceName,
    tally: Arc<WorkspaceTally>,
    summary: Option<WorkspaceSummary>,
    stale_after: Duration,
    now: Timestamp,
) -> WorkspaceStanding {
    let wrong = |trouble: Trouble| Wrong {
        since: now.before(trouble.since.elapsed()),
        reason: one_line(&trouble.reason, LONGEST_REASON),
    };
    let view_denied = tally.view_denied.get();
    let paused = tally
        .list_denied
        .get()
        .or_else(|| view_denied.filter(|denied| denied.last_met.elapsed() < DENIAL_FADES));
    let walks = |end| tally.walks(WalkKind::Poll, end) + tally.walks(WalkKind::Full, end);
    let last = summary.as_ref().and_then(|summary| summary.last_complete_walk_at);
    let ago = tally.last_complete_walk().map(|walk| walk.elapsed());
    WorkspaceStanding {
        name,
        paused: paused.map(wrong),
        failing: tally.failing.get().map(wrong),
        is_fresh: is_fresh(last, ago, stale_after, now),
        walks_ended: WalkEnd::ALL.into_iter().map(walks).sum(),
        walks_complete: walks(WalkEnd::Complete),
        summary,
        tally,
    }
}

/// Whether a list was read to its end lately enough. `ago` is measured by this process and knows nothing of a clock that
/// was set; `last` is the catalog's word and knows of earlier processes and of a machine that slept. A time that the
/// clock has not reached is believed only from this process.
fn is_fresh(last: Option<Timestamp>, ago: Option<Duration>, stale_after: Duration, now: Timestamp) -> bool {
    let by_wall = last.map(|last| (last > now, now.since(last) < stale_after));
    match (ago, by_wall) {
        (Some(ago), None | Some((true, _))) => ago < stale_after,
        (Some(ago), Some((false, is_recent))) => ago < stale_after && is_recent,
        (None, Some((false, is_recent))) => is_recent,
        (None, None | Some((true, _))) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_judged_by_both_clocks() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let stale_after = minute * 10;
        for (last, ago, fresh) in [
            (None, None, false),
            (Some(now.before(minute)), None, true),
            (Some(now.before(hour)), None, false),
            // The clock was set back since; nobody knows how long ago that was.
            (Some(now.after(hour)), None, false),
            (Some(now.after(hour)), Some(minute), true),
            (Some(now.after(hour)), Some(hour), false),
            (Some(now.before(minute)), Some(minute), true),
            // The machine slept: only the wall clock went on.
            (Some(now.before(hour)), Some(minute), false),
            (None, Some(minute), true),
        ] {
            assert_eq!(is_fresh(last, ago, stale_after, now), fresh, "{last:?} {ago:?}");
        }
    }
}
