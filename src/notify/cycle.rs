//! When a cycle of the daemon begins and ends, and whether it was a good one.
//!
//! A cycle begins with the first walk that begins after the last cycle, and ends when every workspace has ended a walk
//! since the last cycle ended. It is good where each of those walks came to the end of its list, nothing is paused and
//! the disk takes recordings. Must not know: who is told.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::situation::Situation;
use crate::domain::ids::WorkspaceName;

/// Cycles begin at most this often: whoever counts pings counts two each time.
pub(super) const SHORTEST_CYCLE: Duration = Duration::from_secs(30);

/// What a cycle has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Began,
    Succeeded,
    /// What is wrong, one thing a line.
    Failed(Vec<String>),
}

/// Follows the cycles of one daemon.
#[derive(Default)]
pub(super) struct Cycles {
    /// Walks begun and ended by each workspace when the last cycle ended.
    base: BTreeMap<WorkspaceName, (u64, u64)>,
    /// The same as it was at the last look.
    seen: BTreeMap<WorkspaceName, (u64, u64)>,
    /// And as it was when a workspace was last seen that is there no more.
    left: BTreeMap<WorkspaceName, (u64, u64)>,
    began_at: Option<Instant>,
    is_running: bool,
}

impl Cycles {
    /// What has come about since the last look, in order.
    pub(super) fn turn(&mut self, situation: &Situation, now: Instant) -> Vec<Turn> {
        let mut turns = Vec::new();
        let seen: BTreeMap<WorkspaceName, (u64, u64)> = situation
            .workspaces
            .iter()
            .map(|(name, seen)| (name.clone(), (seen.walks_begun, seen.walks_ended)))
            .collect();
        self.follow(&seen);
        if !self.is_running {
            let is_early = self
                .began_at
                .is_some_and(|began| now.saturating_duration_since(began) < SHORTEST_CYCLE);
            let has_begun = seen.iter().any(|(name, (begun, _))| *begun > self.base_of(name).0);
            if is_early || !has_begun {
                return turns;
            }
            self.is_running = true;
            self.began_at = Some(now);
            turns.push(Turn::Began);
        }
        let all_ended = seen.iter().all(|(name, (_, ended))| *ended > self.base_of(name).1);
        if all_ended && !seen.is_empty() {
            self.is_running = false;
            self.base = seen;
            let wrong = situation.wrong.clone();
            turns.push(if wrong.is_empty() {
                Turn::Succeeded
            } else {
                Turn::Failed(wrong)
            });
        }
        turns
    }

    /// A workspace that was removed keeps its counts; once it is back, only what it walks from then on counts.
    fn follow(&mut self, seen: &BTreeMap<WorkspaceName, (u64, u64)>) {
        let before = std::mem::replace(&mut self.seen, seen.clone());
        for name in seen.keys() {
            if let Some(counts) = self.left.remove(name) {
                self.base.insert(name.clone(), counts);
            }
        }
        self.left
            .extend(before.into_iter().filter(|(name, _)| !seen.contains_key(name)));
    }

    fn base_of(&self, name: &WorkspaceName) -> (u64, u64) {
        self.base.get(name).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::situation::WorkspaceSituation;
    use super::*;

    fn situation(walks: &[(&str, u64, u64)]) -> Situation {
        let workspaces = walks.iter().map(|(name, begun, ended)| {
            let seen = WorkspaceSituation {
                walks_begun: *begun,
                walks_ended: *ended,
                ..WorkspaceSituation::default()
            };
            (name.parse().unwrap(), seen)
        });
        Situation {
            workspaces: workspaces.collect(),
            ..Situation::default()
        }
    }

    #[test]
    fn a_cycle_ends_when_every_workspace_has_ended_a_walk() {
        let (mut cycles, start) = (Cycles::default(), Instant::now());
        assert_eq!(cycles.turn(&situation(&[("a", 0, 0), ("b", 0, 0)]), start), []);
        assert_eq!(
            cycles.turn(&situation(&[("a", 1, 0), ("b", 0, 0)]), start),
            [Turn::Began]
        );
        assert_eq!(cycles.turn(&situation(&[("a", 3, 2), ("b", 1, 0)]), start), []);
        assert_eq!(
            cycles.turn(&situation(&[("a", 4, 4), ("b", 1, 1)]), start),
            [Turn::Succeeded]
        );
        let later = start + SHORTEST_CYCLE;
        assert_eq!(cycles.turn(&situation(&[("a", 4, 4), ("b", 1, 1)]), later), []);
        assert_eq!(
            cycles.turn(&situation(&[("a", 4, 4), ("b", 2, 1)]), later),
            [Turn::Began]
        );
    }

    #[test]
    fn quick_walks_make_no_more_cycles_than_one_in_half_a_minute() {
        let (mut cycles, start) = (Cycles::default(), Instant::now());
        let both = [Turn::Began, Turn::Succeeded];
        assert_eq!(cycles.turn(&situation(&[("a", 1, 1)]), start), both);
        let soon = start + SHORTEST_CYCLE / 2;
        assert_eq!(cycles.turn(&situation(&[("a", 20, 20)]), soon), []);
        assert_eq!(cycles.turn(&situation(&[("a", 21, 21)]), start + SHORTEST_CYCLE), both);
    }

    #[test]
    fn what_is_wrong_is_named_and_a_removed_workspace_holds_nothing_up() {
        let (mut cycles, start) = (Cycles::default(), Instant::now());
        assert_eq!(
            cycles.turn(&situation(&[("a", 1, 1), ("b", 1, 0)]), start),
            [Turn::Began]
        );
        let mut now = situation(&[("a", 2, 2)]);
        now.wrong = vec!["no space".to_owned()];
        assert_eq!(cycles.turn(&now, start), [Turn::Failed(vec!["no space".to_owned()])]);
    }

    #[test]
    fn a_workspace_that_comes_back_owes_a_walk_of_its_own() {
        let (mut cycles, start) = (Cycles::default(), Instant::now());
        let both = [Turn::Began, Turn::Succeeded];
        assert_eq!(cycles.turn(&situation(&[("a", 5, 5), ("b", 5, 5)]), start), both);
        let without = start + SHORTEST_CYCLE;
        assert_eq!(cycles.turn(&situation(&[("a", 6, 6)]), without), both);
        // Back again with what it had counted before it went.
        let back = without + SHORTEST_CYCLE;
        assert_eq!(
            cycles.turn(&situation(&[("a", 7, 7), ("b", 5, 5)]), back),
            [Turn::Began]
        );
        assert_eq!(
            cycles.turn(&situation(&[("a", 7, 7), ("b", 6, 6)]), back),
            [Turn::Succeeded]
        );
    }
}
