//! What can go wrong with a request to the API, in terms of what to do next.
//!
//! Must not know: who asked.

use std::time::Duration;

use crate::domain::redact::one_line;

/// The longest text of an error, in characters. Parsers repeat what they do not understand, at any length.
const LONGEST_TEXT: usize = 400;

/// A request to the API that brought nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ApiError {
    /// What to do about it.
    pub kind: ApiErrorKind,
    /// What happened, fit to print: no credential, no link, one line.
    pub what: String,
}

/// The kinds of [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// 401 or 403: the credential does not open this. Only the operator can help.
    Denied,
    /// 404: no such workspace or recording, or it was deleted.
    NotFound,
    /// 429: come back after this long.
    RateLimited(Duration),
    /// 5xx, a timeout, a broken connection: it may work later.
    Unavailable,
    /// A 200 that is not of the documented shape, or a redirect: never taken for an empty reply.
    Malformed,
    /// Another 4xx: the request itself is refused.
    Refused,
}

impl ApiError {
    pub(super) fn new(kind: ApiErrorKind, what: impl AsRef<str>) -> Self {
        Self {
            kind,
            what: one_line(what.as_ref(), LONGEST_TEXT),
        }
    }

    pub(super) fn malformed(what: impl AsRef<str>) -> Self {
        Self::new(ApiErrorKind::Malformed, what)
    }
}
