//! `birdkeep`: the daemon.

use std::sync::Arc;

use anyhow::Result;

use super::Outcome;
use super::hide_secrets;
use super::select_workspaces;
use crate::app;
use crate::app::App;
use crate::app::LoadAgain;
use crate::app::Observer;
use crate::app::Reloads;
use crate::config::Config;
use crate::config::Loaded;
use crate::config::Sources;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceName;
use crate::lifecycle;
use crate::lifecycle::Hangups;
use crate::lifecycle::Lifecycle;

pub(super) async fn run(
    loaded: &Loaded,
    sources: Sources,
    selected: Vec<WorkspaceName>,
    clock: SharedClock,
) -> Result<Outcome> {
    let config = &loaded.config;
    let life = Lifecycle::install(config.shutdown.grace)?;
    let asked = Hangups::install()?;
    for warning in &loaded.warnings {
        tracing::warn!(remark = warning, "the configuration is allowed, and unwise");
    }
    let notifier = app::notifier(config)?;
    let load: LoadAgain = Arc::new(move || load_again(&sources, &selected));
    let ran = async {
        let observer = Observer::new(Arc::clone(&clock));
        lifecycle::status("starting: opening the archive and its catalog");
        let app = App::open(config, clock, &observer).await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"), workspaces = config.workspaces.len(),
            archive.dir = %config.archive.dir.display(), "birdkeep runs"
        );
        app.run(&life, &notifier, Some(Reloads { asked, load })).await
    };
    if let Err(error) = ran.await {
        notifier.fail(&format!("birdkeep ended: {error:#}")).await;
        return Err(error);
    }
    tracing::info!("birdkeep ended");
    Ok(Outcome::Well)
}

/// The configuration as it is now, its secrets hidden before anyone can log one.
fn load_again(sources: &Sources, selected: &[WorkspaceName]) -> Result<Loaded, Vec<String>> {
    let mut loaded =
        Config::load(sources).map_err(|faults| faults.faults().iter().map(ToString::to_string).collect::<Vec<_>>())?;
    select_workspaces(&mut loaded.config, selected).map_err(|complaint| vec![complaint])?;
    hide_secrets(&loaded.config);
    Ok(loaded)
}
