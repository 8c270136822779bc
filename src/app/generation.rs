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
use crate::store::Store;
use crate::sweep::Sweep;

/// What all generations of a process stand on.
#[derive(Clone)]
pub(super) struct Ground {
    pub store: Store,
    pub catalog: Catalog,
    pub clock: SharedClock,
    pub queues: Shared,
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
        } = ground;
        let names: Vec<WorkspaceName> = config
            .workspaces
            .iter()
            .map(|workspace| workspace.name.clone())
            .collect();
        let api = Api::new(build::api_options(config), Arc::clone(clock))?;
        let workspaces = build::workspace_apis(config, &api);
        let due_hint = Arc::new(Notify::new());
        let fetcher = Fetcher::new(
            api,
            Arc::clone(&workspaces),
            store.clone(),
            build::fetcher_options(config),
        )?;
        let queue = Queue::new(
            catalog.clone(),
            Arc::new(fetcher),
            Arc::clone(clock),
            QueueOptions {
                concurrency: config.download.concurrency,
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
            build::scrub(config, catalog, store, Arc::clone(clock))?,
            SchedulerOptions {
                interval: config.sync.interval,
                full_walk_interval: config.sync.full_walk_interval,
            },
        );
        Ok(Self {
            scheduler: Arc::new(scheduler),
            queue: Arc::new(queue),
            names,
        })
    }
}
