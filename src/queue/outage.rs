//! What is said of failed fetches: one line when bodies cannot be fetched from a workspace, one when they can again, and
//! one for a recording that fails while others do not.
//!
//! A spell is a run of failures of one workspace with no body archived between them. Its first failures are held back for a
//! moment: if other recordings fail too, all of them are one outage; if a body is archived, or nothing else happens, each is
//! told for itself. A spell is told once, however long it lasts. Must not know: why a fetch failed, or how it is logged.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::ids::RecordingId;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;

/// From so many different recordings on, a spell is an outage.
const MANY: usize = 3;

/// How long first failures are held back.
const HELD: Duration = Duration::from_secs(10);

/// How long a credential must not have been refused to count as good again: several of the waits between two tries.
const QUIET: Duration = Duration::from_secs(180);

/// Recordings that a spell remembers by name; beyond that it only counts failures.
const MOST_NAMES: usize = 1_000;

/// A recording's first failure, to be told or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstFailure {
    /// Which recording.
    pub recording: RecordingRef,
    /// Why.
    pub reason: String,
}

/// Something that an operator should hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// One recording is not archived yet.
    Failed(FirstFailure),
    /// Bodies of this workspace cannot be fetched; the reason is the first one's.
    Begun(WorkspaceName, String),
    /// They can again; so many recordings had failed, for so long.
    Ended(WorkspaceName, usize, Duration),
    /// The credential of this workspace may not view single recordings, for this reason.
    Denied(WorkspaceName, String),
    /// It may again, or nobody has had to ask for a while.
    Allowed(WorkspaceName),
}

struct Spell {
    since: Instant,
    first_reason: String,
    failed: HashSet<RecordingId>,
    held: Vec<FirstFailure>,
    is_told: bool,
}

/// The spells of all workspaces.
#[derive(Default)]
pub(super) struct Outages {
    spells: HashMap<WorkspaceName, Spell>,
    /// Workspaces whose credential was refused for single recordings, and when last.
    denied: HashMap<WorkspaceName, Instant>,
}

impl Outages {
    /// Takes an ending that was written down, and says what is to be told of it besides.
    pub(super) fn note(&mut self, claim: &Claim, end: &ClaimEnd, now: Instant) -> Vec<News> {
        match end {
            ClaimEnd::Completed(_) => self.archived(&claim.recording.workspace, now),
            ClaimEnd::Failed {
                reason,
                attempts,
                spent,
                ..
            } => {
                let is_first = *attempts == 1 && !spent;
                Vec::from_iter(self.failed(&claim.recording, is_first, reason, now))
            }
            ClaimEnd::Gone { .. } | ClaimEnd::Released { .. } => Vec::new(),
        }
    }

    /// The credential was refused for a single recording. Told when it begins.
    pub(super) fn denied(&mut self, workspace: &WorkspaceName, reason: &str, now: Instant) -> Option<News> {
        let known = self.denied.insert(workspace.clone(), now);
        known
            .is_none()
            .then(|| News::Denied(workspace.clone(), reason.to_owned()))
    }

    /// A fetch failed and counts against its recording; `is_first`: never before.
    fn failed(&mut self, recording: &RecordingRef, is_first: bool, reason: &str, now: Instant) -> Option<News> {
        let spell = self.spells.entry(recording.workspace.clone()).or_insert_with(|| Spell {
            since: now,
            first_reason: reason.to_owned(),
            failed: HashSet::new(),
            held: Vec::new(),
            is_told: false,
        });
        if spell.failed.len() < MOST_NAMES {
            spell.failed.insert(recording.id);
        }
        if spell.is_told {
            return None;
        }
        if spell.failed.len() >= MANY {
            spell.is_told = true;
            spell.held.clear();
            return Some(News::Begun(recording.workspace.clone(), spell.first_reason.clone()));
        }
        if is_first {
            spell.held.push(FirstFailure {
                recording: recording.clone(),
                reason: reason.to_owned(),
            });
        }
        None
    }

    /// A body of this workspace was archived: its spell, if there was one, is over. Links of a page open bodies without a
    /// look at the recording, so the credential is believed only when it was not refused for a while.
    fn archived(&mut self, workspace: &WorkspaceName, now: Instant) -> Vec<News> {
        let mut news = match self.spells.remove(workspace) {
            Some(spell) if spell.failed.len() >= MANY && spell.is_told => {
                vec![News::Ended(workspace.clone(), spell.failed.len(), now - spell.since)]
            }
            Some(spell) => spell.held.into_iter().map(News::Failed).collect(),
            None => Vec::new(),
        };
        if self.denied.get(workspace).is_some_and(|last| now - *last >= QUIET) {
            self.denied.remove(workspace);
            news.push(News::Allowed(workspace.clone()));
        }
        news
    }

    /// First failures that were held back long enough, or all of them at the end. A spell of which one was told is told.
    pub(super) fn overdue(&mut self, now: Instant, at_end: bool) -> Vec<News> {
        let mut news = Vec::new();
        for spell in self.spells.values_mut() {
            if at_end || now - spell.since >= HELD {
                spell.is_told |= !spell.held.is_empty();
                news.extend(spell.held.drain(..).map(News::Failed));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(workspace: &str, number: u8) -> RecordingRef {
        RecordingRef {
            workspace: workspace.parse().unwrap(),
            id: RecordingId::from_bytes([number; 16]),
        }
    }

    fn failure(workspace: &str, number: u8, reason: &str) -> News {
        News::Failed(FirstFailure {
            recording: recording(workspace, number),
            reason: reason.to_owned(),
        })
    }

    fn name(workspace: &str) -> WorkspaceName {
        workspace.parse().unwrap()
    }

    #[test]
    fn hundreds_that_fail_are_one_line_and_one_more_when_it_is_over() {
        let (mut outages, begun) = (Outages::default(), Instant::now());
        let mut news = Vec::new();
        for round in 0..5 {
            for number in 0..200 {
                news.extend(outages.failed(&recording("a", number), round == 0, &format!("why {number}"), begun));
            }
            news.extend(outages.overdue(begun + HELD * 3, false));
        }
        assert_eq!(news, [News::Begun(name("a"), "why 0".to_owned())]);
        assert_eq!(outages.archived(&name("b"), begun), []);
        let over = begun + Duration::from_mins(5);
        assert_eq!(
            outages.archived(&name("a"), over),
            [News::Ended(name("a"), 200, Duration::from_mins(5))]
        );
        assert_eq!(outages.archived(&name("a"), over), []);
        assert_eq!(outages.overdue(over, true), []);
    }

    #[test]
    fn one_that_fails_while_others_do_not_is_told_once() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        assert_eq!(outages.failed(&recording("a", 1), true, "why", now), None);
        assert_eq!(outages.archived(&name("a"), now), [failure("a", 1, "why")]);
        // Its later failures are no news.
        assert_eq!(outages.failed(&recording("a", 1), false, "why", now), None);
        assert_eq!(outages.archived(&name("a"), now), []);
        assert_eq!(outages.failed(&recording("a", 1), false, "why", now), None);
        assert_eq!(outages.overdue(now, true), []);
    }

    #[test]
    fn one_that_fails_alone_is_told_after_a_moment_and_the_spell_is_told_with_it() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        assert_eq!(outages.failed(&recording("a", 1), true, "why", now), None);
        assert_eq!(outages.overdue(now + HELD / 2, false), []);
        assert_eq!(outages.overdue(now + HELD, false), [failure("a", 1, "why")]);
        for number in 2..9 {
            assert_eq!(outages.failed(&recording("a", number), true, "why", now), None);
        }
        let ended = outages.archived(&name("a"), now + HELD);
        assert_eq!(ended, [News::Ended(name("a"), 8, HELD)]);
    }

    #[test]
    fn a_refused_credential_is_told_once_and_once_when_it_is_good_again() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        let denied = |outages: &mut Outages, at| outages.denied(&name("a"), "403", at);
        assert_eq!(
            denied(&mut outages, now),
            Some(News::Denied(name("a"), "403".to_owned()))
        );
        for minute in 1..60 {
            let at = now + Duration::from_mins(minute);
            // Links of the page go on opening bodies meanwhile.
            assert_eq!(outages.archived(&name("a"), at), []);
            assert_eq!(denied(&mut outages, at), None);
        }
        let later = now + Duration::from_mins(63);
        assert_eq!(outages.archived(&name("a"), later), [News::Allowed(name("a"))]);
        assert_eq!(outages.archived(&name("a"), later), []);
    }

    #[test]
    fn at_the_end_of_a_run_nothing_is_held_back() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        outages.failed(&recording("a", 1), true, "why", now);
        outages.failed(&recording("a", 2), true, "why", now);
        assert_eq!(
            outages.overdue(now, true),
            [failure("a", 1, "why"), failure("a", 2, "why")]
        );
    }
}
