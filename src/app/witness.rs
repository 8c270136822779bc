//! Upstream's own count of the recordings of each workspace: a second witness, asked once and never relied on.
//!
//! Must not know: what it is compared with, how it is shown.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::build::api_options;
use super::build::workspace_apis;
use crate::api::Api;
use crate::api::ApiError;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;

/// How long the witness is waited for, its retries included: what it says decides nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What upstream counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its counter.
    pub counter: u64,
    /// As of when, where upstream says so.
    pub counted_at: Option<Timestamp>,
}

/// Asks upstream for its own counter of each configured workspace, all at the same time. Where there is none to be had,
/// it is said why, in words. Takes 20 seconds at most.
pub async fn witness(config: &Config, clock: SharedClock) -> Vec<(WorkspaceName, Result<Counted, String>)> {
    let names = config.workspaces.iter().map(|workspace| workspace.name.clone());
    let api = match Api::new(api_options(config), clock, Arc::default()) {
        Ok(api) => api,
        Err(error) => return names.map(|name| (name, Err(chain(&error)))).collect(),
    };
    let apis = workspace_apis(config, &api);
    let asked = names.filter_map(|name| apis.get(&name).map(|api| (name, api)));
    join_all(asked.map(|(name, api)| async move {
        let said = match tokio::time::timeout(PATIENCE, api.recording_metrics()).await {
            Ok(Ok(metrics)) => Ok(Counted {
                counter: metrics.counter,
                counted_at: metrics.updated_at,
            }),
            Ok(Err(ApiError { what, .. })) => Err(what),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        (name, said)
    }))
    .await
}
