//! How many bodies are fetched at once: as many as keep the network busy over its round-trip time, and fewer where the media
//! host asks for less.
//!
//! A download first waits for the host's answer and then keeps us busy, with the body that comes, its hash and the disk. To
//! keep as many busy as is worth it, as many more must be on their way as wait meanwhile: the share of waiting says how
//! many. A link that is full, or a machine that is, lengthens the busy part, and fewer are fetched; more streams would only
//! share what there is. Must not know: which recordings.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// As few as a host that asks for less can bring it to.
const FEWEST: usize = 4;

/// As many as the network alone can bring it to: what each holds in memory is small, and bounded by this.
const MOST: usize = 64;

/// How many are kept busy: on a machine's own network, with next to no waiting, this many overlap hashing and disk.
const BUSY: usize = 16;

/// Downloads that the share of waiting is measured over, roughly.
const MEMORY: f64 = 32.0;

/// Downloads that must have been seen before they are believed.
const FEW: u32 = 4;

/// Hosts refuse everything under way at once: it is one request to slow down, not many.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// How many downloads there are to be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// As the network asks for, from 4 to 64.
    Auto,
    /// So many, or fewer while the media host asks for that.
    AtMost(usize),
}

impl Concurrency {
    /// The most there can be.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Auto => MOST,
            Self::AtMost(most) => most,
        }
    }
}

/// How many bodies are fetched at once, as it was measured.
pub(super) struct Width {
    concurrency: Concurrency,
    seen: Mutex<Seen>,
}

struct Seen {
    downloads: u32,
    /// Seconds, with the weight of what was seen long ago gone down.
    waited: f64,
    held: f64,
    /// What the media host leaves us.
    ceiling: f64,
    slowed_at: Option<Instant>,
}

impl Width {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        Self {
            seen: Mutex::new(Seen {
                downloads: 0,
                waited: 0.0,
                held: 0.0,
                ceiling: as_float(concurrency.most()),
                slowed_at: None,
            }),
            concurrency,
        }
    }

    /// How many downloads there may be now.
    pub(super) fn at_once(&self) -> usize {
        let seen = self.lock();
        let wanted = match self.concurrency {
            Concurrency::AtMost(most) => as_float(most),
            Concurrency::Auto if seen.downloads < FEW => as_float(BUSY),
            Concurrency::Auto => {
                let busy = (seen.held - seen.waited).max(seen.held / as_float(MOST));
                as_float(BUSY) * seen.held / busy.max(f64::MIN_POSITIVE)
            }
        };
        let wanted = wanted.min(seen.ceiling).round();
        (1..=self.concurrency.most())
            .rev()
            .find(|at_once| as_float(*at_once) <= wanted)
            .unwrap_or(1)
    }

    /// A download came to its end: how long it waited for answers, and how long it took with that.
    pub(super) fn observe(&self, waited: Duration, held: Duration) {
        let mut seen = self.lock();
        let kept = 1.0 - 1.0 / MEMORY;
        seen.downloads = seen.downloads.saturating_add(1);
        seen.waited = seen.waited * kept + waited.as_secs_f64();
        seen.held = seen.held * kept + held.as_secs_f64();
        // One more for as many as there were at once.
        seen.ceiling = (seen.ceiling + 1.0 / seen.ceiling).min(as_float(self.concurrency.most()));
    }

    /// The media host asks for less: half of what there is, and then one more for each round that goes well.
    pub(super) fn slow_down(&self, now: Instant) {
        let at_once = self.at_once();
        let mut seen = self.lock();
        if seen.slowed_at.is_some_and(|last| now < last + ONE_REQUEST) {
            return;
        }
        seen.slowed_at = Some(now);
        seen.ceiling = as_float((at_once / 2).max(FEWEST.min(self.concurrency.most())));
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn seen(width: &Width, times: usize, waited: u64, held: u64) -> usize {
        for _ in 0..times {
            width.observe(ms(waited), ms(held));
        }
        width.at_once()
    }

    #[test]
    fn a_long_way_is_filled_and_a_full_link_is_not_crowded() {
        let width = Width::new(Concurrency::Auto);
        assert_eq!(width.at_once(), BUSY);
        assert_eq!(seen(&width, 3, 30, 40), BUSY, "too few to be believed");
        assert_eq!(seen(&width, 100, 30, 40), MOST);
        assert_eq!(seen(&width, 500, 50, 10_000), BUSY, "the link is full");
        assert_eq!(seen(&width, 500, 10, 20), 2 * BUSY);
        assert_eq!(seen(&width, 500, 20, 20), MOST, "nothing but waiting");
    }

    #[test]
    fn what_is_set_is_held_to() {
        for most in [1, 3, 16, 256] {
            let width = Width::new(Concurrency::AtMost(most));
            assert_eq!(seen(&width, 100, 30, 40), most);
        }
    }

    #[test]
    fn a_host_that_asks_for_less_is_given_less_and_then_slowly_more() {
        let now = Instant::now();
        for concurrency in [Concurrency::Auto, Concurrency::AtMost(64)] {
            let width = Width::new(concurrency);
            assert_eq!(seen(&width, 100, 30, 40), 64);
            for _ in 0..10 {
                width.slow_down(now);
            }
            assert_eq!(width.at_once(), 32, "one request, however often it is repeated");
            (1..10).for_each(|seconds| width.slow_down(now + ms(seconds * 1_500)));
            assert_eq!(width.at_once(), FEWEST);
            assert!((5..=6).contains(&seen(&width, 6, 30, 40)));
            assert_eq!(seen(&width, 10_000, 30, 40), 64);
        }
        let narrow = Width::new(Concurrency::AtMost(2));
        narrow.slow_down(now);
        assert_eq!(narrow.at_once(), 2);
    }
}
