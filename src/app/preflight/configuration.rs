//! Which configuration is in force and where each key of it came from. Values are not shown: one may be a secret.
//!
//! Must not know: what the keys mean.

use std::collections::BTreeMap;

use super::Finding;
use super::Tell;
use crate::config::Loaded;
use crate::config::Origin;

const SUBJECT: &str = "configuration";

pub(super) fn look(loaded: &Loaded, tell: Tell<'_>) {
    let count = loaded.config.workspaces.len();
    tell(Finding::ok(
        SUBJECT,
        format!("valid; {count} workspace{}", if count == 1 { "" } else { "s" }),
    ));
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (key, origin) in &loaded.origins {
        match origin {
            Origin::Variable(name) => tell(Finding::ok(SUBJECT, format!("{key}: set by the variable {name}"))),
            other => files.entry(other.to_string()).or_default().push(key),
        }
    }
    if let (true, Some(file)) = (files.is_empty(), &loaded.file) {
        tell(Finding::ok(
            SUBJECT,
            format!("file {}: sets nothing that counts", file.display()),
        ));
    }
    for (file, keys) in files {
        tell(Finding::ok(SUBJECT, format!("{file}: sets {}", keys.join(", "))));
    }
    for warning in &loaded.warnings {
        let (found, remedy) = warning
            .split_once("; ")
            .unwrap_or((warning, "change it, unless it is meant"));
        tell(Finding::warn(SUBJECT, found, remedy));
    }
}
