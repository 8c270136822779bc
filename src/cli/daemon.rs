//! `birdkeep`: the daemon.

use anyhow::Result;

use super::Outcome;
use crate::app::App;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::lifecycle::Lifecycle;

pub(super) async fn run(config: Config, clock: SharedClock) -> Result<Outcome> {
    let life = Lifecycle::install(config.shutdown.grace)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let app = App::open(&config, clock).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), workspaces = config.workspaces.len(),
        archive.dir = %config.archive.dir.display(), "birdkeep runs"
    );
    app.run(&life).await?;
    tracing::info!("birdkeep ended");
    Ok(Outcome::Well)
}
