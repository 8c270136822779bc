//! The life of the process: signals, the soft and the hard stop, what systemd is told, what it leaves when it dies.
//!
//! Soft: begin nothing new. Hard: leave. The first SIGTERM or SIGINT, or a part that ended unasked, is soft; a second
//! signal, or the end of the grace, is hard. Must not know: what is stopped.

mod confinement;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

pub use confinement::Confinement;

/// The two stops, and the way to them. Clones share them.
#[derive(Clone)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
}

/// Sees to it that this process leaves no image of its memory behind, which holds keys, links and calls: no core is
/// written, by a crash or at another process's wish, and no other process of this user may read the memory.
///
/// # Errors
/// The system refuses one of the two; the other is still in force.
pub fn forbid_core_dumps() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = rustix::process::setrlimit(Resource::Core, none);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(limited?)
}

/// The handlers of signals could not be set.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for signals")]
pub struct SignalError(#[source] io::Error);

/// SIGHUPs, which ask for the configuration to be read again. From its making on, they no longer end the process.
pub struct Hangups(Signal);

impl Hangups {
    /// Listens for SIGHUP from now on.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn install() -> Result<Self, SignalError> {
        signal(SignalKind::hangup()).map(Self).map_err(SignalError)
    }

    /// Waits for the next one, or for several that came close together. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Lifecycle {
    /// Listens for SIGTERM and SIGINT from now on. After the soft stop, the hard one follows within `grace`.
    ///
    /// # Errors
    /// The handlers cannot be set.
    pub fn install(grace: Duration) -> Result<Self, SignalError> {
        let life = Self::unattended(grace);
        let terminate = signal(SignalKind::terminate()).map_err(SignalError)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(SignalError)?;
        tokio::spawn(life.clone().listen(terminate, interrupt));
        Ok(life)
    }

    /// A life that ends only when it is told to by a call.
    #[must_use]
    pub fn unattended(grace: Duration) -> Self {
        let hard = CancellationToken::new();
        let life = Self {
            soft: hard.child_token(),
            hard,
        };
        tokio::spawn(life.clone().end_grace(grace));
        life
    }

    /// Cancelled when nothing new may begin.
    #[must_use]
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when it is time to leave.
    #[must_use]
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    async fn listen(self, mut terminate: Signal, mut interrupt: Signal) {
        loop {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                () = self.hard.cancelled() => return,
                else => return,
            };
            if self.soft.is_cancelled() {
                tracing::warn!(
                    signal = name,
                    "second signal: leaving now, unfinished downloads begin again next time"
                );
                self.hard.cancel();
            } else {
                tracing::info!(signal = name, "stopping: what is in flight is finished");
                self.soft.cancel();
            }
        }
    }

    async fn end_grace(self, grace: Duration) {
        self.soft.cancelled().await;
        tell_systemd(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: finishing what is in flight"),
        ]);
        tokio::select! {
            () = self.hard.cancelled() => {}
            () = tokio::time::sleep(grace) => self.hard.cancel(),
        }
    }

    /// Tells systemd that the service is up, in words too, and keeps its watchdog fed for as long as this runtime
    /// turns. Does nothing where systemd did not start us.
    pub fn ready(&self, status: &str) {
        tell_systemd(&[NotifyState::Ready, NotifyState::Status(status)]);
        let Some(period) = sd_notify::watchdog_enabled() else {
            return;
        };
        let hard = self.hard.clone();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(period / 3);
            while !hard.is_cancelled() {
                beat.tick().await;
                tell_systemd(&[NotifyState::Watchdog]);
            }
        });
    }
}

/// Tells systemd that the configuration is being read again; [`reloaded`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell_systemd(&[
            NotifyState::Reloading,
            now,
            NotifyState::Status("reading the configuration again"),
        ]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
    }
}

/// Tells systemd, in words too, that the service goes on after [`reloading`].
pub fn reloaded(status: &str) {
    tell_systemd(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Whether anybody is told anything here.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the service manager's variable, not configuration"
)]
pub fn is_told() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Tells systemd in words what goes on. Does nothing where systemd did not start us.
pub fn status(text: &str) {
    tell_systemd(&[NotifyState::Status(text)]);
}

fn tell_systemd(states: &[NotifyState<'_>]) {
    let told = match abstract_socket() {
        Some(name) => tell_abstract(&name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// The name of an abstract socket in `NOTIFY_SOCKET`, which begins with an `@` there (sd_notify(3)). The library takes
/// every value for a path.
fn abstract_socket() -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the service manager's variable, not configuration"
    )]
    let value = std::env::var_os("NOTIFY_SOCKET")?;
    let name = value.as_bytes().strip_prefix(b"@")?;
    Some(OsStr::from_bytes(name).to_owned())
}

fn tell_abstract(name: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let message: Vec<String> = states.iter().map(ToString::to_string).collect();
    let message = message.join("\n");
    let address = SocketAddr::from_abstract_name(name.as_bytes())?;
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}
