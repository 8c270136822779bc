//! Why the work could not be done. What could not be used of the archive is no error: the report says it.
//!
//! Must not know: what is printed.

use crate::catalog::CatalogError;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::store::OpenError;
use crate::store::StoreError;

/// Why a catalog was not made or reconciled.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The archive cannot be read.
    #[error("cannot read the archive")]
    Store(#[from] StoreError),
    /// The archive cannot be opened to be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The catalog is refused or cannot be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A workspace's sidecars name another workspace than is known under its name.
    #[error(
        "workspace {name} has id {known}, but {path} says that its recordings are those of workspace id {found}; if the \
         configuration is wrong, correct workspaces.{name}.id or give the new workspace a name of its own; if that \
         sidecar is, move it away. Nothing was made"
    )]
    WorkspaceIdChanged {
        /// The operator's name of the workspace.
        name: WorkspaceName,
        /// The id in the configuration or in the sidecars before.
        known: WorkspaceId,
        /// The id in this sidecar.
        found: WorkspaceId,
        /// The sidecar, relative to the archive.
        path: String,
    },
    /// A task ended without a result.
    #[error("a part of the work died; this is a fault in birdkeep")]
    Died(#[source] tokio::task::JoinError),
    /// It was told to stop.
    #[error("stopped before the end; nothing was made, and the next attempt begins anew")]
    Stopped,
}
