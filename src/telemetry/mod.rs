//! Logs and panics: where they go, how they look, and the last look at each line before it leaves.
//!
//! Every line passes one writer that blanks signed links and the secrets it was told of, keeps a line one line, and
//! lets nothing out that a terminal would obey. Must not know: what is logged.

mod journal;

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;

use indicatif::MultiProgress;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::journal::Journal;
use crate::domain::redact::BLANK;
use crate::domain::redact::blank_signed_links;
use crate::domain::redact::escape_in_json;
use crate::domain::redact::one_line;
use crate::domain::redact::printable_lines;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Entries with fields for systemd's journal.
    Journald,
}

/// A log level or filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {0:?} is neither one of error, warn, info, debug, trace nor a list of target=level")]
pub struct InvalidLevel(String);

static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Secrets shorter than this are not searched for: blanking them would garble every line and hide little.
const SHORTEST_SECRET: usize = 6;

/// How much of a panic's text is told, in characters.
const LONGEST_PANIC: usize = 2000;

/// Sends logs to stderr, or to the journal, from now on. A level alone means ours, with the warnings of libraries. Without a
/// format it is the journal's where systemd connected stderr to its journal, else text.
///
/// # Errors
/// The level cannot be understood.
pub fn init(level: &str, format: Option<LogFormat>) -> Result<(), InvalidLevel> {
    let one_level = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let directives = if one_level {
        // That a connection or a statement was waited for says how busy this machine is, and nothing that an operator
        // could mend.
        format!("warn,sqlx=error,birdkeep={level}")
    } else {
        level.to_owned()
    };
    let filter = EnvFilter::try_new(directives).map_err(|_| InvalidLevel(level.to_owned()))?;
    let format = format.unwrap_or_else(|| {
        if journal::is_connected() {
            LogFormat::Journald
        } else {
            LogFormat::Text
        }
    });
    if format == LogFormat::Journald {
        tracing_subscriber::registry()
            .with(filter)
            .with(Journal::at(journal::SOCKET))
            .init();
        return Ok(());
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Edge(format))
        .with_ansi(false);
    match format {
        LogFormat::Text | LogFormat::Journald => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(())
}

/// Never lets `secret` out in a log line from now on, as it is or as JSON and Rust's `Debug` write it.
pub fn hide(secret: SecretString) {
    let text = secret.expose_secret();
    if text.len() < SHORTEST_SECRET {
        return;
    }
    let quoted = text.contains(['"', '\\']).then(|| {
        let quoted = SecretString::from(text.replace('\\', "\\\\"));
        SecretString::from(quoted.expose_secret().replace('"', "\\\""))
    });
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if secrets.iter().any(|known| known.expose_secret() == text) {
        return;
    }
    secrets.extend(quoted);
    secrets.push(secret);
}

/// Tells of panics through the same last look as of everything else, from now on. A panic's text may hold anything.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let at = panic
            .location()
            .map_or_else(|| "a place unknown".to_owned(), ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("(no text)");
        let trace = Backtrace::capture();
        let mut text = clean(&format!("birdkeep: panicked at {at}: {what}"));
        text = one_line(&text, LONGEST_PANIC);
        if trace.status() == BacktraceStatus::Captured {
            text = format!("{text}\n{}", printable_lines(&clean(&trace.to_string())));
        }
        leave(&text);
    }));
}

/// Where progress bars are drawn: stderr, without disturbing log lines; `None` where stderr is no terminal.
#[must_use]
pub fn bars() -> Option<&'static MultiProgress> {
    io::stderr().is_terminal().then(|| BARS.get_or_init(MultiProgress::new))
}

/// `text` fit to leave the process.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut text = blank_signed_links(text).into_owned();
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret.expose_secret()) {
            text = text.replace(secret.expose_secret(), BLANK);
        }
    }
    text
}

struct Edge(LogFormat);

impl<'a> MakeWriter<'a> for Edge {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0, Vec::new())
    }
}

/// One log line on its way out.
struct Line(LogFormat, Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        leave(&last_look(self.0, &self.1));
    }
}

/// A line as it may leave: clean, one line, and in JSON still JSON.
fn last_look(format: LogFormat, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = clean(text.trim_end_matches('\n'));
    match format {
        LogFormat::Text | LogFormat::Journald => one_line(&text, usize::MAX),
        LogFormat::Json => escape_in_json(&text).into_owned(),
    }
}

/// Writes to stderr, beside the progress bars.
fn leave(text: &str) {
    // A log that cannot be written, as when stderr is closed, must not take the daemon with it.
    let write = || drop(io::stderr().write_all(format!("{text}\n").as_bytes()));
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_is_clean() {
        hide("hunter2-hunter2".into());
        let text = clean("key hunter2-hunter2 in ?X-Amz-Signature=abcdef&x=1");
        assert_eq!(text, "key *** in ?X-Amz-Signature=***&x=1");
        hide("quo\"te\\d-secret".into());
        for told in [String::from("quo\"te\\d-secret"), format!("{:?}", "quo\"te\\d-secret")] {
            assert!(!clean(&told).contains("secret"), "{told}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_json_stays_json_whatever_a_library_logs() {
        let hostile = "a\u{1b}[2J\nERROR forged \u{202e}\u{9b}31m\u{2028}\u{7f} X-Amz-Signature=abcdef&x=1";
        let text = last_look(LogFormat::Text, format!("INFO {hostile}\n").as_bytes());
        assert_eq!(
            text,
            "INFO a\\u{1b}[2J\\nERROR forged \\u{202e}\\u{9b}31m\\u{2028}\\u{7f} X-Amz-Signature=***&x=1"
        );
        let json = serde_json::json!({ "message": hostile }).to_string();
        let line = last_look(LogFormat::Json, format!("{json}\n").as_bytes());
        assert!(line.chars().all(|c| (' '..='~').contains(&c)), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], hostile.replace("abcdef", "***"));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(init("birdkeep=loud,,=", Some(LogFormat::Text)).is_err());
    }
}
