//! A link with its life: usable once, soon, and never written down.
//!
//! Lifetime as AWS's SigV4 query form states it: valid until `X-Amz-Date` plus `X-Amz-Expires` seconds, at most a week,
//! checked when a request starts. With temporary credentials a link can die sooner, which it does not show.
//! Must not know: the recording it opens.

use std::time::Duration;
use std::time::Instant;

use url::Url;

use super::upstream_clock::UpstreamClock;
use crate::domain::clock::Timestamp;
use crate::http::redact::InvalidUrl;
use crate::http::redact::SignedUrl;

/// The longest life AWS grants a presigned URL, in seconds.
const LONGEST_LIFE_SECONDS: u64 = 604_800;

/// How long a link that does not state its life is thought to live.
const UNSTATED_LIFE: Duration = Duration::from_secs(60);

/// A link to a body, and how long it opens it.
#[derive(Clone)]
pub struct Ticket {
    url: SignedUrl,
    len_bytes: usize,
    life: Life,
    asks_for_checksum: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// By upstream's clock, with the whole life it was given.
    Stated { until: Timestamp, whole: Duration },
    /// The link says nothing: counted from its receipt.
    Unstated { received: Instant },
}

impl Ticket {
    /// Takes a link as received at `received`.
    ///
    /// # Errors
    /// It is not an absolute URL.
    pub fn new(url: &str, received: Instant) -> Result<Self, InvalidUrl> {
        let (signed, said) = SignedUrl::parse_with(url, Said::of)?;
        Ok(Self {
            life: said.life().unwrap_or(Life::Unstated { received }),
            asks_for_checksum: said.asks_for_checksum(),
            len_bytes: url.len(),
            url: signed,
        })
    }

    /// The link, for the request that uses it.
    #[must_use]
    pub const fn url(&self) -> &SignedUrl {
        &self.url
    }

    /// How long the link is, in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Whether `x-amz-checksum-mode` is among the signed headers: then it must be sent, otherwise it must not.
    #[must_use]
    pub const fn asks_for_checksum(&self) -> bool {
        self.asks_for_checksum
    }

    /// How much life is left, judged carefully; zero when it is spent.
    #[must_use]
    pub fn life_left(&self, clock: &UpstreamClock) -> Duration {
        match self.life {
            // Of a link that is dated ahead no more than its whole life counts.
            Life::Stated { until, whole } => until.since(clock.latest_now()).min(whole),
            Life::Unstated { received } => UNSTATED_LIFE.saturating_sub(received.elapsed()),
        }
    }

    /// The least life a download should begin with: `margin`, but no more than a quarter of the whole life, so that
    /// links shorter than the margin can be used at all.
    #[must_use]
    pub fn least_life(&self, margin: Duration) -> Duration {
        let whole = match self.life {
            Life::Stated { whole, .. } => whole,
            Life::Unstated { .. } => UNSTATED_LIFE,
        };
        margin.min(whole / 4)
    }

    /// Whether enough life is left to begin a download.
    #[must_use]
    pub fn is_fresh(&self, clock: &UpstreamClock, margin: Duration) -> bool {
        self.life_left(clock) > self.least_life(margin)
    }
}

/// What a link says of itself, as far as it matters here. Of members that are repeated, the first.
#[derive(Default)]
struct Said {
    signed_at: Option<String>,
    expires_seconds: Option<String>,
    signed_headers: Option<String>,
}

impl Said {
    fn of(url: &Url) -> Self {
        let mut said = Self::default();
        for (name, value) in url.query_pairs() {
            let member = if name.eq_ignore_ascii_case("X-Amz-Date") {
                &mut said.signed_at
            } else if name.eq_ignore_ascii_case("X-Amz-Expires") {
                &mut said.expires_seconds
            } else if name.eq_ignore_ascii_case("X-Amz-SignedHeaders") {
                &mut said.signed_headers
            } else {
                continue;
            };
            member.get_or_insert_with(|| value.into_owned());
        }
        said
    }

    fn life(&self) -> Option<Life> {
        let signed_at = Timestamp::from_amz_date(self.signed_at.as_deref()?)?;
        let seconds: u64 = self.expires_seconds.as_deref()?.parse().ok()?;
        let whole = Duration::from_secs(seconds.min(LONGEST_LIFE_SECONDS));
        Some(Life::Stated {
            until: signed_at.after(whole),
            whole,
        })
    }

    fn asks_for_checksum(&self) -> bool {
        self.signed_headers.as_deref().is_some_and(|headers| {
            headers
                .split(';')
                .any(|header| header.eq_ignore_ascii_case("x-amz-checksum-mode"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn clock_at(date: &str) -> UpstreamClock {
        let clock = UpstreamClock::new(Arc::new(SystemClock));
        let now = Instant::now();
        clock.observe(date.parse().unwrap(), now, now);
        clock
    }

    fn ticket(query: &str) -> Ticket {
        Ticket::new(&format!("https://b.s3.amazonaws.com/k.mp3?{query}"), Instant::now()).unwrap()
    }

    #[test]
    fn life_is_what_the_link_says_by_upstreams_clock() {
        let ticket = ticket("X-Amz-Date=20231024T192759Z&X-Amz-Expires=600");
        let left = ticket.life_left(&clock_at("2023-10-24T19:32:59Z"));
        assert!(
            left <= Duration::from_secs(299) && left > Duration::from_secs(290),
            "{left:?}"
        );
        assert_eq!(ticket.life_left(&clock_at("2023-10-24T19:37:59Z")), Duration::ZERO);
        assert!(ticket.is_fresh(&clock_at("2023-10-24T19:37:30Z"), Duration::from_secs(20)));
        assert!(!ticket.is_fresh(&clock_at("2023-10-24T19:37:45Z"), Duration::from_secs(20)));
    }

    /// However a link spells its members, its life is read; what stands behind `#` is not part of them.
    #[test]
    fn life_is_read_whatever_the_spelling() {
        let clock = clock_at("2023-10-24T19:32:59Z");
        let left = |query: &str| ticket(query).life_left(&clock).as_secs();
        let spelt = [
            "a=b&x-amz-date=20231024T192759Z&X-AMZ-EXPIRES=600",
            "X%2DAmz-Date=20231024T192759Z&X-Amz-Expires=6%300",
            "&&X-Amz-Date=20231024T192759Z&X-Amz-Date=19990101T000000Z&X-Amz-Expires=600&X-Amz-Token=a%2Bb%3D#X-Amz-Expires=1",
        ];
        for query in spelt {
            assert!((290..300).contains(&left(query)), "{query}: {}", left(query));
        }
        assert!(
            left("k#?X-Amz-Date=20231024T192759Z&X-Amz-Expires=600") <= 60,
            "it says nothing"
        );
    }

    #[test]
    fn a_link_dated_ahead_has_no_more_than_its_whole_life() {
        let ticket = ticket("X-Amz-Date=20991024T192759Z&X-Amz-Expires=600");
        let left = ticket.life_left(&clock_at("2023-10-24T19:27:59Z"));
        assert_eq!(left, Duration::from_secs(600));
    }

    #[test]
    fn a_short_life_can_still_be_used() {
        let ticket = ticket("X-Amz-Date=20231024T192759Z&X-Amz-Expires=4");
        assert_eq!(ticket.least_life(Duration::from_secs(20)), Duration::from_secs(1));
        assert!(ticket.is_fresh(&clock_at("2023-10-24T19:27:59Z"), Duration::from_secs(20)));
    }

    #[test]
    fn the_checksum_header_is_sent_only_where_it_is_signed() {
        assert!(!ticket("X-Amz-SignedHeaders=host").asks_for_checksum());
        assert!(ticket("X-Amz-SignedHeaders=host%3Bx-amz-checksum-mode").asks_for_checksum());
    }

    proptest! {
        #[test]
        fn any_stated_life_ends_when_it_says(signed in 0_i64..4_000_000_000, seconds in 0_u64..2_000_000) {
            let signed_at = Timestamp::from_microseconds(signed * 1_000_000).unwrap();
            let (y, mo, d, h, mi, s) = signed_at.civil();
            let url = format!(
                "https://h/k?X-Amz-Expires={seconds}&X-Amz-Date={y:04}{mo:02}{d:02}T{h:02}{mi:02}{s:02}Z");
            let ticket = Ticket::new(&url, Instant::now()).unwrap();
            let whole = Duration::from_secs(seconds.min(LONGEST_LIFE_SECONDS));
            prop_assert_eq!(ticket.life, Life::Stated { until: signed_at.after(whole), whole });
        }

        #[test]
        fn no_link_panics(query in "\\PC{0,200}") {
            if let Ok(ticket) = Ticket::new(&format!("https://h/k?{query}"), Instant::now()) {
                let _ = ticket.is_fresh(&clock_at("2023-10-24T19:27:59Z"), Duration::from_secs(20));
            }
        }
    }
}
