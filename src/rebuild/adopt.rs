//! One body that the catalog does not know: adopted where its sidecar speaks for it and its bytes agree.
//!
//! Must not know: who found it.

use super::error::RebuildError;
use super::groups::Group;
use super::make::sidecar_path;
use super::stock::Look;
use super::stock::Stock;
use super::workspaces::Workspaces;
use crate::catalog::Catalog;
use crate::catalog::TakenUp;
use crate::domain::found::FoundBody;
use crate::domain::key::StoreKey;
use crate::store::ReadPace;
use crate::store::Store;
use crate::store::StoreReader;

/// What became of a body that the catalog did not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// Its recording is archived now, by this body.
    Adopted,
    /// The catalog knows this very body already.
    Known,
    /// It cannot be: why, in one line. It was left as it is.
    Refused(String),
}

/// Adopts the body at a key: reads its sidecar, hashes it, makes it durable, and gives its recording a row that is
/// archived, with all that the sidecar knows. A workspace that the catalog does not know is registered.
///
/// Cancel-safe: the row is written in one transaction, at the end.
///
/// # Errors
/// The archive or the catalog cannot be used, or `pace` says stop.
pub async fn adopt_unknown(
    catalog: &Catalog,
    store: &Store,
    reader: &StoreReader,
    key: &StoreKey,
    pace: ReadPace,
) -> Result<Adoption, RebuildError> {
    let known = catalog.reader().workspaces().await?;
    let mut workspaces = Workspaces::new(known.into_iter().map(|workspace| (workspace.name, workspace.id)));
    let folders: Vec<&str> = key.folders().collect();
    let stem = key.sidecar_name().trim_end_matches(".json").to_owned();
    let group = Group {
        folder: folders.join("/"),
        stem,
        has_sidecar: true,
        bodies: vec![key.clone()],
    };
    let stock = Stock {
        store: store.clone(),
        reader: reader.clone(),
        pace,
        catalog: None,
    };
    let taken = stock.take(&group, &workspaces, Look::Whole).await?;
    let taken = taken.ok_or(RebuildError::Stopped)?;
    let found = match (taken.found, taken.unused.unusable) {
        (Some(found), _) => found,
        (None, Some(unusable)) => return Ok(Adoption::Refused(unusable.reason)),
        (None, None) => return Ok(Adoption::Refused("it has no sidecar".to_owned())),
    };
    if let FoundBody::Unsound(finding) = &found.body {
        return Ok(Adoption::Refused(finding.to_string()));
    }
    let name = &key.recording().workspace;
    workspaces.learn(name, &found.history.workspace_id, &sidecar_path(key))?;
    catalog.register_workspaces(&workspaces.to_vec()).await?;
    let became = catalog.take_up(std::slice::from_ref(&found)).await?;
    Ok(match became.first() {
        Some(TakenUp::New | TakenUp::Completed) => Adoption::Adopted,
        Some(TakenUp::Known) => Adoption::Known,
        _ => Adoption::Refused("the catalog knows another body of this recording".to_owned()),
    })
}
