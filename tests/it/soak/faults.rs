//! Every way in which the API, the links and the media host go wrong, each at the same rate.
//!
//! Must not know: what birdkeep makes of them.

use std::time::Duration;

use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::Endless;
use crate::support::bird::FaultId;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RedirectTo;
use crate::support::bird::Shape;

/// How often each strikes.
const RATE: f64 = 0.01;

/// Puts all of them in force.
pub(super) fn arm(bird: &Bird) -> Vec<FaultId> {
    let rules: Vec<FaultRule> = api()
        .into_iter()
        .map(FaultRule::api)
        .chain(lists().into_iter().map(FaultRule::list))
        .chain(media().into_iter().map(FaultRule::media))
        .chain(links().into_iter().map(FaultRule::link))
        .collect();
    rules
        .into_iter()
        .map(|rule| bird.fault(rule.probability(RATE)))
        .collect()
}

fn api() -> Vec<ApiAction> {
    let statuses = [400, 401, 403, 404, 408, 410, 418, 422, 429, 500, 502, 503, 504];
    let mut actions: Vec<ApiAction> = statuses.into_iter().map(ApiAction::status).collect();
    actions.extend([
        ApiAction::status_retry_after(429, "1"),
        ApiAction::status_retry_after(503, "in a while"),
        ApiAction::html(),
        ApiAction::malformed_json(),
        ApiAction::bad_utf8(),
        ApiAction::TruncatedJson,
        ApiAction::Cut,
        ApiAction::Wrapped {
            before: "\u{feff}".into(),
            after: "".into(),
        },
        ApiAction::Wrapped {
            before: "".into(),
            after: "{}".into(),
        },
        ApiAction::Date(None),
        ApiAction::Date(Some("yesterday".to_owned())),
        ApiAction::Headers(vec![("X-Ballast".to_owned(), "x".repeat(20_000))]),
        ApiAction::Delay(Duration::from_millis(700)),
        ApiAction::SlowHead(Duration::from_millis(2)),
        ApiAction::SlowBody {
            bytes_per_second: 50_000,
        },
        ApiAction::StallHalfway,
        ApiAction::Silence,
        ApiAction::Close,
        ApiAction::Reset,
        ApiAction::Raw("HTTP/9.9 nothing\r\n\r\n".into()),
    ]);
    actions
}

fn lists() -> Vec<ApiAction> {
    let shapes = [
        Shape::ItemsForResults,
        Shape::ResultsIsObject,
        Shape::ResultsIsNull,
        Shape::NoResults,
        Shape::Array,
        Shape::Null,
        Shape::TokenIsNumber,
    ];
    let mut actions: Vec<ApiAction> = shapes.into_iter().map(ApiAction::Shape).collect();
    let endless = [Endless::SameToken, Endless::SamePage, Endless::EmptyPages];
    actions.extend(endless.into_iter().map(ApiAction::Endless));
    actions.extend([
        ApiAction::ItemsTwice,
        ApiAction::ManyItems { count: 5_000 },
        ApiAction::HugePage {
            ballast_bytes: 20 << 20,
        },
        ApiAction::LongToken,
        ApiAction::OddToken("/%+&= \u{e9}".to_owned()),
        ApiAction::deep_json(100_000),
        // As long as a reader of sidecars that keeps numbers in floating point still takes it.
        ApiAction::huge_number(300),
    ]);
    actions
}

fn media() -> Vec<MediaAction> {
    let redirect = |to| MediaAction::Redirect { status: 302, to };
    vec![
        MediaAction::error(404, "NoSuchKey"),
        MediaAction::error(500, "InternalError"),
        MediaAction::error(403, "SignatureDoesNotMatch"),
        MediaAction::slow_down(),
        MediaAction::expired_token(),
        MediaAction::access_denied(),
        MediaAction::html_as("text/html"),
        MediaAction::html_as("audio/mpeg"),
        MediaAction::xml(),
        MediaAction::json(),
        MediaAction::Empty,
        MediaAction::NoContent,
        MediaAction::Truncate(At::Half),
        MediaAction::LengthTooLow(At::Half),
        MediaAction::LengthTooHigh { more_bytes: 100 },
        MediaAction::TwoLengths,
        MediaAction::NegativeLength,
        MediaAction::HugeLength,
        MediaAction::LengthAndChunked,
        MediaAction::Chunked,
        MediaAction::ChunkedCut(At::AllBut(10)),
        MediaAction::UntilClose(At::Half),
        MediaAction::BitFlip(At::Half),
        MediaAction::Stall(At::Half),
        MediaAction::Reset(At::AllBut(10)),
        MediaAction::Slow {
            bytes_per_second: 30_000,
        },
        MediaAction::Delay(Duration::from_millis(500)),
        MediaAction::SlowHead(Duration::from_millis(2)),
        MediaAction::Silence,
        MediaAction::Close,
        MediaAction::Endless { chunked: true },
        MediaAction::Endless { chunked: false },
        MediaAction::GzipBomb {
            unpacked_bytes: 64 << 20,
        },
        MediaAction::GzipCut,
        redirect(RedirectTo::Foreign),
        redirect(RedirectTo::Itself),
        redirect(RedirectTo::Right),
        redirect(RedirectTo::Other("file:///etc/passwd".to_owned())),
        MediaAction::RangeIgnored,
        MediaAction::RangeWrong,
        MediaAction::NewEtagOnResume { honour_if_match: true },
        MediaAction::NewEtagOnResume { honour_if_match: false },
        MediaAction::HeaderFlood { bytes: 200_000 },
        MediaAction::ContinueFlood { count: 200 },
        MediaAction::Raw("\r\n\r\n".into()),
    ]
}

fn links() -> Vec<LinkAction> {
    vec![
        LinkAction::ExpiredAtBirth,
        LinkAction::LifeSeconds(1),
        LinkAction::Altered,
        LinkAction::Foreign,
        LinkAction::Replaced("ftp://127.0.0.1/recording?X-Amz-Signature=0".to_owned()),
        LinkAction::Missing,
    ]
}
