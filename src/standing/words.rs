//! How the daemon stands, in one line for a person in a hurry.
//!
//! Must not know: who reads it.

use bytesize::ByteSize;

use super::Phase;
use super::Problem;
use super::ProblemCode;
use super::Standing;
use super::WorkspaceStanding;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::blank_numbers;
use crate::domain::state::State;

impl Standing {
    /// What goes on and what is wrong, the worst first. May be long; holds no phone numbers.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.phase {
            Phase::Starting => "starting: opening the archive and its catalog".to_owned(),
            Phase::Reconciling => {
                "bringing a restored catalog level with the archive; nothing is fetched until then".to_owned()
            }
            Phase::Stopping if self.in_flight == 0 => "stopping: nothing is in flight".to_owned(),
            Phase::Stopping => format!("stopping: {} under way, finished first", self.downloads()),
            Phase::Running => self.at_work(),
        }
    }

    fn at_work(&self) -> String {
        let problems = self.problems();
        let (lasting, passing): (Vec<&Problem>, Vec<&Problem>) =
            problems.iter().partition(|problem| problem.code.makes_unready());
        if let Some(worst) = lasting.first() {
            let more = match lasting.len() {
                1 => String::new(),
                all => format!(" (and {} more)", all - 1),
            };
            return format!("not ready{more}: {}; {}", self.told(worst), self.counts());
        }
        let failing = passing.first().map(|problem| format!("; {}", self.told(problem)));
        format!(
            "running: {}; {}{}",
            self.counts(),
            self.freshness(),
            failing.unwrap_or_default()
        )
    }

    fn counts(&self) -> String {
        let due = self.due_now.map(|due| format!(", {due} due")).unwrap_or_default();
        let archived: u64 = self
            .workspaces
            .iter()
            .map(|workspace| workspace.count(State::Archived))
            .sum();
        let bytes = self
            .workspaces
            .iter()
            .filter_map(|workspace| workspace.summary.as_ref());
        let bytes: u64 = bytes.map(|summary| summary.bytes).sum();
        let under_way = self.downloads();
        // Where the catalog cannot be read, nobody knows how many there are.
        let archived = self
            .due_now
            .map(|_| format!("; {} archived ({})", counted(archived, "recording"), ByteSize::b(bytes)));
        format!("{under_way} under way{due}{}", archived.unwrap_or_default())
    }

    fn downloads(&self) -> String {
        counted(self.in_flight, "download")
    }

    fn freshness(&self) -> String {
        match self.workspaces.len() {
            1 => "its workspace is fresh".to_owned(),
            all => format!("all {all} workspaces fresh"),
        }
    }

    fn told(&self, problem: &Problem) -> String {
        let name = problem
            .workspace
            .as_ref()
            .map(WorkspaceName::as_str)
            .unwrap_or_default();
        let of = |wrong: fn(&WorkspaceStanding) -> Option<String>| {
            let here = self
                .workspaces
                .iter()
                .find(|workspace| Some(&workspace.name) == problem.workspace.as_ref());
            blank_numbers(&here.and_then(wrong).unwrap_or_default())
        };
        match (problem.code, self.space) {
            (ProblemCode::Paused, _) => {
                let why = of(|workspace| Some(workspace.paused.as_ref()?.reason.clone()));
                format!("{name} paused: {why}")
            }
            (ProblemCode::Failing, _) => {
                let why = of(|workspace| Some(workspace.failing.as_ref()?.reason.clone()));
                format!("walks of {name} fail: {why}")
            }
            (ProblemCode::NotYetWalked, _) => format!("the list of {name} was not yet read to its end"),
            (ProblemCode::WalkStale, _) => {
                let last = of(|workspace| Some(workspace.last_complete_walk_at()?.to_string()));
                format!("the list of {name} was last read to its end at {last}")
            }
            (ProblemCode::DiskLow, Some(space)) => {
                let (free, reserve) = (ByteSize::b(space.free_bytes), ByteSize::b(space.reserve_bytes));
                format!("{free} free and {reserve} kept, nothing is fetched")
            }
            _ => blank_numbers(&problem.text),
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::Wrong;
    use super::*;
    use crate::catalog::WorkspaceSummary;
    use crate::domain::clock::Timestamp;
    use crate::store::Space;

    fn at() -> Timestamp {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    fn workspace(name: &str, archived: u64) -> WorkspaceStanding {
        WorkspaceStanding {
            name: name.parse().unwrap(),
            paused: None,
            failing: None,
            is_fresh: true,
            summary: Some(WorkspaceSummary {
                name: name.parse().unwrap(),
                id: "8bc02f53-87ac-48d2-b4fd-c2cf856a305f".parse().unwrap(),
                counts: [(State::Archived, archived)].into(),
                set_aside: 0,
                bytes: archived << 20,
                last_walk: None,
                last_complete_walk_at: Some(at()),
                oldest_due_at: None,
            }),
            walks_ended: 0,
            walks_complete: 0,
            tally: Arc::default(),
        }
    }

    fn standing() -> Standing {
        Standing {
            at: at(),
            phase: Phase::Running,
            workspaces: vec![workspace("sales", 3000), workspace("support", 4_000_401)],
            stale_after: Duration::from_secs(600),
            catalog_fault: None,
            disk: None,
            space: None,
            soundness: None,
            due_now: Some(120),
            in_flight: 3,
            upstream_offset_seconds: None,
        }
    }

    fn wrong(reason: &str) -> Wrong {
        Wrong {
            reason: reason.to_owned(),
            since: at(),
        }
    }

    #[test]
    fn what_goes_on_is_counted() {
        assert_eq!(
            standing().in_words(),
            "running: 3 downloads under way, 120 due; 4003401 recordings archived (3.8 TiB); all 2 workspaces fresh"
        );
        let mut failing = standing();
        failing.workspaces[0].failing = Some(wrong("the API answered 503"));
        assert!(
            failing
                .in_words()
                .ends_with("; walks of sales fail: the API answered 503")
        );
    }

    #[test]
    fn what_is_wrong_comes_first_and_names_nobody() {
        let mut bad = standing();
        bad.workspaces[1].paused = Some(wrong("the API answered 403 (ask +31 20 123 45 67)"));
        bad.workspaces[0].is_fresh = false;
        let told = bad.in_words();
        assert!(
            told.starts_with(
                "not ready (and 1 more): the list of sales was last read to its end at 2026-03-01T10:00:00Z; 3 downloads"
            ),
            "{told}"
        );
        bad.workspaces[0].is_fresh = true;
        let told = bad.in_words();
        assert!(
            told.starts_with("not ready: support paused: the API answered 403 (ask ***); 3 downloads"),
            "{told}"
        );
        bad.space = Some(Space {
            free_bytes: 1 << 20,
            reserve_bytes: 1 << 30,
        });
        let told = bad.in_words();
        assert!(
            told.starts_with("not ready (and 1 more): 1.0 MiB free and 1.0 GiB kept, nothing is fetched; 3"),
            "{told}"
        );
        let mut unread = standing();
        unread.catalog_fault = Some("disk I/O error".to_owned());
        unread.due_now = None;
        assert_eq!(
            unread.in_words(),
            "not ready: the catalog cannot be read: disk I/O error; 3 downloads under way"
        );
    }

    #[test]
    fn each_phase_has_its_words() {
        for (phase, in_flight, words) in [
            (Phase::Starting, 0, "starting: "),
            (Phase::Reconciling, 0, "bringing a restored catalog level"),
            (Phase::Stopping, 0, "stopping: nothing is in flight"),
            (Phase::Stopping, 1, "stopping: 1 download under way"),
        ] {
            let standing = Standing {
                phase,
                in_flight,
                ..standing()
            };
            assert!(standing.in_words().starts_with(words), "{}", standing.in_words());
        }
    }
}
