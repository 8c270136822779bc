//! The time upstream has, measured on the `Date` of its replies and kept against the monotonic clock.
//!
//! A link's life is judged by upstream's clock. The machine's wall clock may be hours off or jump; the monotonic
//! clock does neither, so upstream's time is held as an interval that moves with it. A reply narrows the interval:
//! `Date` is cut to whole seconds and was written between sending and receiving, so upstream's time at the receipt
//! lies within `[date, date + 1 s + round trip]`. Must not know: what the time is needed for.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;

/// Upstream's clock as seen from here.
pub struct UpstreamClock {
    local: SharedClock,
    estimate: Mutex<Option<Estimate>>,
}

#[derive(Clone, Copy)]
struct Estimate {
    at: Instant,
    earliest: Timestamp,
    latest: Timestamp,
}

impl Estimate {
    fn moved_to(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at);
        Self {
            at: now,
            earliest: self.earliest.after(passed),
            latest: self.latest.after(passed),
        }
    }
}

impl UpstreamClock {
    /// A clock that has measured nothing yet and falls back on the local one.
    #[must_use]
    pub fn new(local: SharedClock) -> Self {
        Self {
            local,
            estimate: Mutex::new(None),
        }
    }

    /// Takes the `Date` of a reply that was asked for at `sent` and begun to be read at `received`.
    pub fn observe(&self, date: Timestamp, sent: Instant, received: Instant) {
        let round_trip = received.saturating_duration_since(sent);
        let measured = Estimate {
            at: received,
            earliest: date,
            latest: date.after(Duration::from_secs(1) + round_trip),
        };
        let mut estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        *estimate = Some(match estimate.map(|held| held.moved_to(received)) {
            Some(held) if held.earliest <= measured.latest && measured.earliest <= held.latest => Estimate {
                at: received,
                earliest: held.earliest.max(measured.earliest),
                latest: held.latest.min(measured.latest),
            },
            // Upstream's clock was set, ours was suspended, or another server answers: the newest word counts.
            _ => measured,
        });
    }

    /// The latest that upstream's clock can show now. What is alive by this is alive.
    #[must_use]
    pub fn latest_now(&self) -> Timestamp {
        self.now_interval().map_or_else(|| self.local.now(), |now| now.latest)
    }

    /// The earliest that upstream's clock can show now. What was created by this had been created.
    #[must_use]
    pub fn earliest_now(&self) -> Timestamp {
        self.now_interval().map_or_else(|| self.local.now(), |now| now.earliest)
    }

    /// How far upstream's clock is ahead of the local one in seconds, negative when behind; `None` before the
    /// first reply. Good to about a second, better after many replies.
    #[must_use]
    pub fn offset_seconds(&self) -> Option<f64> {
        let now = self.now_interval()?;
        let middle = i64::midpoint(now.earliest.as_microseconds(), now.latest.as_microseconds());
        let offset_micros = middle - self.local.now().as_microseconds();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an offset, for display")]
        Some(offset_micros as f64 / 1e6)
    }

    fn now_interval(&self) -> Option<Estimate> {
        let estimate = *self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        estimate.map(|held| held.moved_to(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microseconds(micros).unwrap()
    }

    proptest! {
        /// Whatever upstream's offset and the round trips, the truth stays inside the interval and the interval
        /// never grows.
        #[test]
        fn the_truth_stays_inside(
            offset_ms in -10_000_000_i64..10_000_000,
            steps in proptest::collection::vec((0_u64..3_000, 0_u64..200, 0_u64..=100), 1..30),
        ) {
            let clock = UpstreamClock::new(Arc::new(SystemClock));
            let start = Instant::now();
            let truth = |elapsed_ms: u64| (1_700_000_000_000 + offset_ms + i64::try_from(elapsed_ms).unwrap()) * 1000;
            let (mut elapsed, mut width) = (0, i64::MAX);
            for (pause, trip, share) in steps {
                let sent = elapsed + pause;
                let written = sent + trip * share / 100;
                elapsed = sent + trip;
                let date = at(truth(written).div_euclid(1_000_000) * 1_000_000);
                clock.observe(date, start + Duration::from_millis(sent), start + Duration::from_millis(elapsed));
                let held = clock.estimate.lock().unwrap().unwrap();
                let now = at(truth(elapsed));
                prop_assert!(held.earliest <= now && now <= held.latest);
                let now_width = held.latest.as_microseconds() - held.earliest.as_microseconds();
                prop_assert!(now_width <= width);
                width = now_width;
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_is_believed_anew() {
        let clock = UpstreamClock::new(Arc::new(SystemClock));
        let now = Instant::now();
        clock.observe(at(1_700_000_000_000_000), now, now);
        clock.observe(at(1_600_000_000_000_000), now, now);
        let latest = clock.latest_now();
        assert!(latest < at(1_600_000_100_000_000), "{latest}");
    }
}
