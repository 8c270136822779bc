//! Heals what a crash or a wrong clock left in the catalog.
//!
//! What a crash left in staging is cleared where the store is opened; what it left published is adopted where the
//! recording is fetched. Must not know: upstream, downloads.

use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::domain::backoff::MAX_RETRY_DELAY;
use crate::domain::clock::SharedClock;

/// What a sweep changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Claims of processes that are no more, given back.
    pub reclaimed: u64,
    /// Waits so long that only a wrong clock can have set them, ended.
    pub healed_waits: u64,
}

/// Heals the catalog. Holding the archive's lock is what makes every claim of another run a dead one.
pub struct Sweep {
    catalog: Catalog,
    clock: SharedClock,
}

impl Sweep {
    /// A sweep over this catalog.
    #[must_use]
    pub const fn new(catalog: Catalog, clock: SharedClock) -> Self {
        Self { catalog, clock }
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
        Ok(SweepReport {
            reclaimed,
            healed_waits,
        })
    }
}
