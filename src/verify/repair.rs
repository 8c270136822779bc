//! Puts right what was found: the damaged bytes are kept aside, the recording is due again, the sidecar written anew.
//!
//! Only the process that holds the archive may. Must not know: how a recording is fetched.

use super::VerifyError;
use super::VerifyReport;
use crate::catalog::Catalog;
use crate::domain::explain::chain;
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

/// Repairs every finding of a report. What cannot be repaired is left, and the rest goes on.
///
/// A body is only given up while upstream lists its recording: otherwise what is left of it, were it a sound sidecar alone,
/// is all there is.
///
/// # Errors
/// The catalog cannot be used. What was repaired until then stays repaired.
pub async fn repair(catalog: &Catalog, store: &Store, report: &VerifyReport) -> Result<RepairReport, VerifyError> {
    let mut done = RepairReport::default();
    for (row, finding) in &report.findings {
        let id = row.key.recording().id;
        if finding.kind != FindingKind::Sidecar && !row.listed {
            done.left.push((id, NOT_LISTED.to_owned()));
            continue;
        }
        // A sound sidecar stays for the body that comes: it may be the same.
        let kept = match finding.kind {
            FindingKind::Missing => None,
            FindingKind::Damaged | FindingKind::Unreadable => Some(Kept::Both),
            FindingKind::Sidecar => Some(Kept::Sidecar),
        };
        let kept_path = match kept {
            Some(_) => store.kept_folder(&row.key)?,
            None => String::new(),
        };
        let entered = catalog.begin_repair(row, finding, &kept_path).await?;
        if let Some(what) = kept
            && let Err(error) = store.keep(&row.key, &kept_path, what).await
        {
            // Where some of it was moved, the next start ends what was begun.
            if store.is_taken(&row.key).await.unwrap_or(false) {
                catalog.abandon_repair(&entered).await?;
            }
            done.left.push((id, chain(&error)));
            continue;
        }
        catalog.finish_repair(&entered).await?;
        tracing::warn!(
            workspace.name = %row.key.recording().workspace, recording.id = %id, path = %row.key, kind = %finding.kind,
            kept = kept_path, "repaired: what stood there is kept, and is to be had again from upstream"
        );
        done.repaired.push((id, kept_path));
    }
    Ok(done)
}

const NOT_LISTED: &str = "upstream does not list it as available, or was not asked for all it has within a week: what is left of it is \
                          all there is. Run a pass and try again, or restore it from a copy";
