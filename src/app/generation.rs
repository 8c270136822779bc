//! The rooms that one configuration makes over an open archive: who lists, who fetches, and when.
//!
//! A new configuration makes a new generation; the old one finishes what it has in flight. Must not know: what may
//! change from one generation to the next.

use std::sync::Arc;

use tokio::sync::Notify;

use super::build;
use crate::api::Api;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceName;
use crate::fetcher::Fetcher;
use crate::lister::Lister;
use crate::queue::Queue;
use crate::queue::QueueOptions;
use crate::queue::Shared;
use crate::scheduler::Scheduler;
use crate::scheduler::SchedulerOptions;
use crate::standing::Observer;
use crate::standing::Scene;
use crate::store::Store;
use crate::sweep::Sweep;

/// What all generations of a process stand on.
#[derive(Clone)]
pub(super) struct Ground {
    pub store: Store,
    pub catalog: Catalog,
    pub clock: SharedClock,
    pub queues: Shared,
    pub observer: Arc<Observer>,
}

/// One configuration's rooms, built, not yet running.
pub(super) struct Generation {
    pub scheduler: Arc<Scheduler>,
    pub queue: Arc<Queue>,
    pub names: Vec<WorkspaceName>,
}

impl Generation {
    /// Builds the rooms. Nothing is sent and nothing written.
    ///
    /// # Errors
    /// TLS cannot be set up, or the archive cannot be read.
    pub fn build(config: &Config, ground: &Ground) -> anyhow::Result<Self> {
        let Ground {
            store,
            catalog,
            clock,
            queues,
            observer,
        } = ground;
        let tallies = observer.tallies();
        let names: Vec<WorkspaceName> = config
            .workspaces
            .iter()
            .map(|workspace| workspace.name.clone())
            .collect();
        let api = Api::new(build::api_options(config), Arc::clone(clock), Arc::clone(tallies))?;
        let workspaces = build::workspace_apis(config, &api);
        let due_hint = Arc::new(Notify::new());
        let fetcher = Fetcher::new(
            api,
            Arc::clone(&workspaces),
            store.clone(),
            build::fetcher_options(config),
            Arc::clone(tallies),
        )?;
        let queue = Queue::new(
            catalog.clone(),
            Arc::new(fetcher),
            Arc::clone(clock),
            QueueOptions {
                max_attempts: config.download.max_attempts,
            },
            names.clone(),
            Arc::clone(&due_hint),
            queues.clone(),
        );
        let lister = Lister::new(
            workspaces,
            catalog.clone(),
            Arc::clone(clock),
            build::lister_options(config),
            due_hint,
        );
        let scheduler = Scheduler::new(
            Arc::new(lister),
            Sweep::new(catalog.clone(), store.clone(), Arc::clone(clock)),
            build::scrub(config, catalog, store, Arc::clone(clock), tallies)?,
            SchedulerOptions {
                interval: config.sync.interval,
                full_walk_interval: config.sync.full_walk_interval,
            },
            Arc::clone(tallies),
        );
        Ok(Self {
            scheduler: Arc::new(scheduler),
            queue: Arc::new(queue),
            names,
        })
    }

    /// What is to be looked at while this generation works.
    pub fn scene(&self, config: &Config, ground: &Ground) -> Scene {
        Scene {
            reader: ground.catalog.reader(),
            store: ground.store.clone(),
            workspaces: self.names.clone(),
            stale_after: config.stale_after(),
        }
    }
}
