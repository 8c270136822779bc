//! What a test may ask a running server about the requests it saw and the secrets it gave out, and how it waits.
//!
//! Must not know: how requests are answered.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Bird;
use super::seen::RequestKind;
use super::seen::SeenRequest;

/// How long `wait_until` waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

impl Bird {
    /// The latest requests, oldest first, up to 200,000.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.seen.log()
    }

    /// The latest requests of media for one recording, oldest first.
    pub fn media_requests_of(&self, wanted: birdkeep::domain::ids::RecordingId) -> Vec<SeenRequest> {
        let mut log = self.requests();
        log.retain(|seen| matches!(seen.kind, RequestKind::Media { id, .. } if id == wanted));
        log
    }

    /// Forgets the log and sets all counters to zero.
    pub fn forget_requests(&self) {
        self.shared.seen.forget();
    }

    /// Requests to the API's host, of every kind.
    pub fn api_requests(&self) -> u64 {
        read(&self.shared.seen.api)
    }

    /// Pages asked for.
    pub fn list_requests(&self) -> u64 {
        read(&self.shared.seen.list)
    }

    /// Single recordings' metadata asked for.
    pub fn item_requests(&self) -> u64 {
        read(&self.shared.seen.item)
    }

    /// Media asked for, whatever came of it.
    pub fn media_requests(&self) -> u64 {
        read(&self.shared.seen.media)
    }

    /// Media asked for with a link past its time.
    pub fn expired_media_requests(&self) -> u64 {
        read(&self.shared.seen.expired_media)
    }

    /// Requests to the host that must never be asked.
    pub fn foreign_requests(&self) -> u64 {
        read(&self.shared.seen.foreign)
    }

    /// Media replies under way now.
    pub fn media_in_flight(&self) -> u64 {
        self.shared.seen.media_in_flight().0
    }

    /// The most media replies that were ever under way at once.
    pub fn most_media_in_flight(&self) -> u64 {
        self.shared.seen.media_in_flight().1
    }

    /// Everything that must be found nowhere outside: keys, credentials, session token, all signatures; each with what it is.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = self.shared.secrets.lock().unwrap().clone();
        secrets.extend(
            self.shared
                .signer
                .secrets()
                .map(|(what, secret)| (what, secret.to_owned())),
        );
        secrets.extend(
            self.shared
                .signer
                .signatures()
                .into_iter()
                .map(|signature| ("X-Amz-Signature", signature)),
        );
        secrets
    }

    /// Waits until the condition holds. It is tried again after every request and every end of a reply.
    ///
    /// # Panics
    /// After 30 seconds, telling what was asked for until then.
    pub async fn wait_until(&self, condition: impl FnMut(&Self) -> bool) {
        assert!(
            self.wait_until_within(PATIENCE, condition).await,
            "waited {PATIENCE:?}; seen: {} lists, {} items, {} media ({} expired), {} under way",
            self.list_requests(),
            self.item_requests(),
            self.media_requests(),
            self.expired_media_requests(),
            self.media_in_flight(),
        );
    }

    /// Waits until the condition holds, or so long. Says whether it held.
    pub async fn wait_until_within(&self, patience: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let mut changes = self.shared.seen.changes.subscribe();
        // Slept on the server's runtime: the caller's clock may stand still.
        let Some(runtime) = &self.runtime else {
            return false;
        };
        let mut over = runtime.spawn(tokio::time::sleep(patience));
        let holds = loop {
            if condition(self) {
                break true;
            }
            tokio::select! {
                _ = &mut over => break condition(self),
                _ = changes.changed() => {}
            }
        };
        over.abort();
        holds
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
