//! Upstream as it truly is, the true time, and this machine's clock, which may be wrong.
//!
//! Pure, but for the clock that the catalog reads. Must not know: what is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::Timestamp;

use super::rules::Item;
use super::rules::Key;
use super::rules::Odd;
use super::steps::Change;

/// 2024-05-01T12:00:00Z.
const BEGIN: i64 = 1_714_564_800_000_000;

/// Tells what it was last told.
#[derive(Default)]
pub(super) struct ToldClock(AtomicI64);

impl ToldClock {
    pub(super) fn set(&self, microseconds: i64) {
        self.0.store(microseconds, Ordering::SeqCst);
    }
}

impl Clock for ToldClock {
    fn now(&self) -> Timestamp {
        time(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microseconds(microseconds).expect("a time within the years")
}

/// One recording upstream.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) created_at: i64,
    pub(super) added_at: i64,
    pub(super) status: &'static str,
    version: u32,
    pub(super) listed: bool,
    pub(super) garbled: bool,
}

/// What a list or a look at one recording brings.
pub(super) enum Entry {
    Item(Item),
    Odd(Odd),
}

pub(super) struct World {
    pub(super) now: i64,
    ahead: i64,
    pub(super) clock: Arc<ToldClock>,
    pub(super) things: [BTreeMap<u8, Thing>; 2],
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            now: BEGIN,
            ahead: 0,
            clock: Arc::default(),
            things: Default::default(),
        };
        world.wait(0);
        world
    }

    pub(super) fn wait(&mut self, microseconds: i64) {
        self.now += microseconds;
        self.clock.set(self.now + self.ahead);
    }

    /// Puts this machine's clock so far ahead of the truth.
    pub(super) fn set_ahead(&mut self, microseconds: i64) {
        self.ahead = microseconds;
        self.wait(0);
    }

    /// What this machine's clock shows.
    pub(super) fn local(&self) -> i64 {
        self.now + self.ahead
    }

    pub(super) fn change(&mut self, (space, n): Key, change: &Change) {
        let known = self.things[space].get_mut(&n);
        match (change, known) {
            (Change::Add { ago, status }, None) => {
                let thing = Thing {
                    created_at: self.now - ago,
                    added_at: self.now,
                    status,
                    version: 0,
                    listed: true,
                    garbled: false,
                };
                self.things[space].insert(n, thing);
            }
            (Change::Add { .. }, Some(thing)) => thing.listed = true,
            (Change::Status(status), Some(thing)) => (thing.status, thing.version) = (status, thing.version + 1),
            (Change::Metadata, Some(thing)) => thing.version += 1,
            (Change::Garble(garbled), Some(thing)) => thing.garbled = *garbled,
            (Change::Unlist, Some(thing)) => thing.listed = false,
            (Change::Delete, Some(_)) => drop(self.things[space].remove(&n)),
            (_, None) => {}
        }
    }

    /// The list from a time on, in order of creation.
    pub(super) fn list(&self, space: usize, start_at: Option<i64>, newest_first: bool) -> Vec<u8> {
        let things = self.things[space].iter().filter(|(_, thing)| thing.listed);
        let mut found: Vec<(i64, u8)> = things.map(|(n, thing)| (thing.created_at, *n)).collect();
        found.retain(|(at, _)| start_at.is_none_or(|start| *at >= start));
        found.sort_unstable();
        if newest_first {
            found.reverse();
        }
        found.into_iter().map(|(_, n)| n).collect()
    }

    /// One recording as upstream tells it, listed or not.
    pub(super) fn entry(&self, (space, n): Key) -> Option<Entry> {
        let thing = self.things[space].get(&n)?;
        let text = format!(
            "{{\"n\":{n},\"status\":\"{}\",\"version\":{}}}",
            thing.status, thing.version
        );
        Some(if thing.garbled {
            Entry::Odd(Odd {
                n: (n % 3 != 0).then_some(n),
                raw: text,
            })
        } else {
            Entry::Item(Item {
                n,
                created_at: thing.created_at,
                status: thing.status,
                text,
            })
        })
    }
}
