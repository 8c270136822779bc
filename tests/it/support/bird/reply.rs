//! What is sent back for a request, byte for byte: a reply may lie about its length, stop anywhere or never come.
//!
//! Must not know: why.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::body::Body;
use super::write::BodyWriter;
use super::write::wait_for_hang_up;

/// What happens to the connection once an answer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next request may come.
    KeepAlive,
    /// Closed in order.
    Close,
    /// Closed with a reset.
    Reset,
}

/// The answer to one request. What it holds (`InFlight`, say) is dropped when it is over.
pub struct Answer {
    what: What,
    held: Option<Box<dyn Send + Sync>>,
}

enum What {
    Reply(Box<Reply>),
    Raw(Bytes),
    End(After),
    Silence,
}

impl Answer {
    /// These bytes and no others, then the end of the connection.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::of(What::Raw(bytes.into()))
    }

    /// The connection ends without a byte.
    pub fn end(after: After) -> Self {
        Self::of(What::End(after))
    }

    /// The connection stays open and nothing is ever sent.
    pub fn silence() -> Self {
        Self::of(What::Silence)
    }

    fn of(what: What) -> Self {
        Self { what, held: None }
    }

    /// Keeps something alive until the answer is over.
    #[must_use]
    pub fn holding(mut self, held: impl Send + Sync + 'static) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    /// The status that will be sent, if one will.
    pub fn status(&self) -> Option<u16> {
        match &self.what {
            What::Reply(reply) => Some(reply.status),
            _ => None,
        }
    }

    /// The reply, where there is one to change.
    pub fn reply_mut(&mut self) -> Option<&mut Reply> {
        match &mut self.what {
            What::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// Writes the answer. `head_only` leaves the body out, as for `HEAD`.
    pub async fn write(self, stream: &mut TcpStream, head_only: bool) -> io::Result<After> {
        match self.what {
            What::Reply(reply) => reply.write(stream, head_only).await,
            What::Raw(bytes) => {
                stream.write_all(&bytes).await?;
                Ok(After::Close)
            }
            What::End(after) => Ok(after),
            What::Silence => wait_for_hang_up(stream).await,
        }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::of(What::Reply(Box::new(reply)))
    }
}

/// What the head says about the length of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, true.
    Exact,
    /// `Content-Length`, this number whatever is sent.
    Announce(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Nothing: the end of the connection is the end of the body.
    UntilClose,
}

/// Where and how a body stops before its end.
#[derive(Debug, Clone)]
pub enum Stop {
    /// Closed, as if it were over.
    Close,
    /// Reset.
    Reset,
    /// Open, and nothing more comes.
    Stall,
    /// Open, and goes on once the gate's number is above this one.
    Gate(watch::Receiver<u64>, u64),
}

/// How fast a reply is sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// Before the first byte of the head.
    pub before_head: Duration,
    /// Between any two bytes of the head.
    pub head_byte: Duration,
    /// Of the body; `None` is as fast as it goes.
    pub bytes_per_second: Option<u64>,
}

/// An HTTP reply.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub framing: Framing,
    /// After this many bytes of body the stop happens.
    pub stop: Option<(u64, Stop)>,
    pub pace: Pace,
    /// Sent before the status line.
    pub preamble: Bytes,
    /// The connection is closed afterwards, without having said so.
    pub close: bool,
}

impl Reply {
    /// A reply with a body.
    pub fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            framing: Framing::Exact,
            stop: None,
            pace: Pace::default(),
            preamble: Bytes::new(),
            close: false,
        }
    }

    /// A reply with a body of this type.
    pub fn typed(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(status, Body::Bytes(body.into())).header("Content-Type", content_type)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces all headers of this name by one, or by none.
    pub fn set_header(&mut self, name: &str, value: Option<String>) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// The first header of this name.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Stops the body after this many bytes.
    #[must_use]
    pub fn stopping(mut self, after_bytes: u64, stop: Stop) -> Self {
        self.stop = Some((after_bytes, stop));
        self
    }

    /// Changes what the head says about the length.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(1024);
        head.extend_from_slice(&self.preamble);
        head.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes());
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let framing = match self.framing {
            Framing::Exact if self.status == 204 => String::new(),
            Framing::Exact => match self.body.len_bytes() {
                Some(length) => format!("Content-Length: {length}\r\n"),
                None => "Transfer-Encoding: chunked\r\n".to_owned(),
            },
            Framing::Announce(length) => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::UntilClose => "Connection: close\r\n".to_owned(),
        };
        head.extend_from_slice(framing.as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }

    async fn write(&self, stream: &mut TcpStream, head_only: bool) -> io::Result<After> {
        if !self.pace.before_head.is_zero() {
            sleep(self.pace.before_head).await;
        }
        let mut head = self.head();
        if !self.pace.head_byte.is_zero() {
            for byte in head.drain(..) {
                stream.write_all(&[byte]).await?;
                sleep(self.pace.head_byte).await;
            }
        }
        if head_only {
            stream.write_all(&head).await?;
            return Ok(if self.close { After::Close } else { After::KeepAlive });
        }
        let mut writer = BodyWriter {
            stream,
            reply: self,
            waiting: head,
            sent_bytes: 0,
        };
        writer.run().await
    }

    /// Whether the body goes out in chunks.
    pub fn is_chunked(&self) -> bool {
        self.framing == Framing::Chunked || (self.framing == Framing::Exact && self.body.len_bytes().is_none())
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Whatever",
    }
}
