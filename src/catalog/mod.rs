//! The catalog: one SQLite database that knows every recording, where it stands and what is to be done next.
//!
//! Owns all SQL of the house. One transaction per method; a transaction that writes takes the write lock when it
//! begins. Every future here may be dropped: what it did not commit is rolled back, so either all of a call is
//! stored or nothing. Must not know: HTTP, JSON of upstream, the archive's files.

mod backup;
mod books;
mod checkup;
mod claims;
mod copied;
mod days;
mod error;
mod findings;
mod found;
mod found_rows;
mod history;
mod list;
mod list_query;
mod open;
mod partial;
mod preflight;
mod read;
mod recent_walks;
mod reclaim;
mod remake;
mod repair;
mod retry;
mod rows;
mod set_aside;
mod settle;
mod show;
mod status;
mod to_verify;
mod upsert;
mod verify;
mod walks;
mod workspaces;

pub use backup::CopyReport;
pub use books::Books;
pub use checkup::Checkup;
pub use checkup::Growth;
pub use checkup::QuickCheck;
pub use claims::Claim;
pub use copied::ArchivedBody;
pub use error::CatalogError;
pub use error::Refusal;
pub use findings::NewFindings;
pub use found::TakenUp;
pub use history::StaleSidecar;
pub use list::ListCursor;
pub use list::ListFilter;
pub use list::RecordingRow;
pub use open::Catalog;
pub use open::CatalogOptions;
pub use read::CatalogReader;
pub use remake::Remake;
pub use repair::Repair;
pub use repair::RepairEntry;
pub use retry::RetryReport;
pub use set_aside::SetAsideRow;
pub use settle::ClaimEnd;
pub use show::RecordingDetail;
pub use status::ArchiveRow;
pub use status::LastWalk;
pub use status::WorkspaceSummary;
pub use to_verify::StoredRow;
pub use to_verify::VerifyChoice;
pub use upsert::Page;
pub use upsert::UpsertOutcome;
pub use verify::Reading;
pub use verify::Soundness;
pub use verify::Verification;
pub use verify::VerificationKey;
pub use walks::FullWalk;
pub use walks::PollPlan;
