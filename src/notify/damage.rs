//! What re-reading found that was not known at the last look, whoever re-read.
//!
//! Must not know: how files are re-read, who is told.

use super::event::Event;
use super::event::EventKind;
use super::event::MOST_RECORDINGS;
use crate::catalog::CatalogError;
use crate::catalog::CatalogReader;
use crate::catalog::NewFindings;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;

/// The findings that are known.
pub(super) struct Damage {
    all: u64,
    newest_at: Option<Timestamp>,
}

impl Damage {
    /// What is known already.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub(super) async fn known(reader: &CatalogReader) -> Result<Self, CatalogError> {
        let NewFindings { all, newest_at, .. } = reader.findings_after(None, 0).await?;
        Ok(Self { all, newest_at })
    }

    /// What was found since, known from now on.
    ///
    /// # Errors
    /// The catalog cannot be read. Nothing is known then that was not before.
    pub(super) async fn news(&mut self, reader: &CatalogReader, at: Timestamp) -> Result<Option<Event>, CatalogError> {
        let limit = u32::try_from(MOST_RECORDINGS).unwrap_or(u32::MAX);
        let found = reader.findings_after(self.newest_at, limit).await?;
        // Where the clock was set back, times alone would not tell.
        let count = found.new.max(found.all.saturating_sub(self.all));
        self.all = found.all;
        self.newest_at = found.newest_at.max(self.newest_at);
        Ok((count > 0).then(|| event(count, found.all, &found.recordings, at)))
    }
}

/// So many were found that were not known, and so many are known in all.
pub(super) fn event(count: u64, all: u64, recordings: &[RecordingId], at: Timestamp) -> Event {
    Event {
        kind: EventKind::DamageFound,
        at,
        workspace: None,
        text: format!(
            "{count} archived recording(s) found that are not as they were archived, {all} in all; see `birdkeep verify --found`"
        ),
        count,
        recordings: recordings.iter().take(MOST_RECORDINGS).copied().collect(),
    }
}
