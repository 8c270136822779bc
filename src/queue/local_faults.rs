//! What keeps this machine from taking recordings, told once for all queues of the process.
//!
//! One queue may still be finishing while the next works, and both meet the same full disk. Must not know: how a fault is
//! met, or how it is seen that it is over.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::domain::tally::Tallies;

/// How many queues are in a local fault now. Clones share it.
#[derive(Clone)]
pub(super) struct LocalFaults {
    tallies: Arc<Tallies>,
    lasting: Arc<Mutex<usize>>,
}

/// A queue's part in it; dropped, the queue has nothing more to say of it.
pub(super) struct InFault(LocalFaults);

impl LocalFaults {
    /// None yet. What troubles is noted in `tallies` too.
    pub(super) fn new(tallies: Arc<Tallies>) -> Self {
        Self {
            tallies,
            lasting: Arc::default(),
        }
    }

    /// A queue has met one; the first one tells.
    pub(super) fn begin(&self, reason: &str) -> InFault {
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        if *lasting == 0 {
            tracing::error!(error = %reason, "this machine does not take recordings; nothing is begun until it does");
        }
        *lasting += 1;
        self.tallies.local_fault.met(reason);
        InFault(self.clone())
    }
}

impl InFault {
    /// It lasts, perhaps for another reason.
    pub(super) fn lasts(&self, reason: &str) {
        self.0.tallies.local_fault.met(reason);
    }

    /// It is over; the last one tells.
    pub(super) fn over(self) {
        let lasting = Arc::clone(&self.0.lasting);
        drop(self);
        if *lasting.lock().unwrap_or_else(PoisonError::into_inner) == 0 {
            tracing::info!("this machine takes recordings again");
        }
    }
}

impl Drop for InFault {
    fn drop(&mut self) {
        let mut lasting = self.0.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        *lasting = lasting.saturating_sub(1);
        if *lasting == 0 {
            self.0.tallies.local_fault.over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_until_the_last_queue_is_out_of_it() {
        let tallies = Arc::new(Tallies::default());
        let faults = LocalFaults::new(Arc::clone(&tallies));
        let (old, new) = (faults.begin("no space"), faults.begin("no space"));
        old.lasts("still none");
        drop(old);
        assert_eq!(tallies.local_fault.get().unwrap().reason, "still none");
        new.over();
        assert_eq!(tallies.local_fault.get(), None);
    }
}
