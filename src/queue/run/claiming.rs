//! What a run claims, how many and when, and how it is begun.
//!
//! Must not know: how a claim ends.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::BATCH_WAIT;
use super::Run;
use super::TICK;
use crate::catalog::CatalogError;
use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::explain::chain;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::Format;
use crate::domain::tally::Cause;
use crate::fetcher::FetchJob;
use crate::queue::QueueError;

/// How many bodies may be on their way to the disk, besides those that are fetched.
const MOST_STORING: usize = 32;

impl Run<'_> {
    /// How many may be fetched at once now.
    fn most_at_once(&self) -> usize {
        let usually = self.queue.fetcher.at_once();
        self.local_fault
            .as_ref()
            .map_or(usually, |fault| fault.most_at_once(usually))
    }

    /// How many more downloads may begin now.
    fn free_places(&self) -> usize {
        let most = self.most_at_once();
        // Where the machine is on trial, what is not stored yet counts too. One at a time is one after the other.
        let storing = match self.local_fault {
            Some(_) => 0,
            None => MOST_STORING.min(2 * most.saturating_sub(1)),
        };
        let places = most.saturating_sub(self.queue.shared.taken_places());
        places.min((most + storing).saturating_sub(self.in_flight.len()))
    }

    /// How many are to be claimed: one for each free place, and nearly as many again to go next.
    fn wanted_claims(&self) -> usize {
        let ahead = match self.local_fault {
            Some(_) => 0,
            None => self.most_at_once().saturating_sub(1),
        };
        (self.free_places() + ahead).saturating_sub(self.ready.len())
    }

    /// When claims are worth a transaction: at once when many are wanted, else in batches.
    pub(super) fn next_claim(&self, now: Instant) -> Option<Instant> {
        let wanted = self.wanted_claims();
        if wanted == 0 || !self.may_be_due || self.stop.soft.is_cancelled() {
            return None;
        }
        let enough = wanted >= self.most_at_once().div_ceil(2);
        let last = self.last_claim.filter(|_| !enough);
        Some(last.map_or(now, |last| last + BATCH_WAIT))
    }

    pub(super) async fn claim(&mut self) -> Result<(), QueueError> {
        let now = Instant::now();
        if now >= self.look_again {
            self.may_be_due = true;
        }
        if self.next_claim(now).is_none_or(|at| at > now) {
            return Ok(());
        }
        self.last_claim = Some(now);
        if let Err(error) = self.queue.fetcher.has_room().await {
            self.begin_local_fault(error.reason);
            return Ok(());
        }
        let wanted = self.wanted_claims();
        match self.claim_up_to(wanted).await {
            Ok(claimed) if claimed < wanted => {
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
    async fn claim_up_to(&mut self, wanted: usize) -> Result<usize, CatalogError> {
        let queue = self.queue;
        let offers = queue.fetcher.offers(wanted);
        let offered: Vec<RecordingRef> = offers.iter().map(|offer| offer.recording.clone()).collect();
        let mut tickets: HashMap<RecordingRef, _> = offers
            .into_iter()
            .map(|offer| (offer.recording, offer.ticket))
            .collect();
        let mut claims = if offered.is_empty() {
            Vec::new()
        } else {
            queue.catalog.claim(&offered).await?
        };
        if claims.len() < wanted {
            let now = Instant::now();
            self.resting.retain(|_, until| *until > now);
            let awake: Vec<WorkspaceName> = queue
                .workspaces
                .iter()
                .filter(|name| !self.resting.contains_key(*name))
                .cloned()
                .collect();
            let more = u32::try_from(wanted - claims.len()).unwrap_or(u32::MAX);
            match queue.catalog.claim_due(&awake, more).await {
                Ok(more) => claims.extend(more),
                Err(error) if claims.is_empty() => return Err(error),
                Err(error) => tracing::debug!(error = %error, "cannot claim more"),
            }
        }
        for claim in &claims {
            if !tickets.contains_key(&claim.recording)
                && let Some(ticket) = queue.fetcher.link_at_hand(&claim.recording)
            {
                tickets.insert(claim.recording.clone(), ticket);
            }
        }
        let claimed = claims.len();
        let is_full = claimed == wanted;
        let windows = self.backlogs.windows(queue, &claims, &tickets, is_full).await;
        let waiting = claims.into_iter().map(|claim| {
            let ticket = tickets.remove(&claim.recording);
            let job = FetchJob {
                backlog: windows.get(&claim.recording).copied(),
                recording: claim.recording.clone(),
                format: Format::from_upstream(&claim.format),
                duration_seconds: claim.duration_seconds,
                metadata: claim.metadata.clone(),
                history: claim.history.clone(),
                ticket,
                may_be_stored: true,
                place: Box::new(()),
            };
            (claim, job)
        });
        let mut waiting: Vec<_> = waiting.collect();
        let mut jobs: Vec<_> = waiting.iter_mut().map(|(_, job)| job).collect();
        // Only a saving: where nobody can look, each looks for itself.
        let _ = queue.fetcher.look_for_stored(&mut jobs).await;
        self.ready.add(waiting);
        Ok(claimed)
    }

    /// Begins to fetch what waits, as far as there are places; gives it back where nothing may begin.
    pub(super) fn start_ready(&mut self) {
        if self.stop.soft.is_cancelled() || self.most_at_once() == 0 {
            let all = self.ready.give_up(|_| true);
            self.give_back(all);
            return;
        }
        while self.ready.len() > 0
            && self.free_places() > 0
            && let Some(place) = self.queue.shared.take_place(self.most_at_once())
            && let Some((claim, job)) = self.ready.begin(place)
        {
            let (fetcher, hard) = (Arc::clone(&self.queue.fetcher), self.stop.hard.clone());
            let task = self.in_flight.spawn(async move { fetcher.fetch(job, &hard).await });
            self.claims.insert(task.id(), claim);
        }
    }

    /// Gives claims back that were not begun.
    pub(super) fn give_back(&mut self, claims: Vec<Claim>) {
        for claim in claims {
            let end = ClaimEnd::Released {
                reason: None,
                not_before: None,
            };
            self.endings.push((claim, end));
            self.causes.push(Cause::Stopped);
            self.endings_due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
        }
    }
}
