//! A machine that does not take what is fetched: from the first refusal until it has refused nothing for a while.
//!
//! That a small file can be written does not show that a recording fits: a disk that is filled to near its reserve
//! refuses one and takes the next look. So what looks mended is on trial, with one recording at a time until one is stored,
//! and a refusal within it is the old fault, looked at again after a longer wait. Must not know: what is fetched, or how it is
//! logged.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a refusal; doubled up to [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(1);

/// The longest wait between looks at whether it is over.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long nothing may be refused before it is over.
const TRIAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is begun.
    Refused,
    /// It looks mended, and nothing was stored yet.
    OnTrial,
    /// Something was stored since.
    Storing,
}

/// A disk that does not take bodies, or a catalog that takes no writes, for now.
#[derive(Debug)]
pub(super) struct LocalFault {
    reason: String,
    rest: Duration,
    wake_at: Instant,
    stage: Stage,
}

impl LocalFault {
    pub fn new(reason: String, now: Instant) -> Self {
        Self {
            reason,
            rest: REST,
            wake_at: now + REST,
            stage: Stage::Refused,
        }
    }

    /// Why, as it was last said.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When it is to be looked at, or its trial ends.
    pub const fn wake_at(&self) -> Instant {
        self.wake_at
    }

    /// Whether nothing may be begun.
    pub fn forbids(&self) -> bool {
        self.stage == Stage::Refused
    }

    /// How many may be fetched at once, of so many.
    pub fn most_at_once(&self, usually: usize) -> usize {
        match self.stage {
            Stage::Refused => 0,
            Stage::OnTrial => usually.min(1),
            Stage::Storing => usually,
        }
    }

    /// Something was refused. What was under way before it is part of the same refusal.
    pub fn refused(&mut self, reason: String, now: Instant) {
        if !self.forbids() {
            self.still_refused(reason, now);
        }
    }

    /// A look found that it lasts.
    pub fn still_refused(&mut self, reason: String, now: Instant) {
        self.reason = reason;
        self.stage = Stage::Refused;
        self.rest = (self.rest * 2).min(LONGEST_REST);
        self.wake_at = now + self.rest;
    }

    /// A look found nothing; something else is to be waited for.
    pub fn look_later(&mut self, now: Instant) {
        self.wake_at = now + self.rest;
    }

    /// A look found nothing: it is tried out.
    pub fn try_out(&mut self, now: Instant) {
        self.stage = Stage::OnTrial;
        self.wake_at = now + TRIAL;
    }

    /// Something was stored.
    pub fn stored(&mut self) {
        if self.stage == Stage::OnTrial {
            self.stage = Stage::Storing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_within_a_trial_is_the_old_fault_and_is_looked_at_ever_later() {
        let mut now = Instant::now();
        let mut fault = LocalFault::new("full".to_owned(), now);
        let mut rests = Vec::new();
        for _ in 0..7 {
            assert_eq!((fault.forbids(), fault.most_at_once(16)), (true, 0));
            // What was in flight when it began says the same and puts nothing off.
            fault.refused("full as well".to_owned(), now);
            rests.push(fault.wake_at().duration_since(now).as_secs());
            now = fault.wake_at();
            fault.try_out(now);
            assert_eq!((fault.forbids(), fault.most_at_once(16)), (false, 1));
            fault.stored();
            assert_eq!(fault.most_at_once(16), 16);
            fault.refused("too large".to_owned(), now);
            assert_eq!(fault.reason(), "too large");
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30]);
    }
}
