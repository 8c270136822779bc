//! Which hosts media may come from, decided on a parsed URL and never on its text.
//!
//! Must not know: how a URL is fetched, name resolution, where the list of patterns came from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::Host;
use url::Url;

/// A host that may be fetched from: an exact name or address, or `*.` and a suffix, each with an optional port.
///
/// Kept in the form the `url` crate gives to hosts (lower case, punycode, dotted addresses, no trailing dot), so
/// that no other spelling of a host slips past the comparison.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: Allowed,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Allowed {
    Exact(Host),
    /// Any name with at least one label before this suffix; the suffix begins with its dot.
    Below(String),
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host pattern: {rule}")]
pub struct InvalidHostPattern {
    /// The rule that was broken.
    pub rule: &'static str,
}

const NAME_RULE: &str = "a host is a name such as media.example.com, or an address such as 10.0.0.7 or [::1], \
                         without scheme, path or user";
const WILDCARD_RULE: &str = "'*' stands only at the beginning, as '*.', before a name of at least two labels";
const PORT_RULE: &str = "a port is a number from 1 to 65535";

impl HostPattern {
    /// Whether this URL may be fetched: `https`, or `http` on loopback only; no user or password; the host as
    /// the pattern says, and the port too where the pattern names one.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        let scheme_allowed = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let anonymous = url.username().is_empty() && url.password().is_none();
        let port_allowed = self.port.is_none() || self.port == url.port_or_known_default();
        scheme_allowed && anonymous && port_allowed && url.host().is_some_and(|host| self.host_allowed(&host))
    }

    fn host_allowed(&self, host: &Host<&str>) -> bool {
        match (&self.host, host) {
            (_, Host::Domain(name)) => self.names(name),
            (Allowed::Exact(Host::Ipv4(address)), Host::Ipv4(host)) => address == host,
            (Allowed::Exact(Host::Ipv6(address)), Host::Ipv6(host)) => address == host,
            _ => false,
        }
    }

    /// Whether it stands for this name, on whatever port. The name is in lower case.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let name = without_root_dot(name);
        match &self.host {
            Allowed::Exact(Host::Domain(exact)) => exact == name,
            Allowed::Below(suffix) => name
                .strip_suffix(suffix.as_str())
                .is_some_and(|labels| labels.split('.').all(is_label)),
            Allowed::Exact(_) => false,
        }
    }

    /// Whether it is this address, on every port.
    #[must_use]
    pub fn is_address(&self, address: IpAddr) -> bool {
        self.port.is_none()
            && match (&self.host, address) {
                (Allowed::Exact(Host::Ipv4(own)), IpAddr::V4(address)) => *own == address,
                (Allowed::Exact(Host::Ipv6(own)), IpAddr::V6(address)) => *own == address,
                _ => false,
            }
    }
}

/// What the `url` crate lets stand in a host is wider than what any name is made of: `*`, `$`, quotes.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether a URL's host is this machine: 127.0.0.0/8, `::1` or `localhost`. Judged by its spelling, no name is resolved.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => without_root_dot(name) == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn without_root_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let text = text.trim();
        let (host, port) = split_port(text)?;
        let host = match host.strip_prefix("*.") {
            Some(suffix) => Allowed::Below(format!(".{}", parse_suffix(suffix)?)),
            None if host.contains('*') => return Err(InvalidHostPattern { rule: WILDCARD_RULE }),
            None => Allowed::Exact(parse_host(host)?),
        };
        Ok(Self { host, port })
    }
}

/// Takes `:port` off the end. A bare IPv6 address keeps its colons.
fn split_port(text: &str) -> Result<(&str, Option<u16>), InvalidHostPattern> {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    let host_end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = text[host_end..].find(':').map(|at| host_end + at) else {
        return Ok((text, None));
    };
    let digits = &text[colon + 1..];
    let port = digits.parse::<u16>().ok().filter(|&port| port != 0);
    match port {
        Some(port) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok((&text[..colon], Some(port))),
        _ => Err(InvalidHostPattern { rule: PORT_RULE }),
    }
}

fn parse_suffix(suffix: &str) -> Result<String, InvalidHostPattern> {
    match parse_host(suffix) {
        Ok(Host::Domain(name)) if name.contains('.') => Ok(name),
        _ => Err(InvalidHostPattern { rule: WILDCARD_RULE }),
    }
}

fn parse_host(text: &str) -> Result<Host, InvalidHostPattern> {
    let invalid = InvalidHostPattern { rule: NAME_RULE };
    if let Ok(address) = text.parse() {
        return Ok(Host::Ipv6(address));
    }
    let bracketed = text.starts_with('[') && text.ends_with(']');
    if !bracketed && !text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        return Err(invalid);
    }
    match Host::parse(text).map_err(|_| invalid)? {
        Host::Domain(name) => {
            let name = without_root_dot(&name);
            let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
            if labels_fit && name.len() <= 253 {
                Ok(Host::Domain(name.to_owned()))
            } else {
                Err(invalid)
            }
        }
        address => Ok(address),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Allowed::Exact(host) => write!(f, "{host}")?,
            Allowed::Below(suffix) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    fn allows(text: &str, url: &str) -> bool {
        pattern(text).matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn media_hosts_are_allowed() {
        for url in [
            "https://bucket.s3.eu-west-1.amazonaws.com/k.mp3?X-Amz-Expires=600",
            "https://s3.amazonaws.com/bucket/k.mp3",
            "https://S3.AmazonAWS.com./bucket/k.mp3",
            "https://s3.amazonaws.com:8443/k",
            "https:\\\\s3.amazonaws.com/k",
        ] {
            assert!(allows("*.amazonaws.com", url), "{url}");
        }
    }

    #[test]
    fn hostile_urls_are_refused() {
        for url in [
            "https://amazonaws.com/k",
            "https://evil-amazonaws.com/k",
            "https://eviamazonaws.com/k",
            "https://amazonaws.com.evil.test/k",
            "https://s3.amazonaws.com.evil.test/k",
            "https://s3.amazonaws.com@evil.test/k",
            "https://evil.test@s3.amazonaws.com/k",
            "https://:secret@s3.amazonaws.com/k",
            "https://evil.test/s3.amazonaws.com",
            "https://evil.test#.amazonaws.com",
            "https://evil.test?.amazonaws.com",
            "https://evil.test\\.amazonaws.com",
            "https:////evil.test//s3.amazonaws.com/k",
            "https://s3.аmazonaws.com/k",
            "https://s3.amazonaws.com.\u{200b}evil.test/k",
            "https://..amazonaws.com/k",
            "https://a..amazonaws.com/k",
            "https://.amazonaws.com/k",
            "https://s3.amazonaws.com../k",
            "https://s3*.amazonaws.com/k",
            "https://*.amazonaws.com/k",
            "https://s3'$(x).amazonaws.com/k",
            "http://s3.amazonaws.com/k",
            "ftp://s3.amazonaws.com/k",
            "ws://s3.amazonaws.com/k",
            "file:///etc/passwd",
            "file://s3.amazonaws.com/etc/passwd",
            "data:text/plain,s3.amazonaws.com",
            "https://0x7f000001/k",
            "https://2130706433/k",
            "https://017700000001/k",
            "https://127.1/k",
            "https://[::1]/k",
            "https://[::ffff:127.0.0.1]/k",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/k",
        ] {
            if let Ok(parsed) = Url::parse(url) {
                assert!(!pattern("*.amazonaws.com").matches(&parsed), "{url} as {parsed}");
            }
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        assert!(allows("127.0.0.1", "http://127.0.0.1:9000/k"));
        assert!(allows("127.0.0.1", "http://0x7f000001/k"));
        assert!(allows("[::1]", "http://[0:0:0:0:0:0:0:1]/k"));
        assert!(allows("::1", "https://[::1]/k"));
        assert!(allows("localhost", "http://LOCALHOST./k"));
        assert!(allows("10.0.0.7", "https://10.0.0.7/k"));
        assert!(!allows("10.0.0.7", "http://10.0.0.7/k"));
        assert!(!allows("media.example.com", "http://media.example.com/k"));
        assert!(!allows("localhost", "http://localhost.evil.test/k"));
        assert!(!allows("127.0.0.1", "http://[::ffff:127.0.0.1]/k"));
        assert!(!allows("[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]/k"));
        assert!(!allows("0.0.0.0", "http://0.0.0.0/k"));
    }

    #[test]
    fn a_port_in_the_pattern_must_match() {
        assert!(allows("127.0.0.1:9000", "http://127.0.0.1:9000/k"));
        assert!(!allows("127.0.0.1:9000", "http://127.0.0.1:9001/k"));
        assert!(allows("*.example.com:443", "https://a.example.com/k"));
        assert!(!allows("*.example.com:443", "https://a.example.com:444/k"));
        assert!(allows("[::1]:9000", "http://[::1]:9000/k"));
    }

    #[test]
    fn patterns_that_are_too_wide_or_malformed_are_refused() {
        for bad in [
            "",
            " ",
            "*",
            "*.",
            "*.com",
            "*.com.",
            "*.*.com",
            "*amazonaws.com",
            "s3.*.com",
            "**.a.com",
            "*.10.0.0.7",
            "*.[::1]",
            "*.127.1",
            "https://a.com",
            "a.com/",
            "user@a.com",
            "a..com",
            ".a.com",
            "*..a.com",
            "a.com:",
            "a.com:0",
            "a.com:65536",
            "a.com:+1",
            "a.com:1:2",
            "a com",
            "a%2ecom",
            "[::1",
            "::1]",
            "[::1]x",
            "[x]",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_prints_in_its_normal_form() {
        for (text, normal) in [
            ("*.AmazonAWS.com.", "*.amazonaws.com"),
            ("Bücher.example:8443", "xn--bcher-kva.example:8443"),
            ("0x7f.1", "127.0.0.1"),
            ("0:0::1", "[::1]"),
            (" a.test ", "a.test"),
        ] {
            assert_eq!(pattern(text).to_string(), normal);
            assert_eq!(pattern(normal), pattern(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_pattern_survives_its_text(text in "(\\*\\.)?[a-zA-Z0-9.:*@/%ß\\[\\]-]{0,20}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<HostPattern>(), Ok(pattern));
            }
        }

        #[test]
        fn what_is_allowed_ends_in_the_suffix_over_https(
            url in "(https?|ftp):[/\\\\]{1,3}[a-z0-9.@:#?/-]{0,20}(amazonaws\\.com|evil\\.test)?[a-z0-9.@:#?/-]{0,12}",
        ) {
            if let Ok(url) = Url::parse(&url)
                && pattern("*.amazonaws.com").matches(&url)
            {
                let host = url.host_str().unwrap().trim_end_matches('.').to_owned();
                prop_assert!(host.ends_with(".amazonaws.com"), "{}", url);
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.username().is_empty() && url.password().is_none());
            }
        }

        #[test]
        fn no_url_over_plain_http_leaves_the_machine(host in "[a-z0-9.:\\[\\]x-]{1,20}", path in "[a-z/]{0,5}") {
            if let (Ok(pattern), Ok(url)) =
                (host.parse::<HostPattern>(), Url::parse(&format!("http://{host}/{path}")))
            {
                prop_assert!(!pattern.matches(&url) || is_loopback(&url), "{}", url);
            }
        }
    }
}
