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
mod several;
mod stock;
mod takings;
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
