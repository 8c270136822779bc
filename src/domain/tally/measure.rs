//! Counters and histograms that many tasks write and one reads: no locks held over anything, no memory that grows.
//!
//! Must not know: what is counted.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A length of time that only grows, kept in whole microseconds.
#[derive(Debug, Default)]
pub struct Seconds(Counter);

impl Seconds {
    /// So much more.
    pub fn add(&self, more: Duration) {
        self.0.add(u64::try_from(more.as_micros()).unwrap_or(u64::MAX));
    }

    /// How long it was in all.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.get())
    }
}

/// How often a measured value lay below each of some fixed bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    seen: Mutex<Measured>,
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// How many values were at most the bound, for each bound; values counted below are counted above too.
    pub at_most: Vec<u64>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Histogram {
    /// A histogram with these upper bounds, in rising order.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let seen = Measured {
            at_most: vec![0; bounds.len()],
            count: 0,
            sum: 0.0,
        };
        Self {
            bounds,
            seen: Mutex::new(seen),
        }
    }

    /// Takes one value.
    pub fn observe(&self, value: f64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.count += 1;
        seen.sum += value;
        for (bound, count) in self.bounds.iter().zip(&mut seen.at_most) {
            *count += u64::from(value <= *bound);
        }
    }

    /// The upper bounds.
    #[must_use]
    pub const fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// What it holds now; its parts belong together.
    #[must_use]
    pub fn measured(&self) -> Measured {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_a_value_at_its_bound_and_above() {
        let histogram = Histogram::new(&[1.0, 2.0, 4.0]);
        for value in [0.5, 1.0, 1.5, 4.0, 9.0] {
            histogram.observe(value);
        }
        let measured = histogram.measured();
        assert_eq!(measured.at_most, [2, 3, 4]);
        assert_eq!(measured.count, 5);
        assert!((measured.sum - 16.0).abs() < 1e-9);
    }

    #[test]
    fn time_adds_up_below_a_second() {
        let waited = Seconds::default();
        for _ in 0..4 {
            waited.add(Duration::from_millis(300));
        }
        assert_eq!(waited.get(), Duration::from_millis(1200));
    }
}
