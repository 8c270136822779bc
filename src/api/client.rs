//! Requests to the recordings API of one workspace: paced, retried within seconds, bounded, timed.
//!
//! Endpoints and the `AccessKey` scheme as in Bird's "Common API usage" and voice pages. The credential is set on each
//! request and on no other client. Must not know: what is done with the answers.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use reqwest::header::AUTHORIZATION;
use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use url::Url;

use super::credential::Credential;
use super::credential::HeldCredential;
use super::error::ApiError;
use super::error::ApiErrorKind;
use super::metrics;
use super::metrics::RecordingMetrics;
use super::pace::Pace;
use super::page::Listed;
use super::page::Page;
use super::page::PageToken;
use super::tickets::Lane;
use super::tickets::TicketBook;
use super::upstream_clock::UpstreamClock;
use super::wire;
use super::wire::ItemLimits;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::one_line;
use crate::domain::tally::ApiOutcome;
use crate::domain::tally::Tallies;
use crate::domain::tally::WorkspaceTally;
use crate::http::body::Body;
use crate::http::client::ClientError;
use crate::http::client::api_client;
use crate::http::redact::explain;
use crate::http::resolve::by_the_system;
use crate::http::retry;
use crate::http::roots::ExtraRoots;

/// Replies up to this size are read side by side, larger ones one at a time: Bird's are a quarter of this.
const SMALL_REPLY_BYTES: u64 = 1024 * 1024;

/// How much of a refusal's body is read.
const REFUSAL_HEAD_BYTES: usize = 16 * 1024;

/// How the API is reached.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Where the API is, without the `/workspaces` part.
    pub base_url: Url,
    /// Items asked for a page, 1 to 99.
    pub page_size: u32,
    /// Requests a second for each workspace.
    pub requests_per_second: NonZeroU32,
    /// The longest one try of a request may take, its body included.
    pub timeout: Duration,
    /// Whether a request that upstream could not answer for now is tried again, for some seconds.
    pub tries_again: bool,
    /// The longest list page that is read, in bytes, once it is unpacked.
    pub max_page_bytes: u64,
    /// Authorities that are trusted besides the system's.
    pub roots: ExtraRoots,
    /// What of a page is read and kept.
    pub items: ItemLimits,
}

/// A workspace and what opens it.
#[derive(Clone)]
pub struct WorkspaceAccess {
    /// The operator's name for it.
    pub name: WorkspaceName,
    /// Upstream's id.
    pub id: WorkspaceId,
    /// What opens it.
    pub credential: Credential,
}

/// The API: one client, one clock and one book of tickets for all workspaces.
pub struct Api {
    pub(super) http: reqwest::Client,
    pub(super) options: ApiOptions,
    clock: UpstreamClock,
    tickets: TicketBook,
    /// One permit: whoever reads a large reply holds it until nothing of the reply is left.
    large_replies: Arc<Semaphore>,
    tallies: Arc<Tallies>,
}

impl Api {
    /// Sets up the client. Nothing is sent.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(options: ApiOptions, local_clock: SharedClock, tallies: Arc<Tallies>) -> Result<Arc<Self>, ClientError> {
        Ok(Arc::new(Self {
            http: api_client(&options.base_url, &options.roots, by_the_system())?,
            clock: UpstreamClock::new(local_clock),
            tickets: TicketBook::default(),
            large_replies: Arc::new(Semaphore::new(1)),
            options,
            tallies,
        }))
    }

    /// Upstream's clock.
    #[must_use]
    pub const fn clock(&self) -> &UpstreamClock {
        &self.clock
    }

    /// The tickets at hand.
    #[must_use]
    pub const fn tickets(&self) -> &TicketBook {
        &self.tickets
    }

    /// How many items a page of a listing is asked for.
    #[must_use]
    pub const fn page_size(&self) -> u32 {
        self.options.page_size
    }

    /// Waits until no other large reply is in memory, so that what is held does not grow with the workspaces.
    async fn room_for_a_large_reply(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let room = Arc::clone(&self.large_replies).acquire_owned();
        match tokio::time::timeout(self.options.timeout, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(ApiError::new(
                ApiErrorKind::Unavailable,
                "the reply is large, and other large ones were in its way",
            )),
        }
    }

    /// The API as one workspace sees it.
    #[must_use]
    pub fn workspace(self: &Arc<Self>, access: WorkspaceAccess) -> WorkspaceApi {
        WorkspaceApi {
            pace: Pace::new(self.options.requests_per_second),
            tally: self.tallies.workspace(&access.name),
            api: Arc::clone(self),
            name: access.name,
            id: access.id,
            credential: HeldCredential::new(access.credential),
        }
    }
}

/// What a listing is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListQuery {
    /// Only recordings from this time on. Which of a recording's times counts, and whether the bound belongs to the
    /// range, is not documented: callers reach back further than they need.
    pub start_at: Option<Timestamp>,
    /// Only recordings before this time, with the same reservation.
    pub end_at: Option<Timestamp>,
    /// Whom it goes before.
    pub lane: Lane,
}

/// The API of one workspace.
pub struct WorkspaceApi {
    pub(super) api: Arc<Api>,
    name: WorkspaceName,
    id: WorkspaceId,
    pub(super) credential: HeldCredential,
    pub(super) pace: Pace,
    tally: Arc<WorkspaceTally>,
}

impl WorkspaceApi {
    /// The workspace's name.
    #[must_use]
    pub const fn name(&self) -> &WorkspaceName {
        &self.name
    }

    /// What all workspaces share.
    #[must_use]
    pub fn shared(&self) -> &Api {
        &self.api
    }

    /// One page of the listing, from `token` on or the first.
    ///
    /// Cancel-safe: nothing is kept of an abandoned request.
    ///
    /// # Errors
    /// Anything but a 200 of the documented shape.
    pub async fn list_page(&self, query: ListQuery, token: Option<&PageToken>) -> Result<Page, ApiError> {
        let mut url = self.url(&["recordings"])?;
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("limit", &self.api.options.page_size.to_string());
            if let Some(start_at) = query.start_at {
                pairs.append_pair("startAt", &start_at.to_string());
            }
            if let Some(end_at) = query.end_at {
                pairs.append_pair("endAt", &end_at.to_string());
            }
            if let Some(token) = token {
                pairs.append_pair("pageToken", token.as_str());
            }
        }
        let options = &self.api.options;
        let reply = self
            .get(url, MaxBytes::Page(options.max_page_bytes), query.lane)
            .await?;
        let mut page = self.counted(wire::parse_page(&reply.body, reply.received, &options.items))?;
        page.room = reply.room;
        Ok(page)
    }

    /// One recording, with a fresh link where it is available.
    ///
    /// Cancel-safe: nothing is kept of an abandoned request.
    ///
    /// # Errors
    /// Anything but a 200 that is this recording.
    pub async fn recording(&self, id: RecordingId, lane: Lane) -> Result<Listed, ApiError> {
        let limits = &self.api.options.items;
        let reply = self
            .get(
                self.url(&["recordings", &id.to_string()])?,
                MaxBytes::Item(limits.max_item_bytes),
                lane,
            )
            .await?;
        self.counted(wire::parse_recording(&reply.body, id, reply.received, limits))
    }

    /// Counts a reply by whether it could be read. Whatever ended before is counted where it ended.
    fn counted<T>(&self, read: Result<T, ApiError>) -> Result<T, ApiError> {
        let ended = read
            .as_ref()
            .map_or_else(|error| outcome(error.kind), |_| ApiOutcome::Ok);
        self.tally.request(ended);
        read.map_err(|error| ApiError {
            what: self.credential.blanked_in(error.what.as_bytes()),
            ..error
        })
    }

    /// Upstream's own count of the workspace's recordings. Needs a right of its own.
    ///
    /// Cancel-safe: nothing is kept of an abandoned request.
    ///
    /// # Errors
    /// Anything but a 200 with a counter.
    pub async fn recording_metrics(&self) -> Result<RecordingMetrics, ApiError> {
        let max = MaxBytes::Page(self.api.options.max_page_bytes);
        let reply = self.get(self.url(&["recording-metrics"])?, max, Lane::Backlog).await?;
        metrics::parse(&reply.body)
    }

    /// The workspace's address, with these parts below it.
    ///
    /// # Errors
    /// The base has no path.
    pub(super) fn url(&self, below: &[&str]) -> Result<Url, ApiError> {
        let mut url = self.api.options.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| ApiError::new(ApiErrorKind::Refused, "api.base_url cannot have a path"))?
            .pop_if_empty()
            .extend(["workspaces", self.id.as_str()])
            .extend(below);
        Ok(url)
    }

    async fn get(&self, url: Url, max: MaxBytes, lane: Lane) -> Result<Reply, ApiError> {
        let mut waits = retry::waits();
        let mut renewed = false;
        loop {
            let waiting = Instant::now();
            self.pace.wait(lane).await;
            self.tally.waited.add(waiting.elapsed());
            let (authorization, edition) = self.credential.authorization()?;
            let error = match self.try_get(url.clone(), authorization, max).await {
                Ok(reply) => {
                    self.pace.recover();
                    return Ok(reply);
                }
                Err(error) => error,
            };
            self.tally.request(outcome(error.kind));
            let asked = match error.kind {
                ApiErrorKind::RateLimited(wait) => {
                    self.pace.slow_down(wait.min(retry::LONGEST_WAIT));
                    wait
                }
                ApiErrorKind::Unavailable => Duration::ZERO,
                // Once for a request: where the new one is refused as well, that is the answer.
                ApiErrorKind::Denied if !renewed && self.credential.renew(edition, &self.name).await => {
                    renewed = true;
                    continue;
                }
                _ => return Err(error),
            };
            match waits.next() {
                Some(wait) if asked <= retry::LONGEST_WAIT && self.api.options.tries_again => {
                    tracing::debug!(workspace.name = %self.name, error = %error, "API request will be tried again");
                    tokio::time::sleep(wait).await;
                    if matches!(error.kind, ApiErrorKind::RateLimited(_)) {
                        self.tally.waited.add(wait);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    async fn try_get(&self, url: Url, authorization: HeaderValue, max: MaxBytes) -> Result<Reply, ApiError> {
        let unavailable = |error| ApiError::new(ApiErrorKind::Unavailable, explain(error));
        let sent = Instant::now();
        let mut response = self
            .api
            .http
            .get(url)
            .timeout(self.api.options.timeout)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization)
            .send()
            .await
            .map_err(unavailable)?;
        let received = Instant::now();
        let date = header_date(response.headers());
        if let Some(date) = date {
            self.api.clock.observe(date, sent, received);
            self.api.tallies.offset_is(self.api.clock.offset_seconds());
        }
        let status = response.status();
        if status != StatusCode::OK {
            let head = refusal_head(&mut response).await;
            return Err(refusal(
                status,
                response.headers(),
                date,
                &self.credential.blanked_in(&head),
            ));
        }
        let (mut body, mut room) = (Body::default(), None);
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            let len_bytes = (body.len() + chunk.len()) as u64;
            if len_bytes > max.bytes() {
                return Err(ApiError::malformed(format!("the reply is longer than {max}")));
            }
            if len_bytes > SMALL_REPLY_BYTES && room.is_none() {
                room = Some(self.api.room_for_a_large_reply().await?);
            }
            body.extend_from_slice(&chunk).map_err(|error| {
                ApiError::new(ApiErrorKind::Unavailable, format!("no memory for the reply: {error}"))
            })?;
        }
        Ok(Reply { body, received, room })
    }
}

const fn outcome(kind: ApiErrorKind) -> ApiOutcome {
    match kind {
        ApiErrorKind::Denied => ApiOutcome::Denied,
        ApiErrorKind::NotFound => ApiOutcome::NotFound,
        ApiErrorKind::RateLimited(_) => ApiOutcome::RateLimited,
        ApiErrorKind::Unavailable => ApiOutcome::Unavailable,
        ApiErrorKind::Malformed => ApiOutcome::Malformed,
        ApiErrorKind::Refused => ApiOutcome::Refused,
    }
}

struct Reply {
    body: Body,
    received: Instant,
    room: Option<OwnedSemaphorePermit>,
}

/// How long a reply may be, and which key says so.
#[derive(Clone, Copy)]
enum MaxBytes {
    Page(u64),
    Item(u64),
}

impl MaxBytes {
    const fn bytes(self) -> u64 {
        let (Self::Page(bytes) | Self::Item(bytes)) = self;
        bytes
    }
}

impl fmt::Display for MaxBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self {
            Self::Page(_) => "api.max_page_bytes",
            Self::Item(_) => "api.max_item_bytes",
        };
        write!(f, "{key} ({} bytes)", self.bytes())
    }
}

/// The beginning of what a refusal says. Its status is proof enough: how the rest goes on does not matter.
async fn refusal_head(response: &mut Response) -> Vec<u8> {
    let mut head = Vec::new();
    while head.len() < REFUSAL_HEAD_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        head.extend_from_slice(&chunk);
    }
    head.truncate(REFUSAL_HEAD_BYTES);
    head
}

fn header_date(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::from_http_date(headers.get(DATE)?.to_str().ok()?)
}

/// Bird's error body, `{code, message}`, both optional here.
#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

fn refusal(status: StatusCode, headers: &HeaderMap, date: Option<Timestamp>, body: &str) -> ApiError {
    let kind = match status.as_u16() {
        401 | 403 => ApiErrorKind::Denied,
        404 => ApiErrorKind::NotFound,
        429 => ApiErrorKind::RateLimited(retry::retry_after(headers, date).unwrap_or_default()),
        code if retry::is_transient(code) || code >= 500 => ApiErrorKind::Unavailable,
        400..500 => ApiErrorKind::Refused,
        _ => ApiErrorKind::Malformed,
    };
    let said = match serde_json::from_str::<ErrorBody>(body) {
        Ok(ErrorBody { code, message }) => {
            let parts: Vec<String> = code.into_iter().chain(message).collect();
            parts.join(": ")
        }
        Err(_) => String::new(),
    };
    let mut what = format!("the API answered {}", status.as_u16());
    if !said.is_empty() {
        what.push_str(&format!(" ({})", one_line(&said, 200)));
    }
    ApiError::new(kind, what)
}
