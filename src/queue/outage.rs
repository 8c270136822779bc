//! What is said of failed fetches: one line when bodies cannot be fetched from a workspace, one when they can again, and
//! one for a recording that fails while others do not.
//!
//! A spell is a run of failures of one workspace with no body archived between them. Failures are held back for a moment: a
//! body that is archived by then ends the spell, and each first failure is told for itself; otherwise, if several recordings
//! failed, all of them are one outage. A spell is told once, however long it lasts. Must not know: why a fetch failed, or how
//! it is logged.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::ids::RecordingId;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::one_voice::OneVoice;

/// First failures of a short spell that are told one by one; more are told together.
const FEW: usize = 2;

/// How long failures are held back. Those that were under way when an outage ended must not look like the next one.
const HELD: Duration = Duration::from_secs(10);

/// How long a credential must not have been refused to count as good again: several of the waits between two tries.
const QUIET: Duration = Duration::from_secs(180);

/// How long after its last failure a workspace that told of an outage speaks for the others: its recordings may be gone, or
/// tried so seldom that it does not learn of the end.
const CEASED: Duration = Duration::from_secs(1800);

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
    /// When its first recording failed, or its second: each is waited for.
    grew_at: Instant,
    /// When any of them failed last.
    last_failure: Instant,
    first_reason: String,
    failed: HashSet<RecordingId>,
    held: Vec<FirstFailure>,
    is_told: bool,
}

/// The spells of all workspaces.
#[derive(Default)]
pub(super) struct Outages {
    /// Which workspace tells of an outage that hits several.
    voice: OneVoice<WorkspaceName>,
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
                self.failed(&claim.recording, *attempts == 1 && !spent, reason, now);
                Vec::new()
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
    fn failed(&mut self, recording: &RecordingRef, is_first: bool, reason: &str, now: Instant) {
        let spell = self.spells.entry(recording.workspace.clone()).or_insert_with(|| Spell {
            since: now,
            grew_at: now,
            last_failure: now,
            first_reason: reason.to_owned(),
            failed: HashSet::new(),
            held: Vec::new(),
            is_told: false,
        });
        spell.last_failure = now;
        if spell.failed.len() < MOST_NAMES && spell.failed.insert(recording.id) && spell.failed.len() == 2 {
            spell.grew_at = now;
        }
        if is_first && !spell.is_told && spell.held.len() < MOST_NAMES {
            spell.held.push(FirstFailure {
                recording: recording.clone(),
                reason: reason.to_owned(),
            });
        }
    }

    /// A body of this workspace was archived: its spell, if there was one, is over. Links of a page open bodies without a
    /// look at the recording, so the credential is believed only when it was not refused for a while.
    fn archived(&mut self, workspace: &WorkspaceName, now: Instant) -> Vec<News> {
        let spell = self.spells.remove(workspace);
        let speaks = |voice: &mut OneVoice<_>, spell: &Spell| {
            spell.is_told || voice.speaks(workspace, spell.since.into_std(), now.into_std())
        };
        let mut news = match spell {
            Some(spell) if spell.is_told => Vec::from_iter(spell.ended(workspace, now)),
            Some(spell) if spell.held.len() > FEW && !speaks(&mut self.voice, &spell) => Vec::new(),
            Some(spell) if spell.held.len() > FEW => {
                let begun = News::Begun(workspace.clone(), spell.first_reason.clone());
                [begun].into_iter().chain(spell.ended(workspace, now)).collect()
            }
            Some(spell) => spell.held.into_iter().map(News::Failed).collect(),
            None => Vec::new(),
        };
        self.voice.ends(workspace, now.into_std());
        if self.denied.get(workspace).is_some_and(|last| now - *last >= QUIET) {
            self.denied.remove(workspace);
            news.push(News::Allowed(workspace.clone()));
        }
        news
    }

    /// What was held back long enough, or all of it at the end.
    pub(super) fn overdue(&mut self, now: Instant, at_end: bool) -> Vec<News> {
        let mut news = Vec::new();
        for (workspace, spell) in self.spells.iter().filter(|(_, spell)| spell.is_told) {
            if now - spell.last_failure > CEASED {
                self.voice.ends(workspace, spell.last_failure.into_std());
            }
        }
        for (workspace, spell) in self.spells.iter_mut().filter(|(_, spell)| !spell.is_told) {
            if !at_end && now - spell.grew_at < HELD {
                continue;
            }
            let is_outage = spell.failed.len() > if at_end { FEW } else { 1 };
            if is_outage && !self.voice.speaks(workspace, spell.since.into_std(), now.into_std()) {
                continue;
            }
            let held = std::mem::take(&mut spell.held);
            if is_outage {
                news.push(News::Begun(workspace.clone(), spell.first_reason.clone()));
                spell.is_told = true;
            } else {
                spell.is_told = !held.is_empty();
                news.extend(held.into_iter().map(News::Failed));
            }
        }
        news
    }
}

impl Spell {
    /// The end of an outage; a single recording's failure has none but its own.
    fn ended(&self, workspace: &WorkspaceName, now: Instant) -> Option<News> {
        (self.failed.len() > 1).then(|| News::Ended(workspace.clone(), self.failed.len(), now - self.since))
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
                outages.failed(&recording("a", number), round == 0, &format!("why {number}"), begun);
                news.extend(outages.overdue(begun + Duration::from_secs(round), false));
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
        // Those that were under way when it ended are no outage of their own.
        for number in 0..50 {
            outages.failed(&recording("a", number), false, "why", over);
        }
        assert_eq!(outages.overdue(over + HELD / 2, false), []);
        assert_eq!(outages.archived(&name("a"), over + HELD / 2), []);
        assert_eq!(outages.overdue(over + HELD * 2, true), []);
    }

    #[test]
    fn one_that_fails_while_others_do_not_is_told_once() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        outages.failed(&recording("a", 1), true, "why", now);
        assert_eq!(outages.archived(&name("a"), now), [failure("a", 1, "why")]);
        // Its later failures are no news.
        outages.failed(&recording("a", 1), false, "why", now);
        assert_eq!(outages.archived(&name("a"), now), []);
        outages.failed(&recording("a", 1), false, "why", now);
        assert_eq!(outages.overdue(now + HELD, false), []);
        assert_eq!(outages.overdue(now, true), []);
    }

    #[test]
    fn one_that_fails_alone_is_told_after_a_moment_and_the_spell_is_told_with_it() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        outages.failed(&recording("a", 1), true, "why", now);
        assert_eq!(outages.overdue(now + HELD / 2, false), []);
        assert_eq!(outages.overdue(now + HELD, false), [failure("a", 1, "why")]);
        for number in 2..9 {
            outages.failed(&recording("a", number), true, "why", now);
            assert_eq!(outages.overdue(now + HELD * 2, false), []);
        }
        let ended = outages.archived(&name("a"), now + HELD);
        assert_eq!(ended, [News::Ended(name("a"), 8, HELD)]);
    }

    #[test]
    fn many_that_fail_within_a_moment_are_told_together() {
        let (mut outages, now) = (Outages::default(), Instant::now());
        for number in 0..100 {
            outages.failed(&recording("a", number), true, "why", now);
        }
        let told = outages.archived(&name("a"), now + HELD / 2);
        assert_eq!(
            told,
            [
                News::Begun(name("a"), "why".to_owned()),
                News::Ended(name("a"), 100, HELD / 2)
            ]
        );
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

    #[test]
    fn one_whose_failures_have_ceased_does_not_keep_another_silent() {
        let (mut outages, begun) = (Outages::default(), Instant::now());
        for number in 0..3 {
            outages.failed(&recording("a", number), true, "why", begun);
        }
        assert_eq!(outages.overdue(begun + HELD, false).len(), 1);
        // The recordings of one are gone upstream and tried no more; those of the other fail on.
        let mut news = Vec::new();
        for minute in 0..120 {
            let now = begun + Duration::from_mins(minute) + HELD / 2;
            for number in 0..3 {
                outages.failed(&recording("b", number), minute == 0, "dead", now);
            }
            news.extend(outages.overdue(now + HELD, false));
        }
        assert_eq!(news, [News::Begun(name("b"), "dead".to_owned())]);
    }
}
