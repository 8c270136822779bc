//! One request to a media host: only to hosts that are allowed, redirects included, and never with a credential.
//!
//! Must not know: recordings, retries, disks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::header::IF_MATCH;
use reqwest::header::LOCATION;
use reqwest::header::RANGE;
use tokio::time::Instant;
use tokio::time::timeout_at;
use url::Url;

use super::reply;
use super::reply::Refusal;
use crate::api::Ticket;
use crate::domain::reach::Reach;
use crate::domain::redact::one_line;
use crate::domain::tally::Cause;
use crate::http::client::MediaClient;
use crate::http::redact::explain;
use crate::http::resolve::refused_address;

/// How much of a refusal's body is read.
const REFUSAL_HEAD_BYTES: usize = 4 * 1024;

/// What is asked for: the whole body, or the rest of one that was begun.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    /// Bytes at hand already.
    pub from_byte: u64,
    /// The ETag of the object they came from, verbatim.
    pub if_match: Option<String>,
    /// Nothing but the first byte is wanted.
    pub only_first: bool,
}

/// How a request ended without a body that can be read on.
#[derive(Debug)]
pub(super) enum NoBody {
    /// The host said no.
    Refused(Cause, Refusal),
    /// No answer, or a broken one.
    Broken(Cause, String),
    /// The link, or a redirect, leads where we do not go.
    NotAllowed(String),
}

/// The way to media hosts.
pub(super) struct Media {
    pub client: MediaClient,
    pub reach: Arc<Reach>,
    pub max_redirects: u32,
    pub stall_timeout: Duration,
}

impl Media {
    /// Asks for a body; the answer is a 200 or a 206 whose body has not been read.
    pub async fn open(&self, ticket: &Ticket, ask: &Ask) -> Result<Response, NoBody> {
        let mut url = ticket
            .url()
            .expose()
            .map_err(|error| NoBody::NotAllowed(error.to_string()))?;
        for _ in 0..=self.max_redirects {
            self.check_allowed(&url)?;
            let response = self.send(&url, ticket, ask).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return self.body_of(response).await;
            }
            url = redirect_target(&url, &response)?;
        }
        Err(NoBody::NotAllowed(format!(
            "more than {} redirects (download.max_redirects)",
            self.max_redirects
        )))
    }

    fn check_allowed(&self, url: &Url) -> Result<(), NoBody> {
        if self.reach.allows(url) {
            return Ok(());
        }
        let host = url.host_str().unwrap_or("no host");
        Err(NoBody::NotAllowed(format!(
            "the media link leads to {}://{}, which download.allowed_hosts does not name",
            one_line(url.scheme(), 20),
            one_line(host, 100)
        )))
    }

    async fn send(&self, url: &Url, ticket: &Ticket, ask: &Ask) -> Result<Response, NoBody> {
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if ticket.asks_for_checksum() {
            request = request.header("x-amz-checksum-mode", "ENABLED");
        }
        if ask.only_first {
            request = request.header(RANGE, "bytes=0-0");
        } else if ask.from_byte > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from_byte));
            if let Some(etag) = &ask.if_match {
                request = request.header(IF_MATCH, etag);
            }
        }
        match timeout_at(Instant::now() + self.stall_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(match refused_address(&error) {
                Some(refused) => NoBody::NotAllowed(format!(
                    "the media host {} is not connected to: {refused} (download.private_hosts)",
                    one_line(url.host_str().unwrap_or_default(), 100)
                )),
                None => NoBody::Broken(Cause::Connection, explain(error)),
            }),
            Err(_) => Err(NoBody::Broken(
                Cause::Timeout,
                format!("no answer within {:?} (download.stall_timeout)", self.stall_timeout),
            )),
        }
    }

    async fn body_of(&self, mut response: Response) -> Result<Response, NoBody> {
        if matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok(response);
        }
        let until = Instant::now() + self.stall_timeout;
        let mut head = Vec::new();
        while head.len() < REFUSAL_HEAD_BYTES
            && let Ok(Ok(Some(chunk))) = timeout_at(until, response.chunk()).await
        {
            head.extend_from_slice(&chunk);
        }
        head.truncate(REFUSAL_HEAD_BYTES);
        let status = response.status();
        let cause = match status.as_u16() {
            400..500 => Cause::HttpStatus4xx,
            500.. => Cause::HttpStatus5xx,
            _ => Cause::HttpStatusOther,
        };
        Err(NoBody::Refused(cause, reply::read(status, response.headers(), &head)))
    }

    /// The next bytes of a body, `None` at its end.
    ///
    /// # Errors
    /// It broke off or stalled.
    pub async fn next(&self, response: &mut Response) -> Result<Option<Bytes>, (Cause, String)> {
        match timeout_at(Instant::now() + self.stall_timeout, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err((Cause::Connection, format!("the body broke off: {}", explain(error)))),
            Err(_) => Err((
                Cause::Timeout,
                format!("the body stalled for {:?} (download.stall_timeout)", self.stall_timeout),
            )),
        }
    }
}

fn redirect_target(from: &Url, response: &Response) -> Result<Url, NoBody> {
    response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| NoBody::NotAllowed("a redirect that leads nowhere".to_owned()))
}
