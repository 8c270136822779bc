//! Where a recording lies, relative to the archive: the only place that builds such paths.
//!
//! `recordings/<workspace>/<YYYY>/<MM>/<DD>/<YYYYMMDDTHHMMSSZ>_<recording id>.<extension>`, times in UTC. Nothing that
//! upstream says reaches a key unless it is one of the closed types used here. Must not know: the file system.

use std::fmt;
use std::str::FromStr;

use super::clock::Timestamp;
use super::ids::RecordingRef;
use super::recording::Format;

/// The folder below the archive that holds every recording.
pub const RECORDINGS: &str = "recordings";

/// The place of one recording's body, as folders and a file name. Its sidecar lies beside it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey {
    recording: RecordingRef,
    folders: [String; 5],
    stem: String,
    extension: &'static str,
}

impl StoreKey {
    /// The key of a recording created at `created_at` whose body has this format.
    #[must_use]
    pub fn new(recording: &RecordingRef, created_at: Timestamp, format: Format) -> Self {
        let (year, month, day, hour, minute, second) = created_at.civil();
        Self {
            recording: recording.clone(),
            folders: [
                RECORDINGS.to_owned(),
                recording.workspace.as_str().to_owned(),
                format!("{year:04}"),
                format!("{month:02}"),
                format!("{day:02}"),
            ],
            stem: format!(
                "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z_{}",
                recording.id
            ),
            extension: format.extension(),
        }
    }

    /// The recording whose place this is.
    #[must_use]
    pub const fn recording(&self) -> &RecordingRef {
        &self.recording
    }

    /// The folders from the archive down, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// The body's file name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    /// The sidecar's file name.
    #[must_use]
    pub fn sidecar_name(&self) -> String {
        format!("{}.json", self.stem)
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for folder in &self.folders {
            write!(f, "{folder}/")?;
        }
        write!(f, "{}.{}", self.stem, self.extension)
    }
}

/// Text that is not the place of a recording's body. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a recording: recordings/<workspace>/<YYYY>/<MM>/<DD>/<YYYYMMDDTHHMMSSZ>_<id>.<format>")]
pub struct InvalidKey;

impl FromStr for StoreKey {
    type Err = InvalidKey;

    /// Reads a key back. Only the very text that a key prints is one.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (folders, name) = text.rsplit_once('/').ok_or(InvalidKey)?;
        let workspace = folders.split('/').nth(1).ok_or(InvalidKey)?;
        let (stem, extension) = name.split_once('.').ok_or(InvalidKey)?;
        let (created_at, id) = stem.split_once('_').ok_or(InvalidKey)?;
        let recording = RecordingRef {
            workspace: workspace.parse().map_err(|_| InvalidKey)?,
            id: id.parse().map_err(|_| InvalidKey)?,
        };
        let created_at = Timestamp::from_amz_date(created_at).ok_or(InvalidKey)?;
        let key = Self::new(&recording, created_at, Format::from_upstream(extension));
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(InvalidKey)
        }
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordingId;
    use proptest::prelude::*;

    fn recording(id: [u8; 16]) -> RecordingRef {
        RecordingRef {
            workspace: "support".parse().unwrap(),
            id: RecordingId::from_bytes(id),
        }
    }

    #[test]
    fn a_key_reads_as_the_layout_says() {
        let id = "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd".parse().unwrap();
        let recording = RecordingRef {
            workspace: "support".parse().unwrap(),
            id,
        };
        let at = "2023-10-23T15:55:08.234Z".parse().unwrap();
        let key = StoreKey::new(&recording, at, Format::from_upstream("mp3"));
        assert_eq!(
            key.to_string(),
            "recordings/support/2023/10/23/20231023T155508Z_5b74ee9e-9d45-473a-82cd-f1f7feea6bbd.mp3"
        );
        assert_eq!(
            key.sidecar_name(),
            "20231023T155508Z_5b74ee9e-9d45-473a-82cd-f1f7feea6bbd.json"
        );
    }

    proptest! {
        #[test]
        fn every_key_stays_inside_and_within_its_alphabet(
            id in any::<[u8; 16]>(), micros in any::<i64>(), format in "\\PC{0,12}",
        ) {
            let at = Timestamp::from_microseconds(micros % 200_000_000_000_000_000).unwrap_or(
                Timestamp::from_microseconds(0).unwrap());
            let key = StoreKey::new(&recording(id), at, Format::from_upstream(&format));
            for part in key.folders().map(str::to_owned).chain([key.file_name(), key.sidecar_name()]) {
                prop_assert!(!part.is_empty() && part.len() <= 80);
                prop_assert!(!part.starts_with('.'));
                prop_assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{}", part);
            }
            prop_assert_ne!(key.file_name(), key.sidecar_name());
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }

        #[test]
        fn any_text_is_refused_or_is_the_text_of_its_key(
            text in "recordings/(a|\\.\\.|A)/(2024|0001|24)/0[1-3]/0[1-9]/2024010[1-3]T00000[0-9]Z_[0-9a-f-]{0,3}5b74ee9e-9d45-473a-82cd-f1f7feea6bb[a-g]\\.(mp3|json|bin|MP3|x)",
        ) {
            if let Ok(key) = text.parse::<StoreKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn different_recordings_never_share_a_name(
            a in any::<[u8; 16]>(), b in any::<[u8; 16]>(), micros in 0_i64..4_000_000_000_000_000,
        ) {
            prop_assume!(a != b);
            let at = Timestamp::from_microseconds(micros).unwrap();
            let format = Format::from_upstream("mp3");
            let (a, b) = (StoreKey::new(&recording(a), at, format), StoreKey::new(&recording(b), at, format));
            prop_assert_ne!(a.file_name().to_ascii_lowercase(), b.file_name().to_ascii_lowercase());
            prop_assert_ne!(a.sidecar_name(), b.sidecar_name());
        }
    }
}
