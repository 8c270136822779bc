//! `rebuild`, wired: the archive locked, its catalog made again where there is none.
//!
//! Must not know: how progress and report are shown.

use anyhow::Context;
use anyhow::anyhow;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::App;
use super::build::catalog_options;
use super::build::configured_workspaces;
use super::build::store_options;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::explain::chain;
use crate::rebuild;
use crate::rebuild::Progress;
use crate::rebuild::RebuildError;
use crate::rebuild::RebuildOptions;
use crate::rebuild::RebuildReport;
use crate::store::Store;

/// Makes the configured archive's catalog again. Holds the archive's lock meanwhile.
///
/// # Errors
/// There is no archive, it is in use, it has a catalog, or the work cannot be done.
pub async fn rebuild(
    config: &Config,
    clock: SharedClock,
    quick: bool,
    progress: watch::Sender<Progress>,
    stop: &CancellationToken,
) -> anyhow::Result<RebuildReport> {
    let mut options = store_options(config, &clock);
    let dir = options.dir.clone();
    let (store, reader) = tokio::task::spawn_blocking(move || {
        if !options.dir.is_dir() {
            return Err(anyhow!("there is no archive at {}", options.dir.display()));
        }
        // A new archive would be made in an empty place, such as one whose volume is not mounted.
        let found = Store::look(&options.dir)?.id.ok_or_else(|| {
            let dir = options.dir.display();
            anyhow!("there is no archive at {dir}: it has no archive.json; is its volume mounted?")
        })?;
        options.expected_id.get_or_insert(found);
        let store = Store::open(&options)?;
        let reader = store.reader()?;
        Ok((store, reader))
    })
    .await
    .context("opening the archive")?
    .with_context(|| format!("cannot rebuild the catalog of {}", dir.display()))?;
    let options = RebuildOptions {
        catalog: catalog_options(config, &store, &clock, true),
        workspaces: configured_workspaces(config),
        quick,
    };
    Ok(rebuild::rebuild(&store, &reader, options, &progress, stop).await?)
}

impl App {
    /// Whether the catalog is a restored copy that was not brought level with the archive yet.
    pub(super) async fn is_copy(&self) -> anyhow::Result<bool> {
        let copied_at = self.reader().copied_at().await;
        Ok(copied_at.context("cannot read the catalog")?.is_some())
    }

    /// Brings a restored catalog level with the archive, and says what was not; `false` when told to stop before the end.
    pub(super) async fn reconcile(&self, stop: &CancellationToken) -> anyhow::Result<bool> {
        if !self.is_copy().await? {
            return Ok(true);
        }
        tracing::info!("the catalog is a restored copy: it is brought level with the archive before anything else");
        let store = self.ground.store.clone();
        let reader = tokio::task::spawn_blocking(move || store.reader())
            .await
            .context("opening the archive")??;
        match rebuild::reconcile(&self.ground.catalog, &self.ground.store, &reader, stop).await {
            Ok(Some(report)) => {
                tracing::warn!(copied_at = %report.copied_at, adopted = report.adopted,
                    adopted_bytes = report.adopted_bytes, missing = report.missing, damaged = report.damaged,
                    different = report.different, without_body = report.without_body, unusable = report.unusable,
                    "the catalog was restored from a copy and is now level with the archive; nothing was overwritten, and \
                     what is missing or damaged is told by `birdkeep verify`");
                Ok(true)
            }
            Ok(None) => Ok(true),
            Err(RebuildError::Stopped) => {
                tracing::info!(
                    "stopped before the restored catalog was level with the archive; the next start begins again"
                );
                Ok(false)
            }
            Err(error) => Err(anyhow!(
                "the restored catalog cannot be brought level with the archive: {}",
                chain(&error)
            )),
        }
    }
}
