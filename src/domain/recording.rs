//! A recording as upstream lists it, in our words. Every enumeration of upstream is open: unknown values are kept.
//!
//! Must not know: JSON, SQL, or how a listing is obtained.

use super::clock::Timestamp;
use super::ids::RecordingId;
use super::ids::WorkspaceId;

/// Upstream's `status`, verbatim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status(String);

/// What a status means for the archive. The seven published values and nothing else are classified;
/// their meanings are inferred, as Bird explains none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// No media yet, or a value we do not know: looked at again, never downloaded by guess.
    Pending,
    /// Media is stored.
    Available,
    /// There is no media and none will come.
    NoMedia,
}

impl Status {
    /// Keeps the value as upstream gave it.
    #[must_use]
    pub fn from_upstream(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The value as upstream gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the value means for us.
    #[must_use]
    pub fn class(&self) -> StatusClass {
        match self.0.as_str() {
            "available" => StatusClass::Available,
            "absent" | "failed" => StatusClass::NoMedia,
            _ => StatusClass::Pending,
        }
    }
}

/// The kind of file upstream says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// MPEG audio layer III, the only one Bird's pages show.
    Mp3,
    /// RIFF WAVE.
    Wav,
    /// Ogg, whatever the codec.
    Ogg,
    /// FLAC.
    Flac,
    /// ISO base media with audio.
    M4a,
    /// Anything else: kept under a neutral extension, checked only for not being a web page or an error text.
    Other,
}

impl Format {
    /// Reads upstream's `format`. Case does not matter; what is not known is `Other`.
    #[must_use]
    pub fn from_upstream(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "mp3" => Self::Mp3,
            "wav" => Self::Wav,
            "ogg" | "opus" => Self::Ogg,
            "flac" => Self::Flac,
            "m4a" | "mp4" => Self::M4a,
            _ => Self::Other,
        }
    }

    /// The extension in our own table. Never `json`, which is the sidecar's.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::Ogg => "ogg",
            Self::Flac => "flac",
            Self::M4a => "m4a",
            Self::Other => "bin",
        }
    }
}

/// One recording of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Upstream's id.
    pub id: RecordingId,
    /// Upstream's status.
    pub status: Status,
    /// `createdAt`, or the earliest other time upstream gave where that is unset.
    pub created_at: Timestamp,
    /// `incoming`, `outgoing` or whatever else upstream says.
    pub direction: Option<String>,
    /// The calling party's number, in international form where upstream gives it.
    pub from: Option<String>,
    /// The called party's number, in international form where upstream gives it.
    pub to: Option<String>,
    /// Length of the recording in whole seconds (inferred: the unit is not documented).
    pub duration_seconds: Option<i64>,
    /// `format`, verbatim.
    pub format: String,
    /// The object as received, member order and number spelling kept, without `url` and with any other signed
    /// link blanked out.
    pub metadata: String,
}

impl Recording {
    /// The kind of file the body should be.
    #[must_use]
    pub fn body_format(&self) -> Format {
        Format::from_upstream(&self.format)
    }
}

/// Versions kept of one recording's metadata, the first ones: an upstream that changes it without end must not make its
/// sidecar longer than can be read.
pub const MOST_METADATA_VERSIONS: u32 = 100;

/// Metadata that upstream changed after archiving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataVersion {
    /// When the change was seen.
    pub superseded_at: Timestamp,
    /// The object as it was until then.
    pub metadata: String,
}

/// What the catalog knows of a recording and upstream's object does not say: kept beside the body too, so that the
/// catalog can be made again from the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Upstream's id of the workspace.
    pub workspace_id: WorkspaceId,
    /// `createdAt` as first seen: the file's name is made of it.
    pub created_at: Timestamp,
    /// When it was first listed, by our clock.
    pub first_seen_at: Timestamp,
    /// Attempts that counted before its body was stored.
    pub attempts: u32,
    /// Metadata as it was before upstream changed it after archiving, oldest first.
    pub versions: Vec<MetadataVersion>,
}

/// A list item that could not be understood: kept as it came, with the reason, and never dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The item's text, cut to a bounded length, with signed links blanked out.
    pub raw: String,
    /// Why it was not understood.
    pub reason: String,
    /// Its id, where at least that could be read.
    pub id: Option<RecordingId>,
}
