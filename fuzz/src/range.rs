//! A media host's refusal and its `Content-Range`: read to the letter, consistent, and told in one clean line.
//!
//! Input: a line with the status, a line with the header, and the beginning of the body. Must not know: HTTP clients.

use birdkeep::fetcher::reply;
use birdkeep::fetcher::reply::Refusal;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;

use super::secret::assert_absent;
use super::secret::secrets_of;

const LONGEST_TEXT_CHARS: usize = 2_000;

/// Panics if numbers are read that do not stand there, or if what is told is not fit to print.
pub fn check(input: &[u8]) {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (status, range, body) = (line(), line(), line());
    let status = std::str::from_utf8(status)
        .ok()
        .and_then(|text| text.parse::<u16>().ok());
    let Ok(status) = StatusCode::from_u16(status.unwrap_or(416)) else {
        return;
    };
    let headers: HeaderMap = HeaderValue::from_bytes(range)
        .into_iter()
        .map(|value| (CONTENT_RANGE, value))
        .collect();
    let range = String::from_utf8_lossy(range);
    if let Some((first, total)) = reply::part_to_the_end(&headers) {
        let last = total.checked_sub(1).expect("a part has bytes");
        assert!(first <= last, "{range}");
        assert_eq!(plain(&range), format!("bytes {first}-{last}/{total}"));
    }
    let refusal = reply::read(status, &headers, body);
    if let Refusal::OutOfRange(total) = &refusal {
        assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
        if let Some(total) = total {
            assert_eq!(plain(&range), format!("bytes */{total}"));
        }
    }
    let told = refusal.text();
    assert!(!told.is_empty() && told.chars().count() <= LONGEST_TEXT_CHARS, "{told}");
    assert!(!told.contains(char::is_control), "{told:?}");
    assert_absent(&secrets_of(&[&String::from_utf8_lossy(body)]), &told);
}

/// The header without zeros that lead a number.
fn plain(range: &str) -> String {
    let mut plain = String::new();
    let mut chars = range.chars().peekable();
    let mut within_number = false;
    while let Some(c) = chars.next() {
        let leads = c == '0' && !within_number && chars.peek().is_some_and(char::is_ascii_digit);
        if !leads {
            within_number = c.is_ascii_digit();
            plain.push(c);
        }
    }
    plain
}
