//! Claims what is due, has it fetched, and writes down how each claim ended.
//!
//! The catalog is the queue: no list of work lives here beyond what is in flight. Claims are never more than there
//! are free places, endings are written many at a time. Must not know: HTTP, disks, listings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::backoff::jittered;
use crate::domain::backoff::retry_delay;
use crate::domain::clock::SharedClock;
use crate::domain::explain::chain;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::Format;
use crate::domain::report::DrainReport;
use crate::domain::report::StoredObject;
use crate::domain::state::FailureKind;
use crate::fetcher::FetchError;
use crate::fetcher::FetchJob;
use crate::fetcher::Fetcher;

/// Endings written in one transaction at most.
const BATCH: usize = 64;

/// How long an ending waits for company.
const BATCH_WAIT: Duration = Duration::from_millis(25);

/// How often the catalog is asked without a hint: hints may be lost, and waits end.
const TICK: Duration = Duration::from_secs(2);

/// How long a workspace whose credential is refused is not claimed from.
const DENIED_REST: Duration = Duration::from_secs(60);

/// How long a recording whose link could not be had is left alone, before jitter.
const NO_LINK_REST: Duration = Duration::from_secs(60);

/// The first wait after a local fault; doubled up to [`LONGEST_LOCAL_REST`].
const LOCAL_REST: Duration = Duration::from_secs(1);

/// The longest wait between looks at whether a local fault is over.
const LONGEST_LOCAL_REST: Duration = Duration::from_secs(30);

/// How long a pass that ends keeps trying to write what it stored.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How the queue works.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// Downloads at once.
    pub concurrency: usize,
    /// Attempts after which a recording is given up, and only tried again slowly.
    pub max_attempts: u32,
}

/// The queue came to an end it was not asked for.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The catalog cannot be used.
    #[error("cannot use the catalog")]
    Catalog(#[source] CatalogError),
    /// In a pass that ends: the disk does not take what is fetched.
    #[error("stopped: {0}")]
    Local(String),
}

/// When a run of the queue ends by itself.
#[derive(Clone)]
pub enum Until {
    /// When asked to stop.
    Stopped,
    /// Also when this token is cancelled (all walks of the pass are over) and nothing is due now.
    Drained(CancellationToken),
}

/// Ends a run from outside, gently or not.
#[derive(Clone)]
pub struct Stop {
    /// Claim nothing more; finish what is in flight.
    pub soft: CancellationToken,
    /// Break off what is in flight.
    pub hard: CancellationToken,
}

/// Fetches what is due.
pub struct Queue {
    catalog: Catalog,
    fetcher: Arc<Fetcher>,
    clock: SharedClock,
    options: QueueOptions,
    workspaces: Vec<WorkspaceName>,
    due_hint: Arc<Notify>,
    progress: watch::Sender<DrainReport>,
}

impl Queue {
    /// A queue over these workspaces. `due_hint` says that something may be due; losing it costs [`TICK`] at most.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        fetcher: Arc<Fetcher>,
        clock: SharedClock,
        options: QueueOptions,
        workspaces: Vec<WorkspaceName>,
        due_hint: Arc<Notify>,
    ) -> Self {
        Self {
            catalog,
            fetcher,
            clock,
            options,
            workspaces,
            due_hint,
            progress: watch::Sender::default(),
        }
    }

    /// What was done so far, as it is done.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<DrainReport> {
        self.progress.subscribe()
    }

    /// Claims, fetches and writes down until `until`, then ends with nothing in flight and nothing unwritten.
    ///
    /// # Errors
    /// The catalog cannot be used, or, in a run that ends by itself, the disk.
    pub async fn run(&self, until: Until, stop: &Stop) -> Result<DrainReport, QueueError> {
        let now = Instant::now();
        let mut run = Run {
            queue: self,
            in_flight: JoinSet::new(),
            claims: HashMap::new(),
            endings: Vec::new(),
            endings_due: None,
            may_be_due: true,
            look_again: now,
            last_claim: None,
            resting: HashMap::new(),
            local_fault: None,
            unwritten_since: None,
            until,
            stop,
        };
        run.drive().await?;
        Ok(*self.progress.borrow())
    }
}

/// A disk that does not take bodies, or a catalog that takes no writes, for now.
struct LocalFault {
    reason: String,
    rest: Duration,
    look_at: Instant,
}

/// A run of the queue.
struct Run<'a> {
    queue: &'a Queue,
    in_flight: JoinSet<Result<StoredObject, FetchError>>,
    claims: HashMap<Id, Claim>,
    endings: Vec<(Claim, ClaimEnd)>,
    endings_due: Option<Instant>,
    may_be_due: bool,
    look_again: Instant,
    last_claim: Option<Instant>,
    resting: HashMap<WorkspaceName, Instant>,
    local_fault: Option<LocalFault>,
    unwritten_since: Option<Instant>,
    until: Until,
    stop: &'a Stop,
}

impl Run<'_> {
    async fn drive(&mut self) -> Result<(), QueueError> {
        loop {
            self.write_endings().await?;
            self.look_at_fault().await;
            self.claim().await?;
            if self.in_flight.is_empty() && self.endings.is_empty() && self.is_over()? {
                return Ok(());
            }
            self.wait().await;
        }
    }

    fn is_over(&self) -> Result<bool, QueueError> {
        if let (Until::Drained(_), Some(fault)) = (&self.until, &self.local_fault) {
            return Err(QueueError::Local(fault.reason.clone()));
        }
        if self.stop.soft.is_cancelled() {
            return Ok(true);
        }
        let walks_over = matches!(&self.until, Until::Drained(walks_over) if walks_over.is_cancelled());
        Ok(walks_over && !self.may_be_due)
    }

    /// Waits for anything that changes what can be done.
    async fn wait(&mut self) {
        let wake = [
            self.endings_due,
            self.local_fault.as_ref().map(|fault| fault.look_at),
            self.next_claim(Instant::now()),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.look_again);
        let stopping = self.stop.soft.is_cancelled();
        let walks_over = match &self.until {
            Until::Drained(token) if !token.is_cancelled() => Some(token.clone()),
            _ => None,
        };
        let has_walks = walks_over.is_some();
        tokio::select! {
            biased;
            Some(done) = self.in_flight.join_next_with_id() => {
                self.take_ending(done);
                while let Some(more) = self.in_flight.try_join_next_with_id() {
                    self.take_ending(more);
                }
            }
            () = self.queue.due_hint.notified() => self.may_be_due = true,
            () = self.stop.soft.cancelled(), if !stopping => {}
            () = walks_over.unwrap_or_default().cancelled_owned(), if has_walks => self.may_be_due = true,
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn free_places(&self) -> usize {
        self.queue.options.concurrency.saturating_sub(self.in_flight.len())
    }

    /// When claims are worth a transaction: at once when a quarter of the places is free, else in batches.
    fn next_claim(&self, now: Instant) -> Option<Instant> {
        let free = self.free_places();
        if free == 0 || !self.may_be_due || self.local_fault.is_some() || self.stop.soft.is_cancelled() {
            return None;
        }
        let enough = free >= self.queue.options.concurrency.div_ceil(4);
        let last = self.last_claim.filter(|_| !enough);
        Some(last.map_or(now, |last| last + BATCH_WAIT))
    }

    async fn claim(&mut self) -> Result<(), QueueError> {
        let now = Instant::now();
        if now >= self.look_again {
            self.may_be_due = true;
        }
        if self.next_claim(now).is_none_or(|at| at > now) {
            return Ok(());
        }
        self.last_claim = Some(now);
        let free = self.free_places();
        match self.claim_up_to(free).await {
            Ok(claimed) if claimed < free => {
                self.may_be_due = false;
                self.look_again = now + TICK;
            }
            Ok(_) => {}
            Err(error) if error.is_local() => self.begin_local_fault(chain(&error)),
            Err(error) => return Err(QueueError::Catalog(error)),
        }
        Ok(())
    }

    /// First those whose links are at hand, then the oldest that are due.
    async fn claim_up_to(&mut self, places: usize) -> Result<usize, CatalogError> {
        let queue = self.queue;
        let mut tickets: HashMap<RecordingRef, _> = queue
            .fetcher
            .offers(places)
            .into_iter()
            .map(|offer| (offer.recording, offer.ticket))
            .collect();
        let offered: Vec<RecordingRef> = tickets.keys().cloned().collect();
        let mut claims = if offered.is_empty() {
            Vec::new()
        } else {
            queue.catalog.claim(&offered).await?
        };
        if claims.len() < places {
            let now = Instant::now();
            self.resting.retain(|_, until| *until > now);
            let awake: Vec<WorkspaceName> = queue
                .workspaces
                .iter()
                .filter(|name| !self.resting.contains_key(*name))
                .cloned()
                .collect();
            let more = u32::try_from(places - claims.len()).unwrap_or(u32::MAX);
            match queue.catalog.claim_due(&awake, more).await {
                Ok(more) => claims.extend(more),
                Err(error) if claims.is_empty() => return Err(error),
                Err(error) => tracing::debug!(error = %error, "cannot claim more"),
            }
        }
        let claimed = claims.len();
        for claim in claims {
            let job = FetchJob {
                recording: claim.recording.clone(),
                created_at: claim.created_at,
                format: Format::from_upstream(&claim.format),
                duration_seconds: claim.duration_seconds,
                metadata: claim.metadata.clone(),
                ticket: tickets.remove(&claim.recording),
            };
            let (fetcher, hard) = (Arc::clone(&queue.fetcher), self.stop.hard.clone());
            let task = self.in_flight.spawn(async move { fetcher.fetch(job, &hard).await });
            self.claims.insert(task.id(), claim);
        }
        Ok(claimed)
    }

    fn take_ending(&mut self, done: Result<(Id, Result<StoredObject, FetchError>), JoinError>) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => {
                let reason = "the fetch panicked; this is a fault in birdkeep".to_owned();
                (
                    error.id(),
                    Err(FetchError {
                        kind: FailureKind::Transient,
                        reason,
                    }),
                )
            }
        };
        let Some(claim) = self.claims.remove(&id) else {
            return;
        };
        let end = match result {
            Ok(object) => ClaimEnd::Completed(object),
            Err(error) => self.failed(&claim, error),
        };
        self.endings.push((claim, end));
        self.endings_due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
    }

    fn failed(&mut self, claim: &Claim, error: FetchError) -> ClaimEnd {
        let FetchError { kind, reason } = error;
        let attempts = claim.attempts + u32::from(kind.counts());
        let max_attempts = self.queue.options.max_attempts;
        let wait = |rest: Duration| self.queue.clock.now().after(jittered(rest));
        let not_before = wait(retry_delay(attempts, max_attempts));
        match kind {
            FailureKind::Transient => ClaimEnd::Failed {
                reason,
                attempts,
                spent: attempts >= max_attempts,
                not_before,
            },
            FailureKind::Gone => ClaimEnd::Gone {
                reason,
                attempts,
                not_before,
            },
            FailureKind::NoLink => ClaimEnd::Released {
                reason: Some(reason),
                not_before: Some(wait(NO_LINK_REST)),
            },
            FailureKind::WorkspaceDenied => {
                let rested = self
                    .resting
                    .insert(claim.recording.workspace.clone(), Instant::now() + DENIED_REST);
                if rested.is_none() {
                    tracing::warn!(workspace.name = %claim.recording.workspace, error = %reason,
                        "the credential may not view recordings; nothing is fetched there for a minute");
                }
                ClaimEnd::Released {
                    reason: Some(reason),
                    not_before: None,
                }
            }
            FailureKind::Local => {
                self.begin_local_fault(reason);
                ClaimEnd::Released {
                    reason: None,
                    not_before: None,
                }
            }
            FailureKind::Stopped => ClaimEnd::Released {
                reason: None,
                not_before: None,
            },
        }
    }

    /// Writes the endings that have waited for company, are many, or have none to wait for.
    async fn write_endings(&mut self) -> Result<(), QueueError> {
        let now = Instant::now();
        let due = self.endings_due.is_some_and(|due| due <= now);
        if self.endings.is_empty() || !(due || self.endings.len() >= BATCH || self.in_flight.is_empty()) {
            return Ok(());
        }
        match self.queue.catalog.settle(&self.endings).await {
            Ok(()) => {
                self.unwritten_since = None;
                self.endings_due = None;
                for (claim, end) in self.endings.drain(..) {
                    self.queue.tell(&claim, &end);
                }
                Ok(())
            }
            Err(error) if error.is_local() => {
                let since = *self.unwritten_since.get_or_insert(now);
                let ends = self.stop.soft.is_cancelled() || matches!(self.until, Until::Drained(_));
                if ends && since.elapsed() > LAST_WRITES {
                    return Err(QueueError::Catalog(error));
                }
                self.begin_local_fault(chain(&error));
                self.endings_due = Some(now + LOCAL_REST);
                // Nothing else may wake this loop; without a pause it would spin.
                tokio::time::sleep(BATCH_WAIT).await;
                Ok(())
            }
            Err(error) => Err(QueueError::Catalog(error)),
        }
    }

    fn begin_local_fault(&mut self, reason: String) {
        if self.local_fault.is_none() {
            tracing::error!(error = %reason, "this machine does not take recordings; nothing is begun until it does");
            self.local_fault = Some(LocalFault {
                reason,
                rest: LOCAL_REST,
                look_at: Instant::now() + LOCAL_REST,
            });
        }
    }

    async fn look_at_fault(&mut self) {
        let Some(fault) = self
            .local_fault
            .as_mut()
            .filter(|fault| fault.look_at <= Instant::now())
        else {
            return;
        };
        match self.queue.fetcher.ready().await {
            Ok(()) if self.unwritten_since.is_none() => {
                tracing::info!("this machine takes recordings again");
                self.local_fault = None;
                self.may_be_due = true;
            }
            Ok(()) => fault.look_at = Instant::now() + fault.rest,
            Err(error) => {
                fault.reason = error.reason;
                fault.rest = (fault.rest * 2).min(LONGEST_LOCAL_REST);
                fault.look_at = Instant::now() + fault.rest;
            }
        }
    }
}

impl Queue {
    /// Counts and logs an ending that is on stable storage.
    fn tell(&self, claim: &Claim, end: &ClaimEnd) {
        let (workspace, id) = (&claim.recording.workspace, &claim.recording.id);
        match end {
            ClaimEnd::Completed(object) => tracing::info!(
                workspace.name = %workspace, recording.id = %id, path = %object.key, size_bytes = object.size_bytes,
                remark = object.remark, "archived"
            ),
            ClaimEnd::Failed {
                reason,
                attempts,
                spent: true,
                ..
            } => tracing::error!(
                workspace.name = %workspace, recording.id = %id, attempt = attempts, error = %reason,
                "given up for now; tried again once a day while upstream lists it"
            ),
            ClaimEnd::Failed { reason, attempts, .. } => tracing::warn!(
                workspace.name = %workspace, recording.id = %id, attempt = attempts, error = %reason, "not archived yet"
            ),
            ClaimEnd::Gone { reason, .. } => tracing::warn!(
                workspace.name = %workspace, recording.id = %id, error = %reason, "upstream has no media"
            ),
            ClaimEnd::Released { reason, .. } => tracing::debug!(
                workspace.name = %workspace, recording.id = %id, error = reason, "claim given back"
            ),
        }
        self.progress.send_modify(|report| match end {
            ClaimEnd::Completed(object) => {
                report.archived += 1;
                report.archived_bytes += object.size_bytes;
            }
            ClaimEnd::Failed { .. } => report.failed += 1,
            ClaimEnd::Gone { .. } => report.gone += 1,
            ClaimEnd::Released { .. } => report.released += 1,
        });
    }
}
