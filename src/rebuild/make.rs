//! `rebuild`: a catalog where there is none, out of the sidecars alone.
//!
//! Everything is looked over once before anything is made, so that what is contradictory is told early and the end can be
//! foretold. Must not know: configuration, what is printed.

use std::path::PathBuf;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::RebuildError;
use super::groups::Groups;
use super::groups::Step;
use super::report::Progress;
use super::report::RebuildReport;
use super::report::Unusable;
use super::stock::Look;
use super::stock::Stock;
use super::stock::Unused;
use super::takings::Takings;
use super::workspaces::Workspaces;
use crate::catalog::Catalog;
use crate::catalog::CatalogOptions;
use crate::catalog::Remake;
use crate::catalog::TakenUp;
use crate::domain::finding::FindingKind;
use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::store::ReadPace;
use crate::store::Store;
use crate::store::StoreReader;

/// What a catalog is made of, besides the archive.
pub struct RebuildOptions {
    /// The catalog, as it will be opened once it is made.
    pub catalog: CatalogOptions,
    /// The workspaces of the configuration.
    pub workspaces: Vec<(WorkspaceName, WorkspaceId)>,
    /// Whether bodies are judged by their length alone, and left to be read later.
    pub quick: bool,
}

/// Makes a catalog out of the archive. Until its very end there is none: stopped, failed or killed, the next attempt begins
/// anew.
///
/// # Errors
/// A catalog stands there already, the workspaces contradict each other, or the archive or the catalog's place cannot be
/// used.
pub async fn rebuild(
    store: &Store,
    reader: &StoreReader,
    options: RebuildOptions,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<RebuildReport, RebuildError> {
    Remake::check_place(&options.catalog.path).await?;
    let mut workspaces = Workspaces::new(options.workspaces);
    look_over(reader, &mut workspaces, Contradiction::Refused, progress, stop).await?;
    let stock = Stock {
        store: store.clone(),
        reader: reader.clone(),
        pace: ReadPace::new(None, stop.clone()),
        catalog: None,
    };
    let look = if options.quick { Look::Length } else { Look::Whole };
    let remake = Remake::begin(options.catalog).await?;
    if let Err(error) = remake.catalog().register_workspaces(&workspaces.to_vec()).await {
        remake.abandon().await;
        return Err(error.into());
    }
    match fill(remake.catalog(), Takings::new(stock, workspaces, look), progress, stop).await {
        Ok(report) => Ok(RebuildReport {
            hashed: !options.quick,
            moved_aside: remake.finish().await?,
            ..report
        }),
        Err(error) => {
            remake.abandon().await;
            Err(error)
        }
    }
}

async fn fill(
    catalog: &Catalog,
    mut takings: Takings,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<RebuildReport, RebuildError> {
    let mut report = RebuildReport::default();
    while let Some(batch) = takings.next(stop).await? {
        for unused in batch.unused {
            note_unused(unused, &mut report);
        }
        take_up(catalog, &batch.found, &mut report, progress).await?;
    }
    Ok(report)
}

/// What to do about a sidecar that names another workspace id than the one known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// The work ends.
    Refused,
    /// The one that was known counts.
    Left,
}

/// Counts what there is, and learns the workspaces' ids.
pub(super) async fn look_over(
    reader: &StoreReader,
    workspaces: &mut Workspaces,
    contradiction: Contradiction,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    let mut groups = Groups::of(reader);
    let mut all = Progress::default();
    while let Some(step) = groups.next().await? {
        if stop.is_cancelled() {
            return Err(RebuildError::Stopped);
        }
        let Step::Group(group) = step else { continue };
        if !group.has_sidecar {
            continue;
        }
        all.of += 1;
        // What cannot be read is told of later.
        let Ok(Ok(sidecar)) = reader.sidecar(&group.folder, &group.sidecar_name()).await else {
            continue;
        };
        all.of_bytes = all.of_bytes.saturating_add(sidecar.size_bytes);
        let is_here = group
            .key_of_any()
            .is_some_and(|key| key.recording().workspace == sidecar.workspace);
        if let (true, Some(history)) = (is_here, &sidecar.history) {
            let learnt = workspaces.learn(&sidecar.workspace, &history.workspace_id, &group.sidecar_path());
            if contradiction == Contradiction::Refused {
                learnt?;
            }
        }
    }
    progress.send_replace(all);
    Ok(())
}

async fn take_up(
    catalog: &Catalog,
    found: &[FoundRecording],
    report: &mut RebuildReport,
    progress: &watch::Sender<Progress>,
) -> Result<(), RebuildError> {
    for (found, became) in found.iter().zip(catalog.take_up(found).await?) {
        let is_lost = is_lost(found);
        if became == TakenUp::New {
            report.count(found, is_lost);
        } else {
            report.refuse(Unusable {
                path: sidecar_path(&found.object.key),
                reason: "another sidecar of the same recording was used".to_owned(),
            });
            if !is_lost {
                report.note_lone_body(found.object.key.to_string());
            }
        }
    }
    let bytes: u64 = found.iter().map(|found| found.object.size_bytes).sum();
    progress.send_modify(|progress| {
        progress.done += found.len() as u64;
        progress.bytes = progress.bytes.saturating_add(bytes);
    });
    Ok(())
}

fn note_unused(unused: Unused, report: &mut RebuildReport) {
    if let Some(unusable) = unused.unusable {
        report.refuse(unusable);
    }
    for body in unused.lone_bodies {
        report.note_lone_body(body);
    }
}

/// Whether no body was found.
pub(super) fn is_lost(found: &FoundRecording) -> bool {
    matches!(&found.body, FoundBody::Unsound(finding) if finding.kind == FindingKind::Missing)
}

/// Where a key's sidecar lies, relative to the archive.
pub(super) fn sidecar_path(key: &StoreKey) -> String {
    let folders: PathBuf = key.folders().collect();
    folders.join(key.sidecar_name()).to_string_lossy().into_owned()
}
