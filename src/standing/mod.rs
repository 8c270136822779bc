//! How the daemon stands now, as one value: computed from the catalog, the disk and what the rooms tallied.
//!
//! Whoever tells of the daemon's state — metrics, readiness, systemd's status, notices — tells this, so that they cannot
//! disagree. Must not know: who is told, or how.

mod disk;
mod observer;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use observer::Observer;
pub use observer::Scene;

use crate::catalog::Soundness;
use crate::catalog::WorkspaceSummary;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;
use crate::domain::tally::WorkspaceTally;
use crate::store::Space;

/// Where the daemon is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The archive and its catalog are being opened.
    Starting,
    /// A restored catalog is being brought level with the archive.
    Reconciling,
    /// It walks and fetches.
    Running,
    /// It ends what is in flight and begins nothing.
    Stopping,
}

/// What is wrong with one workspace, and since when by our clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What, in one line and without secrets.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// How one configured workspace stands.
#[derive(Debug, Clone)]
pub struct WorkspaceStanding {
    /// The operator's name of it.
    pub name: WorkspaceName,
    /// Its credential is refused.
    pub paused: Option<Wrong>,
    /// Its walks fail for another reason.
    pub failing: Option<Wrong>,
    /// Whether its list was read to the end lately enough.
    pub is_fresh: bool,
    /// Its numbers in the catalog; `None` where that cannot be read.
    pub summary: Option<WorkspaceSummary>,
    /// Walks that ended since the process began, however they ended.
    pub walks_ended: u64,
    /// Those of them that reached the end of the list.
    pub walks_complete: u64,
    /// What was done for it since the process began.
    pub tally: Arc<WorkspaceTally>,
}

impl WorkspaceStanding {
    /// When the last walk ended that reached the end of the list, by this catalog.
    #[must_use]
    pub fn last_complete_walk_at(&self) -> Option<Timestamp> {
        self.summary.as_ref()?.last_complete_walk_at
    }

    /// How long ago that was, by the clock that says longer: ours may have been set back since, and the one of the process
    /// does not run while the machine sleeps. `None` where only a time is known that `at` has not reached.
    #[must_use]
    pub fn last_complete_walk_age(&self, at: Timestamp) -> Option<Duration> {
        let last = self.last_complete_walk_at()?;
        let by_wall = (last <= at).then(|| at.since(last));
        by_wall.max(self.tally.last_complete_walk().map(|walk| walk.elapsed()))
    }

    /// When the oldest recording was created that is due, being fetched or given up.
    #[must_use]
    pub fn oldest_due_at(&self) -> Option<Timestamp> {
        self.summary.as_ref()?.oldest_due_at
    }

    /// How many recordings are in a state; 0 where the catalog cannot be read.
    #[must_use]
    pub fn count(&self, state: State) -> u64 {
        let counts = self.summary.as_ref().map(|summary| &summary.counts);
        counts.and_then(|counts| counts.get(&state)).copied().unwrap_or(0)
    }

    /// List items that are not understood to this day; 0 where the catalog cannot be read.
    #[must_use]
    pub fn set_aside(&self) -> u64 {
        self.summary.as_ref().map_or(0, |summary| summary.set_aside)
    }
}

/// How the daemon stands at one moment.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When it was looked at, by our clock.
    pub at: Timestamp,
    /// Where it is in its life.
    pub phase: Phase,
    /// The configured workspaces, by name.
    pub workspaces: Vec<WorkspaceStanding>,
    /// A list that was last read to its end longer ago than this is stale.
    pub stale_after: Duration,
    /// Why the catalog cannot be read; `None`: it can, or it is not open yet.
    pub catalog_fault: Option<String>,
    /// Why this machine takes no recordings now; `None`: it does.
    pub disk: Option<String>,
    /// Free bytes, and what is kept of them; `None` where the disk does not say.
    pub space: Option<Space>,
    /// Findings and the last re-reading; `None` where the catalog cannot be read.
    pub soundness: Option<Soundness>,
    /// Recordings that could be fetched now; `None` where the catalog cannot be read.
    pub due_now: Option<u64>,
    /// Downloads under way.
    pub in_flight: u64,
    /// How far upstream's clock is ahead of ours in seconds; `None` before its first reply.
    pub upstream_offset_seconds: Option<f64>,
}

/// What can be wrong. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemCode {
    /// It is not up yet.
    Starting,
    /// A restored catalog is being brought level with the archive.
    Reconciling,
    /// It ends.
    Stopping,
    /// The catalog cannot be read.
    CatalogUnreadable,
    /// Less is free than `archive.min_free`.
    DiskLow,
    /// This machine takes no recordings for another reason.
    DiskRefuses,
    /// A workspace's credential is refused.
    Paused,
    /// A workspace's list was never read to its end.
    NotYetWalked,
    /// A workspace's list was last read to its end too long ago.
    WalkStale,
    /// A workspace's last walk failed. Does not make unready by itself: upstream may be away for a while.
    Failing,
}

impl ProblemCode {
    /// Every code, in the order in which problems are named.
    pub const ALL: [Self; 10] = [
        Self::Starting,
        Self::Reconciling,
        Self::Stopping,
        Self::CatalogUnreadable,
        Self::DiskLow,
        Self::DiskRefuses,
        Self::Paused,
        Self::NotYetWalked,
        Self::WalkStale,
        Self::Failing,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Reconciling => "reconciling",
            Self::Stopping => "stopping",
            Self::CatalogUnreadable => "catalog_unreadable",
            Self::DiskLow => "disk_low",
            Self::DiskRefuses => "disk_refuses",
            Self::Paused => "paused",
            Self::NotYetWalked => "not_yet_walked",
            Self::WalkStale => "walk_stale",
            Self::Failing => "failing",
        }
    }

    /// Whether the daemon is not ready while this lasts.
    #[must_use]
    pub const fn makes_unready(self) -> bool {
        !matches!(self, Self::Failing)
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub code: ProblemCode,
    /// Where, if not everywhere.
    pub workspace: Option<WorkspaceName>,
    /// In words, one line, without secrets.
    pub text: String,
}

impl Standing {
    /// Whether nothing is wrong that makes the daemon unready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.problems().iter().any(|problem| problem.code.makes_unready())
    }

    /// Everything that is wrong now: first what concerns all, then each workspace.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |code, workspace: Option<&WorkspaceName>, text: String| {
            problems.push(Problem {
                code,
                workspace: workspace.cloned(),
                text,
            });
        };
        match self.phase {
            Phase::Starting => add(ProblemCode::Starting, None, "birdkeep is starting".to_owned()),
            Phase::Reconciling => add(
                ProblemCode::Reconciling,
                None,
                "a restored catalog is being brought level with the archive; nothing is fetched until then".to_owned(),
            ),
            Phase::Stopping => add(ProblemCode::Stopping, None, "birdkeep is stopping".to_owned()),
            Phase::Running => {}
        }
        if let Some(why) = &self.catalog_fault {
            add(
                ProblemCode::CatalogUnreadable,
                None,
                format!("the catalog cannot be read: {why}"),
            );
        }
        match (&self.disk, self.space) {
            (_, Some(space)) if space.free_bytes < space.reserve_bytes => add(
                ProblemCode::DiskLow,
                None,
                format!(
                    "{} bytes are free, and archive.min_free keeps {}; nothing is fetched",
                    space.free_bytes, space.reserve_bytes
                ),
            ),
            (Some(why), _) => add(
                ProblemCode::DiskRefuses,
                None,
                format!("this machine takes no recordings: {why}"),
            ),
            (None, _) => {}
        }
        for workspace in &self.workspaces {
            for (code, text) in self.problems_of(workspace) {
                add(code, Some(&workspace.name), text);
            }
        }
        problems
    }

    fn problems_of(&self, workspace: &WorkspaceStanding) -> Vec<(ProblemCode, String)> {
        let mut problems = Vec::new();
        if let Some(Wrong { reason, since }) = &workspace.paused {
            let text = format!("its credential is refused since {since}: {reason}");
            problems.push((ProblemCode::Paused, text));
        }
        match (&workspace.summary, workspace.last_complete_walk_at()) {
            _ if workspace.is_fresh => {}
            // What the catalog holds is not known.
            (None, _) => {}
            (Some(_), None) => problems.push((
                ProblemCode::NotYetWalked,
                "its list was not yet read to the end".to_owned(),
            )),
            (Some(_), Some(last)) => problems.push((
                ProblemCode::WalkStale,
                format!(
                    "its list was last read to the end at {last}, and is stale after {} s (http.stale_after)",
                    self.stale_after.as_secs()
                ),
            )),
        }
        if let Some(Wrong { reason, since }) = &workspace.failing {
            problems.push((ProblemCode::Failing, format!("its walks fail since {since}: {reason}")));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::WalkKind;
    use crate::domain::tally::WalkEnd;

    #[test]
    fn a_clock_that_was_set_back_makes_no_list_younger() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let day = Duration::from_secs(24 * 3600);
        let walked = |at: Timestamp| WorkspaceStanding {
            name: "a".parse().unwrap(),
            paused: None,
            failing: None,
            is_fresh: true,
            summary: Some(WorkspaceSummary {
                name: "a".parse().unwrap(),
                id: "8bc02f53-87ac-48d2-b4fd-c2cf856a305f".parse().unwrap(),
                counts: [].into(),
                set_aside: 0,
                bytes: 0,
                last_walk: None,
                last_complete_walk_at: Some(at),
                oldest_due_at: None,
            }),
            walks_ended: 0,
            walks_complete: 0,
            tally: Arc::default(),
        };
        assert_eq!(walked(now.before(day)).last_complete_walk_age(now), Some(day));
        // Of an earlier process, by a clock that is a day behind by now: nobody knows.
        assert_eq!(walked(now.after(day)).last_complete_walk_age(now), None);
        // Of this process, a moment ago.
        let own = walked(now.after(day));
        own.tally.walk(WalkKind::Poll, WalkEnd::Complete);
        let age = own.last_complete_walk_age(now).unwrap();
        assert!(Duration::ZERO < age && age < Duration::from_secs(60));
        let slept = walked(now.before(day));
        slept.tally.walk(WalkKind::Poll, WalkEnd::Complete);
        assert_eq!(slept.last_complete_walk_age(now), Some(day));
    }
}
