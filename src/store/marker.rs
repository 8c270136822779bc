//! `archive.json`: which archive this is and how it is laid out; made once, in an empty place only.
//!
//! Must not know: what lies beside it beyond names.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use super::durable;
use super::durable::Modes;
use super::durable::Standing;
use super::error::OpenError;
use crate::domain::clock::Timestamp;

const MARKER: &str = "archive.json";
/// The marker before it has its name. A fixed name, so that what a crash left is known for what it is.
const UNFINISHED: &str = "archive.json.new";
pub(super) const LOCK: &str = "birdkeep.lock";
const LAYOUT_VERSION: u64 = 1;
const LONGEST_MARKER_BYTES: u64 = 64 * 1024;

/// What the marker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) id: String,
    layout_version: u64,
    #[serde(default)]
    created_at: String,
}

/// Reads the marker; `None` where there is none.
pub(super) fn read(folder: &File, dir: &Path) -> Result<Option<Marker>, OpenError> {
    let path = || dir.join(MARKER);
    let read = |refused| OpenError::Io {
        op: "read",
        path: path(),
        source: refused,
    };
    let file = match durable::standing(folder, MARKER).map_err(read)? {
        Standing::Nothing => return Ok(None),
        Standing::File(file, _) => file,
        Standing::Other(found) => {
            return Err(OpenError::NotOurs {
                path: path(),
                found,
                wanted: "a file",
            });
        }
    };
    let garbled = |why: &str| OpenError::MarkerGarbled {
        path: path(),
        why: why.to_owned(),
    };
    let mut text = Vec::new();
    file.take(LONGEST_MARKER_BYTES).read_to_end(&mut text).map_err(read)?;
    let marker: Marker = match serde_json::from_slice(&text) {
        Ok(marker) => marker,
        Err(_) if text.is_empty() => return Err(garbled("it is empty")),
        Err(why) => return Err(garbled(&why.to_string())),
    };
    if marker.layout_version > LAYOUT_VERSION {
        return Err(OpenError::NewerLayout {
            path: path(),
            found: marker.layout_version,
            known: LAYOUT_VERSION,
        });
    }
    if marker.layout_version == 0 || !is_uuid(&marker.id) {
        return Err(garbled("its id is not a UUID or its layout_version is 0"));
    }
    Ok(Some(marker))
}

/// Reads the marker where there must be one if anything else is there; `None` means an empty place.
///
/// With `expected` there must be one in any case, and with this id.
pub(super) fn examine(folder: &File, dir: &Path, expected: Option<&str>) -> Result<Option<Marker>, OpenError> {
    match (read(folder, dir)?, expected) {
        (Some(marker), Some(expected)) if marker.id.eq_ignore_ascii_case(expected) => Ok(Some(marker)),
        (Some(marker), Some(expected)) => Err(OpenError::OtherArchive {
            dir: dir.to_owned(),
            expected: expected.to_owned(),
            found: marker.id,
        }),
        (Some(marker), None) => Ok(Some(marker)),
        (None, Some(expected)) => Err(OpenError::NotMounted {
            dir: dir.to_owned(),
            expected: expected.to_owned(),
            found: "it has no archive.json",
        }),
        (None, None) => match foreign(folder).map_err(|source| OpenError::Io {
            op: "list",
            path: dir.to_owned(),
            source,
        })? {
            Some(beside) => Err(OpenError::MarkerMissing {
                dir: dir.to_owned(),
                beside,
            }),
            None => Ok(None),
        },
    }
}

/// Something that an empty place would not hold.
fn foreign(folder: &File) -> io::Result<Option<String>> {
    for name in durable::names(folder)? {
        let name = name?;
        let text = name.to_string_lossy();
        if !matches!(&*text, "lost+found" | LOCK | UNFINISHED) {
            return Ok(Some(text.escape_debug().to_string()));
        }
    }
    Ok(None)
}

/// Makes the marker of a new archive, durably.
pub(super) fn make(folder: &File, modes: Modes, now: Timestamp) -> io::Result<Marker> {
    if durable::stat(folder, UNFINISHED)?.is_some() {
        durable::remove(folder, UNFINISHED)?;
    }
    let marker = Marker {
        id: new_id()?,
        layout_version: LAYOUT_VERSION,
        created_at: now.to_string(),
    };
    let mut file = durable::create_file(folder, UNFINISHED, modes.file)?;
    let written = file
        .write_all(format!("{}\n", serde_json::to_string(&marker)?).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| durable::publish_no_replace(folder, UNFINISHED, folder, MARKER));
    if let Err(refused) = written {
        let _ = durable::remove(folder, UNFINISHED);
        return Err(refused);
    }
    folder.sync_all()?;
    Ok(marker)
}

/// A random UUID (version 4, RFC 9562).
fn new_id() -> io::Result<String> {
    let mut hex = durable::random_name()?;
    hex.replace_range(12..13, "4");
    let variant = match hex.as_bytes()[16] {
        b'0'..=b'3' => "8",
        b'4'..=b'7' => "9",
        b'8'..=b'9' | b'a'..=b'b' => "a",
        _ => "b",
    };
    hex.replace_range(16..17, variant);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_random_uuids_of_version_4() {
        let (one, other) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(one, other);
        for id in [one, other] {
            assert!(is_uuid(&id), "{id}");
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}
