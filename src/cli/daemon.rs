//! `birdkeep`: the daemon.

use std::sync::Arc;

use anyhow::Result;

use super::Outcome;
use crate::app;
use crate::app::App;
use crate::app::Observer;
use crate::config::Loaded;
use crate::domain::clock::SharedClock;
use crate::lifecycle::Lifecycle;

pub(super) async fn run(loaded: &Loaded, clock: SharedClock) -> Result<Outcome> {
    let config = &loaded.config;
    let life = Lifecycle::install(config.shutdown.grace)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let observer = Observer::new(Arc::clone(&clock));
    let app = App::open(config, clock, &observer).await?;
    let web = app::listen(config, &observer).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), workspaces = config.workspaces.len(),
        archive.dir = %config.archive.dir.display(), "birdkeep runs"
    );
    let ended = app.run(&life).await;
    web.close().await;
    ended?;
    tracing::info!("birdkeep ended");
    Ok(Outcome::Well)
}
