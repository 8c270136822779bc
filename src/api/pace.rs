//! How fast one workspace may be asked: a steady rate, slowed down where upstream says "too many".
//!
//! Who asks for what just arrived goes before all others: a poll waits for at most one request of a full walk or of a
//! backlog. The others stand in line, first come, first served. Must not know: what is asked.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use governor::Quota;
use governor::RateLimiter;
use governor::clock::Clock;
use tokio::sync::watch;
use tokio::time::Instant;

use super::tickets::Lane;
use crate::domain::backoff::jittered;

/// The widest extra gap between requests that "too many" can lead to.
const WIDEST_GAP: Duration = Duration::from_secs(10);

/// The pace of one workspace.
pub struct Pace {
    limiter: DefaultDirectRateLimiter,
    usual_gap: Duration,
    slowed: Mutex<Slowed>,
    /// Held by the first in line of those that have time.
    line: tokio::sync::Mutex<()>,
    /// How many are waiting that go before the line.
    ahead: watch::Sender<usize>,
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
            line: tokio::sync::Mutex::default(),
            ahead: watch::Sender::default(),
        }
    }

    /// Waits until the next request of this lane may go. Cancel-safe.
    pub async fn wait(&self, lane: Lane) {
        match lane {
            Lane::Fresh => {
                let _ahead = Ahead::of(&self.ahead);
                self.limiter.until_ready().await;
                self.wait_longer().await;
            }
            Lane::Backlog => {
                let _first_in_line = self.line.lock().await;
                self.let_pass().await;
                while let Err(not_yet) = self.limiter.check() {
                    tokio::time::sleep(not_yet.wait_time_from(self.limiter.clock().now())).await;
                    self.let_pass().await;
                }
                self.wait_longer().await;
            }
        }
    }

    /// Waits until nobody waits that goes before the line.
    async fn let_pass(&self) {
        // The sender lives as long as we do.
        let _ = self.ahead.subscribe().wait_for(|ahead| *ahead == 0).await;
    }

    /// Waits for as long as upstream is to be spared beyond the steady rate.
    async fn wait_longer(&self) {
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

/// One who waits before the line, until it is dropped.
struct Ahead<'a>(&'a watch::Sender<usize>);

impl<'a> Ahead<'a> {
    fn of(ahead: &'a watch::Sender<usize>) -> Self {
        ahead.send_modify(|ahead| *ahead += 1);
        Self(ahead)
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|ahead| *ahead -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Context;
    use std::task::Waker;

    use super::*;

    /// Whoever waits now, in the order given, in the order in which they may go.
    async fn order(pace: &Arc<Pace>, lanes: &[(&'static str, Lane)]) -> Vec<&'static str> {
        let gone = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, lane) in lanes.iter().copied() {
            let (pace, gone) = (Arc::clone(pace), Arc::clone(&gone));
            tasks.push(tokio::spawn(async move {
                pace.wait(lane).await;
                gone.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let gone = gone.lock().unwrap();
        gone.clone()
    }

    #[tokio::test]
    async fn what_just_arrived_goes_before_the_line_and_the_line_keeps_its_order() {
        let pace = Arc::new(Pace::new(NonZeroU32::new(5).unwrap()));
        while pace.limiter.check().is_ok() {}
        let (fresh, line) = (Lane::Fresh, Lane::Backlog);
        let waiting = [("one", line), ("two", line), ("three", line), ("a poll", fresh)];
        assert_eq!(order(&pace, &waiting).await, ["a poll", "one", "two", "three"]);
    }

    #[tokio::test]
    async fn a_poll_that_gave_up_waiting_holds_nobody_up() {
        let pace = Pace::new(NonZeroU32::new(20).unwrap());
        while pace.limiter.check().is_ok() {}
        {
            let mut poll = pin!(pace.wait(Lane::Fresh));
            assert!(poll.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(*pace.ahead.borrow(), 1);
        }
        pace.wait(Lane::Backlog).await;
        assert_eq!(*pace.ahead.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_widens_the_gap_and_success_narrows_it() {
        let pace = Pace::new(NonZeroU32::new(20).unwrap());
        let begun = Instant::now();
        pace.wait(Lane::Backlog).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        pace.slow_down(Duration::from_secs(5));
        pace.slow_down(Duration::ZERO);
        pace.wait(Lane::Backlog).await;
        assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
        let after_wait = Instant::now();
        pace.wait(Lane::Backlog).await;
        assert!(after_wait.elapsed() >= Duration::from_millis(100));
        for _ in 0..60 {
            pace.recover();
        }
        pace.wait(Lane::Backlog).await;
        let recovered = Instant::now();
        pace.wait(Lane::Backlog).await;
        assert_eq!(recovered.elapsed(), Duration::ZERO);
    }
}
