//! What each room is built with: its options out of the configuration, and the archive and catalog opened.
//!
//! Must not know: what the rooms do.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

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
use crate::config;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::reach::Reach;
use crate::domain::tally::Tallies;
use crate::fetcher::FetcherOptions;
use crate::lister::ListerOptions;
use crate::store::Store;
use crate::store::StoreOptions;
use crate::verify::Scrub;
use crate::verify::ScrubOptions;

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
    if !config.archive.durable {
        tracing::warn!("nothing is synced, as --not-durable asks: what is archived now may be lost with the power");
        catalog.without_syncs().await?;
    }
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

pub(super) fn scrub(
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
        durable: config.archive.durable,
    }
}

pub(super) fn api_options(config: &Config) -> ApiOptions {
    ApiOptions {
        base_url: config.api.base_url.clone(),
        page_size: config.api.page_size,
        requests_per_second: NonZeroU32::new(config.api.requests_per_second).unwrap_or(NonZeroU32::MIN),
        timeout: config.api.timeout,
        tries_again: true,
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
        concurrency: config.download.concurrency,
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

pub(super) fn lister_options(config: &Config) -> ListerOptions {
    ListerOptions {
        overlap: config.sync.overlap,
        since: config.sync.since,
        max_pages: u64::from(config.sync.max_pages),
    }
}
