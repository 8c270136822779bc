//! Retry inside one request: how often, how long apart, and how far a server's wish to wait is followed.
//!
//! The innermost of three layers, each with a budget of its own; it lasts seconds and ends well before a link's life
//! does. Must not know: what is requested.

use std::time::Duration;

use backon::BackoffBuilder;
use backon::ExponentialBuilder;
use reqwest::header::HeaderMap;
use reqwest::header::RETRY_AFTER;

use crate::domain::clock::Timestamp;

/// Tries of one request, the first included.
pub const TRIES: usize = 4;

/// The longest wait a server's `Retry-After` may impose inside one request. Longer ones end the request, and whoever
/// asked comes back later.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The longest `Retry-After` that is believed at all.
const LONGEST_BELIEVED: Duration = Duration::from_secs(3600);

/// The waits between tries: half a second, doubled, with jitter, up to eight seconds.
pub fn waits() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_jitter()
        .with_max_times(TRIES - 1)
        .build()
}

/// Whether a reply with this status says that the same request may succeed later.
#[must_use]
pub const fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// How long a reply asks to wait: whole seconds or an HTTP date (RFC 9110, section 10.2.3), the latter against the
/// reply's own `Date`. What is absent, negative or unintelligible is `None`; what is huge is cut to an hour.
#[must_use]
pub fn retry_after(headers: &HeaderMap, server_now: Option<Timestamp>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        Timestamp::from_http_date(text)?.since(server_now?)
    };
    Some(wait.min(LONGEST_BELIEVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())])
    }

    #[test]
    fn every_status_is_classified_once() {
        let retried: Vec<u16> = (100..600).filter(|status| is_transient(*status)).collect();
        assert_eq!(retried, [408, 425, 429, 500, 502, 503, 504]);
    }

    #[test]
    fn waits_are_read_as_seconds_or_dates_and_bounded() {
        let now = Timestamp::from_http_date("Tue, 24 Oct 2023 19:27:59 GMT");
        let read = |text: &str| retry_after(&header(text), now);
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Tue, 24 Oct 2023 19:28:09 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Tue, 24 Oct 2023 19:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(LONGEST_BELIEVED));
        for odd in ["-5", "", "soon", "1.5"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn the_budget_of_a_request_is_small() {
        let waits: Vec<Duration> = waits().collect();
        assert_eq!(waits.len(), TRIES - 1);
        assert!(waits.iter().sum::<Duration>() < Duration::from_secs(20));
    }
}
