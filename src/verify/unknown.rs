//! Files that no row names: strangers, or bodies whose rows are lost or still to be written.
//!
//! Must not know: what becomes of them.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::Verifier;
use super::VerifyError;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::domain::state::State;
use crate::store::Listing;

/// How a sidecar's name ends.
const SIDECAR: &str = ".json";

/// What stands below `recordings/` and is named by no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFile {
    /// Where, relative to the archive.
    pub path: String,
    /// What it is, where it is no file.
    pub what: Option<&'static str>,
}

impl Verifier {
    /// Every path below `recordings/`, or below the folders of these workspaces, that no row in state `archived` names, as
    /// body or as sidecar. What is being published at the moment is not among them.
    pub(super) async fn unknown_files(&self, workspaces: &[WorkspaceName]) -> Result<Vec<UnknownFile>, VerifyError> {
        let tops: Vec<Option<&str>> = match workspaces {
            [] => vec![None],
            named => named.iter().map(|name| Some(name.as_str())).collect(),
        };
        let mut unknown = Vec::new();
        for top in tops {
            let mut walk = self.files.walk(top);
            while let Some(listing) = walk.next().await? {
                self.look_through(&listing, &mut unknown).await?;
            }
        }
        Ok(unknown)
    }

    async fn look_through(&self, listing: &Listing, unknown: &mut Vec<UnknownFile>) -> Result<(), VerifyError> {
        let files = listing.files.iter().map(|name| (name, None));
        let strangers = listing.strangers.iter().map(|(name, what)| (name, Some(*what)));
        let mut of_workspace: BTreeMap<WorkspaceName, Vec<RecordingId>> = BTreeMap::new();
        let mut standing = Vec::with_capacity(listing.files.len() + listing.strangers.len());
        for (name, what) in files.chain(strangers) {
            let path = format!("{}/{name}", listing.folder);
            let key: Option<StoreKey> = body_path(&path).parse().ok();
            if let Some(key) = &key {
                let of = key.recording();
                of_workspace.entry(of.workspace.clone()).or_default().push(of.id);
            }
            standing.push((UnknownFile { path, what }, key));
        }
        let mut places = HashMap::new();
        for (workspace, ids) in of_workspace {
            for (id, place) in self.reader.places_of(&workspace, &ids).await? {
                places.insert((workspace.clone(), id), place);
            }
        }
        for (file, key) in standing {
            let place = key.and_then(|key| places.get(&(key.recording().workspace.clone(), key.recording().id)));
            let known = match place {
                // It has its name before its row says so.
                Some((State::Claimed, _)) => true,
                Some((_, Some(body))) => *body == file.path || is_sidecar_of(&file.path, body),
                _ => false,
            };
            if !known {
                unknown.push(file);
            }
        }
        Ok(())
    }
}

/// A sidecar's path as that of a body, of whatever format; a body's path as it is.
fn body_path(path: &str) -> String {
    path.strip_suffix(SIDECAR)
        .map_or_else(|| path.to_owned(), |stem| format!("{stem}.bin"))
}

/// Whether a path is that of a body's sidecar.
fn is_sidecar_of(path: &str, body: &str) -> bool {
    let stem = body.rsplit_once('.').map(|(stem, _)| stem);
    stem.is_some() && path.strip_suffix(SIDECAR) == stem
}
