//! Tells people that something is wrong, or that nothing is: a dead man's switch after each cycle, a command on events.
//!
//! It looks at how things stand, now and then; nobody tells it anything, so that the work neither waits for it nor fails
//! with it. Must not know: how recordings are listed, fetched or kept.

mod command;
mod cycle;
mod damage;
mod event;
mod ping;
mod situation;
mod watch;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::command::Teller;
use self::ping::Ping;
use self::ping::Switch;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::http::client::ClientError;
use crate::http::client::switch_client;
use crate::http::resolve::by_the_system;
use crate::http::roots::ExtraRoots;

pub use self::command::CommandLine;
pub use self::event::EVENT_KINDS;
pub use self::event::Event;
pub use self::event::EventKind;
pub use self::event::MOST_RECORDINGS;
pub use self::watching::Watching;

/// How long the end of a daemon by an error is held up, at most.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Who is told, and how long that may take.
#[derive(Debug, Clone)]
pub struct NotifyOptions {
    /// The dead man's switch; an absolute URL.
    pub url: Option<SecretString>,
    /// What is run for an event.
    pub command: Option<CommandLine>,
    /// How long one request to the one or one run of the other may take.
    pub timeout: Duration,
    /// The events that the command is run for.
    pub events: Vec<EventKind>,
    /// Authorities that are trusted besides the system's.
    pub roots: ExtraRoots,
}

/// Tells whom it was told to tell. One for a process.
pub struct Notifier {
    switch: Option<Switch>,
    teller: Option<Teller>,
    events: Vec<EventKind>,
}

impl Notifier {
    /// Sets up the client. Nothing is sent or run.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(options: NotifyOptions) -> Result<Arc<Self>, ClientError> {
        let switch = match &options.url {
            None => None,
            Some(url) => Url::parse(url.expose_secret())
                .ok()
                .map(|parsed| switch_client(&parsed, &options.roots, by_the_system()))
                .transpose()?
                .map(|http| Switch::new(http, url.clone(), options.timeout)),
        };
        Ok(Arc::new(Self {
            switch,
            teller: options.command.map(|command| Teller::new(command, options.timeout)),
            events: options.events,
        }))
    }

    /// Whether nobody is told anything.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.switch.is_none() && self.teller.is_none()
    }

    /// Tells the switch that one pass over everything begins, in a task of its own.
    #[must_use]
    pub fn begin_pass(self: &Arc<Self>) -> OnePass {
        let last = CancellationToken::new();
        let (notifier, until) = (Arc::clone(self), last.clone());
        self.ping(Ping::Start);
        let sending = tokio::spawn(async move {
            if let Some(switch) = &notifier.switch {
                switch.keep_sending(&until).await;
            }
        });
        OnePass {
            notifier: Arc::clone(self),
            last,
            sending,
        }
    }

    /// Tells the switch that it all came to an end that nobody asked for, and waits until that is told, was tried three times
    /// or has taken twenty seconds.
    pub async fn fail(&self, why: &str) {
        if let Some(switch) = &self.switch {
            switch.tell(Ping::Failure(why.to_owned()));
            let last = CancellationToken::new();
            last.cancel();
            // Whoever starts it again is waiting.
            drop(tokio::time::timeout(LAST_WORDS, switch.keep_sending(&last)).await);
        }
    }

    /// Re-reading by hand ended: runs the command where something was found that was not known, and waits for it.
    pub async fn tell_damage(&self, found: &[RecordingId], all: u64, at: Timestamp, archive_id: &str) {
        if !found.is_empty() {
            self.tell(damage::event(found.len() as u64, all, found, at));
            self.run_what_waits(archive_id).await;
        }
    }

    fn ping(&self, ping: Ping) {
        if let Some(switch) = &self.switch {
            switch.tell(ping);
        }
    }

    fn tell(&self, event: Event) {
        tracing::debug!(event = event.kind.as_str(), count = event.count, "{}", event.text);
        if let Some(teller) = self.teller.as_ref().filter(|_| self.events.contains(&event.kind)) {
            teller.tell(event);
        }
    }

    async fn run_what_waits(&self, archive_id: &str) {
        if let Some(teller) = &self.teller {
            teller.run_waiting(archive_id).await;
        }
    }
}

/// A pass over everything whose beginning was told.
pub struct OnePass {
    notifier: Arc<Notifier>,
    last: CancellationToken,
    sending: JoinHandle<()>,
}

impl OnePass {
    /// Tells the switch how it ended, `None`: nothing, as when it was stopped. Waits until that is told, or was tried three
    /// times.
    pub async fn end(self, outcome: Option<Result<(), String>>) {
        match outcome {
            Some(Ok(())) => self.notifier.ping(Ping::Success),
            Some(Err(why)) => self.notifier.ping(Ping::Failure(why)),
            None => {
                self.sending.abort();
                return;
            }
        }
        self.last.cancel();
        // It ends by itself: each try has its time.
        drop(self.sending.await);
    }
}
