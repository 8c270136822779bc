//! The workspaces: their names, their ids, and the one credential that each has.
//!
//! Nothing that stands in a workspace's section is repeated in a fault: any of it may be a key put in the wrong place.
//! Must not know: what a workspace's recordings are, how a credential is sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::Credential;
use super::Scheme;
use super::WorkspaceConfig;
use super::fault::Origin;
use super::named_file;
use super::reader::Reader;
use super::reader::Section;
use super::sources::Sources;
use super::values;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;

const LONGEST_SECRET: usize = 4096;
/// What a key file may hold besides the key: line ends.
const FILE_LIMIT_BYTES: u64 = LONGEST_SECRET as u64 + 16;

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
                self.read_key_file(&section.key(name), &text, sources)
                    .map(|(secret, path)| (secret, Some(path)))
            } else {
                secret(&text).map(|secret| (secret, None))
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

    fn read_key_file(&mut self, key: &str, name: &str, sources: &Sources) -> Result<(SecretString, PathBuf), String> {
        let path = named_file::locate(name, sources)?;
        if sources.skip_key_files {
            return Ok((SecretString::default(), path));
        }
        let file = named_file::read(&path, FILE_LIMIT_BYTES)
            .map_err(|error| unreadable(name, named_file::folder(sources), &path, &error))?;
        let (secret, warning) = key_in(&path, &file)?;
        self.warnings.extend(warning.map(|warning| format!("{key}: {warning}")));
        Ok((secret, path))
    }
}

impl Credential {
    /// The secret that its file holds now, and what is unwise about that file. `None` where there is no file, or none that
    /// can be read twice, such as a pipe.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key, in words that do not repeat what is in it.
    pub fn read_again(&self) -> Result<Option<(SecretString, Option<String>)>, String> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        match named_file::read_again(path, FILE_LIMIT_BYTES) {
            Ok(Some(file)) => key_in(path, &file).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }
}

/// The key that a file holds, and what is unwise about the file.
fn key_in(path: &Path, (bytes, mode): &(Zeroizing<Vec<u8>>, u32)) -> Result<(SecretString, Option<String>), String> {
    let shown = path.display();
    let warning = (mode & 0o004 != 0).then(|| {
        format!(
            "{shown} is readable by others (mode {:03o}); chmod o-r {shown}",
            mode & 0o777
        )
    });
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(format!("{shown} is longer than any key ({LONGEST_SECRET} characters)"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{shown} is not text"))?;
    let secret = secret(text).map_err(|remedy| format!("{shown}: {remedy}"))?;
    Ok((secret, warning))
}

/// The path that was tried, unless it looks as if the key itself had been given in place of a file.
fn unreadable(name: &str, folder: &Path, path: &Path, error: &std::io::Error) -> String {
    if looks_like_a_key(name) {
        return format!(
            "no such file in {} ({error}); its name is not repeated, it looks like a key: to give the key itself, use \
             the setting without _file",
            folder.display()
        );
    }
    format!(
        "cannot read {}: {error}; put the key there, readable by this user",
        path.display()
    )
}

/// Long, not a path from somewhere, and without the short ending of a file name.
fn looks_like_a_key(name: &str) -> bool {
    let begins_as_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let ends_as_file = name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| (1..=8).contains(&ending.len()));
    name.len() >= 20 && !begins_as_path && !ends_as_file
}

/// A secret as it can stand in a header. What is wrong with it is told without telling it.
fn secret(text: &str) -> Result<SecretString, String> {
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err("is empty; put the key there".to_owned());
    }
    if text.len() > LONGEST_SECRET {
        return Err(format!("is longer than any key ({LONGEST_SECRET} characters)"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "holds a space, a line break or a character that no key has; put the key alone there, without \
                    AccessKey or Bearer before it"
                .to_owned(),
        );
    }
    Ok(SecretString::from(text))
}
