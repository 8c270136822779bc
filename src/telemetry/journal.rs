//! Events as systemd's journal takes them: one datagram each, a line a field, with a priority.
//!
//! The journal's native protocol, in its simple form: no value keeps a line end, so none can forge a field. Written here
//! rather than taken from a library, since each value passes the last look on its own, and none that was found does that.
//! Must not know: what is logged.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::clean;
use super::leave;
use crate::domain::redact::one_line;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest value of a field, and the longest message, in characters: a datagram must hold them all.
const LONGEST_VALUE: usize = 1_000;
const LONGEST_MESSAGE: usize = 4_000;

/// The longest name of a field that the journal takes.
const LONGEST_NAME: usize = 64;

/// A journal that takes nothing holds up no more than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether our stderr is the stream that systemd connected to its journal, and not a terminal or a file of a process that
/// inherited the variable (`JOURNAL_STREAM`, systemd.exec(5)).
#[expect(
    clippy::disallowed_methods,
    reason = "the service manager's variable, not configuration"
)]
pub(super) fn is_connected() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stderr| named.to_str() == Some(&format!("{}:{}", stderr.st_dev, stderr.st_ino)))
}

/// Sends events to the journal, and those it does not take to stderr.
pub(super) struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journal {
    /// The journal that listens at `path`. Nothing is sent.
    pub(super) fn at(path: impl AsRef<Path>) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket)
        });
        Self {
            path: path.as_ref().to_owned(),
            socket: socket.ok(),
        }
    }

    fn send(&self, entry: &Entry) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        };
        socket
            .send_to(entry.datagram(true).as_bytes(), &self.path)
            .or_else(|_| socket.send_to(entry.datagram(false).as_bytes(), &self.path))
            .map(drop)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = Entry::new(*event.metadata().level(), event.metadata().target());
        event.record(&mut entry);
        if self.send(&entry).is_err() {
            leave(&format!("{} {}", entry.level, entry.message()));
        }
    }
}

/// One event on its way out; every value in it is clean.
struct Entry {
    level: Level,
    target: String,
    text: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    fn new(level: Level, target: &str) -> Self {
        Self {
            level,
            target: fit(target, LONGEST_VALUE),
            text: String::new(),
            fields: Vec::new(),
        }
    }

    fn take(&mut self, field: &Field, value: &str) {
        let value = fit(value, LONGEST_VALUE);
        match field.name() {
            "message" => self.text = value,
            // What the bridge from the `log` crate adds about the place of a line.
            "log.target" => self.target = value,
            name if name.starts_with("log.") => {}
            name => self.fields.push((name.to_owned(), value)),
        }
    }

    /// What a person reads: the text, and the fields behind it.
    fn message(&self) -> String {
        let mut message = self.text.clone();
        for (name, value) in &self.fields {
            let quoted = if value.contains(' ') || value.is_empty() {
                Cow::Owned(format!("{value:?}"))
            } else {
                Cow::Borrowed(value)
            };
            message.push_str(&format!(" {name}={quoted}"));
        }
        fit(&message, LONGEST_MESSAGE)
    }

    fn datagram(&self, with_fields: bool) -> String {
        let mut text = format!(
            "PRIORITY={}\nSYSLOG_IDENTIFIER=birdkeep\nMESSAGE={}\nBIRDKEEP_TARGET={}\n",
            priority(self.level),
            self.message(),
            self.target
        );
        for (name, value) in self.fields.iter().filter(|_| with_fields) {
            text.push_str(&format!("{}={value}\n", field_name(name)));
        }
        text
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format!("{value:?}"));
    }
}

/// The last look at a value: clean, one line, not too long.
fn fit(value: &str, longest: usize) -> String {
    one_line(&clean(value), longest)
}

/// `workspace.name` is `BIRDKEEP_WORKSPACE_NAME`: letters, digits and underscores, no longer than the journal takes.
fn field_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    "BIRDKEEP_"
        .chars()
        .chain(name.chars().map(plain))
        .take(LONGEST_NAME)
        .collect()
}

/// The severities of syslog, as the journal counts them.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// What a journal receives of what happens.
    fn received(happens: impl FnOnce()) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::at(&path));
        tracing::subscriber::with_default(subscriber, happens);
        let mut buffer = vec![0; 1 << 20];
        std::iter::from_fn(|| {
            let read = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..read].to_vec()).unwrap())
        })
        .collect()
    }

    #[test]
    fn an_event_is_a_datagram_with_its_priority_and_fields() {
        let told = received(|| {
            tracing::warn!(
                workspace.name = "support",
                attempt = 3,
                error = "no answer",
                "not archived yet"
            );
            tracing::error!("gone wrong");
            tracing::info!("for the record");
            tracing::debug!("in detail");
        });
        assert_eq!(
            told[0],
            "PRIORITY=4\nSYSLOG_IDENTIFIER=birdkeep\n\
             MESSAGE=not archived yet workspace.name=support attempt=3 error=\"no answer\"\n\
             BIRDKEEP_TARGET=birdkeep::telemetry::journal::tests\nBIRDKEEP_WORKSPACE_NAME=support\nBIRDKEEP_ATTEMPT=3\n\
             BIRDKEEP_ERROR=no answer\n"
        );
        let priorities: Vec<&str> = told.iter().map(|entry| entry.lines().next().unwrap()).collect();
        assert_eq!(priorities, ["PRIORITY=4", "PRIORITY=3", "PRIORITY=6", "PRIORITY=7"]);
    }

    #[test]
    fn no_value_forges_a_field_or_holds_a_secret() {
        super::super::hide("key-of-the-journal-0123".into());
        let hostile = "x\nPRIORITY=0\nMESSAGE=forged\u{1b}[2J key-of-the-journal-0123 ?X-Amz-Signature=abcdef0123&y=1";
        let told = received(|| {
            tracing::info!(error = hostile, remark = ?hostile, "{hostile}");
            tracing::info!(error = %"e".repeat(1 << 20), "much");
        });
        assert_eq!(told.len(), 2);
        for entry in &told {
            for line in entry.lines() {
                let name = line.split_once('=').unwrap().0;
                let known = [
                    "PRIORITY",
                    "SYSLOG_IDENTIFIER",
                    "MESSAGE",
                    "BIRDKEEP_TARGET",
                    "BIRDKEEP_ERROR",
                    "BIRDKEEP_REMARK",
                ];
                assert!(known.contains(&name), "{line}");
            }
            assert_eq!(entry.matches("\nMESSAGE=").count(), 1);
            assert!(
                !entry.contains("key-of-the-journal") && !entry.contains("abcdef0123"),
                "{entry}"
            );
            assert!(entry.chars().all(|c| c == '\n' || !c.is_control()), "{entry}");
            assert!(entry.len() < 16_000);
        }
    }

    #[test]
    fn names_are_what_the_journal_takes() {
        assert_eq!(field_name("workspace.name"), "BIRDKEEP_WORKSPACE_NAME");
        assert_eq!(field_name("r#type é"), "BIRDKEEP_R_TYPE__");
        assert_eq!(field_name(&"n".repeat(100)).len(), LONGEST_NAME);
    }

    #[test]
    fn a_journal_that_is_not_there_is_told() {
        let journal = Journal::at("/nonexistent/socket");
        assert!(journal.send(&Entry::new(Level::INFO, "t")).is_err());
    }
}
