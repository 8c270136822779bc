//! A catalog that was restored from a copy, beside an archive that went on without it: brought level, not fought.
//!
//! Files that it does not know are adopted after hashing; files that it knows and that are not there, or not whole, become
//! findings. Nothing is overwritten and no file is touched. Only at the very end does the catalog cease to be a copy, so
//! that what is interrupted begins again. Must not know: when this is done.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::RebuildError;
use super::make::Contradiction;
use super::make::is_lost;
use super::make::look_over;
use super::make::sidecar_path;
use super::report::Progress;
use super::several::Several;
use super::stock::Look;
use super::stock::Stock;
use super::takings::Takings;
use super::workspaces::Workspaces;
use crate::catalog::ArchivedBody;
use crate::catalog::Catalog;
use crate::catalog::TakenUp;
use crate::domain::clock::Timestamp;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::store::Expected;
use crate::store::ReadPace;
use crate::store::Reread;
use crate::store::Store;
use crate::store::StoreReader;

/// Bodies whose presence is noted in one transaction.
const BODIES_AT_ONCE: u32 = 512;

/// What a restored catalog and its archive did not agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileReport {
    /// When the catalog was copied.
    pub copied_at: Timestamp,
    /// Recordings adopted that it did not know at all, or not as archived.
    pub adopted: u64,
    /// Their bytes.
    pub adopted_bytes: u64,
    /// Bodies it knows that are not there; each has a finding.
    pub missing: u64,
    /// Bodies that are not what they should be; each has a finding.
    pub damaged: u64,
    /// Recordings of which it says something else than a sidecar does. It keeps what it says.
    pub different: u64,
    /// Sidecars without a body, of recordings it did not know: due now.
    pub without_body: u64,
    /// What could not be used, bodies without a sidecar included. It was left as it is.
    pub unusable: u64,
}

/// Brings a catalog that is a restored copy level with the archive. `None` where it is no copy. Ends at `stop`.
///
/// # Errors
/// [`RebuildError::Stopped`], or the archive or the catalog cannot be used. The catalog is a copy still, and the next
/// attempt begins again.
pub async fn reconcile(
    catalog: &Catalog,
    store: &Store,
    reader: &StoreReader,
    stop: &CancellationToken,
) -> Result<Option<ReconcileReport>, RebuildError> {
    let Some(copied_at) = catalog.reader().copied_at().await? else {
        return Ok(None);
    };
    let mut report = ReconcileReport {
        copied_at,
        adopted: 0,
        adopted_bytes: 0,
        missing: 0,
        damaged: 0,
        different: 0,
        without_body: 0,
        unusable: 0,
    };
    let known = catalog.reader().workspaces().await?;
    let mut workspaces = Workspaces::new(known.into_iter().map(|workspace| (workspace.name, workspace.id)));
    let (untold, _) = watch::channel(Progress::default());
    look_over(reader, &mut workspaces, Contradiction::Left, &untold, stop).await?;
    catalog.register_workspaces(&workspaces.to_vec()).await?;
    let stock = Stock {
        store: store.clone(),
        reader: reader.clone(),
        pace: ReadPace::new(None, stop.clone()),
        catalog: Some(catalog.reader()),
    };
    let mut takings = Takings::new(stock.clone(), workspaces, Look::Whole);
    while let Some(batch) = takings.next(stop).await? {
        for unused in &batch.unused {
            if let Some(unusable) = &unused.unusable {
                tracing::debug!(path = unusable.path, reason = unusable.reason, "not used");
            }
            report.unusable += u64::from(unused.unusable.is_some()) + unused.lone_bodies.len() as u64;
        }
        take_up(catalog, &batch.found, &mut report).await?;
    }
    find_unsound(stock, catalog, &mut report, stop).await?;
    Ok(Some(report))
}

async fn take_up(
    catalog: &Catalog,
    found: &[FoundRecording],
    report: &mut ReconcileReport,
) -> Result<(), RebuildError> {
    for (found, became) in found.iter().zip(catalog.take_up(found).await?) {
        match became {
            TakenUp::New if is_lost(found) => report.without_body += 1,
            TakenUp::New | TakenUp::Completed => {
                report.adopted += 1;
                report.adopted_bytes += found.object.size_bytes;
                report.damaged += u64::from(matches!(found.body, FoundBody::Unsound(_)));
            }
            TakenUp::Known => {}
            TakenUp::Differs => {
                tracing::debug!(
                    path = sidecar_path(&found.object.key),
                    "the catalog says something else"
                );
                report.different += 1;
            }
        }
    }
    Ok(())
}

/// Looks whether every body that the catalog knows is there and as long as it should be; reads those that are not. In the
/// last transaction the catalog ceases to be a copy.
async fn find_unsound(
    stock: Stock,
    catalog: &Catalog,
    report: &mut ReconcileReport,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    let stock = Arc::new(stock);
    let mut last: Option<ArchivedBody> = None;
    loop {
        let bodies = catalog.reader().archived_bodies(last.as_ref(), BODIES_AT_ONCE).await?;
        let is_end = bodies.is_empty();
        last = bodies.last().cloned();
        let unsound = unsound_of(&stock, bodies, stop).await?;
        for (_, finding) in &unsound {
            match finding.kind {
                FindingKind::Missing => report.missing += 1,
                _ => report.damaged += 1,
            }
        }
        catalog.note_unsound(&unsound, is_end).await?;
        if is_end {
            return Ok(());
        }
    }
}

/// Those of some bodies that are not as they should be, with what is wrong.
async fn unsound_of(
    stock: &Arc<Stock>,
    bodies: Vec<ArchivedBody>,
    stop: &CancellationToken,
) -> Result<Vec<(ArchivedBody, Finding)>, RebuildError> {
    let (mut bodies, mut under_way, mut unsound) = (bodies.into_iter(), Several::new(), Vec::new());
    loop {
        while !under_way.is_full() {
            let Some(body) = bodies.next() else { break };
            let stock = Arc::clone(stock);
            under_way.begin(async move {
                let finding = look_at(&stock, &body).await;
                finding.map(|finding| finding.map(|finding| (body, finding)))
            });
        }
        let looked: Option<Result<_, RebuildError>> = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(RebuildError::Stopped),
            looked = under_way.next() => looked?,
        };
        match looked {
            Some(looked) => unsound.extend(looked?),
            None => return Ok(unsound),
        }
    }
}

async fn look_at(stock: &Stock, body: &ArchivedBody) -> Result<Option<Finding>, RebuildError> {
    if matches!(stock.store.settle(&body.key).await, Ok(Some(length)) if length == body.size_bytes) {
        return Ok(None);
    }
    let expected = Expected {
        key: body.key.clone(),
        size_bytes: body.size_bytes,
        sha256: body.sha256,
    };
    Ok(match stock.reader.examine(expected, stock.pace.clone()).await? {
        Reread::Unsound(finding) => Some(finding),
        Reread::Sound => None,
        Reread::Stopped => return Err(RebuildError::Stopped),
    })
}
