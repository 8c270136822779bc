//! How fast one workspace may be asked: a steady rate, slowed down where upstream says "too many".
//!
//! Must not know: what is asked.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use governor::Quota;
use governor::RateLimiter;
use tokio::time::Instant;

use crate::domain::backoff::jittered;

/// The widest extra gap between requests that "too many" can lead to.
const WIDEST_GAP: Duration = Duration::from_secs(10);

/// The pace of one workspace.
pub struct Pace {
    limiter: DefaultDirectRateLimiter,
    usual_gap: Duration,
    slowed: Mutex<Slowed>,
}

#[derive(Default)]
struct Slowed {
    gap: Duration,
    not_before: Option<Instant>,
}

impl Pace {
    /// A pace of so many requests a second, with bursts of as many.
    pub fn new(requests_per_second: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(requests_per_second)),
            usual_gap: Duration::from_secs(1) / requests_per_second.get(),
            slowed: Mutex::default(),
        }
    }

    /// Waits until the next request may go. Cancel-safe.
    pub async fn wait(&self) {
        self.limiter.until_ready().await;
        let wake = {
            let mut slowed = self.lock();
            let now = Instant::now();
            let wake = slowed.not_before.unwrap_or(now).max(now);
            slowed.not_before = (!slowed.gap.is_zero() || wake > now).then(|| wake + slowed.gap);
            wake
        };
        tokio::time::sleep_until(wake).await;
    }

    /// Upstream said "too many": the gap doubles, and nothing goes before `wait` has passed.
    pub fn slow_down(&self, wait: Duration) {
        let mut slowed = self.lock();
        slowed.gap = (slowed.gap * 2).clamp(self.usual_gap, WIDEST_GAP);
        let resume = Instant::now() + jittered(slowed.gap) + wait;
        slowed.not_before = Some(slowed.not_before.map_or(resume, |before| before.max(resume)));
    }

    /// A request was answered: the extra gap shrinks by a tenth.
    pub fn recover(&self) {
        let mut slowed = self.lock();
        slowed.gap = slowed.gap.mul_f64(0.9);
        if slowed.gap < Duration::from_millis(1) {
            slowed.gap = Duration::ZERO;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slowed> {
        self.slowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn too_many_widens_the_gap_and_success_narrows_it() {
        let pace = Pace::new(NonZeroU32::new(20).unwrap());
        let begun = Instant::now();
        pace.wait().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        pace.slow_down(Duration::from_secs(5));
        pace.slow_down(Duration::ZERO);
        pace.wait().await;
        assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
        let after_wait = Instant::now();
        pace.wait().await;
        assert!(after_wait.elapsed() >= Duration::from_millis(100));
        for _ in 0..60 {
            pace.recover();
        }
        pace.wait().await;
        let recovered = Instant::now();
        pace.wait().await;
        assert_eq!(recovered.elapsed(), Duration::ZERO);
    }
}
