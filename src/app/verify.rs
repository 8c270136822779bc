//! A verification by hand, beside a running daemon; with repairs, in its place.
//!
//! Must not know: how what is found is shown.

use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::build::open_catalog;
use super::build::open_store;
use super::notices::notifier;
use super::view::ArchiveView;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::RecordingId;
use crate::domain::key::StoreKey;
use crate::rebuild::Adoption;
use crate::rebuild::adopt_unknown;
use crate::store::ReadPace;
use crate::store::Store;
use crate::store::StoreReader;
use crate::sweep::Sweep;
use crate::verify::RepairReport;
use crate::verify::Verifier;
use crate::verify::VerifyOptions;
use crate::verify::VerifyProgress;
use crate::verify::VerifyReport;
use crate::verify::repair;

/// Re-reads the archive. What is found is noted in the catalog, where that can be written.
///
/// # Errors
/// There is no archive, its catalog is refused, or the disk as a whole cannot be read.
pub async fn verify(
    config: &Config,
    clock: SharedClock,
    options: &VerifyOptions,
    stop: &CancellationToken,
    progress: &watch::Sender<VerifyProgress>,
) -> anyhow::Result<VerifyReport> {
    let view = ArchiveView::open(config).await?;
    let files = open_reader(&view).await?;
    let notes = match view.writer(config).await {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "what is found is not noted in the catalog");
            None
        }
    };
    let are_noted = notes.is_some();
    let verifier = Verifier::new(view.reader.clone(), notes.clone(), files);
    let report = verifier.run(options, clock.now(), stop, progress).await;
    if let Some(notes) = notes {
        notes.close().await.context("cannot close the catalog")?;
    }
    let report = report?;
    // A daemon reads what was noted, and tells of it.
    let is_told_elsewhere = are_noted && Store::is_in_use(&view.dir);
    if !report.findings.is_empty() && !is_told_elsewhere {
        tell_findings(config, &clock, &report, view.glance.id.as_deref()).await?;
    }
    Ok(report)
}

/// Runs the operator's command where something was found that was not known.
async fn tell_findings(
    config: &Config,
    clock: &SharedClock,
    report: &VerifyReport,
    archive_id: Option<&str>,
) -> anyhow::Result<()> {
    let new = report.findings.iter().filter(|(row, _)| row.known.is_none());
    let new: Vec<RecordingId> = new.map(|(row, _)| row.key.recording().id).collect();
    let all = report.findings.len() as u64;
    let archive_id = archive_id.unwrap_or_default();
    notifier(config)?.tell_damage(&new, all, clock.now(), archive_id).await;
    Ok(())
}

/// Re-reads the archive as its only writer, and repairs what it finds.
///
/// # Errors
/// As [`verify()`], and where another process holds the archive.
pub async fn verify_and_repair(
    config: &Config,
    clock: SharedClock,
    options: &VerifyOptions,
    stop: &CancellationToken,
    progress: &watch::Sender<VerifyProgress>,
) -> anyhow::Result<(VerifyReport, RepairReport)> {
    let view = ArchiveView::open(config).await?;
    let files = open_reader(&view).await?;
    let store = open_store(config, &clock).await?;
    let catalog = open_catalog(config, &store, &clock).await?;
    let sweep = Sweep::new(catalog.clone(), store.clone(), Arc::clone(&clock));
    let done = async {
        if catalog.reader().copied_at().await?.is_some() {
            return Err(anyhow!(
                "the catalog was put back from a backup and is not level with the files yet; start birdkeep once (`birdkeep \
                 --once`), then repair"
            ));
        }
        sweep.run().await?;
        let verifier = Verifier::new(catalog.reader(), Some(catalog.clone()), files.clone());
        let report = verifier.run(options, clock.now(), stop, progress).await?;
        let mut repaired = repair(&catalog, &store, &report).await?;
        for key in unknown_bodies(&report) {
            if stop.is_cancelled() {
                break;
            }
            let pace = ReadPace::new(options.bytes_per_second, stop.clone());
            match adopt_unknown(&catalog, &store, &files, &key, pace).await? {
                Adoption::Adopted => repaired.adopted.push(key),
                Adoption::Known => {}
                Adoption::Refused(why) => tracing::info!(path = %key, error = why, "left as it is"),
            }
        }
        sweep.refresh_sidecars(stop).await?;
        anyhow::Ok((report, repaired))
    };
    let done = done.await;
    catalog.close().await.context("cannot close the catalog")?;
    if let Ok((report, _)) = &done {
        tell_findings(config, &clock, report, Some(store.archive_id())).await?;
    }
    done
}

/// The bodies among the files that no row names. What else is unknown is nobody's.
fn unknown_bodies(report: &VerifyReport) -> Vec<StoreKey> {
    let files = report.unknown_files.iter().flatten().filter(|file| file.what.is_none());
    files.filter_map(|file| file.path.parse().ok()).collect()
}

async fn open_reader(view: &ArchiveView) -> anyhow::Result<StoreReader> {
    let dir = view.dir.clone();
    let opened = tokio::task::spawn_blocking(move || StoreReader::open(&dir));
    Ok(opened.await.context("opening the archive")??)
}
