//! Identifiers, each valid by construction: once a value exists, it is safe in a path, a query and a log line.
//!
//! Must not know: where an id came from or what it is used for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not the identifier it claims to be. The text itself is not repeated: it may be long or hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {rule}")]
pub struct InvalidId {
    /// What was expected, in words.
    pub kind: &'static str,
    /// The rule that was broken.
    pub rule: &'static str,
}

/// The operator's name of a workspace: `[a-z0-9][a-z0-9_-]{0,62}`. Used in paths, logs and metrics.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceName(Arc<str>);

impl WorkspaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = (1..=63).contains(&bytes.len())
            && word(bytes[0])
            && bytes.iter().all(|&b| word(b) || b == b'_' || b == b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                kind: "workspace name",
                rule: "1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit",
            })
        }
    }
}

/// Upstream's id of a workspace. A UUID on some of Bird's pages and a plain string on others, so only the
/// character set and the length are held: `[A-Za-z0-9_-]{1,64}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceId(Arc<str>);

impl WorkspaceId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let valid = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                kind: "workspace id",
                rule: "1 to 64 of letters, digits, '_' and '-'",
            })
        }
    }
}

/// Upstream's id of a recording: a UUID in its canonical form, 8-4-4-4-12 lower-case hex digits.
///
/// Other spellings are refused rather than folded: two texts that upstream tells apart must never share a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingId([u8; 16]);

impl RecordingId {
    /// The 16 bytes of the UUID, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for RecordingId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId {
            kind: "recording id",
            rule: "a UUID, 8-4-4-4-12 lower-case hex digits",
        };
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(invalid);
        }
        let mut bytes = [0_u8; 16];
        let mut nibbles = 0_usize;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(invalid);
                }
                continue;
            }
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return Err(invalid),
            };
            bytes[nibbles / 2] = (bytes[nibbles / 2] << 4) | value;
            nibbles += 1;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which recording: identity is the workspace and the recording's id, never a name, a time or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingRef {
    /// The workspace it belongs to.
    pub workspace: WorkspaceName,
    /// Its id there.
    pub id: RecordingId,
}

/// Text forms of the string-like ids: printed as they are, also in `Debug`.
macro_rules! prints_as_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

prints_as_text!(WorkspaceName, WorkspaceId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_that_are_not_canonical_are_refused() {
        let good = "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd";
        assert_eq!(good.parse::<RecordingId>().unwrap().to_string(), good);
        for bad in [
            "",
            "5B74EE9E-9D45-473A-82CD-F1F7FEEA6BBD",
            "5b74ee9e9d45473a82cdf1f7feea6bbd",
            "{5b74ee9e-9d45-473a-82cd-f1f7feea6bb}",
            "5b74ee9e-9d45-473a-82cd-f1f7feea6bb/",
            "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd\n",
            "../../../../../../../../etc/passwd0",
        ] {
            assert!(bad.parse::<RecordingId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn workspace_names_keep_to_their_alphabet() {
        for good in ["a", "support", "0-9_z", &"a".repeat(63)] {
            assert!(good.parse::<WorkspaceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<WorkspaceName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_uuid_survives_its_text(bytes in any::<[u8; 16]>()) {
            let id = RecordingId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<RecordingId>(), Ok(id));
        }

        #[test]
        fn any_text_is_refused_or_is_its_own_canonical_form(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<RecordingId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
