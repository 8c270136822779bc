//! The least rate of a body that is worth waiting for.
//!
//! Must not know: where bytes come from or go to.

use std::time::Duration;

use tokio::time::Instant;

use super::FetcherOptions;

/// Breaks off bodies that trickle: slower than the least rate over a whole stall timeout.
pub(super) struct RateFloor {
    window: Duration,
    least_bytes: u64,
    began: Instant,
    had_bytes: u64,
}

impl RateFloor {
    /// From now on, with so many bytes at hand.
    pub fn new(options: &FetcherOptions, had_bytes: u64) -> Self {
        Self {
            window: options.stall_timeout,
            least_bytes: options
                .min_rate_bytes_per_second
                .saturating_mul(options.stall_timeout.as_secs().max(1)),
            began: Instant::now(),
            had_bytes,
        }
    }

    /// Looks whether enough came since the last look.
    ///
    /// # Errors
    /// Too little, in words.
    pub fn check(&mut self, received: u64) -> Result<(), String> {
        if self.began.elapsed() < self.window {
            return Ok(());
        }
        let came = received.saturating_sub(self.had_bytes);
        if came < self.least_bytes {
            return Err(format!(
                "only {came} bytes came within {:?} (download.min_rate)",
                self.window
            ));
        }
        self.began = Instant::now();
        self.had_bytes = received;
        Ok(())
    }
}
