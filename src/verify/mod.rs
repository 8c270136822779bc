//! Re-reads what is archived and holds it against the catalog: every byte, a part of it, or what was found wrong before.
//!
//! Works beside the process that writes the archive. Memory does not grow with the archive, only with what is found. Must
//! not know: upstream, how findings are shown, when it is time to verify.

mod repair;
mod scrub;
mod unknown;

use std::num::NonZeroU32;
use std::num::NonZeroU64;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use repair::RepairReport;
pub use repair::repair;
pub use scrub::Scrub;
pub use scrub::ScrubOptions;
pub use unknown::UnknownFile;

use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::catalog::CatalogReader;
use crate::catalog::Reading;
use crate::catalog::StoredRow;
use crate::catalog::VerificationKey;
use crate::catalog::VerifyChoice;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;
use crate::store::Expected;
use crate::store::ReadPace;
use crate::store::Reread;
use crate::store::StoreError;
use crate::store::StoreReader;

/// Rows chosen, and noted, at a time.
const BATCH: u32 = 64;

/// Bodies read at the same time: twice as many as are hashed at a time on two cores, so that the disk is never waited for
/// alone.
const AT_ONCE: usize = 4;

/// What to re-read.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Everything.
    All,
    /// One part in so many: what was not read for the longest time, so that this many runs read everything.
    Part(NonZeroU32),
    /// What was found wrong and not found good since.
    Found,
    /// These recordings.
    Ids(Vec<RecordingId>),
}

impl Scope {
    /// How it is written down.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Part(parts) => format!("1/{parts}"),
            Self::Found => "found".to_owned(),
            Self::Ids(_) => "ids".to_owned(),
        }
    }

    /// Whether files that no row names are looked for as well.
    const fn looks_for_unknown_files(&self) -> bool {
        matches!(self, Self::All | Self::Part(_))
    }
}

/// How to re-read.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// What.
    pub scope: Scope,
    /// Only of these workspaces; none named: of all.
    pub workspaces: Vec<WorkspaceName>,
    /// Bytes a second at most.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Whether the daemon does it by itself.
    pub by_daemon: bool,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Recordings re-read.
    pub checked: u64,
    /// Bytes re-read.
    pub bytes: u64,
    /// Recordings with a finding.
    pub unsound: u64,
    /// Recordings to re-read in all; 0 where that is not known beforehand.
    pub total: u64,
}

/// What a verification came to.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// How far it came.
    pub progress: VerifyProgress,
    /// Everything that was found, in the order it was read.
    pub findings: Vec<(StoredRow, Finding)>,
    /// Files below `recordings/` that no row names, and what is neither file nor folder; `None` where they were not looked
    /// for.
    pub unknown_files: Option<Vec<UnknownFile>>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

impl VerifyReport {
    /// The recordings with a finding of this kind.
    pub fn ids(&self, kind: FindingKind) -> impl Iterator<Item = RecordingId> {
        let of_kind = self.findings.iter().filter(move |(_, finding)| finding.kind == kind);
        of_kind.map(|(row, _)| row.key.recording().id)
    }
}

/// A verification that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The catalog cannot be read or written.
    #[error("the catalog cannot be used")]
    Catalog(#[from] CatalogError),
    /// The archive cannot be read.
    #[error("the archive cannot be read")]
    Store(#[from] StoreError),
}

/// Re-reads what is archived.
pub struct Verifier {
    reader: CatalogReader,
    /// Where what is found is noted; `None`: nowhere.
    notes: Option<Catalog>,
    files: StoreReader,
}

impl Verifier {
    /// Over this catalog and this archive.
    #[must_use]
    pub const fn new(reader: CatalogReader, notes: Option<Catalog>, files: StoreReader) -> Self {
        Self { reader, notes, files }
    }

    /// Re-reads until the end or `stop`, telling `progress` on the way. What was noted until then stays noted.
    ///
    /// # Errors
    /// The catalog or the archive as a whole cannot be used. A single file that cannot be read is a finding.
    pub async fn run(
        &self,
        options: &VerifyOptions,
        now: Timestamp,
        stop: &CancellationToken,
        progress: &watch::Sender<VerifyProgress>,
    ) -> Result<VerifyReport, VerifyError> {
        let pace = ReadPace::new(options.bytes_per_second, stop.clone());
        let (choice, total, mut left) = self.choose(options, now).await?;
        progress.send_modify(|progress| progress.total = total);
        let mut key = match &self.notes {
            Some(notes) => {
                let scope = options.scope.to_text();
                noted(notes.begin_verification(&scope, options.by_daemon).await)?
            }
            None => None,
        };
        let mut report = VerifyReport::default();
        let (mut last, mut readings) = (None, Vec::new());
        loop {
            let rows = if left > 0 && !stop.is_cancelled() {
                let limit = u32::try_from(left).map_or(BATCH, |left| left.min(BATCH));
                let rows = self
                    .reader
                    .to_verify(&choice, &options.workspaces, last.as_ref(), limit, now);
                rows.await?
            } else {
                Vec::new()
            };
            let is_last = rows.is_empty();
            last = rows.last().cloned().or(last);
            left = left.saturating_sub(rows.len() as u64);
            // What was read before is noted while the next is read.
            let reading = self.read(rows, &pace, options.by_daemon);
            let (newer, note) = tokio::join!(reading, self.note(key, &readings));
            // A disk that takes no notes can still be read.
            if noted(note)?.is_none() {
                key = None;
            }
            take(&mut report, std::mem::replace(&mut readings, newer?), progress);
            if is_last {
                break;
            }
        }
        report.stopped = stop.is_cancelled();
        if options.scope.looks_for_unknown_files() && !report.stopped {
            report.unknown_files = Some(self.unknown_files(&options.workspaces).await?);
        }
        report.progress = *progress.borrow();
        if let (Some(notes), Some(key), false) = (&self.notes, key, report.stopped) {
            let unknown_files = report.unknown_files.as_ref().map(|files| files.len() as u64);
            noted(notes.finish_verification(key, unknown_files).await)?;
        }
        Ok(report)
    }

    /// What to read, how many recordings that is as far as it is known, and how many are read at most.
    async fn choose(&self, options: &VerifyOptions, now: Timestamp) -> Result<(VerifyChoice, u64, u64), VerifyError> {
        let archived = async {
            let summaries = self.reader.workspaces().await?;
            let wanted = summaries
                .iter()
                .filter(|summary| options.workspaces.is_empty() || options.workspaces.contains(&summary.name));
            let counts = wanted.map(|summary| summary.counts.get(&State::Archived).copied().unwrap_or(0));
            Ok::<u64, CatalogError>(counts.sum())
        };
        Ok(match &options.scope {
            // What is archived meanwhile is read as well.
            Scope::All => (VerifyChoice::All, archived.await?, u64::MAX),
            Scope::Part(parts) => {
                let share = archived.await?.div_ceil(u64::from(parts.get()));
                (VerifyChoice::LongestAgo(now), share, share)
            }
            Scope::Found => (VerifyChoice::Found, 0, u64::MAX),
            Scope::Ids(ids) => (VerifyChoice::Ids(ids.clone()), 0, u64::MAX),
        })
    }

    /// Re-reads a batch, several at a time, so that a long body holds up no short one. Ends early, with what was read, when
    /// it is stopped.
    async fn read(&self, rows: Vec<StoredRow>, pace: &ReadPace, by_daemon: bool) -> Result<Vec<Reading>, StoreError> {
        let reads = rows.into_iter().enumerate().map(|(at, row)| async move {
            let expected = Expected {
                key: row.key.clone(),
                size_bytes: row.size_bytes,
                sha256: row.sha256,
            };
            (at, row, self.files.examine(expected, pace.clone()).await)
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut readings = Vec::new();
        while let Some((at, row, reread)) = reads.next().await {
            let finding = match reread? {
                Reread::Sound => None,
                Reread::Unsound(finding) => {
                    if by_daemon {
                        tell(&row, &finding);
                    }
                    Some(finding)
                }
                Reread::Stopped => break,
            };
            readings.push((at, (row, finding)));
        }
        readings.sort_by_key(|(at, _)| *at);
        Ok(readings.into_iter().map(|(_, reading)| reading).collect())
    }

    async fn note(&self, key: Option<VerificationKey>, readings: &[Reading]) -> Result<(), CatalogError> {
        match (&self.notes, key) {
            (Some(notes), Some(key)) if !readings.is_empty() => notes.note_readings(key, readings).await,
            _ => Ok(()),
        }
    }
}

/// What was noted; `None`, and a word about it, where this machine does not take notes.
fn noted<T>(done: Result<T, CatalogError>) -> Result<Option<T>, CatalogError> {
    match done {
        Err(error) if error.is_local() => {
            tracing::warn!(error = %chain(&error), "what is found is not noted in the catalog");
            Ok(None)
        }
        done => done.map(Some),
    }
}

fn take(report: &mut VerifyReport, readings: Vec<Reading>, progress: &watch::Sender<VerifyProgress>) {
    for (row, finding) in readings {
        progress.send_modify(|progress| {
            progress.checked += 1;
            progress.bytes += row.size_bytes;
            progress.unsound += u64::from(finding.is_some());
        });
        report.findings.extend(finding.map(|finding| (row, finding)));
    }
}

/// Tells of a finding when it is new; the same again is no news.
fn tell(row: &StoredRow, finding: &Finding) {
    let recording = row.key.recording();
    if row.known == Some(finding.kind) {
        return;
    }
    tracing::error!(
        workspace.name = %recording.workspace, recording.id = %recording.id, path = %row.key, kind = %finding.kind,
        error = finding.detail, "an archived recording is not as it was archived; see `birdkeep verify --help`"
    );
}
