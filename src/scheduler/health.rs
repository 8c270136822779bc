//! What is said of walks: trouble once when it begins and once when it ends, and what a walk brought.
//!
//! An outage of the API, or a catalog that takes nothing, hits all workspaces at a time; one of them tells of it. Must not know: when a workspace is walked.

use std::time::Instant;

use super::Pass;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::one_voice::OneVoice;
use crate::domain::report::UpsertCounts;
use crate::domain::report::WalkKind;
use crate::domain::report::WalkOutcome;
use crate::lister::Trouble;
use crate::lister::Walk;

/// What troubles a workspace, as far as that is told apart in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its credential is refused.
    Paused,
    /// Upstream does not answer, or the catalog takes nothing; most likely nobody's.
    Unreachable,
    /// Its walks fail otherwise.
    Failing,
}

impl Kind {
    /// Whether a change from one to the other is news.
    const fn reads_as(self, other: Self) -> bool {
        matches!(self, Self::Paused) == matches!(other, Self::Paused)
    }
}

/// What was last said about a workspace.
#[derive(Default)]
pub(super) struct Health {
    /// What troubles it, and since when.
    trouble: Option<(Kind, Instant)>,
    told: bool,
    /// Whether it is the walk over everything that failed: a poll that succeeds beside it shows that the credential is
    /// good, and nothing of the rest of the list.
    is_of_all: bool,
    /// Items that the last walk set aside: the same ones are listed again and again.
    set_aside: u64,
}

impl Health {
    /// Takes note of a pass, and says what is new. Returns whether nothing troubles the workspace now.
    pub(super) fn note(&mut self, pass: &Pass, voice: &mut OneVoice<WorkspaceName>) -> bool {
        let workspace = &pass.workspace;
        let trouble = match &pass.result {
            Err(error) => Some((Kind::Unreachable, chain(error))),
            Ok(walk) => match &walk.report.outcome {
                WalkOutcome::Failed(why) => Some((kind(walk), why.clone())),
                WalkOutcome::Complete => None,
                WalkOutcome::Stopped => return self.trouble.is_none(),
            },
        };
        if let Ok(walk) = &pass.result {
            tell_walk(workspace, walk, self.set_aside);
            self.set_aside = walk.report.changes.set_aside;
        }
        let now = Instant::now();
        match trouble {
            Some((kind, why)) => {
                self.is_of_all |= pass.kind == WalkKind::Full;
                self.troubled(workspace, kind, &why, voice, now);
            }
            None if self.outlasts(pass.kind) => {}
            None => {
                self.is_of_all = false;
                self.well(workspace, voice, now);
            }
        }
        self.trouble.is_none()
    }

    /// Whether a walk of this kind can come to its end without the trouble being over.
    fn outlasts(&self, kind: WalkKind) -> bool {
        let is_paused = matches!(self.trouble, Some((Kind::Paused, _)));
        self.is_of_all && !is_paused && kind == WalkKind::Poll
    }

    fn troubled(
        &mut self,
        workspace: &WorkspaceName,
        kind: Kind,
        why: &str,
        voice: &mut OneVoice<WorkspaceName>,
        now: Instant,
    ) {
        let since = match self.trouble {
            Some((known, since)) if known.reads_as(kind) => since,
            _ => {
                self.told = false;
                now
            }
        };
        if kind != Kind::Unreachable && matches!(self.trouble, Some((Kind::Unreachable, _))) {
            // Whoever still has the shared one must not stay silent for one who now has another trouble.
            voice.ends(workspace, now);
        }
        self.trouble = Some((kind, since));
        if self.told {
            return;
        }
        match kind {
            Kind::Paused => tracing::error!(workspace.name = %workspace, error = why,
                "workspace paused: its credential is refused; tried again each minute"),
            Kind::Unreachable if !voice.speaks(workspace, since, now) => {
                tracing::debug!(workspace.name = %workspace, error = why, "walk failed, as that of another workspace");
                return;
            }
            Kind::Unreachable | Kind::Failing => tracing::warn!(workspace.name = %workspace, error = why,
                "walk failed; tried again at the next interval"),
        }
        self.told = true;
    }

    fn well(&mut self, workspace: &WorkspaceName, voice: &mut OneVoice<WorkspaceName>, now: Instant) {
        if self.trouble.take().is_none() {
            return;
        }
        voice.ends(workspace, now);
        if std::mem::take(&mut self.told) {
            tracing::info!(workspace.name = %workspace, "workspace is walked again");
        } else {
            tracing::debug!(workspace.name = %workspace, "walk complete again, as that of another workspace");
        }
    }
}

const fn kind(walk: &Walk) -> Kind {
    match walk.trouble {
        Some(Trouble::Denied) => Kind::Paused,
        Some(Trouble::Unreachable | Trouble::RateLimited(_)) => Kind::Unreachable,
        Some(Trouble::Other) | None => Kind::Failing,
    }
}

/// A walk is news that changed something, or went through the whole list to its end.
fn tell_walk(workspace: &WorkspaceName, walk: &Walk, known_set_aside: u64) {
    let report = &walk.report;
    let UpsertCounts {
        new,
        changed,
        unchanged,
        set_aside,
    } = report.changes;
    let (kind, outcome) = (report.kind.as_str(), report.outcome.to_text());
    let elapsed = report.finished_at.since(report.started_at);
    // A number of 128 bits would be a text in JSON.
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let is_whole = report.kind == WalkKind::Full && report.outcome == WalkOutcome::Complete;
    if is_whole || new + changed > 0 || set_aside > known_set_aside {
        tracing::info!(workspace.name = %workspace, kind, outcome, pages = report.pages, listed = report.listed,
            new, changed, unchanged, set_aside, elapsed_ms, "walk ended");
    } else {
        tracing::debug!(workspace.name = %workspace, kind, outcome, pages = report.pages, listed = report.listed,
            elapsed_ms, "walk ended with nothing new");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::PassError;
    use super::*;

    #[test]
    fn who_has_another_trouble_now_does_not_keep_the_others_silent() {
        let (mut voice, start) = (OneVoice::default(), Instant::now());
        let (mut first, mut second) = (Health::default(), Health::default());
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        first.troubled(&a, Kind::Unreachable, "no answer", &mut voice, start);
        second.troubled(&b, Kind::Unreachable, "no answer", &mut voice, start);
        assert!(first.told && !second.told);
        for minute in 1..10 {
            let now = start + Duration::from_secs(60 * minute);
            first.troubled(&a, Kind::Paused, "401", &mut voice, now);
            second.troubled(&b, Kind::Unreachable, "no answer", &mut voice, now);
        }
        assert!(second.told);
    }

    #[test]
    fn a_catalog_that_takes_nothing_is_told_by_one_workspace_and_so_is_its_end() {
        let mut voice = OneVoice::default();
        let mut healths = [Health::default(), Health::default(), Health::default()];
        for (health, name) in healths.iter_mut().zip(["one", "two", "three"]) {
            let pass = Pass {
                workspace: name.parse().unwrap(),
                kind: WalkKind::Full,
                result: Err(PassError::new(std::io::Error::other("the disk is full"))),
            };
            health.note(&pass, &mut voice);
        }
        assert_eq!(healths.each_ref().map(|health| health.told), [true, false, false]);
        let now = Instant::now();
        healths[1].well(&"two".parse().unwrap(), &mut voice, now);
        healths[0].well(&"one".parse().unwrap(), &mut voice, now);
        assert!(healths[0].trouble.is_none() && !healths[0].told);
    }
}
