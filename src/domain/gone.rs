//! Why a recording has no media upstream: the words that are kept of it, and the few kinds that are counted.
//!
//! Whoever learns that a recording is gone writes one of these words into its reason, and whoever counts looks for them.
//! Must not know: how it was learnt.

/// What a reason says where a look at a recording that had no media yet was answered with 404.
pub const NO_LONGER_KNOWN: &str = "upstream no longer knows it";

/// What stands in a reason where a fetch asked for a link and was answered with 404.
pub const NOT_FOUND: &str = "the API answered 404";

/// What a reason begins with where a fetch learnt a final status that no listing has shown yet.
pub const NO_MEDIA: &str = "upstream has no media: its status is ";

/// The status of a recording of which nothing was captured, or whose media was removed.
pub const ABSENT: &str = "absent";

/// The status of a recording that failed.
pub const FAILED: &str = "failed";

/// How many recordings are gone, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GoneCounts {
    /// Upstream says `absent`.
    pub absent: u64,
    /// Upstream says `failed`.
    pub failed: u64,
    /// Upstream does not know them any more (404), and had not said before that there is no media.
    pub deleted: u64,
    /// Anything else; the reason stands with each.
    pub other: u64,
}

impl GoneCounts {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.absent + self.failed + self.deleted + self.other
    }
}

impl std::ops::AddAssign for GoneCounts {
    fn add_assign(&mut self, other: Self) {
        self.absent += other.absent;
        self.failed += other.failed;
        self.deleted += other.deleted;
        self.other += other.other;
    }
}
