//! How long to wait before trying again, and the jitter that keeps waits from ending together.
//!
//! Must not know: what is tried.

use std::time::Duration;

/// How long a recording that has failed `attempts` times is left alone, before jitter: one minute, doubled with each
/// attempt up to six hours, and a day once its attempts are spent.
#[must_use]
pub fn retry_delay(attempts: u32, max_attempts: u32) -> Duration {
    if attempts >= max_attempts {
        return MAX_RETRY_DELAY;
    }
    let minutes = 1_u64 << attempts.saturating_sub(1).min(10);
    Duration::from_secs(60 * minutes).min(Duration::from_secs(6 * 3600))
}

/// The longest [`retry_delay`]. A row told to wait longer than this, jitter included, was written by a clock that
/// was wrong.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(24 * 3600);

/// `duration` made up to a quarter longer or shorter at random, so that waits that began together end apart.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_retry_waits_longer_each_time_and_never_beyond_the_longest(attempts in 0_u32..100, max in 1_u32..50) {
            let (now, next) = (retry_delay(attempts, max), retry_delay(attempts + 1, max));
            prop_assert!(now <= next && next <= MAX_RETRY_DELAY);
        }

        #[test]
        fn jitter_stays_within_a_quarter(ms in 0_u64..100_000_000) {
            let whole = Duration::from_millis(ms);
            let jittered = jittered(whole);
            prop_assert!(jittered >= whole.mul_f64(0.7499) && jittered <= whole.mul_f64(1.2501));
        }
    }
}
