//! Every way in which the simulator can do wrong, as one list for each place.
//!
//! Must not know: what must come of it.

use std::time::Duration;

use bytes::Bytes;

use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Endless;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RedirectTo;
use crate::support::bird::Shape;

/// What can happen to a reply of the API, a list's or an item's.
pub fn api() -> Vec<ApiAction> {
    let mut modes: Vec<ApiAction> = [204, 302, 400, 404, 408, 422, 500, 502, 503, 504]
        .map(ApiAction::status)
        .into();
    let retry_after = ["1", "soon", "-1", ""];
    modes.extend(retry_after.map(|after| ApiAction::status_retry_after(429, after)));
    modes.extend(
        [
            Shape::ItemsForResults,
            Shape::ResultsIsObject,
            Shape::ResultsIsNull,
            Shape::NoResults,
            Shape::Array,
            Shape::Null,
            Shape::TokenIsNumber,
        ]
        .map(ApiAction::Shape),
    );
    let wrapped = |before: &'static [u8], after: &'static [u8]| ApiAction::Wrapped {
        before: Bytes::from_static(before),
        after: Bytes::from_static(after),
    };
    modes.extend([
        ApiAction::html(),
        ApiAction::malformed_json(),
        ApiAction::bad_utf8(),
        ApiAction::TruncatedJson,
        ApiAction::Cut,
        wrapped(b"\xef\xbb\xbf", b""),
        wrapped(b"", b"\0"),
        ApiAction::Date(None),
        ApiAction::Date(Some("yesterday".to_owned())),
        ApiAction::Headers((0..500).map(|n| (format!("X-{n}"), "h".repeat(900))).collect()),
        ApiAction::ContinueFlood { count: 1_000 },
        ApiAction::GzipBomb {
            beginning: Bytes::from_static(b"{"),
            unpacked_bytes: 64 << 20,
        },
        ApiAction::Delay(Duration::from_millis(50)),
        ApiAction::SlowHead(Duration::from_millis(20)),
        ApiAction::SlowBody { bytes_per_second: 5 },
        ApiAction::StallHalfway,
        ApiAction::Silence,
        ApiAction::Close,
        ApiAction::Reset,
        ApiAction::Raw(Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")),
    ]);
    modes
}

/// What can happen to a list besides.
pub fn lists() -> Vec<ApiAction> {
    let endless = [
        Endless::SameToken,
        Endless::SamePage,
        Endless::EmptyPages,
        Endless::NewItems,
    ];
    let mut modes: Vec<ApiAction> = endless.map(ApiAction::Endless).into();
    modes.extend([
        ApiAction::deep_json(50),
        ApiAction::deep_json(5_000),
        ApiAction::huge_number(4_000),
        ApiAction::ItemsTwice,
        ApiAction::ManyItems { count: 500 },
        ApiAction::ManyItems { count: 5_000 },
        ApiAction::HugePage { ballast_bytes: 1 << 20 },
        ApiAction::HugePage {
            ballast_bytes: 17 << 20,
        },
        ApiAction::LongToken,
        ApiAction::OddToken("&limit=1#\r\n\0".to_owned()),
    ]);
    modes
}

/// What can happen to a body.
pub fn media() -> Vec<MediaAction> {
    let redirect = |status, to| MediaAction::Redirect { status, to };
    let mut modes: Vec<MediaAction> = [At::Byte(0), At::Byte(1), At::Half, At::AllBut(1)]
        .into_iter()
        .flat_map(|at| {
            [
                MediaAction::Truncate(at),
                MediaAction::ChunkedCut(at),
                MediaAction::UntilClose(at),
                MediaAction::Reset(at),
            ]
        })
        .collect();
    modes.extend([
        MediaAction::error(500, "InternalError"),
        MediaAction::slow_down(),
        MediaAction::expired_token(),
        MediaAction::access_denied(),
        MediaAction::error(404, "NoSuchKey"),
        MediaAction::error(403, "SignatureDoesNotMatch"),
        MediaAction::error(418, "\u{1b}[31m"),
        MediaAction::html_as("text/html"),
        MediaAction::html_as("audio/mpeg"),
        MediaAction::xml(),
        MediaAction::json(),
        MediaAction::Empty,
        MediaAction::NoContent,
        MediaAction::LengthTooLow(At::Half),
        MediaAction::LengthTooHigh { more_bytes: 1 },
        MediaAction::TwoLengths,
        MediaAction::NegativeLength,
        MediaAction::HugeLength,
        MediaAction::LengthAndChunked,
        MediaAction::Chunked,
        MediaAction::Stall(At::Half),
        MediaAction::Slow { bytes_per_second: 20 },
        MediaAction::SlowHead(Duration::from_millis(20)),
        MediaAction::Delay(Duration::from_millis(50)),
        MediaAction::Silence,
        MediaAction::Close,
        MediaAction::Endless { chunked: true },
        MediaAction::Endless { chunked: false },
        MediaAction::GzipBomb {
            unpacked_bytes: 64 << 20,
        },
        MediaAction::GzipCut,
        redirect(302, RedirectTo::Foreign),
        redirect(301, RedirectTo::Itself),
        redirect(307, RedirectTo::Right),
        redirect(302, RedirectTo::Other("file:///etc/passwd".to_owned())),
        MediaAction::RangeIgnored,
        MediaAction::RangeWrong,
        MediaAction::NewEtagOnResume { honour_if_match: true },
        MediaAction::NewEtagOnResume { honour_if_match: false },
        MediaAction::HeaderFlood { bytes: 1 << 20 },
        MediaAction::ContinueFlood { count: 1_000 },
        MediaAction::Raw(Bytes::from_static(b"\x16\x03\x01")),
    ]);
    modes
}

/// Damage on the way that leaves everything else right.
pub fn bit_flips() -> Vec<MediaAction> {
    [At::Byte(200), At::Half, At::AllBut(1)]
        .map(MediaAction::BitFlip)
        .into()
}

/// What can be wrong with a link.
pub fn links() -> Vec<LinkAction> {
    vec![
        LinkAction::ExpiredAtBirth,
        LinkAction::LifeSeconds(1),
        LinkAction::Altered,
        LinkAction::Foreign,
        LinkAction::Replaced("file:///etc/passwd".to_owned()),
        LinkAction::Replaced("soon".to_owned()),
        LinkAction::Replaced("http://127.0.0.1:1/x.mp3".to_owned()),
        LinkAction::Missing,
    ]
}
