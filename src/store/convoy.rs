//! Syncs of files that set out together.
//!
//! A file system's journal commits for all who wait when it begins to, and flushes the disk once for them; whoever comes
//! later pays for a flush of their own. So where many come, each waits a moment for others, and those that come while others
//! are being synced wait for these; then they begin all at once. One that comes alone waits for nobody. Must not know:
//! what is synced.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How long the first of a convoy waits for others, where the one before set out not longer ago than [`LATELY`].
const GATHERING: Duration = Duration::from_millis(8);

/// From when on whoever comes is taken to be alone.
const LATELY: Duration = Duration::from_millis(25);

/// As many as set out without waiting for more.
const FULL: usize = 32;

/// Where syncs meet.
#[derive(Default)]
pub(super) struct Convoy {
    state: Mutex<State>,
    departed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of the departure that those who wait are for.
    next: u64,
    waiting: usize,
    under_way: usize,
    /// When those who wait set out at the latest, once nobody is under way.
    gathered_at: Option<Instant>,
    last_departure: Option<Instant>,
}

impl State {
    fn may_depart(&self, now: Instant) -> bool {
        self.under_way == 0
            && self.waiting > 0
            && (self.waiting >= FULL || self.gathered_at.is_none_or(|gathered_at| gathered_at <= now))
    }

    fn depart(&mut self, now: Instant) {
        self.under_way = self.waiting;
        self.waiting = 0;
        self.next += 1;
        self.gathered_at = None;
        self.last_departure = Some(now);
    }
}

impl Convoy {
    /// Runs syncs together with those of others. Blocks, and waits for company for less than [`LATELY`].
    pub(super) fn sync<T>(&self, sync: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        let (mine, came_at) = (state.next, Instant::now());
        state.waiting += 1;
        if state.waiting == 1 {
            let is_alone = state.last_departure.is_none_or(|last| came_at > last + LATELY);
            state.gathered_at = Some(if is_alone { came_at } else { came_at + GATHERING });
        }
        while state.next == mine {
            let now = Instant::now();
            if state.may_depart(now) {
                state.depart(now);
                self.departed.notify_all();
            } else {
                // Those under way wake whoever waits when the last of them arrives.
                let rest = state
                    .gathered_at
                    .map_or(GATHERING, |at| at.saturating_duration_since(now));
                let waited = self.departed.wait_timeout(state, rest.max(Duration::from_millis(1)));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        drop(state);
        let _under_way = UnderWay(self);
        sync()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that set out, until it has arrived. The last to arrive lets the next ones go.
struct UnderWay<'a>(&'a Convoy);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way -= 1;
        let now = Instant::now();
        if state.may_depart(now) {
            state.depart(now);
            self.0.departed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn those_that_come_meanwhile_go_together() {
        let convoy = Convoy::default();
        let (begun, together) = (Barrier::new(2), Barrier::new(FULL));
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                convoy.sync(|| {
                    begun.wait();
                    while convoy.lock().waiting < FULL {
                        std::thread::yield_now();
                    }
                });
            });
            begun.wait();
            for _ in 0..FULL {
                scope.spawn(|| {
                    convoy.sync(|| {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        together.wait();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!(most.into_inner(), FULL);
        let state = convoy.lock();
        assert_eq!((state.waiting, state.under_way, state.next), (0, 0, 2));
    }

    #[test]
    fn one_after_the_other_and_one_that_panics_hold_nobody_up() {
        let convoy = Convoy::default();
        for at in 0..3 {
            assert_eq!(convoy.sync(|| at), at);
            let panics = std::panic::AssertUnwindSafe(|| convoy.sync(|| panic!("deliberate")));
            assert!(std::panic::catch_unwind(panics).is_err());
        }
        assert_eq!(convoy.lock().under_way, 0);
    }
}
