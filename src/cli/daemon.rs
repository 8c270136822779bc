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
    let notifier = app::notifier(config)?;
    let ran = async {
        let app = App::open(config, Arc::clone(&clock), &Observer::new(clock)).await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"), workspaces = config.workspaces.len(),
            archive.dir = %config.archive.dir.display(), "birdkeep runs"
        );
        app.run(&life, &notifier).await
    };
    if let Err(error) = ran.await {
        notifier.fail(&format!("birdkeep ended: {error:#}")).await;
        return Err(error);
    }
    tracing::info!("birdkeep ended");
    Ok(Outcome::Well)
}
