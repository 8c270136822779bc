//! Heals what a crash or a wrong clock left in the catalog, and writes sidecars anew whose metadata upstream changed.
//!
//! What a crash left in staging is cleared where the store is opened; what it left published is adopted where the
//! recording is fetched. Must not know: upstream, downloads.

use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::domain::backoff::MAX_RETRY_DELAY;
use crate::domain::clock::SharedClock;
use crate::domain::explain::chain;
use crate::domain::finding::FindingKind;
use crate::store::Kept;
use crate::store::Store;

/// What a sweep changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Claims of processes that are no more, given back.
    pub reclaimed: u64,
    /// Waits so long that only a wrong clock can have set them, ended.
    pub healed_waits: u64,
}

/// Sidecars brought up to date in one go.
const SIDECARS_AT_ONCE: u32 = 64;

/// Heals the catalog and keeps the sidecars level with it. Holding the archive's lock is what makes every claim of another run a dead one.
pub struct Sweep {
    catalog: Catalog,
    store: Store,
    clock: SharedClock,
}

impl Sweep {
    /// A sweep over this catalog.
    #[must_use]
    pub const fn new(catalog: Catalog, store: Store, clock: SharedClock) -> Self {
        Self { catalog, store, clock }
    }

    /// Sweeps once. Repeatable, and safe to abandon at any point.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub async fn run(&self) -> Result<SweepReport, CatalogError> {
        let reclaimed = self.catalog.reclaim().await?;
        // Half as long again: the longest wait plus its jitter.
        let healed_waits = self
            .catalog
            .heal_waits(self.clock.now(), MAX_RETRY_DELAY.mul_f64(1.5))
            .await?;
        self.catalog.heal_readings(self.clock.now()).await?;
        self.end_repairs().await?;
        Ok(SweepReport {
            reclaimed,
            healed_waits,
        })
    }

    /// Ends repairs that a crash cut short: those that moved the body, as what they are; the others never were.
    async fn end_repairs(&self) -> Result<(), CatalogError> {
        for repair in self.catalog.reader().unfinished_repairs().await? {
            let only_sidecar = repair.kind == FindingKind::Sidecar;
            let moved = match self.store.is_taken(&repair.key).await {
                Ok(taken) => !taken,
                Err(error) => {
                    tracing::debug!(path = %repair.key, error = %chain(&error), "a repair could not be ended yet");
                    continue;
                }
            };
            if moved || only_sidecar {
                // What was moved and is not durable yet would come back under a row that says otherwise.
                let what = if only_sidecar { Kept::Sidecar } else { Kept::Both };
                if repair.kind != FindingKind::Missing
                    && let Err(error) = self.store.keep(&repair.key, &repair.kept_path, what).await
                {
                    tracing::debug!(path = %repair.key, error = %chain(&error), "a repair could not be ended yet");
                    continue;
                }
                self.catalog.finish_repair(&repair).await?;
            } else {
                self.catalog.abandon_repair(&repair).await?;
            }
        }
        Ok(())
    }

    /// Writes every sidecar anew that holds older metadata than the catalog; returns how many. One that cannot be written
    /// stays as it is until the next time. `stop` ends it between two of them. Repeatable, and safe to abandon at any
    /// point: what is noted as written is on the disk.
    ///
    /// # Errors
    /// The catalog cannot be read or written.
    pub async fn refresh_sidecars(&self, stop: &CancellationToken) -> Result<u64, CatalogError> {
        let (reader, mut last, mut written) = (self.catalog.reader(), None, 0);
        loop {
            let stale = reader.stale_sidecars(last.as_ref(), SIDECARS_AT_ONCE).await?;
            let Some(newest) = stale.last().cloned() else {
                return Ok(written);
            };
            last = Some(newest);
            let mut done = Vec::with_capacity(stale.len());
            for sidecar in stale {
                if stop.is_cancelled() {
                    break;
                }
                let (object, metadata, history) = (
                    sidecar.object.clone(),
                    sidecar.metadata.clone(),
                    sidecar.history.clone(),
                );
                match self.store.describe_again(object, metadata, history).await {
                    Ok(()) => done.push(sidecar),
                    Err(error) => {
                        let error = chain(&error);
                        tracing::debug!(path = %sidecar.object.key, error, "a sidecar could not be written anew");
                    }
                }
            }
            written += done.len() as u64;
            self.catalog.note_sidecars(&done).await?;
            if stop.is_cancelled() {
                return Ok(written);
            }
        }
    }
}
