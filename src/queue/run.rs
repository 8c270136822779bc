//! A run of the queue: one loop that claims, waits, and writes down.
//!
//! Must not know: how a recording is fetched, what an operator reads of it.

mod claiming;

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Queue;
use super::QueueError;
use super::Stop;
use super::Until;
use super::backlog::Backlogs;
use super::local_fault::LocalFault;
use super::local_faults::InFault;
use super::outage::Outages;
use super::ready::Ready;
use super::tell_news;
use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::backoff::jittered;
use crate::domain::backoff::retry_delay;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::StoredObject;
use crate::domain::state::FailureKind;
use crate::domain::tally::Cause;
use crate::fetcher::FetchError;

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

/// The wait before endings that the catalog did not take are written again.
const WRITE_REST: Duration = Duration::from_secs(1);

/// How long a pass that ends keeps trying to write what it stored.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A run of the queue.
pub(super) struct Run<'a> {
    queue: &'a Queue,
    in_flight: JoinSet<Result<StoredObject, FetchError>>,
    claims: HashMap<Id, Claim>,
    ready: Ready,
    freed_places: watch::Receiver<()>,
    endings: Vec<(Claim, ClaimEnd)>,
    /// What each of `endings` is counted as.
    causes: Vec<Cause>,
    endings_due: Option<Instant>,
    may_be_due: bool,
    look_again: Instant,
    last_claim: Option<Instant>,
    resting: HashMap<WorkspaceName, Instant>,
    outages: Outages,
    backlogs: Backlogs,
    local_fault: Option<LocalFault>,
    /// This queue's part in what is told of it; there whenever `local_fault` is.
    in_fault: Option<InFault>,
    unwritten_since: Option<Instant>,
    last_look: bool,
    until: Until,
    stop: &'a Stop,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub fn new(queue: &'a Queue, until: Until, stop: &'a Stop) -> Self {
        Self {
            queue,
            in_flight: JoinSet::new(),
            claims: HashMap::new(),
            ready: Ready::default(),
            freed_places: queue.shared.freed_places(),
            endings: Vec::new(),
            causes: Vec::new(),
            endings_due: None,
            may_be_due: true,
            look_again: Instant::now(),
            last_claim: None,
            resting: HashMap::new(),
            outages: Outages::default(),
            backlogs: Backlogs::default(),
            local_fault: None,
            in_fault: None,
            unwritten_since: None,
            last_look: false,
            until,
            stop,
        }
    }

    /// Runs to its end: nothing in flight, nothing unwritten.
    pub async fn drive(&mut self) -> Result<(), QueueError> {
        let ended = self.go_on().await;
        self.tell_overdue(true);
        ended
    }

    fn tell_overdue(&mut self, at_end: bool) {
        let news = self.outages.overdue(Instant::now(), at_end);
        news.into_iter().for_each(tell_news);
    }

    async fn go_on(&mut self) -> Result<(), QueueError> {
        loop {
            self.write_endings().await?;
            self.tell_overdue(false);
            self.look_at_fault().await;
            self.take_last_look();
            self.start_ready();
            self.claim().await?;
            self.start_ready();
            let is_idle = self.in_flight.is_empty() && self.ready.len() == 0 && self.endings.is_empty();
            if is_idle && self.is_over()? {
                self.end_local_fault();
                return Ok(());
            }
            self.wait().await;
        }
    }

    fn is_over(&self) -> Result<bool, QueueError> {
        let fault = self.local_fault.as_ref().filter(|fault| fault.forbids());
        if let (Until::Drained(_), Some(fault)) = (&self.until, fault) {
            return Err(QueueError::Local(fault.reason().to_owned()));
        }
        if self.stop.soft.is_cancelled() {
            return Ok(true);
        }
        Ok(self.last_look && !self.may_be_due)
    }

    /// Once the walks of a pass are over, what they listed last may have come after the catalog was last asked: it is
    /// asked once more before the pass may end.
    fn take_last_look(&mut self) {
        let walks_over = matches!(&self.until, Until::Drained(walks_over) if walks_over.is_cancelled());
        if walks_over && !self.last_look {
            self.last_look = true;
            self.may_be_due = true;
        }
    }

    /// Waits for anything that changes what can be done.
    async fn wait(&mut self) {
        let wake = [
            self.endings_due,
            self.local_fault.as_ref().map(LocalFault::wake_at),
            self.next_claim(Instant::now()),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| self.next_look(Instant::now()));
        let stopping = self.stop.soft.is_cancelled();
        let walks_over = match &self.until {
            Until::Drained(token) if !self.last_look => Some(token.clone()),
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
            Ok(()) = self.freed_places.changed() => {}
            () = self.queue.due_hint.notified() => self.may_be_due = true,
            () = self.stop.soft.cancelled(), if !stopping => {}
            () = walks_over.unwrap_or_default().cancelled_owned(), if has_walks => self.may_be_due = true,
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    /// When the catalog is asked again without a hint. With every place taken there is nothing to ask for: what ends
    /// wakes this loop, and places that another queue of this process gives back are seen within a tick.
    fn next_look(&self, now: Instant) -> Instant {
        if self.look_again > now {
            self.look_again
        } else {
            now + TICK
        }
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
                        cause: Cause::Internal,
                        reason,
                    }),
                )
            }
        };
        let Some(claim) = self.claims.remove(&id) else {
            return;
        };
        let (end, cause) = match result {
            Ok(object) => (ClaimEnd::Completed(object), Cause::None),
            Err(error) => {
                let cause = error.cause;
                (self.failed(&claim, error), cause)
            }
        };
        if !matches!(cause, Cause::Denied | Cause::Local | Cause::Stopped) {
            self.queue
                .shared
                .tallies
                .workspace(&claim.recording.workspace)
                .view_denied
                .over();
        }
        self.causes.push(cause);
        self.endings.push((claim, end));
        self.endings_due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
    }

    fn failed(&mut self, claim: &Claim, error: FetchError) -> ClaimEnd {
        let FetchError { kind, reason, .. } = error;
        let attempts = claim.history.attempts + u32::from(kind.counts());
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
                let tally = self.queue.shared.tallies.workspace(&claim.recording.workspace);
                tally.view_denied.met(&reason);
                let (workspace, now) = (&claim.recording.workspace, Instant::now());
                self.resting.insert(workspace.clone(), now + DENIED_REST);
                let of_it = self.ready.give_up(|claim| claim.recording.workspace == *workspace);
                self.give_back(of_it);
                // Where the list is refused too, that is told, and says more.
                if tally.list_denied.get().is_none() {
                    let news = self.outages.denied(workspace, &reason, now);
                    news.into_iter().for_each(tell_news);
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
                for ((claim, end), cause) in self.endings.drain(..).zip(self.causes.drain(..)) {
                    if let (ClaimEnd::Completed(_), Some(fault)) = (&end, &mut self.local_fault) {
                        fault.stored();
                    }
                    self.queue.tell(&claim, &end, cause);
                    self.outages.note(&claim, &end, now).into_iter().for_each(tell_news);
                }
                Ok(())
            }
            Err(error) if error.is_local() => {
                let since = *self.unwritten_since.get_or_insert(now);
                let ends = self.stop.leaving.is_cancelled() || matches!(self.until, Until::Drained(_));
                if ends && since.elapsed() > LAST_WRITES {
                    return Err(QueueError::Catalog(error));
                }
                self.begin_local_fault(chain(&error));
                self.endings_due = Some(now + WRITE_REST);
                // Nothing else may wake this loop; without a pause it would spin.
                tokio::time::sleep(BATCH_WAIT).await;
                Ok(())
            }
            Err(error) => Err(QueueError::Catalog(error)),
        }
    }

    fn begin_local_fault(&mut self, reason: String) {
        let now = Instant::now();
        if let (Some(fault), Some(held)) = (&mut self.local_fault, &self.in_fault) {
            held.lasts(&reason);
            fault.refused(reason, now);
            return;
        }
        self.in_fault = Some(self.queue.shared.faults.begin(&reason));
        self.local_fault = Some(LocalFault::new(reason, now));
    }

    fn end_local_fault(&mut self) {
        let (fault, held) = (self.local_fault.take(), self.in_fault.take());
        if let Some(held) = held.filter(|_| fault.is_some_and(|fault| !fault.forbids())) {
            held.over();
        }
    }

    async fn look_at_fault(&mut self) {
        let due = |fault: &&mut LocalFault| fault.wake_at() <= Instant::now();
        let (Some(fault), Some(held)) = (self.local_fault.as_mut().filter(due), &self.in_fault) else {
            return;
        };
        if !fault.forbids() {
            self.end_local_fault();
            return;
        }
        match self.queue.fetcher.ready().await {
            Ok(()) if self.unwritten_since.is_none() => {
                fault.try_out(Instant::now());
                self.may_be_due = true;
            }
            Ok(()) => {
                held.lasts(fault.reason());
                fault.look_later(Instant::now());
            }
            Err(error) => {
                held.lasts(&error.reason);
                fault.still_refused(error.reason, Instant::now());
            }
        }
    }
}
