//! Fetches one recording: link, bytes, checks, name. Returns what is stored or why nothing is.
//!
//! The middle of three retries: within one fetch a broken body is resumed or begun again, and a link that ran out is
//! replaced. Must not know: the catalog, other recordings, when to try again.

mod check;
mod fetch;
mod media;
mod rate;
mod refill;
pub mod reply;
mod width;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fetch::Fetch;
use self::media::Ask;
use self::media::Media;
use self::media::NoBody;
use self::refill::Refills;
pub use self::width::Concurrency;
use self::width::Width;
use crate::api::Api;
use crate::api::LANE_TICKETS;
use crate::api::Ticket;
use crate::api::WorkspaceApi;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::domain::reach::Reach;
use crate::domain::recording::Format;
use crate::domain::recording::History;
use crate::domain::redact::one_line;
use crate::domain::report::StoredObject;
use crate::domain::state::FailureKind;
use crate::domain::tally::Cause;
use crate::domain::tally::Tallies;
use crate::http::client::ClientError;
use crate::http::client::MediaClient;
use crate::http::resolve::by_the_system;
use crate::http::roots::ExtraRoots;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoreErrorKind;

/// How bodies are fetched.
#[derive(Debug, Clone)]
pub struct FetcherOptions {
    /// Bodies fetched at the same time.
    pub concurrency: Concurrency,
    /// Media hosts that may be asked, redirects included, and where their names may lead.
    pub reach: Arc<Reach>,
    /// Authorities that are trusted besides the system's.
    pub roots: ExtraRoots,
    /// Life a link must have left for a download to begin.
    pub expiry_margin: Duration,
    /// The longest silence of a media host.
    pub stall_timeout: Duration,
    /// The longest one fetch may take.
    pub total_timeout: Duration,
    /// Bytes a second below which a body is broken off, measured over each `stall_timeout`; 0 for none.
    pub min_rate_bytes_per_second: u64,
    /// The longest body that is taken, in bytes.
    pub max_bytes: u64,
    /// Redirects followed, each to an allowed host.
    pub max_redirects: u32,
}

/// A recording whose link is at hand.
pub struct Offer {
    /// Which recording.
    pub recording: RecordingRef,
    /// Its link.
    pub ticket: Ticket,
}

/// One recording to fetch.
pub struct FetchJob {
    /// Which recording.
    pub recording: RecordingRef,
    /// What kind of file it should be.
    pub format: Format,
    /// How long upstream says it plays.
    pub duration_seconds: Option<i64>,
    /// Its metadata, for the sidecar.
    pub metadata: String,
    /// What else is known of it, for the sidecar. Its creation is part of its name.
    pub history: History,
    /// A link, if one is at hand.
    pub ticket: Option<Ticket>,
    /// Where it is one of many without a link: when those were created, so that one request may bring links for all.
    pub backlog: Option<Window>,
    /// Whether something may stand at its name already, to be adopted rather than fetched.
    pub may_be_stored: bool,
    /// What it takes up while it is fetched. Dropped once the body is whole and found good: making it durable keeps no other
    /// waiting.
    pub place: Box<dyn Any + Send + Sync>,
}

impl FetchJob {
    fn key(&self) -> StoreKey {
        StoreKey::new(&self.recording, self.history.created_at, self.format)
    }
}

/// A span of creation times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub from: Timestamp,
    /// The last; `None`: to the present.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether a recording created then lies in it.
    #[must_use]
    pub fn holds(&self, created_at: Timestamp) -> bool {
        created_at >= self.from && self.until.is_none_or(|until| created_at <= until)
    }
}

/// Why a fetch brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FetchError {
    /// What to do about it.
    pub kind: FailureKind,
    /// What it is counted as.
    pub cause: Cause,
    /// What happened, in one line and without secrets.
    pub reason: String,
}

impl FetchError {
    fn new(kind: FailureKind, cause: Cause, reason: impl AsRef<str>) -> Self {
        Self {
            kind,
            cause,
            reason: one_line(reason.as_ref(), 400),
        }
    }

    fn transient(cause: Cause, reason: impl AsRef<str>) -> Self {
        Self::new(FailureKind::Transient, cause, reason)
    }
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        let (kind, cause) = match error.kind {
            StoreErrorKind::Local => (FailureKind::Local, Cause::Local),
            StoreErrorKind::Conflict => (FailureKind::Transient, Cause::Conflict),
            StoreErrorKind::TooLarge => (FailureKind::Transient, Cause::TooLarge),
            StoreErrorKind::Invalid => (FailureKind::Transient, Cause::Internal),
        };
        Self::new(kind, cause, chain(&error))
    }
}

/// The workspaces' APIs, by name.
pub type WorkspaceApis = Arc<HashMap<WorkspaceName, WorkspaceApi>>;

/// Fetches recordings.
pub struct Fetcher {
    api: Arc<Api>,
    workspaces: WorkspaceApis,
    store: Store,
    media: Media,
    options: FetcherOptions,
    refills: Refills,
    width: Width,
    tallies: Arc<Tallies>,
}

impl Fetcher {
    /// Sets up the media client.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        api: Arc<Api>,
        workspaces: WorkspaceApis,
        store: Store,
        options: FetcherOptions,
        tallies: Arc<Tallies>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            refills: Refills::new(workspaces.keys()),
            media: media(&options)?,
            width: Width::new(options.concurrency),
            api,
            workspaces,
            store,
            options,
            tallies,
        })
    }

    /// How many bodies are to be fetched at once now.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.width.at_once()
    }

    /// Recordings whose links are at hand, those that run out first before the others. Each is offered once.
    #[must_use]
    pub fn offers(&self, limit: usize) -> Vec<Offer> {
        let tickets = self
            .api
            .tickets()
            .take_next(limit, self.api.clock(), self.options.expiry_margin);
        tickets
            .into_iter()
            .map(|(recording, ticket)| Offer { recording, ticket })
            .collect()
    }

    /// The recording's link, if one is at hand. To be taken as soon as the recording is claimed, before it is offered.
    #[must_use]
    pub fn link_at_hand(&self, recording: &RecordingRef) -> Option<Ticket> {
        let (book, clock) = (self.api.tickets(), self.api.clock());
        book.take(recording, clock, self.options.expiry_margin)
    }

    /// For how many recordings one listing is to bring links, where so many workspaces have a backlog: as many as a page of it
    /// holds, less some for those that upstream lists and the catalog does not know yet; fewer where links would have to be
    /// let go to make room for those of another workspace.
    #[must_use]
    pub fn links_at_once(&self, backlogs: usize) -> u32 {
        let (page_size, room) = (self.api.page_size(), LANE_TICKETS / backlogs.max(1));
        let on_a_page = page_size - page_size / 11;
        on_a_page.min(u32::try_from(room).unwrap_or(u32::MAX)).max(1)
    }

    /// Whether the disk takes bodies now.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub async fn ready(&self) -> Result<(), FetchError> {
        Ok(self.store.ready().await?)
    }

    /// Whether the disk has room above its reserve. Cheaper than [`Fetcher::ready`]: nothing is written.
    ///
    /// # Errors
    /// Says how much is missing.
    pub async fn has_room(&self) -> Result<(), FetchError> {
        Ok(self.store.reserve(0).await?)
    }

    /// Sees at whose names nothing stands, so that what a crash left is not looked for with each of them.
    ///
    /// # Errors
    /// The machine cannot look.
    pub async fn look_for_stored(&self, jobs: &mut [&mut FetchJob]) -> Result<(), FetchError> {
        let keys = jobs.iter().map(|job| job.key()).collect();
        for (job, standing) in jobs.iter_mut().zip(self.store.standing_at(keys).await?) {
            job.may_be_stored = standing;
        }
        Ok(())
    }

    /// Fetches one recording to its final name, or adopts the file a crash left there.
    ///
    /// Returns within the total timeout. `stop` ends it at the next chunk; storing, once begun, is finished. Not
    /// cancel-safe: await it to its end, or a stored body goes unnoticed until the next run adopts it.
    ///
    /// # Errors
    /// Says why nothing is stored, and whose fault that is.
    pub async fn fetch(&self, job: FetchJob, stop: &CancellationToken) -> Result<StoredObject, FetchError> {
        let key = job.key();
        if job.may_be_stored
            && let Some(object) = self.store.adopt(&key, &job.recording).await?
        {
            tracing::info!(
                workspace.name = %job.recording.workspace, recording.id = %job.recording.id,
                "adopted a stored body whose row had not been written"
            );
            return Ok(object);
        }
        let (under_way, begun) = (self.tallies.enter(), Instant::now());
        let object = Fetch::new(self, job, stop).run(&key).await?;
        under_way.whole(begun.elapsed(), object.size_bytes);
        Ok(object)
    }
}

/// Asks for the first byte of a body, to see whether bodies can be fetched at all. Returns how long it took to come.
///
/// # Errors
/// Says what stands in the way.
pub async fn first_byte(options: &FetcherOptions, ticket: &Ticket) -> Result<Duration, FetchError> {
    let media = media(options).map_err(|error| FetchError::transient(Cause::Internal, chain(&error)))?;
    let begun = Instant::now();
    let ask = Ask {
        only_first: true,
        ..Ask::default()
    };
    let mut response = media.open(ticket, &ask).await.map_err(|no_body| match no_body {
        NoBody::NotAllowed(why) => FetchError::transient(Cause::RefusedHost, why),
        NoBody::Broken(cause, why) => FetchError::transient(cause, why),
        NoBody::Refused(cause, refusal) => FetchError::transient(cause, refusal.text()),
    })?;
    match media.next(&mut response).await {
        Ok(Some(_)) => Ok(begun.elapsed()),
        Ok(None) => Err(FetchError::transient(Cause::Length, "the body is empty")),
        Err((cause, why)) => Err(FetchError::transient(cause, why)),
    }
}

fn media(options: &FetcherOptions) -> Result<Media, ClientError> {
    Ok(Media {
        client: MediaClient::new(&options.reach, &options.roots, &by_the_system())?,
        reach: Arc::clone(&options.reach),
        max_redirects: options.max_redirects,
        stall_timeout: options.stall_timeout,
    })
}
