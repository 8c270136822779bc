//! An archive as the commands that only look see it, beside a running daemon or without one.
//!
//! Must not know: what is looked for.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;

use crate::catalog::Catalog;
use crate::catalog::CatalogOptions;
use crate::catalog::CatalogReader;
use crate::config::Config;
use crate::domain::clock::SystemClock;
use crate::store::ArchiveGlance;
use crate::store::Store;

/// An archive's read side.
pub struct ArchiveView {
    /// Where it lies.
    pub dir: PathBuf,
    /// What its marker and its file system say.
    pub glance: ArchiveGlance,
    /// Its catalog.
    pub reader: CatalogReader,
}

impl ArchiveView {
    /// Looks at the configured archive. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// There is no archive, or its catalog cannot be read.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let dir = config.archive.dir.clone();
        if !dir.is_dir() {
            return Err(anyhow!(
                "there is no archive at {}; is archive.dir right, and has birdkeep run there yet?",
                dir.display()
            ));
        }
        let look_at = dir.clone();
        let glance = tokio::task::spawn_blocking(move || Store::look(&look_at))
            .await
            .context("looking at the archive")??;
        if let Some(expected) = &config.archive.id
            && glance.id.as_ref() != Some(expected)
        {
            return Err(anyhow!(
                "{} is not the archive {expected} that the configuration names; is its volume mounted?",
                dir.display()
            ));
        }
        let reader = CatalogReader::open(&config.catalog_path(&dir)).await?;
        Ok(Self { dir, glance, reader })
    }

    /// The catalog for one short write, which a running daemon allows.
    ///
    /// # Errors
    /// The catalog is refused.
    pub async fn writer(&self, config: &Config) -> anyhow::Result<Catalog> {
        let id = self
            .glance
            .id
            .clone()
            .ok_or_else(|| anyhow!("the archive has no marker"))?;
        let options = CatalogOptions {
            path: config.catalog_path(&self.dir),
            archive_id: id,
            recordings_exist: true,
            group_readable: config.archive.group_readable,
            clock: Arc::new(SystemClock),
            run_id: fastrand::i64(1..),
        };
        Ok(Catalog::open_beside_writer(options).await?)
    }
}
