//! The archive's files as they lie there.

use std::collections::BTreeMap;
use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

/// A file under a final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub size_bytes: u64,
    /// In hex.
    pub sha256: String,
    pub inode: u64,
    pub links: u64,
}

/// Everything below an archive. Paths are relative to it.
pub(super) struct Files {
    archive: PathBuf,
    pub(super) bodies: BTreeMap<String, Body>,
    /// What each holds, or why that is nothing.
    pub(super) sidecars: BTreeMap<String, Result<Value, String>>,
    pub(super) staged: Vec<String>,
    found: Vec<(PathBuf, Metadata)>,
}

impl Files {
    pub(super) fn read(archive: &Path) -> Self {
        let mut files = Self {
            archive: archive.to_owned(),
            bodies: BTreeMap::new(),
            sidecars: BTreeMap::new(),
            staged: Vec::new(),
            found: Vec::new(),
        };
        files.descend(archive);
        files
    }

    fn descend(&mut self, at: &Path) {
        let Ok(metadata) = fs::symlink_metadata(at) else {
            return;
        };
        let is_file = metadata.is_file();
        if metadata.is_dir() {
            let mut names: Vec<_> = fs::read_dir(at).into_iter().flatten().flatten().collect();
            names.sort_by_key(fs::DirEntry::file_name);
            for entry in names {
                self.descend(&entry.path());
            }
        }
        let relative = at
            .strip_prefix(&self.archive)
            .unwrap_or(at)
            .to_string_lossy()
            .into_owned();
        if is_file && relative.starts_with("staging/") {
            self.staged.push(relative);
        } else if is_file && relative.starts_with("recordings/") {
            if at.extension() == Some("json".as_ref()) {
                let sidecar = fs::read(at).map_err(|error| error.to_string());
                let sidecar = sidecar.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
                self.sidecars.insert(relative, sidecar);
            } else if let Ok(bytes) = fs::read(at) {
                self.bodies.insert(
                    relative,
                    Body {
                        size_bytes: bytes.len() as u64,
                        sha256: sum(&bytes),
                        inode: metadata.ino(),
                        links: metadata.nlink(),
                    },
                );
            }
        }
        self.found.push((at.to_owned(), metadata));
    }

    /// I15 and I16: what is not as everything must be, the catalog's files included.
    pub(super) fn unlike(&self, catalog: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        let owner = self.found.last().map(|(_, root)| (root.uid(), root.gid()));
        let elsewhere = ["", "-wal", "-shm", "-journal"].into_iter().filter_map(|suffix| {
            let path = PathBuf::from(format!("{}{suffix}", catalog.display()));
            Some((path.clone(), fs::symlink_metadata(path).ok()?))
        });
        for (path, metadata) in self.found.iter().cloned().chain(elsewhere) {
            let at = path.display();
            if metadata.mode() & 0o077 != 0 && !metadata.is_symlink() {
                wrong.push(format!("I15: {at} has mode {:o}", metadata.mode() & 0o7777));
            }
            if owner.is_some_and(|owner| owner != (metadata.uid(), metadata.gid())) {
                wrong.push(format!("I15: {at} has another owner"));
            }
            if !metadata.is_dir() && !metadata.is_file() {
                wrong.push(format!("I16: {at} is neither a file nor a folder"));
            }
            if metadata.is_file() && metadata.nlink() > 1 {
                wrong.push(format!("I16: {at} has {} names", metadata.nlink()));
            }
        }
        wrong
    }
}

/// The SHA-256 of these bytes, in hex.
pub fn sum(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
