//! Who may ask: by the token where there is one, else by the name under which we are called.
//!
//! Without a token the listener is on loopback, and any page that a browser on this machine shows could ask it, by a name
//! that leads to 127.0.0.1 (DNS rebinding): so only names that are known are answered. Such a page has no token. Must not
//! know: what is asked for.

use hyper::HeaderMap;
use hyper::Uri;
use hyper::header::AUTHORIZATION;
use hyper::header::HOST;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use subtle::ConstantTimeEq;
use url::Host;
use url::Url;

use super::pages::HEALTHZ;
use crate::domain::host::HostPattern;
use crate::domain::host::is_loopback;

/// The rules by which a request is let in.
pub struct Rules {
    /// What opens all but `/healthz`; `None`: the name decides.
    pub token: Option<SecretString>,
    /// Names besides those of loopback.
    pub allowed_hosts: Vec<HostPattern>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    NotForThisHost,
    NoToken,
}

impl Rules {
    /// Judges a request by its head.
    pub(super) fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        match &self.token {
            // Probes of containers have no token, and it says nothing but that we live.
            Some(_) if uri.path() == HEALTHZ => Verdict::Welcome,
            Some(token) if presents(headers, token) => Verdict::Welcome,
            Some(_) => Verdict::NoToken,
            None if self.is_called_rightly(uri, headers) => Verdict::Welcome,
            None => Verdict::NotForThisHost,
        }
    }

    fn is_called_rightly(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let in_line = uri.authority().is_none_or(|authority| self.allows(authority.as_str()));
        in_line && host.to_str().is_ok_and(|host| self.allows(host))
    }

    fn allows(&self, host: &str) -> bool {
        // A user or a path in it would be read as something else than a host.
        if host.contains(['@', '/', '\\', '?', '#']) {
            return false;
        }
        let Ok(url) = Url::parse(&format!("http://{host}/")) else {
            return false;
        };
        is_loopback(&url)
            || self.allowed_hosts.iter().any(|allowed| match url.host() {
                Some(Host::Domain(name)) => allowed.names(name),
                Some(Host::Ipv4(address)) => allowed.is_address(address.into()),
                Some(Host::Ipv6(address)) => allowed.is_address(address.into()),
                None => false,
            })
    }
}

/// Whether exactly one credential is given and it is this one. The comparison takes as long for any text of its length.
fn presents(headers: &HeaderMap, token: &SecretString) -> bool {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else {
        return false;
    };
    let Some((scheme, given)) = given.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    let expected = token.expose_secret().as_bytes();
    // An empty token opens nothing: it is one that was left unread.
    scheme.eq_ignore_ascii_case("Bearer") && !expected.is_empty() && bool::from(given.as_bytes().ct_eq(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    fn judge(rules: &Rules, uri: &str, headers: &[(HeaderName, &str)]) -> Verdict {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        rules.judge(&uri.parse().unwrap(), &map)
    }

    #[test]
    fn without_a_token_the_name_decides() {
        let rules = Rules {
            token: None,
            allowed_hosts: vec!["metrics.intern.example".parse().unwrap(), "10.0.0.7".parse().unwrap()],
        };
        for host in [
            "localhost",
            "LOCALHOST:8460",
            "localhost.:1",
            "127.0.0.1:8460",
            "127.9.9.9",
            "[::1]:8460",
            "metrics.intern.example:8460",
            "10.0.0.7:80",
        ] {
            assert_eq!(judge(&rules, "/metrics", &[(HOST, host)]), Verdict::Welcome, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example@localhost",
            "localhost/evil.example",
            "evil.example#localhost",
            "127.0.0.1.evil.example",
            "10.0.0.8",
            "[::2]",
            "",
            " ",
        ] {
            assert_eq!(
                judge(&rules, "/healthz", &[(HOST, host)]),
                Verdict::NotForThisHost,
                "{host}"
            );
        }
        let twice = [(HOST, "localhost"), (HOST, "evil.example")];
        assert_eq!(judge(&rules, "/", &twice), Verdict::NotForThisHost);
        assert_eq!(judge(&rules, "/", &[]), Verdict::NotForThisHost);
        let absolute = [(HOST, "localhost")];
        assert_eq!(
            judge(&rules, "http://evil.example/", &absolute),
            Verdict::NotForThisHost
        );
        assert_eq!(judge(&rules, "http://localhost:8460/", &absolute), Verdict::Welcome);
    }

    #[test]
    fn with_a_token_only_the_token_decides() {
        let rules = Rules {
            token: Some("a-token-of-sixteen".into()),
            allowed_hosts: Vec::new(),
        };
        let evil = (HOST, "evil.example");
        for good in ["Bearer a-token-of-sixteen", "bearer a-token-of-sixteen"] {
            assert_eq!(
                judge(&rules, "/metrics", &[evil.clone(), (AUTHORIZATION, good)]),
                Verdict::Welcome
            );
        }
        for bad in [
            "Bearer a-token-of-sixteeN",
            "Bearer a-token-of-sixteen ",
            "Bearer  a-token-of-sixteen",
            "Bearer ",
            "Bearer",
            "Basic a-token-of-sixteen",
            "a-token-of-sixteen",
        ] {
            assert_eq!(
                judge(&rules, "/metrics", &[(AUTHORIZATION, bad)]),
                Verdict::NoToken,
                "{bad}"
            );
        }
        let twice = [
            (AUTHORIZATION, "Bearer a-token-of-sixteen"),
            (AUTHORIZATION, "Bearer x"),
        ];
        assert_eq!(judge(&rules, "/readyz", &twice), Verdict::NoToken);
        assert_eq!(judge(&rules, "/", &[(HOST, "localhost")]), Verdict::NoToken);
        assert_eq!(judge(&rules, "/healthz", &[evil]), Verdict::Welcome);
        let unread = Rules {
            token: Some(SecretString::default()),
            allowed_hosts: Vec::new(),
        };
        assert_eq!(judge(&unread, "/", &[(AUTHORIZATION, "Bearer ")]), Verdict::NoToken);
    }
}
