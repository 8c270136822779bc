//! Which workspaces there are, as far as configuration, catalog and sidecars tell.
//!
//! Must not know: files.

use std::collections::BTreeMap;

use super::error::RebuildError;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;

/// Names and ids of workspaces, each name with one id.
#[derive(Debug, Clone, Default)]
pub(super) struct Workspaces(BTreeMap<WorkspaceName, WorkspaceId>);

impl Workspaces {
    pub(super) fn new(known: impl IntoIterator<Item = (WorkspaceName, WorkspaceId)>) -> Self {
        Self(known.into_iter().collect())
    }

    pub(super) fn id_of(&self, name: &WorkspaceName) -> Option<&WorkspaceId> {
        self.0.get(name)
    }

    /// Learns what a sidecar says.
    ///
    /// # Errors
    /// Another id is known under the name.
    pub(super) fn learn(&mut self, name: &WorkspaceName, id: &WorkspaceId, path: &str) -> Result<(), RebuildError> {
        let known = self.0.entry(name.clone()).or_insert_with(|| id.clone());
        if known == id {
            return Ok(());
        }
        Err(RebuildError::WorkspaceIdChanged {
            name: name.clone(),
            known: known.clone(),
            found: id.clone(),
            path: path.to_owned(),
        })
    }

    pub(super) fn to_vec(&self) -> Vec<(WorkspaceName, WorkspaceId)> {
        self.0.iter().map(|(name, id)| (name.clone(), id.clone())).collect()
    }
}
