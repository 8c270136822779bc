//! Asks a running daemon's listener, as a probe does: one request, no proxy, seconds.
//!
//! Must not know: what the answer means.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::Request;
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper::header::AUTHORIZATION;
use hyper::header::HOST;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::net::TcpStream;

/// How much of an answer is read.
const MOST_BYTES: usize = 256 * 1024;

/// What the listener answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub text: String,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not in time.
    #[error("no answer from {0} within {1:?}")]
    TooSlow(SocketAddr, Duration),
    /// There is nothing to connect to.
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// What answers there does not speak HTTP, or broke off.
    #[error("no answer that can be read from {0}")]
    Answer(SocketAddr, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks the listener at `listen` for a path, by loopback where that stands for every address.
///
/// # Errors
/// No answer came within `patience`.
pub async fn ask(
    listen: SocketAddr,
    path: &str,
    token: Option<&SecretString>,
    patience: Duration,
) -> Result<Reply, AskError> {
    let address = reachable(listen);
    match tokio::time::timeout(patience, exchange(address, path, token)).await {
        Ok(reply) => reply,
        Err(_) => Err(AskError::TooSlow(address, patience)),
    }
}

/// The address by which a listener on this machine is reached.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn exchange(address: SocketAddr, path: &str, token: Option<&SecretString>) -> Result<Reply, AskError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| AskError::Connect(address, error))?;
    let unread = |error: Box<dyn std::error::Error + Send + Sync>| AskError::Answer(address, error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unread(error.into()))?;
    let mut request = Request::get(path).header(HOST, address.to_string());
    if let Some(token) = token {
        let text = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let mut value = HeaderValue::from_str(text.expose_secret()).map_err(|error| unread(error.into()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| unread(error.into()))?;
    let answered = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unread(error.into()))?;
        let status: StatusCode = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES);
        let bytes = body.collect().await.map_err(unread)?.to_bytes();
        Ok(Reply {
            status: status.as_u16(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        reply = &mut answered => reply,
        ended = connection => match ended {
            // The last bytes may still be on their way to whoever reads them.
            Ok(()) => answered.await,
            Err(error) => Err(unread(error.into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_reached_by_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8460", "127.0.0.1:8460"),
            ("[::]:8460", "[::1]:8460"),
            ("10.1.2.3:1", "10.1.2.3:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
