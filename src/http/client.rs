//! Builds the HTTP clients. The only file that does.
//!
//! One for the API, one for media, one for a dead man's switch: the API client may decode gzip, the media client must
//! deliver the stored bytes; and the API's credential, set request by request, must have no way to another host. None
//! follows redirects, sends a Referer or retries by itself; all check certificates, and nothing turns that off. Must not know: what is requested.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::resolve::Checked;
use super::resolve::Lookup;
use super::roots::ExtraRoots;
use crate::domain::host::is_loopback;
use crate::domain::reach::Reach;

/// How long a TCP connection and its TLS handshake may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept. Hosts close theirs at about the same time; an archiver that has nothing to
/// fetch holds nothing open.
const KEPT_IDLE: Duration = Duration::from_secs(10);

/// Sent with every request: Bird refuses requests without one on its newer API.
const USER_AGENT: &str = concat!("birdkeep/", env!("CARGO_PKG_VERSION"));

/// An HTTP client could not be built, as on a machine without certificates of authorities.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set up the {purpose} HTTP client; are the system's CA certificates installed (package ca-certificates)?"
)]
pub struct ClientError {
    purpose: &'static str,
    source: reqwest::Error,
}

/// The client for the API under `base_url`.
///
/// Where that leads is the operator's word, and its certificate holds it to that: no address is refused. But where the
/// API is on loopback, a request must not leave the machine, since it goes in clear: proxies named in the environment
/// are not used then, and `localhost` leads to this machine alone.
///
/// # Errors
/// TLS cannot be set up.
pub fn api_client(base_url: &Url, roots: &ExtraRoots, lookup: Lookup) -> Result<reqwest::Client, ClientError> {
    operators_client("API", base_url, roots, lookup)
}

/// The client for a dead man's switch, under the same rules as [`api_client`], and never that one: no credential of the API
/// passes through it.
///
/// # Errors
/// TLS cannot be set up.
pub fn switch_client(url: &Url, roots: &ExtraRoots, lookup: Lookup) -> Result<reqwest::Client, ClientError> {
    operators_client("notifying", url, roots, lookup)
}

fn operators_client(
    purpose: &'static str,
    base_url: &Url,
    roots: &ExtraRoots,
    lookup: Lookup,
) -> Result<reqwest::Client, ClientError> {
    let builder = common(roots);
    let builder = if is_loopback(base_url) {
        let reach = Reach {
            allowed_hosts: "localhost".parse().into_iter().collect(),
            ..Reach::default()
        };
        builder.no_proxy().dns_resolver(Checked {
            reach: Arc::new(reach),
            lookup,
        })
    } else {
        builder
    };
    builder.build().map_err(|source| ClientError { purpose, source })
}

/// The way to media: HTTP/1.1 as S3 speaks it, bytes as they are stored, and only to addresses that were checked.
#[derive(Clone)]
pub struct MediaClient {
    outward: reqwest::Client,
    /// For hosts on loopback, over plain HTTP too: past all proxies, so that no link leaves the machine in clear.
    inward: reqwest::Client,
}

impl MediaClient {
    /// A client for what is within `reach`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(reach: &Arc<Reach>, roots: &ExtraRoots, lookup: &Lookup) -> Result<Self, ClientError> {
        let is_proxied = !reach.proxy_hosts.is_empty();
        let common = || {
            let common = common(roots).pool_idle_timeout(KEPT_IDLE);
            common.no_gzip().http1_only().dns_resolver(Checked {
                reach: Arc::clone(reach),
                lookup: Arc::clone(lookup),
            })
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|source| ClientError {
                purpose: "media",
                source,
            })
        };
        let inward = build(common().no_proxy())?;
        let outward = if is_proxied { build(common())? } else { inward.clone() };
        Ok(Self { outward, inward })
    }

    /// Begins a request. Whether its URL is within reach is the caller's to check: a URL with an address in place of a
    /// name is not resolved.
    pub fn get(&self, url: Url) -> reqwest::RequestBuilder {
        if is_loopback(&url) {
            self.inward.get(url)
        } else {
            self.outward.get(url)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that builds clients")]
fn common(roots: &ExtraRoots) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .tls_certs_merge(roots.certificates())
}
