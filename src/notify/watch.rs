//! Compares how things stand with how they stood at the last look, and says what is new.
//!
//! What was so when the process began is not told, but for what troubles it now. All of it is in memory: a look that
//! failed or came late loses nothing, since the next compares with the one before. Must not know: who is told.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::event::Event;
use super::event::EventKind;
use super::situation::Situation;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;

/// A trouble that comes back within this time of its end is the same trouble.
const SAME_TROUBLE: Duration = Duration::from_secs(600);

/// Remembers what was told.
#[derive(Default)]
pub(super) struct Watch {
    gave_up: BTreeMap<WorkspaceName, u64>,
    troubles: BTreeMap<(EventKind, Option<WorkspaceName>), Told>,
}

/// A trouble that was told: it lasts, or it was over then.
enum Told {
    Lasting,
    Over(Instant),
}

impl Watch {
    /// What is new.
    pub(super) fn news(&mut self, situation: &Situation, at: Timestamp, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        self.let_go(situation, now);
        for (name, seen) in &situation.workspaces {
            let before = self.gave_up.insert(name.clone(), seen.gave_up).unwrap_or_default();
            let more = seen.gave_up.saturating_sub(before);
            if more > 0 {
                let newest = seen.newest_given_up.iter().copied();
                events.push(Event {
                    kind: EventKind::GaveUp,
                    at,
                    workspace: Some(name.clone()),
                    text: format!(
                        "{name}: {more} recording(s) given up after their last attempt; tried again once a day"
                    ),
                    count: more,
                    recordings: newest.take(usize::try_from(more).unwrap_or(usize::MAX)).collect(),
                });
            }
            let told_before = seen.paused.is_some() && seen.paused == seen.failed_before;
            if self.begins(EventKind::Paused, Some(name), seen.paused.is_some(), now) && !told_before {
                let why = seen.paused.as_deref().unwrap_or_default();
                events.push(Event {
                    kind: EventKind::Paused,
                    at,
                    workspace: Some(name.clone()),
                    text: format!("{name}: paused, its credential is refused: {why}"),
                    count: 0,
                    recordings: Vec::new(),
                });
            }
        }
        if self.begins(EventKind::DiskLow, None, situation.disk.is_some(), now) {
            events.push(Event {
                kind: EventKind::DiskLow,
                at,
                workspace: None,
                text: format!(
                    "the archive takes no recordings: {}",
                    situation.disk.as_deref().unwrap_or_default()
                ),
                count: 0,
                recordings: Vec::new(),
            });
        }
        events
    }

    /// The trouble of a workspace that is configured no more is over.
    fn let_go(&mut self, situation: &Situation, now: Instant) {
        for ((_, workspace), told) in &mut self.troubles {
            let is_gone = workspace
                .as_ref()
                .is_some_and(|name| !situation.workspaces.contains_key(name));
            if is_gone && matches!(told, Told::Lasting) {
                *told = Told::Over(now);
            }
        }
    }

    /// Whether a trouble is there now that was not there lately.
    fn begins(&mut self, kind: EventKind, workspace: Option<&WorkspaceName>, is_there: bool, now: Instant) -> bool {
        let key = (kind, workspace.cloned());
        let told = self.troubles.get(&key);
        if !is_there {
            if matches!(told, Some(Told::Lasting)) {
                self.troubles.insert(key, Told::Over(now));
            }
            return false;
        }
        let is_new = match told {
            None => true,
            Some(Told::Lasting) => false,
            Some(Told::Over(ended)) => now.saturating_duration_since(*ended) > SAME_TROUBLE,
        };
        self.troubles.insert(key, Told::Lasting);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::super::situation::WorkspaceSituation;
    use super::*;
    use crate::domain::ids::RecordingId;

    fn one(seen: WorkspaceSituation) -> Situation {
        Situation {
            workspaces: [("support".parse().unwrap(), seen)].into(),
            ..Situation::default()
        }
    }

    fn at() -> Timestamp {
        "2024-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn each_giving_up_is_told_once_however_many_looks_were_missed() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        let ids: Vec<RecordingId> = (1..=5).rev().map(|n| RecordingId::from_bytes([n; 16])).collect();
        let seen = |gave_up: u64| {
            one(WorkspaceSituation {
                gave_up,
                newest_given_up: ids[ids.len() - usize::try_from(gave_up).unwrap()..].to_vec(),
                ..WorkspaceSituation::default()
            })
        };
        assert_eq!(watch.news(&seen(0), at(), now), []);
        let told = watch.news(&seen(2), at(), now);
        assert_eq!((told[0].count, &told[0].recordings[..]), (2, &ids[3..]));
        assert_eq!(watch.news(&seen(2), at(), now), []);
        let told = watch.news(&seen(5), at(), now);
        assert_eq!((told[0].count, &told[0].recordings[..]), (3, &ids[..3]));
    }

    #[test]
    fn a_trouble_is_told_when_it_begins_and_not_while_it_flaps() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let low = Situation {
            disk: Some("full".to_owned()),
            ..Situation::default()
        };
        let well = Situation::default();
        assert_eq!(watch.news(&low, at(), start)[0].kind, EventKind::DiskLow);
        assert_eq!(watch.news(&low, at(), start), []);
        assert_eq!(watch.news(&well, at(), start), []);
        assert_eq!(watch.news(&low, at(), start + Duration::from_secs(60)), []);
        assert_eq!(watch.news(&well, at(), start + Duration::from_secs(120)), []);
        let later = start + Duration::from_secs(121) + SAME_TROUBLE;
        assert_eq!(watch.news(&low, at(), later).len(), 1);
    }

    #[test]
    fn a_pause_that_the_last_run_met_too_is_not_told_again() {
        let paused = |before: Option<&str>| {
            one(WorkspaceSituation {
                paused: Some("the API answered 401".to_owned()),
                failed_before: before.map(str::to_owned),
                ..WorkspaceSituation::default()
            })
        };
        let now = Instant::now();
        assert_eq!(
            Watch::default().news(&paused(Some("the API answered 401")), at(), now),
            []
        );
        assert_eq!(Watch::default().news(&paused(None), at(), now).len(), 1);
        assert_eq!(
            Watch::default()
                .news(&paused(Some("the API answered 500")), at(), now)
                .len(),
            1
        );
    }

    #[test]
    fn a_workspace_that_comes_back_in_trouble_is_told_of_again() {
        let paused = one(WorkspaceSituation {
            paused: Some("the API answered 401".to_owned()),
            ..WorkspaceSituation::default()
        });
        let (mut watch, start) = (Watch::default(), Instant::now());
        assert_eq!(watch.news(&paused, at(), start).len(), 1);
        assert_eq!(watch.news(&Situation::default(), at(), start), []);
        let later = start + SAME_TROUBLE + Duration::from_secs(1);
        assert_eq!(watch.news(&paused, at(), later).len(), 1);
    }
}
