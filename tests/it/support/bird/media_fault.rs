//! What can go wrong on the bucket's host, and how it is carried out.
//!
//! Must not know: which request is struck.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::body::Body;
use super::body::Etag;
use super::body::Object;
use super::body::Source;
use super::fault::Occasion;
use super::gzip;
use super::media::Struck;
use super::media::s3_error;
use super::reply::After;
use super::reply::Answer;
use super::reply::Framing;
use super::reply::Reply;
use super::reply::Stop;

/// A place in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After so many bytes.
    Byte(u64),
    /// Half way.
    Half,
    /// So many bytes before the end.
    AllBut(u64),
}

impl At {
    fn of(self, length: u64) -> u64 {
        match self {
            Self::Byte(byte) => byte.min(length),
            Self::Half => length / 2,
            Self::AllBut(bytes) => length.saturating_sub(bytes),
        }
    }
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectTo {
    /// The host that must never be asked, the query included.
    Foreign,
    /// Back to the same link, for ever.
    Itself,
    /// Another good link to the same media: the one redirect that may be followed.
    Right,
    /// This text: `file:///etc/passwd`, another scheme, anything.
    Other(String),
}

/// What is done in place of, or to, a good reply of the bucket.
#[derive(Debug, Clone)]
pub enum MediaAction {
    /// An error in XML; `retry_after` as given.
    Error {
        status: u16,
        code: String,
        message: String,
        retry_after: Option<String>,
    },
    /// 200 with something that is not the media, under any type.
    Page { content_type: String, body: Bytes },
    /// 200 and no bytes.
    Empty,
    /// 204.
    NoContent,
    /// `Content-Length` of the whole, closed early.
    Truncate(At),
    /// `Content-Length` that ends there, all bytes sent, closed.
    LengthTooLow(At),
    /// `Content-Length` that promises so many bytes more than come, closed.
    LengthTooHigh { more_bytes: u64 },
    /// `Content-Length` twice, the second one short.
    TwoLengths,
    /// `Content-Length: -5`.
    NegativeLength,
    /// `Content-Length` of 2^64 − 1.
    HugeLength,
    /// Chunked, and a `Content-Length` besides that ends half way.
    LengthAndChunked,
    /// Chunked, whole and in order, no length.
    Chunked,
    /// Chunked, closed there without an end.
    ChunkedCut(At),
    /// No length; the connection's end is the body's end, there.
    UntilClose(At),
    /// One bit turned, under the true `ETag`.
    BitFlip(At),
    /// Nothing more comes from there on.
    Stall(At),
    /// Nothing more comes from there on until `Bird::release_held`.
    Hold(At),
    /// Reset there.
    Reset(At),
    /// So many bytes a second.
    Slow { bytes_per_second: u64 },
    /// The head comes so much later.
    Delay(Duration),
    /// The head comes a byte at a time with this in between.
    SlowHead(Duration),
    /// Never an answer, the connection open.
    Silence,
    /// The connection closed before the reply.
    Close,
    /// Bytes without end; chunked, or until the connection is closed.
    Endless { chunked: bool },
    /// `Content-Encoding: gzip` with a body that grows to this many bytes.
    GzipBomb { unpacked_bytes: u64 },
    /// `Content-Encoding: gzip`, closed half way.
    GzipCut,
    /// A redirect with this status.
    Redirect { status: u16, to: RedirectTo },
    /// For requests with a range: the whole body, 200.
    RangeIgnored,
    /// For requests with a range: 206 with another range than asked for.
    RangeWrong,
    /// For requests with a range: the object is another one now. S3 answers an `If-Match` with 412; without
    /// `honour_if_match` the new object's bytes come all the same.
    NewEtagOnResume { honour_if_match: bool },
    /// Further headers on the good reply, replacing those of the same name.
    Headers(Vec<(String, String)>),
    /// A header of this many bytes.
    HeaderFlood { bytes: usize },
    /// So many `100 Continue` before the reply.
    ContinueFlood { count: usize },
    /// These bytes and the connection closed: anything at all.
    Raw(Bytes),
}

impl MediaAction {
    /// An error with this status and code.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Error {
            status,
            code: code.to_owned(),
            message: format!("simulated {code}"),
            retry_after: None,
        }
    }

    /// 503 `SlowDown`.
    pub fn slow_down() -> Self {
        Self::error(503, "SlowDown")
    }

    /// 400 `ExpiredToken`, as when the temporary credentials end before the link does.
    pub fn expired_token() -> Self {
        Self::error(400, "ExpiredToken")
    }

    /// 403 `AccessDenied`, the plain one.
    pub fn access_denied() -> Self {
        Self::error(403, "AccessDenied")
    }

    /// 200 and HTML, under this type.
    pub fn html_as(content_type: &str) -> Self {
        Self::page(content_type, "<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    }

    /// 200 and an S3 error in XML.
    pub fn xml() -> Self {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InternalError</Code></Error>";
        Self::page("application/xml", xml)
    }

    /// 200 and an error in JSON.
    pub fn json() -> Self {
        Self::page("application/json", r#"{"code":"NotFound","message":"not found"}"#)
    }

    fn page(content_type: &str, body: &'static str) -> Self {
        Self::Page {
            content_type: content_type.to_owned(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    /// Whether it can strike this request at all.
    pub(super) fn fits(&self, occasion: &Occasion) -> bool {
        match self {
            Self::RangeIgnored | Self::RangeWrong | Self::NewEtagOnResume { .. } => occasion.ranged,
            Self::Redirect {
                to: RedirectTo::Right, ..
            } => !occasion.redirected,
            _ => true,
        }
    }

    /// Answers in its own way.
    pub(super) fn carry_out(&self, struck: &Struck) -> Answer {
        match self {
            Self::Silence => Answer::silence(),
            Self::Close => Answer::end(After::Close),
            Self::Raw(bytes) => Answer::raw(bytes.clone()),
            Self::RangeIgnored | Self::RangeWrong | Self::NewEtagOnResume { .. } => self.mistake_range(struck).into(),
            Self::Truncate(_)
            | Self::LengthTooLow(_)
            | Self::LengthTooHigh { .. }
            | Self::TwoLengths
            | Self::NegativeLength
            | Self::HugeLength
            | Self::LengthAndChunked
            | Self::Chunked
            | Self::ChunkedCut(_)
            | Self::UntilClose(_) => self.misframe(struck.good_reply()).into(),
            Self::Error { .. }
            | Self::Page { .. }
            | Self::Empty
            | Self::NoContent
            | Self::Endless { .. }
            | Self::GzipBomb { .. }
            | Self::GzipCut
            | Self::Redirect { .. } => self.replace(struck).into(),
            _ => self.spoil(struck).into(),
        }
    }

    /// A good body whose length is told wrongly.
    fn misframe(&self, mut reply: Reply) -> Reply {
        let length = reply.body.len_bytes().unwrap_or(0);
        reply.close = true;
        let (framing, stop) = match self {
            Self::Truncate(at) => (Framing::Exact, Some(at.of(length))),
            Self::LengthTooLow(at) => (Framing::Announce(at.of(length)), None),
            Self::LengthTooHigh { more_bytes } => (Framing::Announce(length + more_bytes), None),
            Self::TwoLengths => {
                reply.set_header("Content-Length", Some(length.to_string()));
                (Framing::Announce(length / 2), None)
            }
            Self::NegativeLength => {
                reply.set_header("Content-Length", Some("-5".to_owned()));
                (Framing::UntilClose, None)
            }
            Self::HugeLength => (Framing::Announce(u64::MAX), None),
            Self::LengthAndChunked => {
                reply.set_header("Content-Length", Some((length / 2).to_string()));
                (Framing::Chunked, None)
            }
            Self::ChunkedCut(at) => (Framing::Chunked, Some(at.of(length))),
            Self::UntilClose(at) => (Framing::UntilClose, Some(at.of(length))),
            _ => (Framing::Chunked, None),
        };
        reply.framing = framing;
        reply.stop = stop.map(|at| (at, Stop::Close));
        reply
    }

    /// Something else than the media.
    fn replace(&self, struck: &Struck) -> Reply {
        let audio = |body| Reply::new(200, body).header("Content-Type", "audio/mpeg");
        match self {
            Self::Error {
                status,
                code,
                message,
                retry_after,
            } => {
                let mut reply = s3_error(*status, code, message, "");
                reply.set_header("Retry-After", retry_after.clone());
                reply
            }
            Self::Page { content_type, body } => Reply::typed(200, content_type, body.clone()),
            Self::Endless { chunked } => {
                let framing = if *chunked {
                    Framing::Chunked
                } else {
                    Framing::UntilClose
                };
                let mut beginning = vec![0; 64 * 1024];
                let read = Body::whole(Arc::clone(struck.object)).read(0, &mut beginning);
                // Whole frames only, so that the stream stays good audio all along.
                beginning.truncate((read / 144).max(1) * 144);
                let pattern = Bytes::from(beginning);
                audio(Body::Repeat {
                    beginning: Bytes::new(),
                    pattern,
                    repeated_bytes: None,
                    end: Bytes::new(),
                })
                .framed(framing)
            }
            Self::GzipBomb { unpacked_bytes } => {
                audio(gzip::bomb(&struck.object.bytes(), *unpacked_bytes)).header("Content-Encoding", "gzip")
            }
            Self::GzipCut => {
                let body = gzip::bomb(&struck.object.bytes(), 0);
                let half = body.len_bytes().unwrap_or(0) / 2;
                let reply = audio(body).header("Content-Encoding", "gzip").framed(Framing::Chunked);
                reply.stopping(half, Stop::Close)
            }
            Self::Redirect { status, to } => {
                Reply::new(*status, Body::empty()).header("Location", location(to, struck))
            }
            Self::NoContent => Reply::new(204, Body::empty()),
            _ => audio(Body::empty()),
        }
    }

    /// A part that was not asked for.
    fn mistake_range(&self, struck: &Struck) -> Reply {
        match self {
            Self::RangeWrong => {
                let mut reply = struck.good_reply();
                let length = struck.object.len_bytes();
                let carried = reply.body.len_bytes().unwrap_or(0);
                if reply.status == 206 && carried < length {
                    reply.set_header("Content-Range", Some(format!("bytes 0-{}/{length}", carried - 1)));
                }
                reply
            }
            Self::NewEtagOnResume { honour_if_match } => {
                let mut other = struck.object.bytes().to_vec();
                if let Some(last) = other.last_mut() {
                    *last ^= 1;
                }
                let other = Arc::new(Object::new(Source::Bytes(other.into()), Etag::Md5));
                let changed = Struck {
                    object: &other,
                    ..*struck
                };
                let reply = changed.good_reply();
                if *honour_if_match || reply.status != 412 {
                    return reply;
                }
                changed.without_condition()
            }
            _ => struck.whole(),
        }
    }

    /// The good reply with one thing wrong.
    fn spoil(&self, struck: &Struck) -> Reply {
        let mut reply = struck.good_reply();
        let length = reply.body.len_bytes().unwrap_or(0);
        match self {
            Self::BitFlip(at) => {
                if let Body::Object { start, flip, .. } = &mut reply.body {
                    *flip = Some(*start + at.of(length.saturating_sub(1)));
                }
            }
            Self::Stall(at) => reply.stop = Some((at.of(length), Stop::Stall)),
            Self::Reset(at) => reply.stop = Some((at.of(length), Stop::Reset)),
            Self::Hold(at) => {
                let gate = struck.shared.gate.subscribe();
                let closed_at = *gate.borrow();
                reply.stop = Some((at.of(length), Stop::Gate(gate, closed_at)));
            }
            Self::Slow { bytes_per_second } => {
                reply.pace.bytes_per_second = Some(*bytes_per_second);
            }
            Self::Delay(delay) => reply.pace.before_head = *delay,
            Self::SlowHead(pause) => reply.pace.head_byte = *pause,
            Self::Headers(headers) => {
                for (name, value) in headers {
                    reply.set_header(name, Some(value.clone()));
                }
            }
            Self::HeaderFlood { bytes } => reply.headers.push(("X-Flood".to_owned(), "x".repeat(*bytes))),
            Self::ContinueFlood { count } => {
                reply.preamble = "HTTP/1.1 100 Continue\r\n\r\n".repeat(*count).into();
            }
            _ => {}
        }
        reply
    }
}

fn location(to: &RedirectTo, struck: &Struck) -> String {
    match to {
        RedirectTo::Foreign => format!("http://{}{}", struck.shared.foreign_host, struck.request.target),
        RedirectTo::Itself => format!("http://{}{}", struck.shared.media_host, struck.request.target),
        RedirectTo::Right => struck
            .shared
            .redirected_link(&struck.target.workspace, struck.recording),
        RedirectTo::Other(text) => text.clone(),
    }
}
