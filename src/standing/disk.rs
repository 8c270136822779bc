//! Looks at the archive's disk now and then: room, and whether it takes a file.
//!
//! A disk that hangs holds up one look and no more. Must not know: why the look is wanted.

use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::domain::explain::chain;
use crate::domain::redact::one_line;
use crate::store::Space;
use crate::store::Store;

/// How old a look may grow: each writes and syncs a small file.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How long a look is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest reason, in characters.
const LONGEST_REASON: usize = 400;

/// What a look saw.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub space: Option<Space>,
    pub refusal: Option<String>,
}

/// The last look, and the one under way.
#[derive(Default)]
pub(super) struct Disk {
    last: Option<(Instant, Look)>,
    under_way: Option<(Instant, JoinHandle<Look>)>,
}

impl Disk {
    /// What is known of the disk, at most [`LOOK_INTERVAL`] old. Cancel-safe: a look under way goes on.
    pub async fn look(&mut self, store: &Store) -> Look {
        if let Some((at, look)) = &self.last
            && at.elapsed() < LOOK_INTERVAL
        {
            return look.clone();
        }
        let (begun, task) = self.under_way.get_or_insert_with(|| {
            let store = store.clone();
            (Instant::now(), tokio::spawn(async move { take(&store).await }))
        });
        let begun = *begun;
        let done = tokio::time::timeout(PATIENCE, task).await;
        let look = match done {
            Ok(Ok(look)) => look,
            Ok(Err(ended)) => refused(format!("the look at the disk ended: {ended}")),
            Err(_) => {
                let seconds = begun.elapsed().as_secs();
                return refused(format!("the disk has not answered for {seconds} s"));
            }
        };
        self.under_way = None;
        self.last = Some((Instant::now(), look.clone()));
        look
    }
}

async fn take(store: &Store) -> Look {
    let refusal = store.ready().await.err();
    Look {
        space: store.space().await.ok(),
        refusal: refusal.map(|error| one_line(&chain(&error), LONGEST_REASON)),
    }
}

const fn refused(why: String) -> Look {
    Look {
        space: None,
        refusal: Some(why),
    }
}
