//! Bird's recordings API: pages, items, links, and the time upstream has.
//!
//! Contract: Bird's published voice pages; what they leave open is never relied on. Must not know: databases, disks,
//! or what is done with a recording.

mod client;
mod credential;
mod error;
mod meaning;
mod members;
mod metrics;
mod pace;
mod page;
mod rights;
mod shape;
mod ticket;
mod tickets;
mod upstream_clock;
pub mod wire;

pub use client::Api;
pub use client::ApiOptions;
pub use client::ListQuery;
pub use client::WorkspaceAccess;
pub use client::WorkspaceApi;
pub use credential::Credential;
pub use credential::Scheme;
pub use credential::SecretSource;
pub use error::ApiError;
pub use error::ApiErrorKind;
pub use meaning::read_stored;
pub use metrics::RecordingMetrics;
pub use page::Item;
pub use page::Listed;
pub use page::Page;
pub use page::PageToken;
pub use rights::Right;
pub use ticket::Ticket;
pub use tickets::LANE_TICKETS;
pub use tickets::Lane;
pub use tickets::TicketBook;
pub use upstream_clock::UpstreamClock;
pub use wire::ItemLimits;
