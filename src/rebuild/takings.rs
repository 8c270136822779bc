//! All recordings of the archive, taken stock of several at a time and handed out in batches, in the order of their names.
//!
//! Holds a batch of bounded size and the names of one folder, whatever the archive's size. Must not know: what becomes of
//! a batch.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::RebuildError;
use super::groups::Groups;
use super::groups::Step;
use super::several::Several;
use super::stock::Look;
use super::stock::Stock;
use super::stock::Taken;
use super::stock::Unused;
use super::workspaces::Workspaces;
use crate::domain::found::FoundRecording;

/// Recordings that become rows in one transaction, and files that are told of at once.
const AT_ONCE: usize = 512;

/// Metadata that is held in memory before it is handed out, in bytes.
const METADATA_AT_ONCE: usize = 4 * 1024 * 1024;

/// What was taken stock of since the last batch.
#[derive(Default)]
pub(super) struct Batch {
    /// Recordings.
    pub(super) found: Vec<FoundRecording>,
    /// What could not be used.
    pub(super) unused: Vec<Unused>,
    metadata_bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.found.len() + self.unused.len() >= AT_ONCE || self.metadata_bytes >= METADATA_AT_ONCE
    }

    fn push(&mut self, taken: Taken) {
        if let Some(found) = taken.found {
            let versions = found.history.versions.iter().map(|version| version.metadata.len());
            self.metadata_bytes += found.recording.metadata.len() + versions.sum::<usize>();
            self.found.push(found);
        }
        if taken.unused.unusable.is_some() || !taken.unused.lone_bodies.is_empty() {
            self.unused.push(taken.unused);
        }
    }
}

/// Goes through the archive.
pub(super) struct Takings {
    groups: Groups,
    stock: Arc<Stock>,
    workspaces: Arc<Workspaces>,
    look: Look,
    under_way: Several<Result<Option<Taken>, RebuildError>>,
}

impl Takings {
    pub(super) fn new(stock: Stock, workspaces: Workspaces, look: Look) -> Self {
        Self {
            groups: Groups::of(&stock.reader),
            stock: Arc::new(stock),
            workspaces: Arc::new(workspaces),
            look,
            under_way: Several::new(),
        }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// [`RebuildError::Stopped`], or the archive cannot be read.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Batch>, RebuildError> {
        let mut batch = Batch::default();
        while !batch.is_full() {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(RebuildError::Stopped),
                taken = self.next_taken() => taken?,
            };
            match taken {
                Some(taken) => batch.push(taken),
                None if batch.found.is_empty() && batch.unused.is_empty() => return Ok(None),
                None => break,
            }
        }
        Ok(Some(batch))
    }

    async fn next_taken(&mut self) -> Result<Option<Taken>, RebuildError> {
        while !self.under_way.is_full() {
            let Some(step) = self.groups.next().await? else { break };
            let (stock, workspaces, look) = (Arc::clone(&self.stock), Arc::clone(&self.workspaces), self.look);
            self.under_way.begin(async move {
                match step {
                    Step::Group(group) => stock.take(&group, &workspaces, look).await,
                    Step::Stranger(unusable) => Ok(Some(Taken {
                        found: None,
                        unused: Unused {
                            unusable: Some(unusable),
                            lone_bodies: Vec::new(),
                        },
                    })),
                }
            });
        }
        match self.under_way.next().await? {
            Some(taken) => taken?.ok_or(RebuildError::Stopped).map(Some),
            None => Ok(None),
        }
    }
}
