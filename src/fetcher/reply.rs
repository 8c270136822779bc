//! What a media host's refusal means, told from its status and its XML.
//!
//! Codes and messages as S3 documents and sends them. Must not know: which recording was asked for, or what is done
//! about it.

use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use reqwest::header::HeaderMap;

use crate::domain::redact::one_line;
use crate::http::retry::is_transient;

/// A reply that brings no body of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The link's life, or that of the credential behind it, is over: another link will do.
    Expired(String),
    /// The link is valid and the object is denied or not there: only the recording's status can tell which.
    Withheld(String),
    /// `If-Match` failed: the object is another one now.
    Changed,
    /// The range begins at or behind the end of an object of so many bytes.
    OutOfRange(Option<u64>),
    /// Less is asked of us.
    SlowDown(String),
    /// It may work later.
    Busy(String),
    /// Anything else, among it what only a fault of ours or of a middlebox explains.
    Odd(String),
}

impl Refusal {
    /// The refusal in words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Expired(why) | Self::Withheld(why) | Self::SlowDown(why) | Self::Busy(why) | Self::Odd(why) => why,
            Self::Changed => "the object changed".to_owned(),
            Self::OutOfRange(_) => "the object is shorter than asked for".to_owned(),
        }
    }
}

/// Reads a refusal. `head` is the beginning of its body.
#[must_use]
pub fn read(status: StatusCode, headers: &HeaderMap, head: &[u8]) -> Refusal {
    let xml = String::from_utf8_lossy(head);
    let code = element(&xml, "Code").unwrap_or_default();
    let message = element(&xml, "Message").unwrap_or_default();
    let mut said = format!("the media host answered {}", status.as_u16());
    if !code.is_empty() {
        said.push_str(&format!(" {}", one_line(code, 60)));
    }
    if !message.is_empty() {
        said.push_str(&format!(": {}", one_line(message, 120)));
    }
    match (status.as_u16(), code) {
        (412, _) => Refusal::Changed,
        (416, _) => Refusal::OutOfRange(total_of(headers)),
        (400, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => Refusal::Expired(said),
        (403, "SignatureDoesNotMatch" | "InvalidAccessKeyId") => Refusal::Odd(said),
        (403, _) if element(&xml, "HeadersNotSigned").is_some() => Refusal::Odd(said),
        (403, _) if message.contains("expired") || message.contains("not valid yet") || xml.contains("<Expires>") => {
            Refusal::Expired(said)
        }
        (403 | 404 | 410, _) => Refusal::Withheld(said),
        // S3 says SlowDown; a 429 or a bare 503 is what others say.
        (429 | 503, _) => Refusal::SlowDown(said),
        (code, _) if is_transient(code) || code >= 500 => Refusal::Busy(said),
        _ => Refusal::Odd(said),
    }
}

/// The text of the first element of this name; S3's errors are flat.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text)
}

/// The total length in a `Content-Range` of a 416, `bytes */1234` (RFC 9110, section 14.4).
fn total_of(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?)
}

/// First byte and total length in a `Content-Range` of a 206, `bytes 5-9/10`, if the part reaches to the end.
#[must_use]
pub fn part_to_the_end(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last.checked_add(1)? == total).then_some((first, total))
}

/// Digits and nothing else: a sign, which the parser would take, has no place in a `Content-Range`.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(code: &str, message: &str, more: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>")
    }

    fn read_as(status: u16, body: &str) -> Refusal {
        read(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            body.as_bytes(),
        )
    }

    #[test]
    fn expired_denied_and_gone_are_told_apart() {
        let expired = error(
            "AccessDenied",
            "Request has expired",
            "<X-Amz-Expires>600</X-Amz-Expires><Expires>t</Expires>",
        );
        assert!(matches!(read_as(403, &expired), Refusal::Expired(_)));
        for code in ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"] {
            assert!(matches!(read_as(400, &error(code, "m", "")), Refusal::Expired(_)));
        }
        assert!(matches!(
            read_as(403, &error("AccessDenied", "Access Denied", "")),
            Refusal::Withheld(_)
        ));
        assert!(matches!(
            read_as(404, &error("NoSuchKey", "m", "")),
            Refusal::Withheld(_)
        ));
        assert!(matches!(read_as(403, ""), Refusal::Withheld(_)));
    }

    #[test]
    fn faults_of_ours_and_passing_troubles_are_named() {
        let unsigned = error(
            "AccessDenied",
            "There were headers present",
            "<HeadersNotSigned>x-amz-a</HeadersNotSigned>",
        );
        assert!(matches!(read_as(403, &unsigned), Refusal::Odd(_)));
        assert!(matches!(
            read_as(403, &error("SignatureDoesNotMatch", "m", "")),
            Refusal::Odd(_)
        ));
        assert!(matches!(
            read_as(400, &error("InvalidArgument", "Only one auth mechanism allowed", "")),
            Refusal::Odd(_)
        ));
        for status in [500, 502, 599] {
            assert!(matches!(
                read_as(status, &error("InternalError", "m", "")),
                Refusal::Busy(_)
            ));
        }
        for status in [429, 503] {
            let told = read_as(status, &error("SlowDown", "m", ""));
            assert!(matches!(told, Refusal::SlowDown(_)));
        }
        assert!(matches!(read_as(204, ""), Refusal::Odd(_)));
        assert_eq!(read_as(412, ""), Refusal::Changed);
    }

    #[test]
    fn ranges_are_read_to_the_letter() {
        let headers = |text: &str| HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]);
        assert_eq!(total_of(&headers("bytes */1234")), Some(1234));
        assert_eq!(part_to_the_end(&headers("bytes 5-9/10")), Some((5, 10)));
        for odd in [
            "bytes 5-8/10",
            "bytes 9-5/10",
            "bytes 5-9/*",
            "5-9/10",
            "bytes 5-18446744073709551615/0",
            "bytes -9/10",
            "bytes +5-9/10",
            "bytes 5-+9/10",
            "bytes 5-9/+10",
            "bytes 5-9/",
        ] {
            assert_eq!(part_to_the_end(&headers(odd)), None, "{odd}");
        }
        for odd in ["bytes */+1234", "bytes */", "bytes */-1", "*/1234"] {
            assert_eq!(total_of(&headers(odd)), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_refusal_panics_or_speaks_more_than_a_line(status in 100_u16..600, body in "\\PC{0,300}|(<Code>|</Code>|<Message>|\n|a){0,40}") {
            let text = format!("{:?}", read_as(status, &body));
            prop_assert!(!text.contains('\n'));
        }
    }
}
