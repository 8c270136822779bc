//! One recording's fetch, request by request, from a link to a whole body that was found good.
//!
//! Must not know: other recordings, when to try again later.

use std::time::Duration;

use reqwest::Response;
use reqwest::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::FetchError;
use super::FetchJob;
use super::Fetcher;
use super::check;
use super::check::Announced;
use super::check::Verdict;
use super::media::Ask;
use super::media::NoBody;
use super::rate::RateFloor;
use super::reply;
use super::reply::Refusal;
use crate::api::ApiErrorKind;
use crate::api::Lane;
use crate::api::Ticket;
use crate::domain::gone::NO_MEDIA;
use crate::domain::key::StoreKey;
use crate::domain::recording::StatusClass;
use crate::domain::report::StoredObject;
use crate::domain::state::FailureKind;
use crate::domain::tally::Cause;
use crate::http::retry;
use crate::store::BUFFER_BYTES;
use crate::store::BodyPlan;
use crate::store::SealedBody;
use crate::store::SidecarNote;
use crate::store::StagedBody;

/// Links that may run out under one fetch before it gives up for now.
const MOST_RENEWALS: u32 = 4;

/// How often, in bytes, a body is checked against the disk's reserve while it comes.
const RESERVE_STEP_BYTES: u64 = 16 * 1024 * 1024;

/// What one request for a body came to, when it did not come to its end.
enum Setback {
    /// The link ran out.
    LinkRanOut(String),
    /// The link is fine and the body is withheld.
    Withheld(Cause, String),
    /// It broke off; worth another request now.
    BrokeOff(Cause, String),
    /// Nothing more to try now.
    Final(FetchError),
}

/// A body on its way.
struct Body {
    staged: StagedBody,
    announced: Announced,
}

/// A whole body that was found good.
struct Whole {
    sealed: SealedBody,
    announced: Announced,
    remark: Option<String>,
}

/// One recording's fetch, from link to stored object.
pub(super) struct Fetch<'a> {
    fetcher: &'a Fetcher,
    job: FetchJob,
    begun: Instant,
    /// How long it waited for answers of media hosts.
    waited: Duration,
    deadline: Instant,
    stop: &'a CancellationToken,
    ticket: Option<Ticket>,
    minted: bool,
    body: Option<Body>,
    size_confirmed: bool,
}

impl<'a> Fetch<'a> {
    /// A fetch that has not begun.
    pub fn new(fetcher: &'a Fetcher, job: FetchJob, stop: &'a CancellationToken) -> Self {
        let begun = Instant::now();
        Self {
            fetcher,
            begun,
            waited: Duration::ZERO,
            deadline: begun + fetcher.options.total_timeout,
            stop,
            ticket: job.ticket.clone(),
            minted: false,
            body: None,
            size_confirmed: false,
            job,
        }
    }

    /// Fetches to the final name. Not cancel-safe.
    pub async fn run(mut self, key: &StoreKey) -> Result<StoredObject, FetchError> {
        let mut renewals = 0;
        let mut waits = retry::waits();
        loop {
            let setback = match self.advance().await {
                Ok(Some(whole)) => {
                    if self.stop.is_cancelled() {
                        return Err(FetchError::new(
                            FailureKind::Stopped,
                            Cause::Stopped,
                            "stopped before storing",
                        ));
                    }
                    let Whole {
                        sealed,
                        announced,
                        remark,
                    } = whole;
                    return Ok(sealed.publish(key, self.leave(announced, remark)).await?);
                }
                Ok(None) => continue,
                Err(setback) => setback,
            };
            match setback {
                Setback::Final(error) => return Err(error),
                Setback::LinkRanOut(why) => {
                    renewals += 1;
                    if renewals > MOST_RENEWALS {
                        return Err(FetchError::new(FailureKind::NoLink, Cause::LinkExpired, why));
                    }
                    self.ticket = None;
                }
                // With a link minted for this fetch, the answer is final for now; with an older one it may be stale.
                Setback::Withheld(cause, why) if self.minted => return Err(FetchError::transient(cause, why)),
                Setback::Withheld(..) => self.ticket = None,
                Setback::BrokeOff(cause, why) => match waits.next() {
                    Some(wait) if Instant::now() + wait < self.deadline => {
                        tracing::debug!(recording.id = %self.job.recording.id, error = %why, "body will be asked for again");
                        self.stoppable(tokio::time::sleep(wait)).await?;
                    }
                    _ => return Err(FetchError::transient(cause, why)),
                },
            }
        }
    }

    /// The body is whole: gives its place to another, and says what is to be written beside it.
    fn leave(self, announced: Announced, remark: Option<String>) -> SidecarNote {
        self.fetcher.width.observe(self.waited, self.begun.elapsed());
        drop(self.job.place);
        SidecarNote {
            recording: self.job.recording,
            metadata: self.job.metadata,
            history: self.job.history,
            content_type: announced.content_type,
            etag: announced.etag,
            remark,
        }
    }

    /// One request, and what comes of it: a whole body, more to do, or a setback.
    async fn advance(&mut self) -> Result<Option<Whole>, Setback> {
        let ticket = self.live_ticket().await?;
        let ask = self.body.as_ref().map(Body::ask).unwrap_or_default();
        if ask.from_byte == 0 {
            let life_left = ticket.life_left(self.fetcher.api.clock());
            self.fetcher.tallies.link_life.observe(life_left.as_secs_f64());
        }
        let asked_at = Instant::now();
        let opened = self.stoppable(self.fetcher.media.open(&ticket, &ask)).await;
        self.waited += asked_at.elapsed();
        match opened.map_err(Setback::Final)? {
            Ok(response) => self.receive(response, &ask).await?,
            Err(no_body) => self.read_refusal(no_body)?,
        }
        self.conclude().await
    }

    async fn conclude(&mut self) -> Result<Option<Whole>, Setback> {
        let Some(mut body) = self.body.take() else {
            return Ok(None);
        };
        let facts = body
            .staged
            .facts()
            .await
            .map_err(|error| Setback::Final(error.into()))?;
        let job = &self.job;
        match check::judge(
            &facts,
            &body.announced,
            job.format,
            job.duration_seconds,
            self.size_confirmed,
        ) {
            Verdict::Good(remark) => {
                let sealed = body.staged.seal().await.map_err(|error| Setback::Final(error.into()))?;
                Ok(Some(Whole {
                    sealed,
                    announced: body.announced,
                    remark,
                }))
            }
            Verdict::AskForMore(why) => {
                tracing::debug!(recording.id = %job.recording.id, "{why}; asking whether there is more");
                self.body = Some(body);
                Ok(None)
            }
            Verdict::Bad(cause, why) => Err(Setback::Final(FetchError::transient(cause, why))),
        }
    }

    async fn live_ticket(&mut self) -> Result<Ticket, Setback> {
        let (api, margin) = (&self.fetcher.api, self.fetcher.options.expiry_margin);
        let at_hand = self
            .ticket
            .take()
            .filter(|ticket| ticket.is_fresh(api.clock(), margin))
            .or_else(|| api.tickets().take(&self.job.recording, api.clock(), margin));
        let ticket = match at_hand {
            Some(ticket) => ticket,
            None => self.mint().await.map_err(Setback::Final)?,
        };
        self.ticket = Some(ticket.clone());
        Ok(ticket)
    }

    /// Asks the API for the recording, and so for a fresh link.
    async fn mint(&mut self) -> Result<Ticket, FetchError> {
        let workspace = self
            .fetcher
            .workspaces
            .get(&self.job.recording.workspace)
            .ok_or_else(|| {
                FetchError::new(
                    FailureKind::WorkspaceDenied,
                    Cause::Internal,
                    "the workspace is not configured",
                )
            })?;
        if let (Some(window), false) = (self.job.backlog, self.minted) {
            let margin = self.fetcher.options.expiry_margin;
            let (recording, created_at) = (&self.job.recording, self.job.history.created_at);
            let refills = &self.fetcher.refills;
            let link = refills.link(workspace, recording, created_at, window, margin);
            if let Some(ticket) = self.stoppable(link).await? {
                return Ok(ticket);
            }
        }
        self.minted = true;
        let asked = workspace.recording(self.job.recording.id, Lane::Backlog);
        let listed = match self.stoppable(asked).await? {
            Ok(listed) => listed,
            Err(error) => {
                let (kind, cause) = match error.kind {
                    ApiErrorKind::Denied => (FailureKind::WorkspaceDenied, Cause::Denied),
                    ApiErrorKind::NotFound => (FailureKind::Gone, Cause::Gone),
                    ApiErrorKind::Malformed | ApiErrorKind::Refused => (FailureKind::Transient, Cause::NoLink),
                    ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable => (FailureKind::NoLink, Cause::NoLink),
                };
                return Err(FetchError::new(kind, cause, format!("asked for a fresh link: {error}")));
            }
        };
        let status = &listed.recording.status;
        match status.class() {
            StatusClass::NoMedia => Err(FetchError::new(
                FailureKind::Gone,
                Cause::Gone,
                format!("{NO_MEDIA}{}", status.as_str()),
            )),
            StatusClass::Pending => Err(FetchError::new(
                FailureKind::NoLink,
                Cause::NoLink,
                format!("upstream took it back: its status is {}", status.as_str()),
            )),
            StatusClass::Available => listed.ticket.ok_or_else(|| {
                FetchError::transient(Cause::NoLink, "upstream calls it available but gives no usable link")
            }),
        }
    }

    fn read_refusal(&mut self, no_body: NoBody) -> Result<(), Setback> {
        let (cause, refusal) = match no_body {
            NoBody::Broken(cause, why) => return Err(Setback::BrokeOff(cause, why)),
            NoBody::NotAllowed(why) => return Err(Setback::Final(FetchError::transient(Cause::RefusedHost, why))),
            NoBody::Refused(cause, refusal) => (cause, refusal),
        };
        match refusal {
            Refusal::Expired(why) => Err(Setback::LinkRanOut(why)),
            Refusal::Withheld(why) => Err(Setback::Withheld(cause, why)),
            Refusal::SlowDown(why) => {
                self.fetcher.width.slow_down(Instant::now());
                Err(Setback::BrokeOff(cause, why))
            }
            Refusal::Busy(why) => Err(Setback::BrokeOff(cause, why)),
            Refusal::Odd(why) => Err(Setback::Final(FetchError::transient(cause, why))),
            Refusal::Changed => {
                self.body = None;
                Err(Setback::BrokeOff(
                    Cause::Length,
                    "the object changed while it was fetched".to_owned(),
                ))
            }
            Refusal::OutOfRange(total) => {
                let at_hand = self.body.as_ref().map(|body| body.staged.received_bytes());
                if at_hand.is_some() && at_hand == total {
                    self.size_confirmed = true;
                    return Ok(());
                }
                self.body = None;
                Err(Setback::BrokeOff(
                    Cause::Length,
                    "the object is shorter than what was fetched of it".to_owned(),
                ))
            }
        }
    }

    /// Takes a 200 or 206 and its bytes.
    async fn receive(&mut self, response: Response, ask: &Ask) -> Result<(), Setback> {
        if ask.from_byte > 0 && response.status() == StatusCode::PARTIAL_CONTENT {
            self.take_up(&response, ask)?;
        } else if response.status() == StatusCode::PARTIAL_CONTENT {
            return Err(Setback::Final(FetchError::transient(
                Cause::Length,
                "the media host sent a part where the whole was asked for",
            )));
        } else {
            let had_whole = self
                .body
                .take()
                .is_some_and(|body| body.announced.size_bytes == Some(body.staged.received_bytes()));
            if had_whole {
                return Err(Setback::Final(FetchError::transient(
                    Cause::Length,
                    "the body looks cut short, and the media host does not say whether there is more",
                )));
            }
            self.begin(&response).await.map_err(Setback::Final)?;
        }
        self.read_body(response).await
    }

    /// Goes on with the body at hand, if the part that comes fits it to the byte.
    fn take_up(&mut self, response: &Response, ask: &Ask) -> Result<(), Setback> {
        let part = reply::part_to_the_end(response.headers());
        // No ETag before and one now is another object too, or another host that does not know it.
        let etag = Announced::read(response.headers(), response.version()).map(|announced| announced.etag);
        match (part, self.body.as_mut()) {
            (Some((first, total)), Some(body))
                if first == ask.from_byte && etag.is_ok_and(|etag| etag == body.announced.etag) =>
            {
                body.announced.size_bytes = Some(total);
                Ok(())
            }
            _ => {
                self.body = None;
                Err(Setback::BrokeOff(
                    Cause::Length,
                    "the part that came does not fit what was asked for".to_owned(),
                ))
            }
        }
    }

    async fn begin(&mut self, response: &Response) -> Result<(), FetchError> {
        let announced = Announced::read(response.headers(), response.version())
            .map_err(|(cause, why)| FetchError::transient(cause, why))?;
        let max_bytes = self.fetcher.options.max_bytes;
        if let Some(size_bytes) = announced.size_bytes {
            if size_bytes > max_bytes {
                let why = format!("the body is {size_bytes} bytes long, more than download.max_bytes ({max_bytes})");
                return Err(FetchError::transient(Cause::TooLarge, why));
            }
            // What is written in one go is looked at then.
            if size_bytes > BUFFER_BYTES as u64 {
                self.fetcher.store.reserve(size_bytes).await?;
            }
        }
        let plan = BodyPlan {
            format: self.job.format,
            want_md5: announced.md5.is_some(),
            max_bytes,
        };
        self.body = Some(Body {
            staged: self.fetcher.store.begin(plan),
            announced,
        });
        Ok(())
    }

    async fn read_body(&mut self, mut response: Response) -> Result<(), Setback> {
        let options = &self.fetcher.options;
        let Some(mut body) = self.body.take() else {
            return Ok(());
        };
        let mut reserved_at = body.staged.received_bytes();
        let mut rate = RateFloor::new(options, body.staged.received_bytes());
        loop {
            let next = self
                .stoppable(self.fetcher.media.next(&mut response))
                .await
                .map_err(Setback::Final)?;
            let chunk = match next {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err((cause, why)) => return Err(self.keep_for_resume(body, cause, why)),
            };
            body.staged
                .write(chunk)
                .await
                .map_err(|error| Setback::Final(error.into()))?;
            let received = body.staged.received_bytes();
            if received - reserved_at >= RESERVE_STEP_BYTES {
                reserved_at = received;
                let reserve = self.fetcher.store.reserve(RESERVE_STEP_BYTES).await;
                reserve.map_err(|error| Setback::Final(error.into()))?;
            }
            if let Err(why) = rate.check(received) {
                return Err(self.keep_for_resume(body, Cause::Timeout, why));
            }
            if Instant::now() >= self.deadline {
                let why = format!(
                    "not complete within {:?} (download.total_timeout)",
                    options.total_timeout
                );
                return Err(Setback::Final(FetchError::transient(Cause::Timeout, why)));
            }
        }
        let received = body.staged.received_bytes();
        if body.announced.size_bytes.is_some_and(|announced| received < announced) {
            return Err(self.keep_for_resume(body, Cause::Length, "the body ended early".to_owned()));
        }
        self.body = Some(body);
        Ok(())
    }

    /// Keeps what came of a body that broke off, if the rest can be asked for safely.
    fn keep_for_resume(&mut self, body: Body, cause: Cause, why: String) -> Setback {
        if body.announced.strong_etag().is_some() && body.staged.received_bytes() > 0 {
            self.body = Some(body);
        }
        Setback::BrokeOff(cause, why)
    }

    async fn stoppable<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(FetchError::new(FailureKind::Stopped, Cause::Stopped, "stopped")),
            done = work => Ok(done),
        }
    }
}

impl Body {
    fn ask(&self) -> Ask {
        Ask {
            from_byte: self.staged.received_bytes(),
            if_match: self.announced.strong_etag().map(str::to_owned),
            only_first: false,
        }
    }
}
