//! What work did, returned by value by those who did it and printed or persisted by those who asked.
//!
//! Must not know: who prints it.

use super::clock::Timestamp;
use super::digest::Sha256Digest;
use super::key::StoreKey;
use super::recording::History;

/// How a listing is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkKind {
    /// From a time on: what is new or may have changed.
    Poll,
    /// Everything upstream lists.
    Full,
}

impl WalkKind {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Full => "full",
        }
    }
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalkOutcome {
    /// A page without a next token was reached.
    Complete,
    /// We were asked to stop at a page boundary.
    Stopped,
    /// It ended otherwise; the text says how, without secrets.
    Failed(String),
}

impl WalkOutcome {
    /// The stable text: `complete`, `stopped`, or `failed: …`.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Complete => "complete".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Failed(why) => format!("failed: {why}"),
        }
    }
}

/// One walk over one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkReport {
    /// How it walked.
    pub kind: WalkKind,
    /// When it began, by our clock.
    pub started_at: Timestamp,
    /// When it ended: as long after `started_at` as it took, whatever our clock did meanwhile.
    pub finished_at: Timestamp,
    /// When it began at the earliest, by our clock and by upstream's: what was created later it may have missed.
    pub asked_at: Timestamp,
    /// What was created before this it did not ask for.
    pub since: Option<Timestamp>,
    /// How it ended.
    pub outcome: WalkOutcome,
    /// Items listed, those set aside included, duplicates counted each time.
    pub listed: u64,
    /// Pages read.
    pub pages: u64,
    /// What its pages changed.
    pub changes: UpsertCounts,
}

/// What upserting a page, or several, changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpsertCounts {
    /// Recordings never seen before.
    pub new: u64,
    /// Known recordings whose metadata or state changed.
    pub changed: u64,
    /// Known and as they were.
    pub unchanged: u64,
    /// Items set aside.
    pub set_aside: u64,
}

impl std::ops::AddAssign for UpsertCounts {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.set_aside += other.set_aside;
    }
}

/// A body that is complete, checked, synced and under its final name, with its sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Where it lies.
    pub key: StoreKey,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The media host's `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// The media host's `ETag`, verbatim, quotes included.
    pub etag: Option<String>,
    /// When it was archived, by our clock.
    pub archived_at: Timestamp,
    /// Something an operator may want to look at although the bytes are what upstream holds.
    pub remark: Option<String>,
    /// Where its sidecar was there already: what that one says.
    pub earlier: Option<Box<EarlierSidecar>>,
}

/// What a sidecar says that was written before, by a run whose catalog may not be the one at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierSidecar {
    /// Upstream's object, as it was when the sidecar was written.
    pub metadata: String,
    /// What its catalog knew besides; `None` in sidecars that do not say it.
    pub history: Option<History>,
}

/// What a drain of the queue did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Recordings archived.
    pub archived: u64,
    /// Bytes archived.
    pub archived_bytes: u64,
    /// Fetches that failed and count against their recording.
    pub failed: u64,
    /// Recordings found to have no media upstream.
    pub gone: u64,
    /// Claims given back without a result.
    pub released: u64,
}
