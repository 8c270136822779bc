//! The workspaces: their names, their ids, and the one credential that each has.
//!
//! Nothing that stands in a workspace's section is repeated in a fault: any of it may be a key put in the wrong place.
//! Must not know: what a workspace's recordings are, how a credential is sent.

use std::collections::BTreeMap;

use secrecy::zeroize::Zeroizing;

use super::Credential;
use super::Scheme;
use super::WorkspaceConfig;
use super::fault::Origin;
use super::reader::Reader;
use super::reader::Section;
use super::secret;
use super::sources::Sources;
use super::values;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;

/// The four ways to give a credential: key, scheme, whether it names a file.
const WAYS: [(&str, Scheme, bool); 4] = [
    ("access_key", Scheme::AccessKey, false),
    ("access_key_file", Scheme::AccessKey, true),
    ("bearer_token", Scheme::Bearer, false),
    ("bearer_token_file", Scheme::Bearer, true),
];

/// What the workspaces came to.
#[derive(Default)]
pub(super) struct Workspaces {
    pub list: Vec<WorkspaceConfig>,
    /// Whether the configuration file itself holds a secret.
    pub secret_in_file: bool,
    pub warnings: Vec<String>,
}

/// Reads every workspace, in the order of their names.
pub(super) fn read(mut section: Section<'_>, sources: &Sources) -> Workspaces {
    let mut workspaces = Workspaces::default();
    for name in section.names() {
        let read = workspaces.read_one(section.section(&name, true), sources);
        match (name.parse::<WorkspaceName>(), read) {
            (Ok(name), Some((id, credential))) => workspaces.list.push(WorkspaceConfig { name, id, credential }),
            (Ok(_), None) => {}
            (Err(error), _) => {
                let origin = section.origin(&name);
                section.refuse(
                    &name,
                    origin,
                    None,
                    format!("the name of a workspace is {}", error.rule),
                );
            }
        }
    }
    section.finish();
    workspaces
}

/// What can be said only of all of them: that there is one, and that no two are the same.
pub(super) fn check(reader: &mut Reader, any_named: bool, list: &[WorkspaceConfig]) {
    if !any_named {
        for name in WAYS.map(|(name, ..)| name).into_iter().chain(["id"]) {
            reader.know(format!("workspaces.support.{name}"));
        }
        reader.fault(
            "workspaces",
            Origin::NotSet,
            None,
            "there is no workspace; set one by BIRDKEEP_WORKSPACES__SUPPORT__ID and \
             BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY, or write [workspaces.support] with id and access_key_file",
        );
    }
    let mut seen: BTreeMap<String, &WorkspaceName> = BTreeMap::new();
    for workspace in list {
        let id = workspace.id.as_str().to_ascii_lowercase();
        if let Some(other) = seen.insert(id, &workspace.name) {
            let key = format!("workspaces.{}.id", workspace.name);
            let origin = reader.origin(&key);
            let remedy = format!(
                "is the id of workspaces.{other} too ({})",
                reader.origin(&format!("workspaces.{other}.id"))
            );
            reader.fault(&key, origin, None, remedy + "; a workspace is configured once");
        }
    }
}

impl Workspaces {
    fn read_one(&mut self, mut section: Section<'_>, sources: &Sources) -> Option<(WorkspaceId, Credential)> {
        if section.is_value() {
            return None;
        }
        let id = match section.take("id", Origin::NotSet) {
            None => {
                section.refuse(
                    "id",
                    Origin::NotSet,
                    None,
                    "is missing: the id of the workspace at Bird",
                );
                None
            }
            Some(given) => {
                let parsed = values::text(&given.kind).and_then(|id| {
                    id.trim()
                        .parse::<WorkspaceId>()
                        .map_err(|error| format!("expected {}", error.rule))
                });
                parsed
                    .map_err(|remedy| section.refuse("id", given.origin, None, remedy))
                    .ok()
            }
        };
        let credential = self.read_credential(&mut section, sources);
        section.finish();
        Some((id?, credential?))
    }

    fn read_credential(&mut self, section: &mut Section<'_>, sources: &Sources) -> Option<Credential> {
        let mut given = Vec::new();
        for way in WAYS {
            if let Some(value) = section.take(way.0, Origin::NotSet) {
                given.push((way, value));
            }
        }
        if given.len() > 1 {
            let all: Vec<String> = given
                .iter()
                .map(|((name, ..), value)| format!("{name} ({})", value.origin))
                .collect();
            let ((first, ..), value) = given.swap_remove(0);
            let remedy = format!(
                "a workspace has one credential, and {} are set; keep one of them",
                all.join(" and ")
            );
            section.refuse(first, value.origin, None, remedy);
            return None;
        }
        let Some(((name, scheme, is_file), value)) = given.pop() else {
            let variable = section.key("access_key").to_ascii_uppercase().replace('.', "__");
            let remedy = format!(
                "there is no credential; set access_key_file, access_key, bearer_token_file or bearer_token, or the \
                 environment variable BIRDKEEP_{variable}"
            );
            section.refuse("access_key", Origin::NotSet, None, remedy);
            return None;
        };
        self.secret_in_file |= !is_file && matches!(value.origin, Origin::File(_));
        let read = values::text(&value.kind).map(Zeroizing::new).and_then(|text| {
            if is_file {
                secret::from_file(&section.key(name), &text, sources, &mut self.warnings)
                    .map(|(secret, path)| (secret, Some(path)))
            } else {
                secret::in_place(&text).map(|secret| (secret, None))
            }
        });
        match read {
            Ok((secret, file)) => Some(Credential { scheme, secret, file }),
            Err(remedy) => {
                section.refuse(name, value.origin, None, remedy);
                None
            }
        }
    }
}
