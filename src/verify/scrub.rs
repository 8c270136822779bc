//! The daemon's own re-reading: a part of the archive a day, slowly.
//!
//! Must not know: who asks whether it is time.

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Scope;
use super::Verifier;
use super::VerifyError;
use super::VerifyOptions;
use super::VerifyProgress;
use super::VerifyReport;
use crate::catalog::Catalog;
use crate::domain::clock::SharedClock;
use crate::domain::tally::Tallies;
use crate::store::StoreReader;

/// Between the beginnings of two parts.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How the daemon re-reads.
#[derive(Debug, Clone, Copy)]
pub struct ScrubOptions {
    /// One part in so many a day.
    pub parts: NonZeroU32,
    /// Bytes a second at most.
    pub bytes_per_second: NonZeroU64,
}

/// Re-reads a part of the archive when a day has passed since the last.
pub struct Scrub {
    verifier: Verifier,
    catalog: Catalog,
    clock: SharedClock,
    options: ScrubOptions,
    tallies: Arc<Tallies>,
}

impl Scrub {
    /// Over this catalog and this archive.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        files: StoreReader,
        clock: SharedClock,
        options: ScrubOptions,
        tallies: Arc<Tallies>,
    ) -> Self {
        Self {
            verifier: Verifier::new(catalog.reader(), Some(catalog.clone()), files),
            catalog,
            clock,
            options,
            tallies,
        }
    }

    /// Re-reads a part if it is time: a day after the last began, or at once where that one was cut short or lies in the
    /// future of a wrong clock. Remembered over restarts.
    ///
    /// # Errors
    /// The catalog or the archive as a whole cannot be used.
    pub async fn run_if_due(&self, stop: &CancellationToken) -> Result<Option<VerifyReport>, VerifyError> {
        let now = self.clock.now();
        if let Some(last) = self.catalog.reader().last_by_daemon().await? {
            let waits = last.started_at <= now && now.since(last.started_at) < A_DAY;
            if waits && last.finished_at.is_some() {
                return Ok(None);
            }
        }
        let options = VerifyOptions {
            scope: Scope::Part(self.options.parts),
            workspaces: Vec::new(),
            bytes_per_second: Some(self.options.bytes_per_second),
            by_daemon: true,
        };
        let (progress, mut seen) = watch::channel(VerifyProgress::default());
        let mut reading = pin!(self.verifier.run(&options, now, stop, &progress));
        let mut bytes = 0;
        let report = loop {
            let ended = tokio::select! {
                ended = &mut reading => Some(ended),
                Ok(()) = seen.changed() => None,
            };
            let progress = *seen.borrow_and_update();
            self.tallies
                .reread(progress.checked, progress.bytes - bytes, progress.total);
            bytes = progress.bytes;
            if let Some(ended) = ended {
                break ended;
            }
        };
        self.tallies.end_rereading();
        Ok(Some(report?))
    }
}
