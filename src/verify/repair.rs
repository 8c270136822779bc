//! Puts right what was found: the damaged bytes are kept aside, the recording is due again, the sidecar written anew.
//!
//! Only the process that holds the archive may. Must not know: how a recording is fetched.

use super::VerifyError;
use super::VerifyReport;
use crate::catalog::Catalog;
use crate::catalog::StoredRow;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::key::StoreKey;
use crate::store::Kept;
use crate::store::Store;

/// What a repair came to.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Recordings that are due again, or whose sidecar is to be written anew, with the folder that what stood there is kept
    /// in.
    pub repaired: Vec<(RecordingId, String)>,
    /// Recordings left as they are, with the reason.
    pub left: Vec<(RecordingId, String)>,
    /// Bodies that no row named and whose sidecars speak for them: archived again.
    pub adopted: Vec<StoreKey>,
}

/// Repairs every finding of a report.
///
/// A damaged or unreadable body is only moved aside while upstream still lists its recording: otherwise it is all there
/// is.
///
/// # Errors
/// The catalog or the disk cannot be used. What was repaired until then stays repaired.
pub async fn repair(catalog: &Catalog, store: &Store, report: &VerifyReport) -> Result<RepairReport, VerifyError> {
    let mut done = RepairReport::default();
    for (row, finding) in &report.findings {
        let id = row.key.recording().id;
        if let Some(why) = why_left(row, finding) {
            done.left.push((id, why.to_owned()));
            continue;
        }
        let kept_path = store.kept_folder(&row.key)?;
        let entered = catalog.begin_repair(row, finding, &kept_path).await?;
        let what = if finding.kind == FindingKind::Sidecar {
            Kept::Sidecar
        } else {
            Kept::Both
        };
        store.keep(&row.key, &kept_path, what).await?;
        catalog.finish_repair(&entered).await?;
        tracing::warn!(
            workspace.name = %row.key.recording().workspace, recording.id = %id, path = %row.key, kind = %finding.kind,
            kept = kept_path, "repaired: what stood there is kept, and is to be had again from upstream"
        );
        done.repaired.push((id, kept_path));
    }
    Ok(done)
}

fn why_left(row: &StoredRow, finding: &Finding) -> Option<&'static str> {
    let takes_the_last_copy = matches!(finding.kind, FindingKind::Damaged | FindingKind::Unreadable);
    (takes_the_last_copy && !row.listed).then_some(
        "upstream does not list it as available any more, so that these bytes are all there is; restore it from a copy",
    )
}
