//! A configuration that changed while the daemon runs: what of it can be taken up, and what needs a restart.
//!
//! A configuration that is not taken up changes nothing. Must not know: where one comes from, how a generation ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::build::configured_workspaces;
use super::generation::Generation;
use crate::config::Config;
use crate::config::Loaded;
use crate::domain::ids::WorkspaceName;
use crate::lifecycle::Hangups;

/// How long reading it may take, as from a share that does not answer.
const LONGEST_READ: Duration = Duration::from_secs(10);

/// Reads the configuration again: a new one, or all that is wrong with it, a fault a line.
pub type LoadAgain = Arc<dyn Fn() -> Result<Loaded, Vec<String>> + Send + Sync>;

/// When the configuration is read again, and how.
pub struct Reloads {
    /// Asks for it.
    pub asked: Hangups,
    /// Reads it. Blocks.
    pub load: LoadAgain,
}

/// One reading at a time: a file system that hangs costs one thread, however often it is asked.
#[derive(Clone)]
pub(super) struct Reading {
    load: LoadAgain,
    idle: Arc<Semaphore>,
}

impl Reading {
    pub(super) fn new(load: LoadAgain) -> Self {
        Self {
            load,
            idle: Arc::new(Semaphore::new(1)),
        }
    }

    async fn read(&self, patience: Duration) -> anyhow::Result<Result<Loaded, Vec<String>>> {
        let permit = Arc::clone(&self.idle)
            .try_acquire_owned()
            .context("the configuration or a key file is still being read since the last time")?;
        let load = Arc::clone(&self.load);
        let read = tokio::task::spawn_blocking(move || {
            let loaded = load();
            drop(permit);
            loaded
        });
        tokio::time::timeout(patience, read)
            .await
            .with_context(|| format!("the configuration and its key files could not be read within {patience:?}"))?
            .context("reading the configuration")
    }
}

impl App {
    /// Reads the configuration again and builds its rooms. `None` where it is refused, which is told, or where `soft` comes
    /// before it is read: the old one is in force.
    pub(super) async fn next_generation(&mut self, reading: &Reading, soft: &CancellationToken) -> Option<Generation> {
        let read = tokio::select! {
            read = reading.read(LONGEST_READ) => read,
            () = soft.cancelled() => return None,
        };
        let loaded = read.unwrap_or_else(|error| Err(vec![format!("{error:#}")]));
        match self.try_next_generation(loaded).await {
            Ok(generation) => Some(generation),
            Err(faults) => {
                for fault in &faults {
                    tracing::error!(fault, "the new configuration has a fault");
                }
                tracing::error!(
                    faults = faults.len(),
                    "the new configuration is refused; the old one runs on"
                );
                None
            }
        }
    }

    async fn try_next_generation(&mut self, loaded: Result<Loaded, Vec<String>>) -> Result<Generation, Vec<String>> {
        let told = |error: anyhow::Error| vec![format!("{error:#}")];
        let loaded = loaded?;
        for warning in &loaded.warnings {
            tracing::warn!(remark = warning, "the configuration is allowed, and unwise");
        }
        let config = loaded.config;
        let fixed = needs_a_restart(&self.config, &config);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let generation = Generation::build(&config, &self.ground).map_err(told)?;
        let workspaces = configured_workspaces(&config);
        let registered = self.ground.catalog.register_workspaces(&workspaces).await;
        registered.map_err(|error| told(error.into()))?;
        self.ground.store.set_min_free_bytes(config.archive.min_free_bytes);
        for workspace in config
            .workspaces
            .iter()
            .filter(|workspace| !holds(&self.config, &workspace.name))
        {
            self.ground
                .observer
                .tallies()
                .workspace(&workspace.name)
                .forget_troubles();
        }
        self.ground.observer.look_at(generation.scene(&config, &self.ground));
        let (added, removed) = (lacking(&self.config, &config), lacking(&config, &self.config));
        tracing::info!(
            workspaces = config.workspaces.len(),
            added,
            removed,
            "the new configuration is taken up"
        );
        self.config = config;
        Ok(generation)
    }
}

fn holds(config: &Config, name: &WorkspaceName) -> bool {
    config.workspaces.iter().any(|workspace| workspace.name == *name)
}

/// The names of the workspaces of `other` that are not in `config`.
fn lacking(config: &Config, other: &Config) -> String {
    let names = other.workspaces.iter().map(|workspace| &workspace.name);
    let lacking: Vec<&str> = names
        .filter(|name| !holds(config, name))
        .map(WorkspaceName::as_str)
        .collect();
    lacking.join(",")
}

/// What a running daemon cannot change, a line for each: it holds the archive, the catalog and the port open.
fn needs_a_restart(old: &Config, new: &Config) -> Vec<String> {
    let changed = [
        ("archive.dir", old.archive.dir != new.archive.dir),
        (
            "archive.id",
            new.archive.id.is_some() && old.archive.id != new.archive.id,
        ),
        (
            "archive.group_readable",
            old.archive.group_readable != new.archive.group_readable,
        ),
        ("catalog.path", old.catalog.path != new.catalog.path),
        ("http.listen", old.http.listen != new.http.listen),
        ("notify", !old.notify.is(&new.notify)),
        ("shutdown.grace", old.shutdown.grace != new.shutdown.grace),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| {
            format!("{key} has changed, which takes a restart; restart birdkeep, or put the old value back")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test]
    async fn a_reading_that_hangs_is_one_however_often_it_is_asked() {
        let begun = Arc::new(AtomicUsize::new(0));
        let (hangs, hung) = std::sync::mpsc::channel::<()>();
        let (counted, hung) = (Arc::clone(&begun), std::sync::Mutex::new(hung));
        let reading = Reading::new(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(hung.lock().map(|hung| hung.recv()));
            Err(Vec::new())
        }));
        for _ in 0..5 {
            assert!(reading.read(Duration::from_millis(20)).await.is_err());
        }
        drop(hangs);
        let free = Arc::clone(&reading.idle).acquire_owned().await.unwrap();
        drop(free);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(reading.read(LONGEST_READ).await.is_ok());
    }
}
