//! A presigned link: it lives no longer than it says, it leads only where it is allowed to, and it is never printed.
//!
//! Input: a line with the pattern of an allowed host, a line with the second of upstream's clock since 1970, and the
//! link. Must not know: what is fetched.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use birdkeep::api::Ticket;
use birdkeep::api::UpstreamClock;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::host::HostPattern;
use birdkeep::domain::redact::one_line;
use url::Url;

use super::secret::assert_absent;
use super::secret::secrets_of;

const WEEK: Duration = Duration::from_secs(604_800);

/// Panics if the link lives too long, leads elsewhere, or is repeated.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (pattern, second, link) = (next(), next(), next());
    check_life(link, second.parse().unwrap_or(1_698_175_679));
    if let Ok(pattern) = pattern.parse::<HostPattern>() {
        check_pattern(&pattern);
        if let Ok(url) = Url::parse(link)
            && pattern.matches(&url)
        {
            check_host(&pattern.to_string(), &url);
        }
    }
    assert_absent(&secrets_of(&[link]), &one_line(link, usize::MAX));
}

fn check_life(link: &str, second: u32) {
    let now = Timestamp::from_microseconds(i64::from(second) * 1_000_000).expect("within the years");
    let clock = UpstreamClock::new(Arc::new(SystemClock));
    let at = Instant::now();
    clock.observe(now, at, at);
    let ticket = match Ticket::new(link, at) {
        Ok(ticket) => ticket,
        Err(error) => {
            let fixed = "the link is not an absolute URL of at most 16384 bytes";
            assert_eq!(error.to_string(), fixed);
            return;
        }
    };
    assert!(link.len() <= 16 * 1024);
    let left = ticket.life_left(&clock);
    assert!(left <= WEEK, "{left:?}");
    let margin = Duration::from_secs(20);
    assert!(ticket.least_life(margin) <= margin);
    assert!(!ticket.is_fresh(&clock, margin) || !left.is_zero());
    if let Some((signed, seconds)) = stated(link) {
        assert!(left <= Duration::from_secs(seconds), "{left:?} of {seconds} s");
        let until = signed.after(Duration::from_secs(seconds));
        assert!(left <= until.since(now), "{left:?}, but it ends at {until}");
    }
}

/// When a link was signed and for how many seconds, where each is written once and plainly.
fn stated(link: &str) -> Option<(Timestamp, u64)> {
    if link.contains(['#', '+', '\t', '\r', '\n']) {
        return None;
    }
    let (_, query) = link.split_once('?').filter(|(_, query)| !query.contains('%'))?;
    let only = |name: &str| {
        let mut values = query.split('&').filter_map(|member| {
            let (member, value) = member.split_once('=').unwrap_or((member, ""));
            member.eq_ignore_ascii_case(name).then_some(value)
        });
        values.next().filter(|_| values.next().is_none())
    };
    let (date, seconds) = (only("X-Amz-Date")?, only("X-Amz-Expires")?);
    let shaped = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if date.len() != 16 || !date.bytes().enumerate().all(shaped) {
        return None;
    }
    let (day, time) = (&date[..8], &date[9..15]);
    let rfc = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    Some((rfc.parse().ok()?, seconds.parse().ok()?))
}

/// A pattern is what it prints.
fn check_pattern(pattern: &HostPattern) {
    let printed = pattern.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(pattern), "{printed}");
    let suffix = printed.strip_prefix("*.").unwrap_or(&printed);
    assert!(
        !suffix.is_empty() && !suffix.contains(['*', '/', '@', '?', '#', '\\', ' ', '%']),
        "{printed}"
    );
}

/// Judges an allowed URL by its text, as it goes to the client.
fn check_host(pattern: &str, url: &Url) {
    let (scheme, rest) = url.as_str().split_once("://").expect("it has a host");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!authority.contains(['@', '\\', '%', ' ', '*']), "{authority}");
    let (host, port) = split_port(authority);
    let (allowed, allowed_port) = split_port(pattern);
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    assert!(
        scheme == "https" || (scheme == "http" && (host == "localhost" || address.is_some_and(|ip| ip.is_loopback()))),
        "{scheme}://{authority}"
    );
    match allowed.strip_prefix("*.") {
        Some(suffix) => {
            let labels = host.strip_suffix(suffix).and_then(|labels| labels.strip_suffix('.'));
            assert!(
                labels.is_some_and(|labels| !labels.is_empty() && !labels.starts_with('.')),
                "{host}"
            );
            assert!(address.is_none(), "{host}");
        }
        None => assert_eq!(host, allowed),
    }
    let usual = if scheme == "https" { "443" } else { "80" };
    assert!(
        allowed_port.is_none() || allowed_port == Some(port.unwrap_or(usual)),
        "{authority}"
    );
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
