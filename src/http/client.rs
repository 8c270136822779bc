//! Builds the two HTTP clients. The only file that does.
//!
//! Two, not one: the API client may decode gzip, the media client must deliver the stored bytes; and the API's
//! credential, set request by request, must have no way to a media host. Neither follows redirects, sends a Referer
//! or retries by itself. Must not know: what is requested.

use std::time::Duration;

use url::Url;

use crate::domain::host::is_loopback;

/// How long a TCP connection and its TLS handshake may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
/// Proxies named in the environment are used, except where the API is on loopback: a request there must not leave
/// the machine, and never in clear.
///
/// # Errors
/// TLS cannot be set up.
pub fn api_client(base_url: &Url) -> Result<reqwest::Client, ClientError> {
    let builder = common();
    let builder = if is_loopback(base_url) {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build().map_err(|source| ClientError { purpose: "API", source })
}

/// The client for media: HTTP/1.1 as S3 speaks it, bytes as they are stored.
///
/// # Errors
/// TLS cannot be set up.
pub fn media_client() -> Result<reqwest::Client, ClientError> {
    common().no_gzip().http1_only().build().map_err(|source| ClientError {
        purpose: "media",
        source,
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that builds clients")]
fn common() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
}
