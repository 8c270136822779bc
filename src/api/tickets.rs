//! The tickets that pages brought along, in memory only, until they are used or die.
//!
//! Two lanes, so that what just arrived does not queue behind history: polls fill one, full walks the other. Within a
//! lane the earliest deadline goes first. Bounded in number and in bytes: where a lane is full, the tickets that live
//! longest are let go, and of those that were never offered the ones that live shortest; a recording without a ticket
//! gets one by itself later. Must not know: what is due.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::ticket::Ticket;
use super::upstream_clock::UpstreamClock;
use crate::domain::ids::RecordingRef;

/// Tickets a lane holds at most: at about 1.7 kB each, 7 MB. As many are kept that are not offered.
pub const LANE_TICKETS: usize = 4_096;

/// How long all links at hand may be together, in bytes: room for as many as there may be of the usual length.
const ALL_LINK_BYTES: usize = 16 * 1024 * 1024;

/// Where tickets lie that are not offered, behind the lanes.
const NOT_OFFERED: usize = 2;

/// Which walk a ticket, or a request, belongs to. Earlier lanes go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Lane {
    /// A poll: what is new.
    Fresh,
    /// A full walk, or links fetched for a backlog.
    #[default]
    Backlog,
}

/// Which ticket goes first within a lane.
type Deadline = (Instant, u64);

/// The tickets at hand.
#[derive(Default)]
pub struct TicketBook {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The two lanes, and what is not offered.
    places: [BTreeMap<Deadline, RecordingRef>; 3],
    by_recording: HashMap<RecordingRef, Entry>,
    link_bytes: usize,
    sequence: u64,
}

struct Entry {
    lane: Lane,
    place: usize,
    deadline: Deadline,
    ticket: Ticket,
}

impl TicketBook {
    /// Keeps a ticket that just arrived, in place of an earlier one for the same recording, and in its lane if that is
    /// the earlier: who lists everything does not put back what a poll brought. It can be taken by name; it is not among
    /// the next ones before it is offered. One that came without life is not kept.
    pub fn hold(&self, recording: RecordingRef, ticket: Ticket, lane: Lane, clock: &UpstreamClock) {
        let life_left = ticket.life_left(clock);
        if life_left.is_zero() {
            return;
        }
        let mut held = self.lock();
        let lane = held.remove(&recording).map_or(lane, |entry| entry.lane.min(lane));
        held.sequence += 1;
        let deadline = (Instant::now() + life_left, held.sequence);
        held.link_bytes += ticket.len_bytes();
        let entry = Entry {
            lane,
            place: NOT_OFFERED,
            deadline,
            ticket,
        };
        held.places[NOT_OFFERED].insert(deadline, recording.clone());
        held.by_recording.insert(recording, entry);
        held.make_room();
    }

    /// Puts a held ticket among the next ones, where it has not been taken meanwhile.
    pub fn offer(&self, recording: &RecordingRef) {
        let mut held = self.lock();
        let Some(entry) = held.by_recording.get_mut(recording) else {
            return;
        };
        let (from, to, deadline) = (entry.place, entry.lane as usize, entry.deadline);
        entry.place = to;
        held.places[from].remove(&deadline);
        held.places[to].insert(deadline, recording.clone());
        held.make_room();
    }

    /// Lets go of a ticket that nobody needs.
    pub fn discard(&self, recording: &RecordingRef) {
        self.lock().remove(recording);
    }

    /// Takes the ticket of a recording, if there is one with enough life left to begin.
    pub fn take(&self, recording: &RecordingRef, clock: &UpstreamClock, margin: Duration) -> Option<Ticket> {
        let ticket = self.lock().remove(recording)?.ticket;
        ticket.is_fresh(clock, margin).then_some(ticket)
    }

    /// Takes the tickets that should be used next: lane by lane, earliest deadline first. Tickets with too little
    /// life left are let go on the way.
    pub fn take_next(&self, limit: usize, clock: &UpstreamClock, margin: Duration) -> Vec<(RecordingRef, Ticket)> {
        let mut held = self.lock();
        let mut next = Vec::with_capacity(limit.min(LANE_TICKETS));
        for lane in [Lane::Fresh, Lane::Backlog] {
            while next.len() < limit {
                let Some(recording) = held.places[lane as usize].values().next().cloned() else {
                    break;
                };
                if let Some(Entry { ticket, .. }) = held.remove(&recording)
                    && ticket.is_fresh(clock, margin)
                {
                    next.push((recording, ticket));
                }
            }
        }
        next
    }

    /// How many tickets are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_recording.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remove(&mut self, recording: &RecordingRef) -> Option<Entry> {
        let entry = self.by_recording.remove(recording)?;
        self.places[entry.place].remove(&entry.deadline);
        self.link_bytes -= entry.ticket.len_bytes();
        Some(entry)
    }

    /// Lets go of what is too much.
    fn make_room(&mut self) {
        while let Some(least) = self.least_needed() {
            self.remove(&least);
        }
    }

    fn least_needed(&self) -> Option<RecordingRef> {
        let [fresh, backlog, not_offered] = &self.places;
        let is_full = |place: &BTreeMap<_, _>| place.len() > LANE_TICKETS;
        let is_heavy = self.link_bytes > ALL_LINK_BYTES;
        let first = (is_full(not_offered) || is_heavy).then(|| not_offered.values().next());
        let last = |place: &BTreeMap<Deadline, RecordingRef>| {
            let is_too_much = is_full(place) || is_heavy;
            is_too_much.then(|| place.values().next_back().cloned()).flatten()
        };
        first
            .flatten()
            .cloned()
            .or_else(|| last(backlog))
            .or_else(|| last(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::RecordingId;
    use std::sync::Arc;

    const SIGNED: &str = "20231024T192759Z";

    fn clock() -> UpstreamClock {
        let clock = UpstreamClock::new(Arc::new(SystemClock));
        let now = Instant::now();
        clock.observe(Timestamp::from_amz_date(SIGNED).unwrap(), now, now);
        clock
    }

    fn recording(n: u16) -> RecordingRef {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        RecordingRef {
            workspace: "w".parse().unwrap(),
            id: RecordingId::from_bytes(id),
        }
    }

    fn ticket(seconds: u16) -> Ticket {
        Ticket::new(
            &format!("https://h/k?X-Amz-Date={SIGNED}&X-Amz-Expires={seconds}"),
            Instant::now(),
        )
        .unwrap()
    }

    fn put(book: &TicketBook, n: u16, seconds: u16, lane: Lane, clock: &UpstreamClock) {
        book.hold(recording(n), ticket(seconds), lane, clock);
        book.offer(&recording(n));
    }

    #[test]
    fn a_held_ticket_can_be_taken_by_name_and_is_not_handed_out_before_it_is_offered() {
        let (book, clock) = (TicketBook::default(), clock());
        book.hold(recording(1), ticket(600), Lane::Fresh, &clock);
        assert!(book.take_next(9, &clock, Duration::ZERO).is_empty());
        assert!(book.take(&recording(1), &clock, Duration::ZERO).is_some());
        book.offer(&recording(1));
        assert!(book.is_empty() && book.take_next(9, &clock, Duration::ZERO).is_empty());
    }

    #[test]
    fn fresh_before_backlog_and_earliest_deadline_first() {
        let (book, clock) = (TicketBook::default(), clock());
        put(&book, 1, 100, Lane::Backlog, &clock);
        put(&book, 2, 600, Lane::Fresh, &clock);
        put(&book, 3, 300, Lane::Fresh, &clock);
        put(&book, 4, 1, Lane::Fresh, &clock);
        let order: Vec<_> = book
            .take_next(9, &clock, Duration::from_secs(20))
            .into_iter()
            .map(|(recording, _)| recording)
            .collect();
        assert_eq!(
            order,
            [recording(3), recording(2), recording(1)],
            "a dead ticket is left out"
        );
        assert!(book.is_empty());
    }

    #[test]
    fn a_full_lane_lets_go_of_what_lives_longest_and_spares_the_other() {
        let (book, clock) = (TicketBook::default(), clock());
        put(&book, 9_999, 600, Lane::Fresh, &clock);
        for n in 0..5_000 {
            put(&book, n, 100 + n / 10, Lane::Backlog, &clock);
        }
        assert_eq!(book.len(), LANE_TICKETS + 1);
        assert!(book.take(&recording(0), &clock, Duration::ZERO).is_some());
        assert!(book.take(&recording(4_999), &clock, Duration::ZERO).is_none());
        assert!(book.take(&recording(9_999), &clock, Duration::ZERO).is_some());
        assert!(
            book.take(&recording(9_999), &clock, Duration::ZERO).is_none(),
            "a ticket is taken once"
        );
    }

    #[test]
    fn what_a_poll_brought_stays_in_its_lane_when_it_is_listed_again() {
        let (book, clock) = (TicketBook::default(), clock());
        put(&book, 1, 100, Lane::Backlog, &clock);
        put(&book, 2, 300, Lane::Fresh, &clock);
        put(&book, 2, 600, Lane::Backlog, &clock);
        put(&book, 1, 900, Lane::Fresh, &clock);
        put(&book, 3, 50, Lane::Backlog, &clock);
        let order: Vec<_> = book.take_next(9, &clock, Duration::ZERO).into_iter().collect();
        let order: Vec<_> = order.into_iter().map(|(recording, _)| recording).collect();
        assert_eq!(order, [recording(2), recording(1), recording(3)]);
    }

    #[test]
    fn a_ticket_without_life_is_not_kept_and_spoils_none() {
        let (book, clock) = (TicketBook::default(), clock());
        put(&book, 1, 0, Lane::Fresh, &clock);
        assert!(book.is_empty());
        put(&book, 1, 600, Lane::Fresh, &clock);
        put(&book, 1, 0, Lane::Fresh, &clock);
        assert!(book.take(&recording(1), &clock, Duration::from_secs(20)).is_some());
    }

    #[test]
    fn tickets_that_are_never_offered_do_not_pile_up() {
        let (book, clock) = (TicketBook::default(), clock());
        put(&book, 9_999, 600, Lane::Fresh, &clock);
        for n in 0..5_000 {
            book.hold(recording(n), ticket(600 + n / 10), Lane::Backlog, &clock);
        }
        assert_eq!(book.len(), LANE_TICKETS + 1);
        assert!(book.take(&recording(9_999), &clock, Duration::ZERO).is_some());
        assert!(book.take(&recording(0), &clock, Duration::ZERO).is_none());
        assert!(book.take(&recording(4_999), &clock, Duration::ZERO).is_some());
    }

    #[test]
    fn long_links_are_fewer() {
        let (book, clock) = (TicketBook::default(), clock());
        let long = format!("https://h/{}?X-Amz-Date={SIGNED}&X-Amz-Expires=600", "k".repeat(16_000));
        for n in 0..3_000 {
            let lane = if n % 2 == 0 { Lane::Fresh } else { Lane::Backlog };
            book.hold(recording(n), Ticket::new(&long, Instant::now()).unwrap(), lane, &clock);
            book.offer(&recording(n));
        }
        assert!(book.len() * long.len() <= ALL_LINK_BYTES, "{}", book.len());
        assert!(book.len() > 900, "{}", book.len());
        let handed_out = book.take_next(usize::from(u16::MAX), &clock, Duration::ZERO).len();
        assert!(handed_out > 900 && book.is_empty(), "{handed_out}");
        assert_eq!(book.lock().link_bytes, 0);
    }
}
