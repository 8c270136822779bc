//! The catalog out of the archive: made again from the sidecars alone, or brought level with files that it does not know.
//!
//! Files are read, hashed and made durable; none is changed, moved, removed or followed. Must not know: upstream, the
//! queue, how a report is shown.

mod adopt;
mod error;
mod groups;
mod make;
mod reconcile;
mod report;
mod stock;
mod workspaces;

pub use adopt::Adoption;
pub use adopt::adopt_unknown;
pub use error::RebuildError;
pub use make::RebuildOptions;
pub use make::rebuild;
pub use reconcile::ReconcileReport;
pub use reconcile::reconcile;
pub use report::Progress;
pub use report::RebuildReport;
pub use report::Unusable;

/// Recordings that become rows in one transaction.
const ROWS_AT_ONCE: usize = 512;

/// Metadata that is held in memory before it is written, in bytes.
const METADATA_AT_ONCE: usize = 4 * 1024 * 1024;

/// How many bodies are hashed at the same time: as many as there are processors, within reason.
fn bodies_at_once() -> usize {
    std::thread::available_parallelism().map_or(2, |processors| processors.get().clamp(2, 16))
}
