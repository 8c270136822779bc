//! Which workspaces the catalog knows, and by which id.
//!
//! Must not know: how a workspace is reached.

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::workspace_id;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;

impl Catalog {
    /// Enters workspaces that are new and keeps those that are known.
    ///
    /// # Errors
    /// [`CatalogError::WorkspaceIdChanged`] where a known name comes with another id: its recordings must not silently
    /// become those of another workspace. Then none is entered.
    pub async fn register_workspaces(&self, workspaces: &[(WorkspaceName, WorkspaceId)]) -> Result<(), CatalogError> {
        const OPERATION: &str = "register the workspaces";
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(OPERATION).await?;
        for (name, given) in workspaces {
            let (name_text, given_text) = (name.as_str(), given.as_str());
            sqlx::query!(
                "-- catalog.register_workspace
                INSERT INTO workspaces (name, id, registered_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
                name_text,
                given_text,
                now
            )
            .execute(&mut *tx)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
            let row = sqlx::query!(
                "-- catalog.workspace_id
                SELECT workspace, id FROM workspaces WHERE name = ?1",
                name_text
            )
            .fetch_one(&mut *tx)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
            if row.id != given_text {
                let known = workspace_id(row.workspace, &row.id)?;
                return Err(CatalogError::WorkspaceIdChanged {
                    name: name.clone(),
                    known,
                    given: given.clone(),
                });
            }
        }
        commit(tx, OPERATION).await
    }
}

/// The key of a registered workspace.
pub(super) async fn workspace_key(
    connection: &mut SqliteConnection,
    name: &WorkspaceName,
    operation: &'static str,
) -> Result<i64, CatalogError> {
    let text = name.as_str();
    sqlx::query_scalar!(
        r#"-- catalog.workspace_key
        SELECT workspace AS "workspace!" FROM workspaces WHERE name = ?1"#,
        text
    )
    .fetch_optional(connection)
    .await
    .map_err(CatalogError::sql(operation))?
    .ok_or_else(|| CatalogError::UnknownWorkspace { name: name.clone() })
}
