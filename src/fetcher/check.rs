//! What must be true of a body before it may have its name.
//!
//! Reads what the media host said about the body and what the bytes say about themselves. Must not know: HTTP
//! requests, disks.

use std::time::Duration;

use reqwest::Version;
use reqwest::header::CONTENT_ENCODING;
use reqwest::header::CONTENT_LENGTH;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::ETAG;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::TRANSFER_ENCODING;

use crate::domain::audio::check_leading;
use crate::domain::audio::is_far_from;
use crate::domain::digest::Md5Digest;
use crate::domain::recording::Format;
use crate::domain::redact::one_line;
use crate::domain::tally::Cause;
use crate::store::BodyFacts;

/// What a media host said about the whole body when it began to send it.
#[derive(Debug, Clone, Default)]
pub(super) struct Announced {
    /// `Content-Length`.
    pub size_bytes: Option<u64>,
    /// `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// `ETag`, verbatim.
    pub etag: Option<String>,
    /// The body's MD5, where the ETag is one.
    pub md5: Option<Md5Digest>,
    /// Whether the framing itself marks the end of the body.
    pub framed: bool,
}

impl Announced {
    /// Reads the headers of a 200.
    ///
    /// # Errors
    /// They already say that this is not the stored recording, in words.
    pub fn read(headers: &HeaderMap, version: Version) -> Result<Self, (Cause, String)> {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            let encoding = one_line(&encoding, 40);
            let why = format!("the body came encoded as {encoding}, which was not asked for");
            return Err((Cause::Type, why));
        }
        let content_type = text(CONTENT_TYPE);
        if let Some(wrong) = content_type.as_deref().filter(|text| !may_be_audio(text)) {
            let why = format!("the body came as {}, not as audio", one_line(wrong, 60));
            return Err((Cause::Type, why));
        }
        let size_bytes = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        if size_bytes == Some(0) {
            return Err((Cause::Length, "the body is empty".to_owned()));
        }
        let chunked = text(TRANSFER_ENCODING).is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
        let etag = text(ETAG);
        Ok(Self {
            md5: etag.as_deref().filter(|_| etag_may_be_md5(headers)).and_then(etag_md5),
            framed: size_bytes.is_some() || chunked || version == Version::HTTP_2,
            size_bytes,
            content_type,
            etag,
        })
    }

    /// The ETag, if it may be used to go on with a body: a strong one.
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }
}

/// S3's ETag is the MD5 of the bytes for objects put in one part, unencrypted or with SSE-S3 (S3 API model,
/// `Object.ETag`); with other encryption it is not.
fn etag_may_be_md5(headers: &HeaderMap) -> bool {
    headers
        .get("x-amz-server-side-encryption")
        .is_none_or(|encryption| encryption.as_bytes() == b"AES256")
}

fn etag_md5(etag: &str) -> Option<Md5Digest> {
    etag.strip_prefix('"')?
        .strip_suffix('"')?
        .to_ascii_lowercase()
        .parse()
        .ok()
}

/// Stores often know no better than a neutral type, and a few label audio as video; pages and error texts are what
/// must not pass.
fn may_be_audio(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let textual = ["json", "xml", "html", "javascript"]
        .iter()
        .any(|word| essence.contains(word));
    !(essence.starts_with("text/") || essence.starts_with("image/") || textual)
}

/// What to make of a body that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be stored, with a remark if an operator may want to look at it.
    Good(Option<String>),
    /// It looks shorter than the recording, and nothing but the host's word says that it is whole: ask for more.
    AskForMore(String),
    /// It is not the recording.
    Bad(Cause, String),
}

/// Judges a whole body. `size_confirmed`: the host said, asked for more, that there is no more.
pub(super) fn judge(
    facts: &BodyFacts,
    announced: &Announced,
    format: Format,
    stated_seconds: Option<i64>,
    size_confirmed: bool,
) -> Verdict {
    if let Some(announced_bytes) = announced.size_bytes.filter(|size| *size != facts.size_bytes) {
        let why = format!("{} bytes came, {announced_bytes} were announced", facts.size_bytes);
        return Verdict::Bad(Cause::Length, why);
    }
    if let Err(why) = check_leading(format, &facts.leading) {
        return Verdict::Bad(Cause::Type, why);
    }
    let proven = match (announced.md5, facts.md5) {
        (Some(announced), Some(found)) if announced != found => {
            let why = format!("the bytes have MD5 {found}, the ETag says {announced}");
            return Verdict::Bad(Cause::Digest, why);
        }
        (Some(_), Some(_)) => true,
        _ => size_confirmed,
    };
    if !announced.framed && !proven {
        let why = "the end of the body cannot be told from a broken connection".to_owned();
        return Verdict::Bad(Cause::Length, why);
    }
    let Some(mp3) = facts.mp3 else {
        return Verdict::Good(None);
    };
    let stated = stated_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0);
    let stated = stated.map(Duration::from_secs);
    let is_short = stated.is_none_or(|stated| mp3.duration < stated);
    let is_far = stated.is_some_and(|stated| is_far_from(mp3.duration, stated));
    // A length that was told too low may end on a frame by chance, and a short call loses half within any tolerance:
    // whatever ends inside a frame, plays shorter than stated, or states nothing, is asked after. That costs one small
    // request.
    if !proven && (is_short || mp3.ends_inside_frame) {
        return Verdict::AskForMore(format!(
            "the body ends {} after {:.1} s of audio",
            if mp3.ends_inside_frame {
                "inside an MP3 frame"
            } else {
                "early,"
            },
            mp3.duration.as_secs_f32()
        ));
    }
    let remark = stated.filter(|_| is_far).map(|stated| {
        format!(
            "the audio plays {:.1} s, upstream states {} s",
            mp3.duration.as_secs_f32(),
            stated.as_secs()
        )
    });
    Verdict::Good(remark)
}
