//! Tells a dead man's switch how a cycle goes: a request to its URL, to `/start` below it, or to `/fail`.
//!
//! The way healthchecks.io and its like take it. Must not know: what a cycle is.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::domain::redact::blank_numbers;
use crate::domain::redact::one_line;
use crate::http::redact::explain;
use crate::http::retry::is_transient;
use crate::telemetry;

/// The waits before a ping is sent again; then it is let go.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Pings that wait at most: two cycles. Older ones tell nothing any more.
const MOST_WAITING: usize = 4;

/// The longest text of a failure, in bytes.
const MOST_TEXT_BYTES: usize = 9_990;

/// How much of a reply is looked at, in bytes.
const REPLY_BYTES: usize = 256;

/// What a dead man's switch is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ping {
    Start,
    Success,
    /// With what is wrong.
    Failure(String),
}

/// A dead man's switch.
pub(super) struct Switch {
    http: reqwest::Client,
    url: SecretString,
    timeout: Duration,
    waiting: Mutex<VecDeque<Ping>>,
    wake: Notify,
    fails: AtomicBool,
}

impl Switch {
    pub(super) fn new(http: reqwest::Client, url: SecretString, timeout: Duration) -> Self {
        Self {
            http,
            url,
            timeout,
            waiting: Mutex::default(),
            wake: Notify::new(),
            fails: AtomicBool::new(false),
        }
    }

    /// Has a ping sent after those that wait. Never waits itself.
    pub(super) fn tell(&self, ping: Ping) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(ping);
        self.wake.notify_one();
    }

    /// Sends what is told, until `last` and until nothing waits.
    ///
    /// Cancel-safe: a ping that was begun may have arrived or not.
    pub(super) async fn keep_sending(&self, last: &CancellationToken) {
        loop {
            self.send_waiting().await;
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = last.cancelled() => return,
            }
        }
    }

    /// Sends what waits.
    async fn send_waiting(&self) {
        while let Some(ping) = self.next() {
            self.send(&ping).await;
        }
    }

    fn next(&self) -> Option<Ping> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn send(&self, ping: &Ping) {
        let mut waits = WAITS.into_iter();
        let failure = loop {
            let refused = match self.try_send(ping).await {
                Ok(()) => break None,
                Err(refused) => refused,
            };
            match waits.next() {
                Some(wait) if refused.may_pass => tokio::time::sleep(wait).await,
                _ => break Some(refused.why),
            }
        };
        match failure {
            None if self.fails.swap(false, Ordering::Relaxed) => {
                tracing::info!("the dead man's switch is told again");
            }
            None => {}
            Some(why) if !self.fails.swap(true, Ordering::Relaxed) => {
                tracing::warn!(error = %why, "the dead man's switch could not be told; tried again at its next turn");
            }
            Some(why) => tracing::debug!(error = %why, "the dead man's switch could not be told"),
        }
    }

    async fn try_send(&self, ping: &Ping) -> Result<(), Refused> {
        let may_pass = |error| Refused {
            may_pass: true,
            why: explain(error),
        };
        let url = address(self.url.expose_secret(), ping).ok_or_else(|| Refused::lasting("its URL cannot be used"))?;
        let request = match ping {
            Ping::Failure(text) => self.http.post(url).body(fit(text)),
            Ping::Start | Ping::Success => self.http.get(url),
        };
        let mut reply = request.timeout(self.timeout).send().await.map_err(may_pass)?;
        let status = reply.status();
        if !status.is_success() {
            return Err(Refused {
                may_pass: is_transient(status.as_u16()) || status.is_server_error(),
                why: refusal(status),
            });
        }
        // Some answer 200 to a check that is none.
        let mut head = Vec::new();
        while head.len() < REPLY_BYTES
            && let Ok(Some(chunk)) = reply.chunk().await
        {
            head.extend_from_slice(&chunk);
        }
        if head.starts_with(b"OK (not found)") {
            return Err(Refused::lasting("it answers that it knows no such check"));
        }
        Ok(())
    }
}

/// Why a ping did not arrive.
struct Refused {
    may_pass: bool,
    why: String,
}

impl Refused {
    fn lasting(why: &str) -> Self {
        Self {
            may_pass: false,
            why: why.to_owned(),
        }
    }
}

fn refusal(status: StatusCode) -> String {
    let hint = match status.as_u16() {
        300..400 => "; redirects are not followed, set notify.url to where it leads",
        404 | 410 => "; is there such a check?",
        _ => "",
    };
    format!("it answered {}{hint}", status.as_u16())
}

/// Where a ping goes: below the path, with the query as it is.
fn address(base: &str, ping: &Ping) -> Option<Url> {
    let mut url = Url::parse(base).ok()?;
    let below = match ping {
        Ping::Start => "start",
        Ping::Success => return Some(url),
        Ping::Failure(_) => "fail",
    };
    url.path_segments_mut().ok()?.pop_if_empty().push(below);
    Some(url)
}

/// A text that may be kept by strangers: no secrets, no numbers that may be somebody's, not too long.
fn fit(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let line = blank_numbers(&one_line(&telemetry::clean(line), MOST_TEXT_BYTES));
        if lines.len() + line.len() + 1 > MOST_TEXT_BYTES {
            lines.push_str("…\n");
            break;
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_goes_below_the_path_and_keeps_the_query() {
        let of = |base, ping| address(base, &ping).unwrap().to_string();
        let uuid = "https://hc-ping.com/0f7e6d5c-0000-4000-8000-000000000000";
        assert_eq!(of(uuid, Ping::Success), uuid);
        assert_eq!(of(uuid, Ping::Start), format!("{uuid}/start"));
        assert_eq!(of(uuid, Ping::Failure(String::new())), format!("{uuid}/fail"));
        assert_eq!(of("https://h/p/?create=1", Ping::Start), "https://h/p/start?create=1");
        assert_eq!(of("https://h", Ping::Start), "https://h/start");
    }

    #[test]
    fn a_failure_names_nobody_and_is_not_long() {
        let text = "sales: the API answered 401 (no access for +31 (0)20 123-45.67)\nb: 4915112345678 at 12:30";
        assert_eq!(
            fit(text),
            "sales: the API answered 401 (no access for ***)\nb: *** at 12:30\n"
        );
        assert_eq!(fit("X-Amz-Signature=abc and more"), "X-Amz-Signature=*** and more\n");
        let long = "x".repeat(400) + "\n";
        let fitted = fit(&long.repeat(100));
        assert!(fitted.len() <= MOST_TEXT_BYTES + "…\n".len() && fitted.ends_with("…\n"));
    }
}
