//! One recording's files: what they tell together, or why they tell nothing.
//!
//! A sidecar is believed where it agrees with its own place. Its body is what it says only after it was read. Must not
//! know: what a catalog knows.

use super::error::RebuildError;
use super::groups::Group;
use super::report::Unusable;
use super::workspaces::Workspaces;
use crate::api::read_stored;
use crate::catalog::CatalogError;
use crate::catalog::CatalogReader;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::domain::ids::RecordingRef;
use crate::domain::key::StoreKey;
use crate::domain::recording::Format;
use crate::domain::recording::History;
use crate::domain::recording::Recording;
use crate::domain::redact::one_line;
use crate::domain::report::StoredObject;
use crate::store::Expected;
use crate::store::ReadPace;
use crate::store::Reread;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoreReader;
use crate::store::sidecar::Sidecar;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 300;

/// How a body is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Read and hashed.
    Whole,
    /// By its length alone.
    Length,
}

/// What one recording's files came to.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The recording, where they tell of one.
    pub(super) found: Option<FoundRecording>,
    /// What else there was.
    pub(super) unused: Unused,
}

/// What nothing could be made of.
#[derive(Debug, Default)]
pub(super) struct Unused {
    /// What could not be used.
    pub(super) unusable: Option<Unusable>,
    /// Bodies that nothing speaks for.
    pub(super) lone_bodies: Vec<String>,
}

/// The archive that is gone through.
#[derive(Clone)]
pub(super) struct Stock {
    pub(super) store: Store,
    pub(super) reader: StoreReader,
    pub(super) pace: ReadPace,
    /// A catalog whose word for a body is taken without reading it, where there is one.
    pub(super) catalog: Option<CatalogReader>,
}

impl Stock {
    /// Takes stock of one recording's files. `None` when it was told to stop.
    ///
    /// # Errors
    /// The archive cannot be read at all.
    pub(super) async fn take(
        &self,
        group: &Group,
        workspaces: &Workspaces,
        look: Look,
    ) -> Result<Option<Taken>, RebuildError> {
        let told = match self.told(group, workspaces).await {
            Ok(told) => told,
            Err(reason) => return Ok(Some(unusable(group, &reason))),
        };
        let known = self.known(group, &told).await?;
        let looked = match known {
            Some(key) => Some((key, FoundBody::Unread)),
            None => self.body(group, &told, look).await?,
        };
        let Some((key, body)) = looked else {
            return Ok(None);
        };
        Ok(Some(Taken {
            unused: Unused {
                unusable: None,
                lone_bodies: all_but(group, Some(&key)),
            },
            found: Some(told.into_found(key, body)),
        }))
    }

    /// What a group's sidecar tells, or why that is not believed. The empty reason: there is none.
    pub(super) async fn told(&self, group: &Group, workspaces: &Workspaces) -> Result<Told, String> {
        if !group.has_sidecar {
            return Err(String::new());
        }
        let place = group.key_of_any().ok_or("it has no place")?;
        match self.reader.sidecar(&group.folder, &group.sidecar_name()).await {
            Ok(Ok(sidecar)) => tell(&place, &group.stem, sidecar, workspaces),
            Ok(Err(why)) => Err(format!("it is no sidecar: {why}")),
            Err(refused) => Err(chain(&refused)),
        }
    }

    /// Where the catalog says that the very body lies which the sidecar describes, if a file is there.
    async fn known(&self, group: &Group, told: &Told) -> Result<Option<StoreKey>, CatalogError> {
        let Some(catalog) = &self.catalog else {
            return Ok(None);
        };
        let row = catalog.archived_body(told.place().recording()).await?;
        Ok(row
            .filter(|row| (row.sha256, row.size_bytes) == (told.sidecar.sha256, told.sidecar.size_bytes))
            .map(|row| row.key)
            .filter(|key| group.bodies.contains(key)))
    }

    /// The body of a recording: of the files that may be it, the first that is sound; else the first there is.
    async fn body(&self, group: &Group, told: &Told, look: Look) -> Result<Option<(StoreKey, FoundBody)>, StoreError> {
        let place = told.place();
        let mut candidates: Vec<&StoreKey> = group.bodies.iter().collect();
        candidates.sort_by_key(|key| **key != place);
        let mut worst = None;
        for key in candidates {
            match self.look_at(told.expected(key), look).await? {
                None => return Ok(None),
                Some(FoundBody::Unsound(finding)) => {
                    worst.get_or_insert((key.clone(), FoundBody::Unsound(finding)));
                }
                Some(sound) => return Ok(Some((key.clone(), sound))),
            }
        }
        if worst.is_some() {
            return Ok(worst);
        }
        // No regular file: something else may stand in its place.
        let body = self.look_at(told.expected(&place), look).await?;
        Ok(body.map(|body| (place, body)))
    }

    async fn look_at(&self, expected: Expected, look: Look) -> Result<Option<FoundBody>, StoreError> {
        let settled = self.store.settle(&expected.key).await;
        if look == Look::Length && matches!(settled, Ok(Some(length)) if length == expected.size_bytes) {
            return Ok(Some(FoundBody::Unread));
        }
        let body = match self.reader.examine(expected, self.pace.clone()).await? {
            Reread::Sound => FoundBody::Sound,
            Reread::Unsound(finding) => FoundBody::Unsound(finding),
            Reread::Stopped => return Ok(None),
        };
        // Read whole, but nobody knows whether that is on the disk.
        Ok(Some(match (body, settled) {
            (FoundBody::Sound, Err(refused)) => {
                FoundBody::Unsound(Finding::new(FindingKind::Unreadable, chain(&refused)))
            }
            (body, _) => body,
        }))
    }
}

/// What a sidecar tells that is believed.
pub(super) struct Told {
    pub(super) recording: Recording,
    pub(super) history: History,
    sidecar: Sidecar,
}

impl Told {
    /// Where the body should be, by upstream's format.
    pub(super) fn place(&self) -> StoreKey {
        let reference = RecordingRef {
            workspace: self.sidecar.workspace.clone(),
            id: self.recording.id,
        };
        StoreKey::new(&reference, self.history.created_at, self.recording.body_format())
    }

    /// What the body at this place should be.
    pub(super) fn expected(&self, key: &StoreKey) -> Expected {
        Expected {
            key: key.clone(),
            size_bytes: self.sidecar.size_bytes,
            sha256: self.sidecar.sha256,
        }
    }

    pub(super) fn into_found(self, key: StoreKey, body: FoundBody) -> FoundRecording {
        let sidecar = self.sidecar;
        FoundRecording {
            recording: self.recording,
            history: self.history,
            sidecar_is_complete: sidecar.history.is_some(),
            object: StoredObject {
                key,
                size_bytes: sidecar.size_bytes,
                sha256: sidecar.sha256,
                content_type: sidecar.content_type,
                etag: sidecar.etag,
                archived_at: sidecar.archived_at,
                remark: sidecar.remark,
                earlier: None,
            },
            body,
        }
    }
}

/// Everything of a group that nothing speaks for.
fn unusable(group: &Group, reason: &str) -> Taken {
    Taken {
        found: None,
        unused: Unused {
            unusable: (!reason.is_empty()).then(|| Unusable {
                path: group.sidecar_path(),
                reason: one_line(reason, LONGEST_REASON),
            }),
            lone_bodies: all_but(group, None),
        },
    }
}

fn all_but(group: &Group, used: Option<&StoreKey>) -> Vec<String> {
    let others = group.bodies.iter().filter(|key| Some(*key) != used);
    others.map(ToString::to_string).collect()
}

/// Holds a sidecar against the place it lies at.
fn tell(place: &StoreKey, stem: &str, sidecar: Sidecar, workspaces: &Workspaces) -> Result<Told, String> {
    let reference = place.recording();
    if sidecar.workspace != reference.workspace {
        return Err("it names another workspace than its folder does".to_owned());
    }
    let recording =
        read_stored(&sidecar.metadata).map_err(|why| format!("what upstream said cannot be understood: {why}"))?;
    if recording.id != reference.id {
        return Err("it names another recording than its own name does".to_owned());
    }
    let known = workspaces.id_of(&reference.workspace);
    let history = match (&sidecar.history, known) {
        (Some(history), Some(known)) if history.workspace_id != *known => {
            return Err(format!(
                "it is of workspace id {}, and {} is {known}",
                history.workspace_id, reference.workspace
            ));
        }
        (Some(history), _) => history.clone(),
        // Written before sidecars told so much.
        (None, Some(known)) => History {
            workspace_id: known.clone(),
            created_at: created_at(place, stem, &recording)?,
            first_seen_at: sidecar.archived_at,
            attempts: 0,
            versions: Vec::new(),
        },
        (None, None) => {
            let reason =
                "it does not name its workspace's id, and neither does the configuration nor any other sidecar";
            return Err(reason.to_owned());
        }
    };
    if !is_at(place, history.created_at) {
        return Err("it names another time of creation than its own name does".to_owned());
    }
    Ok(Told {
        recording,
        history,
        sidecar,
    })
}

/// Whether a recording created then lies there.
fn is_at(place: &StoreKey, created_at: Timestamp) -> bool {
    StoreKey::new(place.recording(), created_at, Format::Other) == *place
}

/// When a recording was created: as upstream says, where that is what the file's name is made of; else as the name says.
fn created_at(place: &StoreKey, stem: &str, recording: &Recording) -> Result<Timestamp, String> {
    if is_at(place, recording.created_at) {
        return Ok(recording.created_at);
    }
    let time = stem.split('_').next().and_then(Timestamp::from_amz_date);
    time.ok_or_else(|| "its name tells no time".to_owned())
}
