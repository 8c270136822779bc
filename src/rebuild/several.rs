//! Work done several at a time, its results handed out in the order in which it was begun.
//!
//! Must not know: what is done.

use std::collections::VecDeque;

use tokio_util::task::AbortOnDropHandle;

use super::error::RebuildError;

/// Work under way. Dropping it ends what has not ended.
pub(super) struct Several<T> {
    pending: VecDeque<AbortOnDropHandle<T>>,
    most: usize,
}

impl<T: Send + 'static> Several<T> {
    /// As many at a time as there are processors, within reason.
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            pending: VecDeque::new(),
            most: processors.clamp(2, 16),
        }
    }

    /// Whether more would be more than are done at a time.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= self.most
    }

    pub(super) fn begin(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.pending.push_back(AbortOnDropHandle::new(tokio::spawn(work)));
    }

    /// The result of the oldest; `None` where none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<T>, RebuildError> {
        let Some(oldest) = self.pending.front_mut() else {
            return Ok(None);
        };
        let result = oldest.await.map_err(RebuildError::Died)?;
        self.pending.pop_front();
        Ok(Some(result))
    }
}
