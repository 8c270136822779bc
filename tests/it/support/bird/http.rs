//! A small HTTP/1.1 server: reads requests, asks a handler, writes what it answers, well-formed or not.
//!
//! Must not know: Bird, S3, or which faults exist.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::reply::After;
use super::reply::Answer;

/// Most bytes of a request's head: links of 70,000 characters must still reach the handler.
const HEAD_LIMIT_BYTES: usize = 256 * 1024;
const MAX_HEADERS: usize = 100;

/// One request, without its body: nothing that is simulated here takes one.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD` and so on, as sent.
    pub method: String,
    /// Path and query as sent, still encoded.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All headers; names are lower-case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The path, still encoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The members of the query, decoded, in the order they were sent.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
    }

    fn parse(head: &[u8]) -> Option<(Self, usize)> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(head).ok()? else {
            return None;
        };
        let headers = parsed.headers.iter().map(|header| {
            (
                header.name.to_ascii_lowercase(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        });
        let request = Self {
            method: parsed.method?.to_owned(),
            target: parsed.path?.to_owned(),
            headers: headers.collect(),
        };
        Some((request, length))
    }
}

/// How connections are treated, whatever is asked on them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionRules {
    /// After this many replies the connection is closed without having said so. `None`: kept alive.
    pub requests_per_connection: Option<u32>,
}

/// Serves connections until dropped; dropping ends all of them.
pub async fn serve<H>(listener: TcpListener, rules: ConnectionRules, handler: H)
where
    H: Fn(&Request) -> Answer + Send + Sync + 'static,
{
    let handler = Arc::new(handler);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors, most likely: the next client may fare better.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                connections.spawn(converse(stream, rules, Arc::clone(&handler)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<H>(mut stream: TcpStream, rules: ConnectionRules, handler: Arc<H>) -> io::Result<()>
where
    H: Fn(&Request) -> Answer + Send + Sync + 'static,
{
    stream.set_nodelay(true)?;
    let mut pending = Vec::with_capacity(8 * 1024);
    let mut answered = 0;
    while let Some(request) = read_request(&mut stream, &mut pending).await? {
        let answer = handler(&request);
        answered += 1;
        let worn_out = rules.requests_per_connection.is_some_and(|most| answered >= most)
            || request
                .header("connection")
                .is_some_and(|wish| wish.eq_ignore_ascii_case("close"));
        let head_only = request.method == "HEAD";
        match answer.write(&mut stream, head_only).await? {
            After::KeepAlive if !worn_out => {}
            After::KeepAlive | After::Close => return Ok(()),
            After::Reset => return stream.set_zero_linger(),
        }
    }
    Ok(())
}

/// The next request, or `None` when the client has closed or sent what is not HTTP.
async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        // Parsed only once the head is whole: parsing after every read would cost the square of its length.
        if ends_head(pending) {
            let Some((request, length)) = Request::parse(pending) else {
                return Ok(None);
            };
            pending.drain(..length);
            return Ok(Some(request));
        }
        if pending.len() > HEAD_LIMIT_BYTES || stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    }
}

fn ends_head(pending: &[u8]) -> bool {
    // Without pipelining the end of what was read is the end of the head.
    pending.ends_with(b"\r\n\r\n") || pending.windows(4).any(|window| window == b"\r\n\r\n")
}

/// Decodes `%XX`; what is not one is kept as it stands.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    decoded
}

/// Encodes all but RFC 3986's unreserved characters, and `/` only where asked: the one form AWS signs.
pub fn percent_encode(bytes: &[u8], keep_slash: bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(bytes.len() + bytes.len() / 4);
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                encoded.push('%');
                encoded.push(char::from(HEX[usize::from(byte >> 4)]));
                encoded.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}
