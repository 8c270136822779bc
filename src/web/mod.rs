//! The daemon's own listener: metrics, health and readiness, for the machine or for whoever has the token.
//!
//! Bounded in every direction, because whoever reaches the port may be anyone: so many connections, one request each, a
//! small head, no body, seconds. Must not know: what is archived; it shows what `standing` and `metrics` say.

mod ask;
mod connection;
mod pages;
mod rules;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use ask::AskError;
pub use ask::Reply;
pub use ask::ask;
pub use rules::Rules;

use crate::standing::Observer;

/// Connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 32;

/// After the end, how long answers under way may take.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// How long accepting rests where the system refuses it, as for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen} (http.listen)")]
pub struct ListenError {
    listen: SocketAddr,
    #[source]
    source: io::Error,
}

/// A listener that serves until it is closed or dropped.
pub struct Web {
    address: SocketAddr,
    end: CancellationToken,
    doors: Arc<Doors>,
    serving: JoinHandle<()>,
}

impl Web {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// The address is in use, not ours, or not allowed.
    pub async fn listen(listen: SocketAddr, rules: Rules, observer: Arc<Observer>) -> Result<Self, ListenError> {
        let refused = |source| ListenError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let end = CancellationToken::new();
        let doors = Arc::new(Doors {
            rules: RwLock::new(Arc::new(rules)),
            observer,
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&doors), end.clone()));
        Ok(Self {
            address,
            end,
            doors,
            serving,
        })
    }

    /// The address, with the port that the system chose where none was named.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// These rules hold for every request from now on.
    pub fn rules_are(&self, rules: Rules) {
        *self.doors.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Stops listening. Answers under way have half a second.
    pub async fn close(mut self) {
        self.end.cancel();
        if let Err(error) = (&mut self.serving).await {
            tracing::debug!(%error, "the listener ended badly");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Who may ask, and who knows the answers.
struct Doors {
    rules: RwLock<Arc<Rules>>,
    observer: Arc<Observer>,
}

impl Doors {
    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, doors: Arc<Doors>, end: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            // Whoever comes while all places are taken waits in the system's queue: places are free again in seconds.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = end.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let doors = Arc::clone(&doors);
                open.spawn(async move {
                    let _place = place;
                    connection::serve(stream, doors).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    let answered = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
        open.shutdown().await;
    }
}
