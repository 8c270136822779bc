//! What a catalog must know after any history: the rules once more, in other words, over plain maps.
//!
//! Pure. Takes from birdkeep the names of states and nothing else. Must not know: SQL, files, how a walk is made.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use birdkeep::domain::state::State;

/// A recording: the index of its workspace, and its number there.
pub(super) type Key = (usize, u8);

/// A recording as a list holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) n: u8,
    pub(super) created_at: i64,
    pub(super) status: &'static str,
    pub(super) text: String,
}

/// An item of a list that makes no sense; `n` where at least that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    pub(super) n: Option<u8>,
    pub(super) raw: String,
}

/// A page of a list, read at `seen_at`.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) items: Vec<Item>,
    pub(super) odd: Vec<Odd>,
    pub(super) seen_at: i64,
    pub(super) touch_before: i64,
}

/// A walk that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) full: bool,
    pub(super) started_at: i64,
    pub(super) finished_at: i64,
    /// By upstream's clock.
    pub(super) asked_at: i64,
    pub(super) outcome: &'static str,
    pub(super) listed: u64,
    /// Every item it listed that made no sense.
    pub(super) odd: BTreeSet<String>,
}

/// How a claim ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    Stored(Body),
    Failed {
        attempts: u32,
        spent: bool,
        not_before: i64,
    },
    Gone {
        attempts: u32,
        not_before: i64,
    },
    GivenBack {
        why: Option<String>,
        not_before: Option<i64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) path: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: [u8; 32],
    pub(super) archived_at: i64,
    pub(super) remark: Option<String>,
}

/// All that is known of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: State,
    pub(super) status: String,
    pub(super) created_at: i64,
    pub(super) text: String,
    pub(super) first_seen_at: i64,
    pub(super) last_seen_at: i64,
    pub(super) attempts: u32,
    pub(super) not_before: i64,
    pub(super) why: Option<String>,
    pub(super) body: Option<Body>,
    /// What upstream said before, of an archived one.
    pub(super) earlier: Vec<(i64, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) n: Option<u8>,
    pub(super) first_seen_at: i64,
    pub(super) last_seen_at: i64,
    pub(super) open: bool,
}

/// For how long polls that say nothing new are not told to other processes, in microseconds.
const ENTERED_EVERY: i64 = 5 * 60 * 1_000_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    pub(super) rows: BTreeMap<u8, Row>,
    pub(super) aside: BTreeMap<String, Aside>,
    pub(super) last_walk: Option<Walked>,
    pub(super) last_complete_at: Option<i64>,
    /// Both, as another process is told of them.
    entered: (Option<Walked>, Option<i64>),
    /// When the last full walk began that came to its end.
    pub(super) full_began: Option<i64>,
    /// Up to where everything was listed, by upstream's clock.
    pub(super) settled: Option<i64>,
    /// What those that are being fetched were before.
    taken_from: BTreeMap<u8, State>,
}

/// What a page did: new, changed, unchanged, set aside; and what may be fetched at once.
pub(super) type PageDid = ([u64; 4], Vec<u8>);

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) spaces: [Space; 2],
}

impl Model {
    /// The process ends in order.
    pub(super) fn close(&mut self) {
        self.spaces.iter_mut().for_each(Space::enter_walk);
    }

    /// The process ends without a word: a poll that said nothing new may not have been told to anybody else.
    pub(super) fn die(&mut self) {
        for space in &mut self.spaces {
            (space.last_walk, space.last_complete_at) = space.entered.clone();
        }
    }
}

fn as_listed(status: &str) -> State {
    match status {
        "available" => State::Due,
        "absent" | "failed" => State::Gone,
        _ => State::Waiting,
    }
}

impl Space {
    /// A list moves everything but what is archived, what is being fetched, and what was given up and is still offered.
    pub(super) fn list(&mut self, page: &Listing, now: i64) -> PageDid {
        let mut did = [0; 4];
        let mut fetchable = Vec::new();
        let raws: BTreeSet<&String> = page.odd.iter().map(|odd| &odd.raw).collect();
        did[3] = raws.len() as u64;
        for odd in &page.odd {
            let seen = (page.seen_at, page.touch_before);
            let aside = self.aside.entry(odd.raw.clone()).or_insert(Aside {
                n: odd.n,
                first_seen_at: now,
                last_seen_at: page.seen_at,
                open: true,
            });
            if !aside.open || is_stale(aside.last_seen_at, seen) {
                (aside.open, aside.last_seen_at) = (true, page.seen_at);
            }
        }
        for (at, item) in page.items.iter().enumerate() {
            let understood = |aside: &&mut Aside| aside.n == Some(item.n);
            self.aside
                .values_mut()
                .filter(understood)
                .for_each(|aside| aside.open = false);
            if page.items[at + 1..].iter().any(|later| later.n == item.n) {
                continue;
            }
            did[self.list_one(item, page, now)] += 1;
            let row = &self.rows[&item.n];
            if row.state == State::Due && row.not_before <= now {
                fetchable.push(item.n);
            }
        }
        (did, fetchable)
    }

    /// 0 where it is new, 1 where something changed, 2 where nothing did.
    fn list_one(&mut self, item: &Item, page: &Listing, now: i64) -> usize {
        let Some(row) = self.rows.get_mut(&item.n) else {
            let row = Row {
                state: as_listed(item.status),
                status: item.status.to_owned(),
                created_at: item.created_at,
                text: item.text.clone(),
                first_seen_at: now,
                last_seen_at: page.seen_at,
                attempts: 0,
                not_before: 0,
                why: None,
                body: None,
                earlier: Vec::new(),
            };
            self.rows.insert(item.n, row);
            return 0;
        };
        let state = match row.state {
            State::Archived | State::Claimed => row.state,
            State::GivenUp if item.status == "available" => row.state,
            _ => as_listed(item.status),
        };
        if (row.state, &row.status[..], &row.text) == (state, item.status, &item.text) {
            if is_stale(row.last_seen_at, (page.seen_at, page.touch_before)) {
                row.last_seen_at = page.seen_at;
            }
            return 2;
        }
        if row.state == State::Archived && row.text != item.text {
            row.earlier.push((now, row.text.clone()));
        }
        row.state = state;
        item.status.clone_into(&mut row.status);
        row.text.clone_from(&item.text);
        row.last_seen_at = page.seen_at;
        1
    }

    /// Only a walk that came to its end settles anything, and never what upstream's clock had not reached when it began.
    pub(super) fn finish(&mut self, walk: &Walked) {
        let settled = self.settled;
        self.last_walk = Some(walk.clone());
        if walk.outcome == "complete" {
            self.finish_complete(walk);
        }
        let is_idle = |walk: &Walked| !walk.full && walk.outcome == "complete";
        let lately = walk.finished_at - ENTERED_EVERY + 1..=walk.finished_at;
        let entered = self.entered.0.as_ref();
        let is_told = entered.is_some_and(|entered| is_idle(entered) && lately.contains(&entered.finished_at));
        if !(is_told && is_idle(walk) && self.settled == settled) {
            self.enter_walk();
        }
    }

    /// What was told of walks is known to the next process, too.
    fn enter_walk(&mut self) {
        self.entered = (self.last_walk.clone(), self.last_complete_at);
    }

    fn finish_complete(&mut self, walk: &Walked) {
        self.last_complete_at = Some(walk.finished_at);
        let known = self.rows.values().map(|row| row.created_at);
        self.settled = known.filter(|at| *at <= walk.asked_at).max().or(self.settled);
        if walk.full {
            self.full_began = Some(walk.started_at);
            for (raw, aside) in &mut self.aside {
                aside.open = aside.open && walk.odd.contains(raw);
            }
        }
    }

    pub(super) fn note_deleted(&mut self, n: u8, why: &str) {
        if let Some(row) = self.rows.get_mut(&n).filter(|row| row.state == State::Waiting) {
            (row.state, row.why) = (State::Gone, Some(why.to_owned()));
        }
    }

    /// Whether it may be fetched at `now`: what was given up only while upstream lists it.
    pub(super) fn may_be_taken(&self, n: u8, now: i64) -> bool {
        self.rows
            .get(&n)
            .is_some_and(|row| row.not_before <= now && self.waits_for_fetch(row))
    }

    pub(super) fn waits_for_fetch(&self, row: &Row) -> bool {
        let listed = self.full_began.is_none_or(|began| row.last_seen_at >= began);
        row.state == State::Due || row.state == State::GivenUp && listed
    }

    pub(super) fn take(&mut self, n: u8) {
        let row = self.rows.get_mut(&n).expect("it is known");
        self.taken_from.insert(n, row.state);
        row.state = State::Claimed;
    }

    /// Ends a claim. What is not stored becomes what upstream says of it now; its attempts are not forgotten.
    pub(super) fn end(&mut self, n: u8, end: &End) {
        let row = self.rows.get_mut(&n).expect("it is known");
        let from = self.taken_from.remove(&n).expect("it is claimed");
        let back = |spent: bool, row: &Row| match as_listed(&row.status) {
            State::Due if spent => State::GivenUp,
            other => other,
        };
        match end {
            End::Stored(body) => {
                (row.state, row.not_before, row.why) = (State::Archived, 0, None);
                row.body = Some(body.clone());
            }
            End::Failed {
                attempts,
                spent,
                not_before,
            } => {
                (row.state, row.attempts, row.not_before) = (back(*spent, row), *attempts, *not_before);
                row.why = Some("failed".to_owned());
            }
            End::Gone { attempts, not_before } => {
                (row.state, row.attempts, row.not_before) = (State::Gone, *attempts, *not_before);
                row.why = Some("gone".to_owned());
            }
            End::GivenBack { why, not_before } => {
                row.state = back(from == State::GivenUp, row);
                row.why = why.clone().or(row.why.take());
                row.not_before = not_before.unwrap_or(row.not_before);
            }
        }
    }

    /// Gives back all that is being fetched. Says how many.
    pub(super) fn reclaim(&mut self) -> u64 {
        let taken: Vec<u8> = self.taken_from.keys().copied().collect();
        let nothing = End::GivenBack {
            why: None,
            not_before: None,
        };
        for n in &taken {
            self.end(*n, &nothing);
        }
        taken.len() as u64
    }

    /// An operator asks for another try. `None` where it is not known, else whether that changes anything.
    pub(super) fn retry(&mut self, n: u8, now: i64) -> Option<bool> {
        let row = self.rows.get_mut(&n)?;
        let forgiven = matches!(row.state, State::Gone | State::GivenUp);
        let waits = row.state == State::Due && row.not_before > now;
        if forgiven {
            (row.state, row.attempts) = (State::Due, 0);
        }
        if forgiven || waits {
            row.not_before = 0;
        }
        Some(forgiven || waits)
    }

    /// A wait longer than any can be was set by a clock that was wrong.
    pub(super) fn heal_waits(&mut self, now: i64, longest: i64) -> u64 {
        let wrong = |row: &&mut Row| matches!(row.state, State::Due | State::GivenUp) && row.not_before > now + longest;
        let rows = self.rows.values_mut().filter(wrong);
        rows.map(|row| row.not_before = now).count() as u64
    }

    /// From where a poll must list, and what it must ask for one by one: everything that has no media yet is one or the
    /// other, unless it is among more than `most`. `reach` is how many of the newest recordings a list may go back.
    pub(super) fn plan(&self, now: i64, overlap: i64, reach: usize, most: usize) -> Option<(i64, Vec<u8>)> {
        let settled = self.settled?.min(now);
        let mut newest: Vec<i64> = self
            .rows
            .values()
            .map(|row| row.created_at)
            .filter(|at| *at <= now)
            .collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let reach_to = newest.get(reach - 1).copied().unwrap_or(i64::MIN);
        let waiting = || self.rows.iter().filter(|(_, row)| row.state == State::Waiting);
        let oldest = waiting()
            .map(|(_, row)| row.created_at)
            .filter(|at| *at >= reach_to)
            .min();
        let start = oldest.map_or(settled, |oldest| oldest.min(settled)) - overlap;
        let mut before: Vec<(i64, u8)> = waiting()
            .filter(|(_, row)| row.created_at < start)
            .map(|(n, row)| (row.last_seen_at, *n))
            .collect();
        before.sort_unstable();
        Some((start, before.into_iter().take(most).map(|(_, n)| n).collect()))
    }
}

/// Whether a time of last being seen is to be written anew: it is old, or lies ahead because a clock was wrong.
const fn is_stale(last_seen_at: i64, (seen_at, touch_before): (i64, i64)) -> bool {
    last_seen_at < touch_before || last_seen_at > seen_at
}
