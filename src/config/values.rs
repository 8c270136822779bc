//! Reads single values: from TOML's own types, and from text, which is all that the environment has.
//!
//! Each function turns a value into a typed one or says in words what was expected. Must not know: which key it reads.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ::config::ValueKind;
use bytesize::ByteSize;
use url::Url;

use crate::domain::clock::Timestamp;
use crate::domain::host::HostPattern;
use crate::domain::host::is_loopback;
use crate::fetcher::Concurrency;

/// No length of time in a configuration is longer.
pub(super) const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);
/// Sizes stay below this, so that sums of them fit 64 bits and SQL's integers.
const SIZE_LIMIT_BYTES: u64 = 1 << 60;

/// Text.
pub(super) fn text(kind: &ValueKind) -> Result<String, String> {
    match kind {
        ValueKind::String(text) => Ok(text.clone()),
        _ => Err("expected text, in quotes".to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn flag(kind: &ValueKind) -> Result<bool, String> {
    match kind {
        ValueKind::Boolean(flag) => Some(*flag),
        ValueKind::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| "expected true or false".to_owned())
}

/// A whole number within a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl FnOnce(&ValueKind) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |kind| {
        let number = match kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A length of time within a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl FnOnce(&ValueKind) -> Result<Duration, String> {
    move |kind| {
        let read = match kind {
            ValueKind::String(text) => parse_duration(text.trim()),
            _ => None,
        };
        read.filter(|length| range.contains(length)).ok_or_else(|| {
            format!(
                "expected a length of time with its unit, such as \"30s\", \"2h\" or \"1m 30s\", from {} to {}",
                brief(*range.start()),
                brief(*range.end()),
            )
        })
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// How many downloads at once.
pub(super) fn concurrency(kind: &ValueKind) -> Result<Concurrency, String> {
    match kind {
        ValueKind::String(text) if text.trim() == "auto" => Ok(Concurrency::Auto),
        other => whole(1..=256)(other)
            .map(Concurrency::AtMost)
            .map_err(|why| format!("{why}, or \"auto\"")),
    }
}

/// A length of time as an operator would write it.
pub(super) fn brief(length: Duration) -> String {
    if length == TEN_YEARS {
        return "10 years".to_owned();
    }
    jiff::SignedDuration::try_from(length).map_or_else(|_| format!("{length:?}"), |length| format!("{length:#}"))
}

/// A number of bytes, at least `least`.
pub(super) fn size(least: u64) -> impl FnOnce(&ValueKind) -> Result<u64, String> {
    move |kind| {
        let bytes = match kind {
            ValueKind::I64(bytes) => u64::try_from(*bytes).ok(),
            ValueKind::String(text) => text.trim().parse::<ByteSize>().ok().map(|size| size.as_u64()),
            _ => None,
        };
        bytes
            .filter(|bytes| (least..=SIZE_LIMIT_BYTES).contains(bytes))
            .ok_or_else(|| format!("expected a size such as \"1 GiB\" or a number of bytes, from {least} to 1 EiB"))
    }
}

/// A number of bytes within a range that makes sense.
pub(super) fn size_within(range: RangeInclusive<u64>) -> impl FnOnce(&ValueKind) -> Result<u64, String> {
    move |kind| {
        let read = size(*range.start())(kind).ok().filter(|bytes| range.contains(bytes));
        read.ok_or_else(|| {
            let (least, most) = (ByteSize::b(*range.start()), ByteSize::b(*range.end()));
            format!("expected a size such as \"1 MiB\" or a number of bytes, from {least} to {most}")
        })
    }
}

/// A point in time; TOML's own date-times arrive as text too.
pub(super) fn timestamp(kind: &ValueKind) -> Result<Timestamp, String> {
    text(kind)?
        .trim()
        .parse()
        .map_err(|_| "expected a time with its offset, such as 2024-01-01T00:00:00Z".to_owned())
}

/// An address and port to listen on.
pub(super) fn listen(kind: &ValueKind) -> Result<SocketAddr, String> {
    text(kind)?.trim().parse().map_err(|_| {
        "expected an address and a port, such as 127.0.0.1:8460 or [::1]:8460; names are not resolved".into()
    })
}

/// The root of an API.
pub(super) fn base_url(kind: &ValueKind) -> Result<Url, String> {
    let text = text(kind)?;
    let text = text.trim();
    let expected = || "expected a URL such as https://api.bird.com".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') || !url.has_host() {
        return Err(expected());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("http:// is accepted for loopback only (127.0.0.1, [::1], localhost); use https://".to_owned());
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(expected());
    }
    if text.contains('@') || url.query().is_some() || url.fragment().is_some() {
        return Err("takes no user, password, query or fragment; keys are set in [workspaces.<name>]".to_owned());
    }
    Ok(url)
}

/// A list of host patterns: an array, or text with commas.
pub(super) fn hosts(kind: &ValueKind) -> Result<Vec<HostPattern>, String> {
    let hosts = hosts_or_none(kind)?;
    if hosts.is_empty() {
        return Err("is an empty list: no recording could be fetched; name at least one host".to_owned());
    }
    Ok(hosts)
}

/// As [`hosts`], where there may be none.
pub(super) fn hosts_or_none(kind: &ValueKind) -> Result<Vec<HostPattern>, String> {
    let texts: Vec<String> = match kind {
        ValueKind::String(list) => list.split(',').map(str::to_owned).collect(),
        ValueKind::Array(items) => items.iter().map(|item| text(&item.kind)).collect::<Result<_, _>>()?,
        _ => return Err("expected a list of hosts, such as [\"*.amazonaws.com\"]".to_owned()),
    };
    let read = |(at, text): (usize, &String)| {
        text.parse::<HostPattern>()
            .map_err(|error| format!("entry {} is not a host to allow: {}", at + 1, error.rule))
    };
    texts.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> ValueKind {
        ValueKind::String(text.to_owned())
    }

    #[test]
    fn lengths_of_time_in_the_spellings_people_use() {
        for (text, seconds) in [
            ("30s", 30),
            ("2h", 7200),
            ("1m 30s", 90),
            ("7d", 604_800),
            ("1 week", 604_800),
            ("90 min", 5400),
        ] {
            let read = duration(Duration::from_millis(1)..=TEN_YEARS)(&of(text));
            assert_eq!(read, Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "30",
            "",
            "0s",
            "-30s",
            "30s ago",
            "1 month",
            "11 years",
            "99999999999h",
            "soon",
            "10s 1h",
        ] {
            assert!(
                duration(Duration::from_millis(1)..=TEN_YEARS)(&of(bad)).is_err(),
                "{bad}"
            );
        }
        assert!(duration(Duration::from_millis(1)..=TEN_YEARS)(&ValueKind::I64(30)).is_err());
    }

    #[test]
    fn sizes_in_the_spellings_people_use() {
        for (text, bytes) in [
            ("1 GiB", 1 << 30),
            ("1GiB", 1 << 30),
            ("1 GB", 1_000_000_000),
            ("4096", 4096),
            ("0", 0),
            ("0 B", 0),
        ] {
            assert_eq!(size(0)(&of(text)), Ok(bytes), "{text}");
        }
        for bad in ["", "-1", "many", "1 GiBs", "2 EiB", "99999999999999999999", "1e9"] {
            assert!(size(0)(&of(bad)).is_err(), "{bad}");
        }
        assert!(size(1)(&ValueKind::I64(0)).is_err());
        assert!(size(0)(&ValueKind::I64(-1)).is_err());
        let refused = size_within(1024..=1 << 20)(&of("2 MiB")).unwrap_err();
        assert!(refused.contains("from 1.0 KiB to 1.0 MiB"), "{refused}");
        assert_eq!(size_within(1024..=1 << 20)(&of("1 MiB")), Ok(1 << 20));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9.]{1,20} ?[a-zA-Z]{0,4}|-?P?T?[0-9]{1,22}[a-z]{1,3}") {
            let kind = of(&text);
            if let Ok(length) = duration(Duration::from_millis(1)..=TEN_YEARS)(&kind) {
                prop_assert!(length <= TEN_YEARS && !length.is_zero());
            }
            if let Ok(bytes) = size(0)(&kind) {
                prop_assert!(bytes <= SIZE_LIMIT_BYTES);
            }
            let _ = (whole(1_u32..=9)(&kind), timestamp(&kind), listen(&kind), base_url(&kind), hosts(&kind), flag(&kind));
        }
    }
}
