//! Puts the rooms together: options out of the configuration, and every room out of those below it.
//!
//! Must not know: what the rooms do.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Notify;

use super::key_file::KeyFile;
use crate::api::Api;
use crate::api::ApiOptions;
use crate::api::Credential;
use crate::api::ItemLimits;
use crate::api::Scheme;
use crate::api::WorkspaceAccess;
use crate::api::WorkspaceApi;
use crate::catalog::Catalog;
use crate::catalog::CatalogOptions;
use crate::catalog::CatalogReader;
use crate::config;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::reach::Reach;
use crate::domain::tally::Tallies;
use crate::fetcher::Fetcher;
use crate::fetcher::FetcherOptions;
use crate::lister::Lister;
use crate::lister::ListerOptions;
use crate::queue::Queue;
use crate::queue::QueueOptions;
use crate::scheduler::Scheduler;
use crate::scheduler::SchedulerOptions;
use crate::standing::Observer;
use crate::standing::Scene;
use crate::store::Store;
use crate::store::StoreOptions;
use crate::sweep::Sweep;
use crate::verify::Scrub;
use crate::verify::ScrubOptions;

/// The house, built and swept, not yet running. Holds the archive's lock.
pub struct App {
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) queue: Arc<Queue>,
    pub(super) reader: CatalogReader,
    pub(super) names: Vec<WorkspaceName>,
    pub(super) catalog: Catalog,
    pub(super) store: Store,
    pub(super) observer: Arc<Observer>,
}

impl App {
    /// Opens the archive and its catalog, heals what a crash left, and wires the rest.
    ///
    /// # Errors
    /// The archive is in use, is another one, or cannot be written; the catalog is refused; TLS cannot be set up.
    pub async fn open(config: &Config, clock: SharedClock, observer: &Arc<Observer>) -> anyhow::Result<Self> {
        let tallies = observer.tallies();
        let store = open_store(config, &clock).await?;
        tell_store(&store);
        let catalog = open_catalog(config, &store, &clock).await?;
        let names: Vec<WorkspaceName> = config
            .workspaces
            .iter()
            .map(|workspace| workspace.name.clone())
            .collect();
        let api = Api::new(api_options(config), Arc::clone(&clock), Arc::clone(tallies))?;
        let workspaces = workspace_apis(config, &api);
        let due_hint = Arc::new(Notify::new());
        let fetcher = Fetcher::new(
            api,
            Arc::clone(&workspaces),
            store.clone(),
            fetcher_options(config),
            Arc::clone(tallies),
        )?;
        let queue = Queue::new(
            catalog.clone(),
            Arc::new(fetcher),
            Arc::clone(&clock),
            QueueOptions {
                concurrency: config.download.concurrency,
                max_attempts: config.download.max_attempts,
            },
            names.clone(),
            Arc::clone(&due_hint),
            Arc::clone(tallies),
        );
        let lister = Lister::new(
            workspaces,
            catalog.clone(),
            Arc::clone(&clock),
            lister_options(config),
            due_hint,
        );
        let scheduler = Scheduler::new(
            Arc::new(lister),
            Sweep::new(catalog.clone(), store.clone(), Arc::clone(&clock)),
            scrub(config, &catalog, &store, clock, tallies)?,
            SchedulerOptions {
                interval: config.sync.interval,
                full_walk_interval: config.sync.full_walk_interval,
            },
            Arc::clone(tallies),
        );
        heal(&scheduler).await?;
        observer.look_at(Scene {
            reader: catalog.reader(),
            store: store.clone(),
            workspaces: names.clone(),
            stale_after: config.stale_after(),
        });
        Ok(Self {
            reader: catalog.reader(),
            scheduler: Arc::new(scheduler),
            queue: Arc::new(queue),
            names,
            catalog,
            store,
            observer: Arc::clone(observer),
        })
    }

    /// The read side of the catalog.
    #[must_use]
    pub fn reader(&self) -> CatalogReader {
        self.reader.clone()
    }

    /// Closes the catalog; the archive's lock goes with `self`.
    pub(super) async fn close(self) {
        self.observer.leave();
        if let Err(error) = self.catalog.close().await {
            tracing::warn!(%error, "the catalog did not close cleanly; nothing is lost, its log is read at the next start");
        }
        drop(self.store);
    }
}

/// Heals the catalog before anything else runs.
async fn heal(scheduler: &Scheduler) -> anyhow::Result<()> {
    let swept = scheduler.sweep().await?;
    if swept.reclaimed > 0 {
        tracing::info!(
            recordings = swept.reclaimed,
            "took back what an earlier run was fetching when it ended"
        );
    }
    Ok(())
}

/// Tells what was found when the archive was opened.
fn tell_store(store: &Store) {
    if store.cleared_staging() > 0 {
        tracing::info!(
            files = store.cleared_staging(),
            "removed unfinished files of an earlier run"
        );
    }
    for remark in store.remarks() {
        tracing::warn!("{remark}");
    }
}

/// Opens the archive as its only writer.
pub(super) async fn open_store(config: &Config, clock: &SharedClock) -> anyhow::Result<Store> {
    let mut options = store_options(config, clock);
    if let (None, Some(catalog)) = (&options.expected_id, &config.catalog.path) {
        // A catalog that lies elsewhere knows its archive: the place may be one whose volume is not mounted.
        options.expected_id = Catalog::archive_of(catalog).await?;
    }
    let opened = tokio::task::spawn_blocking(move || Store::open(&options));
    Ok(opened.await.context("opening the archive")??)
}

pub(super) async fn open_catalog(config: &Config, store: &Store, clock: &SharedClock) -> anyhow::Result<Catalog> {
    if let Some(elsewhere) = config
        .catalog
        .path
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned)
        && elsewhere.exists()
    {
        tokio::task::spawn_blocking(move || Store::check_place(&elsewhere))
            .await
            .context("looking at the catalog's folder")??;
    }
    let store_for_look = store.clone();
    let recordings_exist = tokio::task::spawn_blocking(move || store_for_look.has_recordings())
        .await
        .context("looking for recordings")?
        .context("cannot look for recordings in the archive")?;
    let catalog = Catalog::open(catalog_options(config, store, clock, recordings_exist)).await?;
    catalog.register_workspaces(&configured_workspaces(config)).await?;
    Ok(catalog)
}

pub(super) fn catalog_options(
    config: &Config,
    store: &Store,
    clock: &SharedClock,
    recordings_exist: bool,
) -> CatalogOptions {
    CatalogOptions {
        path: config.catalog_path(store.dir()),
        archive_id: store.archive_id().to_owned(),
        recordings_exist,
        group_readable: config.archive.group_readable,
        clock: Arc::clone(clock),
        run_id: fastrand::i64(1..),
    }
}

pub(super) fn configured_workspaces(config: &Config) -> Vec<(WorkspaceName, WorkspaceId)> {
    let workspaces = config.workspaces.iter();
    workspaces
        .map(|workspace| (workspace.name.clone(), workspace.id.clone()))
        .collect()
}

fn scrub(
    config: &Config,
    catalog: &Catalog,
    store: &Store,
    clock: SharedClock,
    tallies: &Arc<Tallies>,
) -> anyhow::Result<Option<Scrub>> {
    let Some(parts) = config.verify.parts else {
        return Ok(None);
    };
    let options = ScrubOptions {
        parts,
        bytes_per_second: config.verify.bytes_per_second,
    };
    Ok(Some(Scrub::new(
        catalog.clone(),
        store.reader()?,
        clock,
        options,
        Arc::clone(tallies),
    )))
}

pub(super) fn store_options(config: &Config, clock: &SharedClock) -> StoreOptions {
    StoreOptions {
        dir: config.archive.dir.clone(),
        expected_id: config.archive.id.clone(),
        group_readable: config.archive.group_readable,
        min_free_bytes: config.archive.min_free_bytes,
        clock: Arc::clone(clock),
    }
}

pub(super) fn api_options(config: &Config) -> ApiOptions {
    ApiOptions {
        base_url: config.api.base_url.clone(),
        page_size: config.api.page_size,
        requests_per_second: NonZeroU32::new(config.api.requests_per_second).unwrap_or(NonZeroU32::MIN),
        timeout: config.api.timeout,
        max_page_bytes: config.api.max_page_bytes,
        roots: config.tls.extra_roots.clone(),
        items: ItemLimits {
            max_page_items: config.api.max_page_items,
            max_item_bytes: config.api.max_item_bytes,
            max_json_depth: config.api.max_json_depth,
            kept_item_bytes: config.api.kept_item_bytes,
        },
    }
}

pub(super) fn workspace_apis(config: &Config, api: &Arc<Api>) -> Arc<HashMap<WorkspaceName, WorkspaceApi>> {
    let apis = config.workspaces.iter().map(|workspace| {
        let access = WorkspaceAccess {
            name: workspace.name.clone(),
            id: workspace.id.clone(),
            credential: Credential {
                scheme: match workspace.credential.scheme {
                    config::Scheme::AccessKey => Scheme::AccessKey,
                    config::Scheme::Bearer => Scheme::Bearer,
                },
                secret: workspace.credential.secret.clone(),
                source: KeyFile::of(&workspace.credential),
            },
        };
        (workspace.name.clone(), api.workspace(access))
    });
    Arc::new(apis.collect())
}

pub(super) fn fetcher_options(config: &Config) -> FetcherOptions {
    FetcherOptions {
        reach: Arc::new(Reach {
            allowed_hosts: config.download.allowed_hosts.clone(),
            private_hosts: config.download.private_hosts.clone(),
            proxy_hosts: config.proxy_hosts.clone(),
        }),
        roots: config.tls.extra_roots.clone(),
        expiry_margin: config.download.expiry_margin,
        stall_timeout: config.download.stall_timeout,
        total_timeout: config.download.total_timeout,
        min_rate_bytes_per_second: config.download.min_rate_bytes_per_second,
        max_bytes: config.download.max_bytes,
        max_redirects: u32::try_from(config.download.max_redirects).unwrap_or(u32::MAX),
    }
}

fn lister_options(config: &Config) -> ListerOptions {
    ListerOptions {
        overlap: config.sync.overlap,
        since: config.sync.since,
        max_pages: u64::from(config.sync.max_pages),
    }
}
