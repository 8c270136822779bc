//! Builds the house from a configuration and runs it: as a daemon, as one pass, or only to look.
//!
//! The only room that knows all others. Must not know: the command line, how results are shown.

mod backup;
mod build;
mod daemon;
mod dry_run;
mod generation;
mod key_file;
mod listen;
mod notices;
mod once;
mod preflight;
mod rebuild;
mod reload;
mod status;
mod verify;
mod view;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use backup::Backup;
pub use backup::backup;
pub use dry_run::DryRunReport;
pub use dry_run::dry_run;
pub use listen::probe_life;
pub use listen::probe_readiness;
pub use notices::notifier;
pub use once::OnceReport;
pub use preflight::Finding;
pub use preflight::Level;
pub use preflight::PreflightOptions;
pub use preflight::preflight;
pub use rebuild::rebuild;
pub use reload::LoadAgain;
pub use reload::Reloads;
pub use verify::verify;
pub use verify::verify_and_repair;
pub use view::ArchiveView;
pub use witness::Counted;
pub use witness::witness;

use self::generation::Generation;
use self::generation::Ground;
use crate::catalog::CatalogReader;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::report::DrainReport;
use crate::lifecycle::Lifecycle;
pub use crate::notify::Notifier;
use crate::notify::Watching;
use crate::queue::Shared;
pub use crate::rebuild::Progress as RebuildProgress;
pub use crate::rebuild::RebuildReport;
pub use crate::standing::Observer;
pub use crate::web::AskError;
pub use crate::web::Reply;

/// After the hard stop, how long what cannot be broken off (a publish, its row) may take.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The house, built and swept, not yet running. Holds the archive's lock.
pub struct App {
    config: Config,
    ground: Ground,
    generation: Generation,
}

impl App {
    /// Opens the archive and its catalog, heals what a crash left, and wires the rest.
    ///
    /// # Errors
    /// The archive is in use, is another one, or cannot be written; the catalog is refused; TLS cannot be set up.
    pub async fn open(config: &Config, clock: SharedClock, observer: &Arc<Observer>) -> anyhow::Result<Self> {
        let store = build::open_store(config, &clock).await?;
        if store.cleared_staging() > 0 {
            tracing::info!(
                files = store.cleared_staging(),
                "removed unfinished files of an earlier run"
            );
        }
        for remark in store.remarks() {
            tracing::warn!(remark, "the archive's place should be looked at");
        }
        let ground = Ground {
            catalog: build::open_catalog(config, &store, &clock).await?,
            store,
            clock,
            queues: Shared::new(Arc::clone(observer.tallies())),
            observer: Arc::clone(observer),
        };
        let generation = Generation::build(config, &ground)?;
        let swept = generation.scheduler.sweep().await?;
        if swept.reclaimed > 0 {
            tracing::info!(
                recordings = swept.reclaimed,
                "took back what an earlier run was fetching when it ended"
            );
        }
        observer.look_at(generation.scene(config, &ground));
        Ok(Self {
            config: config.clone(),
            ground,
            generation,
        })
    }

    /// The read side of the catalog.
    #[must_use]
    pub fn reader(&self) -> CatalogReader {
        self.ground.catalog.reader()
    }

    /// What has been fetched so far, as it is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<DrainReport> {
        self.ground.queues.progress()
    }

    /// One who looks at how things stand from now on, and has `notifier` told.
    async fn watching(&self, notifier: &Arc<Notifier>) -> Watching {
        let (notifier, observer) = (Arc::clone(notifier), Arc::clone(&self.ground.observer));
        let archive_id = self.ground.store.archive_id().to_owned();
        Watching::begin(notifier, observer, self.reader(), archive_id).await
    }

    /// Closes the catalog; the archive's lock goes with `self`.
    async fn close(self) {
        self.ground.observer.leave();
        if let Err(error) = self.ground.catalog.close().await {
            tracing::warn!(%error, "the catalog did not close cleanly; nothing is lost, its log is read at the next start");
        }
    }
}

async fn overdue(life: &Lifecycle) {
    life.hard().cancelled().await;
    tokio::time::sleep(LAST_WAIT).await;
}

fn part_died(part: &str, error: &tokio::task::JoinError) -> anyhow::Error {
    let how = if error.is_panic() { "panicked" } else { "was cancelled" };
    anyhow::anyhow!("{part} {how}; this is a fault in birdkeep")
}
