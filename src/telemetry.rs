//! Logs: where they go, how they look, and the last look at each line before it leaves.
//!
//! Every line passes one writer that blanks signed links and the secrets it was told of, and keeps a line one line.
//! Must not know: what is logged.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;

use indicatif::MultiProgress;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::domain::redact::BLANK;
use crate::domain::redact::blank_signed_links;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A log level or filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {0:?} is neither one of error, warn, info, debug, trace nor a list of target=level")]
pub struct InvalidLevel(String);

static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Secrets shorter than this are not searched for: blanking them would garble every line and hide little.
const SHORTEST_SECRET: usize = 6;

/// Sends logs to stderr from now on. A level alone means ours, with the warnings of libraries.
///
/// # Errors
/// The level cannot be understood.
pub fn init(level: &str, format: LogFormat) -> Result<(), InvalidLevel> {
    let one_level = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let directives = if one_level {
        format!("warn,birdkeep={level}")
    } else {
        level.to_owned()
    };
    let filter = EnvFilter::try_new(directives).map_err(|_| InvalidLevel(level.to_owned()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Edge)
        .with_ansi(false);
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(())
}

/// Never lets `secret` out in a log line from now on.
pub fn hide(secret: SecretString) {
    if secret.expose_secret().len() >= SHORTEST_SECRET {
        SECRETS.write().unwrap_or_else(PoisonError::into_inner).push(secret);
    }
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

struct Edge;

impl<'a> MakeWriter<'a> for Edge {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

/// One log line on its way out.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        let mut line: String = clean(text.trim_end_matches('\n'))
            .chars()
            .flat_map(|c| {
                let escaped = c.is_control().then(|| c.escape_default());
                let plain = (!c.is_control()).then_some(c);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect();
        line.push('\n');
        // A log that cannot be written, as when stderr is closed, must not take the daemon with it.
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match BARS.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
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
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(init("birdkeep=loud,,=", LogFormat::Text).is_err());
    }
}
