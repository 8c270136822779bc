//! What was asked of the server: counters that never forget and a log that is bounded.
//!
//! Must not know: what was answered, but for its status.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use tokio::sync::watch;

use super::http::Request;

const LOG_LENGTH: usize = 200_000;

/// What a request was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// A page of a workspace's list; `page` counts from 1 and is what the token says.
    List {
        workspace: String,
        page: u32,
        limit: Option<String>,
        token: Option<String>,
        start_at: Option<String>,
        end_at: Option<String>,
        status: Option<String>,
    },
    /// One recording's metadata.
    Item { workspace: String, id: RecordingId },
    /// The wish to delete one recording.
    Delete { workspace: String, id: RecordingId },
    /// The redirect to one recording's media.
    MediaLink { workspace: String, id: RecordingId },
    /// A workspace's storage metrics.
    Metrics { workspace: String },
    /// Media, by a signed link.
    Media {
        workspace: String,
        id: RecordingId,
        range: Option<String>,
        if_match: Option<String>,
        expired: bool,
    },
    /// The host that must never be asked.
    Foreign { target: String },
    /// Anything else; the query is left out.
    Other { path: String },
}

/// One request as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// By the server's clock.
    pub at: Timestamp,
    pub kind: RequestKind,
    pub method: String,
    /// What was answered; `None` where that was no reply.
    pub status: Option<u16>,
    pub user_agent: Option<String>,
    pub accept: Option<String>,
    /// Whether an `Authorization` header came along; on a media host there must be none.
    pub had_authorization: bool,
    /// Whether a `Referer` header came along; it would carry a signed link to whoever is asked.
    pub had_referer: bool,
    /// Names of all `x-amz-*` headers that came along.
    pub amz_headers: Vec<String>,
}

/// The record of everything asked.
#[derive(Debug)]
pub struct Observer {
    log: Mutex<VecDeque<SeenRequest>>,
    /// Grows with every request and every end of an answer.
    pub changes: watch::Sender<u64>,
    pub api: AtomicU64,
    pub list: AtomicU64,
    pub item: AtomicU64,
    pub media: AtomicU64,
    pub expired_media: AtomicU64,
    pub foreign: AtomicU64,
    media_now: AtomicU64,
    media_most: AtomicU64,
}

impl Observer {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            log: Mutex::default(),
            changes: watch::Sender::new(0),
            api: AtomicU64::new(0),
            list: AtomicU64::new(0),
            item: AtomicU64::new(0),
            media: AtomicU64::new(0),
            expired_media: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            media_now: AtomicU64::new(0),
            media_most: AtomicU64::new(0),
        }
    }

    /// Counts and logs a request.
    pub fn note(&self, at: Timestamp, kind: RequestKind, request: &Request, status: Option<u16>) {
        let counters: &[&AtomicU64] = match &kind {
            RequestKind::List { .. } => &[&self.api, &self.list],
            RequestKind::Item { .. } => &[&self.api, &self.item],
            RequestKind::MediaLink { .. }
            | RequestKind::Metrics { .. }
            | RequestKind::Delete { .. }
            | RequestKind::Other { .. } => &[&self.api],
            RequestKind::Media { expired: true, .. } => &[&self.media, &self.expired_media],
            RequestKind::Media { .. } => &[&self.media],
            RequestKind::Foreign { .. } => &[&self.foreign],
        };
        for counter in counters {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let text = |name| request.header(name).map(str::to_owned);
        let seen = SeenRequest {
            at,
            kind,
            method: request.method.clone(),
            status,
            user_agent: text("user-agent"),
            accept: text("accept"),
            had_authorization: request.header("authorization").is_some(),
            had_referer: request.header("referer").is_some(),
            amz_headers: request
                .headers()
                .map(|(name, _)| name)
                .filter(|name| name.starts_with("x-amz-"))
                .map(str::to_owned)
                .collect(),
        };
        let mut log = self.log.lock().unwrap();
        if log.len() == LOG_LENGTH {
            log.pop_front();
        }
        log.push_back(seen);
        drop(log);
        self.tell();
    }

    /// The latest requests, oldest first, up to 200,000.
    pub fn log(&self) -> Vec<SeenRequest> {
        self.log.lock().unwrap().iter().cloned().collect()
    }

    /// Forgets the log and sets all counters to zero.
    pub fn forget(&self) {
        self.log.lock().unwrap().clear();
        for counter in [
            &self.api,
            &self.list,
            &self.item,
            &self.media,
            &self.expired_media,
            &self.foreign,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.media_most
            .store(self.media_now.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Wakes those who wait for something to have been seen.
    pub fn tell(&self) {
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Media answers under way now, and the most there ever were at once.
    pub fn media_in_flight(&self) -> (u64, u64) {
        (
            self.media_now.load(Ordering::Relaxed),
            self.media_most.load(Ordering::Relaxed),
        )
    }
}

/// One media answer under way; over when dropped.
pub struct InFlight {
    observer: Arc<Observer>,
}

impl InFlight {
    /// Counts one more.
    pub fn begin(observer: &Arc<Observer>) -> Self {
        let now = observer.media_now.fetch_add(1, Ordering::Relaxed) + 1;
        observer.media_most.fetch_max(now, Ordering::Relaxed);
        Self {
            observer: Arc::clone(observer),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.observer.media_now.fetch_sub(1, Ordering::Relaxed);
        self.observer.tell();
    }
}
