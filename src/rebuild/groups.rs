//! The archive file by file, put together by recording: a sidecar with what may be its body.
//!
//! Holds the names of one folder at a time. Must not know: what the files say.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::report::Unusable;
use crate::domain::key::StoreKey;
use crate::domain::redact::one_line;
use crate::store::Listing;
use crate::store::StoreError;
use crate::store::StoreReader;
use crate::store::Walk;

const SIDECAR: &str = ".json";

/// Every file that bears one recording's name in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The folder, relative to the archive.
    pub(super) folder: String,
    /// The name without its extension.
    pub(super) stem: String,
    /// Whether there is a sidecar.
    pub(super) has_sidecar: bool,
    /// The files that may be the body. Where there is none, [`Group::key_of_any`] tells the place.
    pub(super) bodies: Vec<StoreKey>,
}

impl Group {
    pub(super) fn sidecar_name(&self) -> String {
        format!("{}{SIDECAR}", self.stem)
    }

    pub(super) fn sidecar_path(&self) -> String {
        format!("{}/{}{SIDECAR}", self.folder, self.stem)
    }

    /// The recording's place, with some extension.
    pub(super) fn key_of_any(&self) -> Option<StoreKey> {
        key(&self.folder, &self.stem)
    }
}

/// What comes next in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The files of one recording.
    Group(Group),
    /// Something that has no place there.
    Stranger(Unusable),
}

/// Goes through the archive.
pub(super) struct Groups {
    walk: Walk,
    pending: VecDeque<Step>,
}

impl Groups {
    pub(super) fn of(reader: &StoreReader) -> Self {
        Self {
            walk: reader.walk(None),
            pending: VecDeque::new(),
        }
    }

    /// The next; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, StoreError> {
        loop {
            if let Some(step) = self.pending.pop_front() {
                return Ok(Some(step));
            }
            match self.walk.next().await? {
                Some(listing) => self.pending = steps(listing),
                None => return Ok(None),
            }
        }
    }
}

fn steps(listing: Listing) -> VecDeque<Step> {
    let folder = listing.folder;
    let stranger = |name: &str, reason: String| {
        let path = one_line(&format!("{folder}/{name}"), usize::MAX);
        Step::Stranger(Unusable { path, reason })
    };
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut steps = VecDeque::new();
    for name in &listing.files {
        let stem = name.split('.').next().unwrap_or_default();
        let is_sidecar = name.strip_suffix(SIDECAR) == Some(stem);
        let body = if is_sidecar {
            key(&folder, stem)
        } else {
            format!("{folder}/{name}").parse().ok()
        };
        let Some(body) = body else {
            steps.push_back(stranger(name, "it is not named as a recording's file is".to_owned()));
            continue;
        };
        let group = groups.entry(stem.to_owned()).or_insert_with(|| Group {
            folder: folder.clone(),
            stem: stem.to_owned(),
            has_sidecar: false,
            bodies: Vec::new(),
        });
        if is_sidecar {
            group.has_sidecar = true;
        } else {
            group.bodies.push(body);
        }
    }
    for (name, kind) in &listing.strangers {
        steps.push_back(stranger(name, format!("it is {kind}")));
    }
    steps.extend(groups.into_values().map(Step::Group));
    steps
}

/// The key of a name without its extension; the one for other formats stands for them all.
fn key(folder: &str, stem: &str) -> Option<StoreKey> {
    format!("{folder}/{stem}.bin").parse().ok()
}
