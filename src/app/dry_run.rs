//! What a pass would archive, without taking the archive's lock and without writing anything.
//!
//! Must not know: how the report is shown.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::build::api_options;
use super::build::workspace_apis;
use crate::api::Api;
use crate::api::Item;
use crate::api::ListQuery;
use crate::api::Page;
use crate::api::WorkspaceApi;
use crate::catalog::CatalogReader;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::StatusClass;
use crate::domain::state::State;
use crate::lister::Ended;
use crate::lister::Pages;

/// What a pass over one workspace would find.
#[derive(Debug, Clone, Default)]
pub struct DryRunReport {
    /// Items listed.
    pub listed: u64,
    /// Available, and archived already.
    pub archived: u64,
    /// Available, and would be archived.
    pub would_archive: u64,
    /// Not available yet.
    pub waiting: u64,
    /// Without media, now and later.
    pub without_media: u64,
    /// Would be set aside as not understood.
    pub set_aside: u64,
    /// Why the listing did not reach its end.
    pub failure: Option<String>,
}

/// Lists every workspace in full and compares with the catalog, where there is one.
///
/// # Errors
/// TLS cannot be set up, or an existing catalog cannot be read.
pub async fn dry_run(
    config: &Config,
    clock: SharedClock,
    soft: &CancellationToken,
) -> anyhow::Result<Vec<(WorkspaceName, DryRunReport)>> {
    let catalog_path = config.catalog_path(&config.archive.dir);
    let reader = if catalog_path.exists() {
        Some(
            CatalogReader::open(&catalog_path)
                .await
                .context("reading the catalog")?,
        )
    } else {
        None
    };
    let api = Api::new(api_options(config), clock, Arc::default())?;
    let workspaces = workspace_apis(config, &api);
    let mut reports = Vec::new();
    for workspace in &config.workspaces {
        let Some(api) = workspaces.get(&workspace.name) else {
            continue;
        };
        reports.push((
            workspace.name.clone(),
            survey(api, config, reader.as_ref(), soft).await?,
        ));
    }
    Ok(reports)
}

async fn survey(
    api: &WorkspaceApi,
    config: &Config,
    reader: Option<&CatalogReader>,
    soft: &CancellationToken,
) -> anyhow::Result<DryRunReport> {
    let mut report = DryRunReport::default();
    let query = ListQuery {
        start_at: config.sync.since,
        ..ListQuery::default()
    };
    let mut pages = Pages::new(api, query, u64::from(config.sync.max_pages));
    let ended = loop {
        match pages.next(soft).await {
            Ok(page) => {
                let known = known_states(api.name(), &page, reader).await?;
                page.items
                    .iter()
                    .for_each(|item| count(&mut report, item, config, &known));
            }
            Err(ended) => break ended,
        }
    };
    match ended {
        Ended::Complete => {}
        Ended::Stopped => report.failure = Some("stopped".to_owned()),
        Ended::Failed(error) => report.failure = Some(error.to_string()),
    }
    Ok(report)
}

async fn known_states(
    workspace: &WorkspaceName,
    page: &Page,
    reader: Option<&CatalogReader>,
) -> anyhow::Result<HashMap<RecordingId, State>> {
    let Some(reader) = reader else {
        return Ok(HashMap::new());
    };
    let ids: Vec<RecordingId> = page
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Understood(listed) => Some(listed.recording.id),
            Item::SetAside(_) => None,
        })
        .collect();
    reader.states_of(workspace, &ids).await.context("reading the catalog")
}

fn count(report: &mut DryRunReport, item: &Item, config: &Config, known: &HashMap<RecordingId, State>) {
    report.listed += 1;
    let recording = match item {
        Item::SetAside(_) => {
            report.set_aside += 1;
            return;
        }
        Item::Understood(listed) => &listed.recording,
    };
    if config.sync.since.is_some_and(|since| recording.created_at < since) {
        return;
    }
    let archived = known.get(&recording.id) == Some(&State::Archived);
    match recording.status.class() {
        _ if archived => report.archived += 1,
        StatusClass::Available => report.would_archive += 1,
        StatusClass::Pending => report.waiting += 1,
        StatusClass::NoMedia => report.without_media += 1,
    }
}
