//! What can go wrong on the API's host, and how a good reply is made bad.
//!
//! Must not know: which request is struck.

use std::time::Duration;

use bytes::Bytes;

use super::body::Body;
use super::gzip;
use super::list::Draft;
use super::reply::After;
use super::reply::Answer;
use super::reply::Framing;
use super::reply::Reply;
use super::reply::Stop;

/// What is done in place of, or to, a good reply of the API.
#[derive(Debug, Clone)]
pub enum ApiAction {
    /// This status. Without a body of its own: Bird's `{code, message}`.
    Status {
        status: u16,
        retry_after: Option<String>,
        body: Option<String>,
    },
    /// A body of any kind with 200.
    Body { content_type: String, body: Bytes },
    /// Another shape of JSON than agreed, with 200.
    Shape(Shape),
    /// The good JSON, cut in half, its length told truly.
    TruncatedJson,
    /// The good JSON, cut in half by a closed connection.
    Cut,
    /// Bytes around the good JSON: a byte order mark, trailing bytes.
    Wrapped { before: Bytes, after: Bytes },
    /// Another `Date` header, or none.
    Date(Option<String>),
    /// Further headers on the good reply.
    Headers(Vec<(String, String)>),
    /// A list whose first item carries this member as well, in raw JSON.
    FirstItemMember { name: String, json: String },
    /// A list that never ends.
    Endless(Endless),
    /// A list whose items all come twice.
    ItemsTwice,
    /// A list with this many copies of its first item behind it, whatever the limit.
    ManyItems { count: u64 },
    /// A list with this many bytes of ballast before its items.
    HugePage { ballast_bytes: u64 },
    /// 200 and this body packed by gzip, followed by zeros up to so many bytes once unpacked.
    GzipBomb { beginning: Bytes, unpacked_bytes: u64 },
    /// 200 and a body in chunks that begins like this and then repeats this pattern without end.
    EndlessBody { beginning: Bytes, pattern: Bytes },
    /// So many `100 Continue` before the good reply.
    ContinueFlood { count: usize },
    /// A next token of 8,000 characters.
    LongToken,
    /// A next token with these characters behind it; they must come back as they are.
    OddToken(String),
    /// The good reply, so much later.
    Delay(Duration),
    /// The good reply, its head a byte at a time with this in between.
    SlowHead(Duration),
    /// The good reply, its body at this rate.
    SlowBody { bytes_per_second: u64 },
    /// The good reply, half of it, and then nothing more.
    StallHalfway,
    /// Never an answer, the connection open.
    Silence,
    /// The connection closed before the reply.
    Close,
    /// The connection reset before the reply.
    Reset,
    /// These bytes and the connection closed: anything at all.
    Raw(Bytes),
}

/// Shapes that are not a list of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{"items":[]}`.
    ItemsForResults,
    /// `{"results":{}}`.
    ResultsIsObject,
    /// `{"results":null}`.
    ResultsIsNull,
    /// `{}`.
    NoResults,
    /// `[]`.
    Array,
    /// `null`.
    Null,
    /// `{"results":[],"nextPageToken":7}`.
    TokenIsNumber,
}

/// Lists that never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endless {
    /// The token that came is the next one again.
    SameToken,
    /// The first page each time, each time with a new token.
    SamePage,
    /// Pages without items, each with a new token.
    EmptyPages,
    /// Pages of recordings nobody has heard of, `completed`, each with a new token.
    NewItems,
}

impl ApiAction {
    /// A status, without `Retry-After`.
    pub const fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
            body: None,
        }
    }

    /// A status with this `Retry-After`, which may be anything.
    pub fn status_retry_after(status: u16, retry_after: &str) -> Self {
        Self::Status {
            status,
            retry_after: Some(retry_after.to_owned()),
            body: None,
        }
    }

    /// 200 and a page for people.
    pub fn html() -> Self {
        let body = Bytes::from_static(b"<!DOCTYPE html><html><body>Please sign in to continue</body></html>");
        Self::Body {
            content_type: "text/html; charset=utf-8".to_owned(),
            body,
        }
    }

    /// 200 and JSON that is none.
    pub fn malformed_json() -> Self {
        Self::json(&b"{\"results\":[{\"id\":}]}"[..])
    }

    /// 200 and JSON that is not UTF-8.
    pub fn bad_utf8() -> Self {
        Self::json(&b"{\"results\":[],\"note\":\"\xff\xfe\"}"[..])
    }

    /// 200 and these bytes as JSON.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::Body {
            content_type: "application/json".to_owned(),
            body: body.into(),
        }
    }

    /// A first item that nests arrays this deep.
    pub fn deep_json(depth: usize) -> Self {
        let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        Self::FirstItemMember {
            name: "deep".to_owned(),
            json,
        }
    }

    /// A first item with a number of this many digits.
    pub fn huge_number(digits: usize) -> Self {
        Self::FirstItemMember {
            name: "huge".to_owned(),
            json: "9".repeat(digits),
        }
    }

    /// The answer, where the good reply does not matter.
    pub(super) fn instead(&self) -> Option<Answer> {
        let answer = match self {
            Self::Status {
                status,
                retry_after,
                body,
            } => {
                let fallback = error_json("SimulatedFault", "a fault was asked for");
                let body = body.clone().map_or(fallback, String::into_bytes);
                let mut reply = Reply::typed(*status, "application/json", body);
                reply.set_header("Retry-After", retry_after.clone());
                reply.into()
            }
            Self::Body { content_type, body } => Reply::typed(200, content_type, body.clone()).into(),
            Self::GzipBomb {
                beginning,
                unpacked_bytes,
            } => Reply::new(200, gzip::bomb(beginning, *unpacked_bytes))
                .header("Content-Type", "application/json")
                .header("Content-Encoding", "gzip")
                .into(),
            Self::EndlessBody { beginning, pattern } => {
                let body = Body::Repeat {
                    beginning: beginning.clone(),
                    pattern: pattern.clone(),
                    repeated_bytes: None,
                    end: Bytes::new(),
                };
                let reply = Reply::new(200, body).header("Content-Type", "application/json");
                reply.framed(Framing::Chunked).into()
            }
            Self::Shape(shape) => Reply::typed(200, "application/json", shape.json()).into(),
            Self::Silence => Answer::silence(),
            Self::Close => Answer::end(After::Close),
            Self::Reset => Answer::end(After::Reset),
            Self::Raw(bytes) => Answer::raw(bytes.clone()),
            _ => return None,
        };
        Some(answer)
    }

    /// Spoils a good list.
    pub(super) fn spoil_list(&self, draft: &mut Draft) {
        match self {
            Self::FirstItemMember { name, json } => {
                if let Some(item) = draft.items.first_mut() {
                    item.pop();
                    item.extend_from_slice(format!(",\"{name}\":{json}}}").as_bytes());
                }
            }
            Self::Endless(kind) => draft.never_end(*kind),
            Self::ItemsTwice => draft.items.extend_from_within(..),
            Self::ManyItems { count } => draft.copies = *count,
            Self::HugePage { ballast_bytes } => draft.ballast_bytes = *ballast_bytes,
            Self::LongToken => draft.pad_token_to_limit(),
            Self::OddToken(padding) => draft.padding.clone_from(padding),
            _ => {}
        }
    }

    /// Spoils a good reply of any kind.
    pub(super) fn spoil_reply(&self, reply: &mut Reply) {
        let half = reply.body.len_bytes().unwrap_or(0) / 2;
        match self {
            Self::TruncatedJson => reply.body = cut(&reply.body, half),
            Self::Cut => reply.stop = Some((half, Stop::Close)),
            Self::StallHalfway => reply.stop = Some((half, Stop::Stall)),
            Self::Wrapped { before, after } => {
                let whole = cut(&reply.body, half * 2 + 1);
                if let Body::Bytes(bytes) = &whole {
                    reply.body = Body::Bytes([before.as_ref(), bytes.as_ref(), after.as_ref()].concat().into());
                }
            }
            Self::Date(date) => reply.set_header("Date", date.clone()),
            Self::ContinueFlood { count } => {
                reply.preamble = "HTTP/1.1 100 Continue\r\n\r\n".repeat(*count).into();
            }
            Self::Headers(headers) => reply.headers.extend(headers.iter().cloned()),
            Self::Delay(delay) => reply.pace.before_head = *delay,
            Self::SlowHead(pause) => reply.pace.head_byte = *pause,
            Self::SlowBody { bytes_per_second } => {
                reply.pace.bytes_per_second = Some(*bytes_per_second);
            }
            _ => {}
        }
    }
}

impl Shape {
    const fn json(self) -> &'static str {
        match self {
            Self::ItemsForResults => r#"{"items":[]}"#,
            Self::ResultsIsObject => r#"{"results":{}}"#,
            Self::ResultsIsNull => r#"{"results":null}"#,
            Self::NoResults => "{}",
            Self::Array => "[]",
            Self::Null => "null",
            Self::TokenIsNumber => r#"{"results":[],"nextPageToken":7}"#,
        }
    }
}

/// Bird's error object.
pub fn error_json(code: &str, message: &str) -> Vec<u8> {
    serde_json::json!({"code": code, "message": message})
        .to_string()
        .into_bytes()
}

fn cut(body: &Body, len_bytes: u64) -> Body {
    let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(usize::MAX)];
    let read = body.read(0, &mut bytes);
    bytes.truncate(read);
    Body::Bytes(bytes.into())
}
