//! The daemon's own listener: metrics, health and readiness, for the machine or for whoever has the token.
//!
//! Bounded in every direction, because whoever reaches the port may be anyone: so many connections, one request each, a
//! small head, no body, seconds. Must not know: what is archived; it shows what `standing` and `metrics` say.

mod ask;
mod connection;
mod pages;
mod rules;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use ask::AskError;
pub use ask::Reply;
pub use ask::ask;
pub use rules::Rules;

use crate::standing::Observer;

/// Connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 32;

/// How long a connection may live at least; the oldest makes room after that where all places are taken.
const LEAST_LIFE: Duration = Duration::from_millis(250);

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
    let mut open = Connections::default();
    loop {
        let accepted = async {
            open.make_room().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            () = end.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => open.add(connection::serve(stream, Arc::clone(&doors))),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    open.end().await;
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    in_order: VecDeque<(Instant, AbortHandle)>,
}

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.in_order.push_back((Instant::now(), task));
    }

    /// Waits until there is a place: until one ends, or the oldest has had its time. Answers take milliseconds; who comes
    /// slowly, however many they are, holds up nobody for long. Cancel-safe.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.in_order.retain(|(_, task)| !task.is_finished());
            let Some((begun, oldest)) = self
                .in_order
                .front()
                .filter(|_| self.in_order.len() >= MOST_CONNECTIONS)
            else {
                return;
            };
            if begun.elapsed() >= LEAST_LIFE {
                oldest.abort();
                self.in_order.pop_front();
                return;
            }
            let until = *begun + LEAST_LIFE;
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn end(mut self) {
        let answered = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}
