//! Claims that wait for a place: taken a few ahead, so that a place that comes free is filled at once, and one transaction
//! claims many.
//!
//! Must not know: the catalog, how a recording is fetched.

use std::collections::VecDeque;

use super::Place;
use crate::catalog::Claim;
use crate::fetcher::FetchJob;

/// The claims that wait, those whose links are at hand before the others.
#[derive(Default)]
pub(super) struct Ready(VecDeque<(Claim, FetchJob)>);

impl Ready {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds claims in their order: those with a link, which runs out, before all that wait without one.
    pub fn add(&mut self, claims: Vec<(Claim, FetchJob)>) {
        let has_link = |(_, job): &(Claim, FetchJob)| job.ticket.is_some();
        let (with_link, without): (Vec<_>, Vec<_>) = claims.into_iter().partition(has_link);
        let behind = self
            .0
            .split_off(self.0.iter().take_while(|claim| has_link(claim)).count());
        self.0.extend(with_link);
        self.0.extend(behind);
        self.0.extend(without);
    }

    /// The next to be fetched, in this place.
    pub fn begin(&mut self, place: Place) -> Option<(Claim, FetchJob)> {
        let (claim, mut job) = self.0.pop_front()?;
        job.place = Box::new(place);
        Some((claim, job))
    }

    /// Those that wait and are of this kind.
    pub fn give_up(&mut self, is_of_kind: impl Fn(&Claim) -> bool) -> Vec<Claim> {
        let (given_up, kept) = self.0.drain(..).partition::<Vec<_>, _>(|(claim, _)| is_of_kind(claim));
        self.0.extend(kept);
        given_up.into_iter().map(|(claim, _)| claim).collect()
    }
}
