//! Faults of the media host that last: the recordings they strike are reported, all others are archived.

use std::collections::BTreeMap;
use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use bytes::Bytes;

use crate::listing::scene::Scene;
use crate::listing::scene::rows;
use crate::support::bird::At;
use crate::support::bird::BirdOptions;
use crate::support::bird::Etag;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RedirectTo;
use crate::support::mp3::FRAME_BYTES;

const HEALTHY: u64 = 5;
/// Whole frames and nothing else, 14.4 seconds.
const BODY_BYTES: u64 = 400 * FRAME_BYTES;
const MORE_THAN_HALF: u64 = 220 * FRAME_BYTES;

/// What must come of a fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// No file, and a reason.
    Refused,
    /// All bytes came, whatever was wrong about how.
    Archived,
}
use Outcome::Archived;
use Outcome::Refused;

/// A fault, the kind of `ETag` it strikes under, what must come of it, and a word of the reason.
type Row = (&'static str, MediaAction, Etag, Outcome, &'static str);

/// One pass with all of these at once, each striking a recording of its own among healthy ones; then one without.
async fn outcomes(table: Vec<Row>) {
    let mut scene = Scene::with(BirdOptions::default()).await;
    scene.archive.set_text("download.max_bytes", "1 MiB");
    scene.archive.set("download.concurrency", "64");
    let mut healthy = scene.add(HEALTHY);
    let mut victims = BTreeMap::new();
    for row in &table {
        let spec = RecordingSpec::new().body_bytes(BODY_BYTES).etag(row.2);
        let id = scene.workspace.add(spec);
        scene.bird.fault(FaultRule::media(row.1.clone()).recording(id));
        victims.insert(id, row);
    }
    let run = scene.archive.run(&["--once", "--log-level", "trace"]).await;
    let any_refused = table.iter().any(|row| row.3 == Refused);
    let run = run.expect_code(if any_refused { 3 } else { 0 });
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    scene.expect_archived(&healthy);
    scene.expect_empty_staging();
    let listed: BTreeMap<String, serde_json::Value> = rows(&scene.archive, &[])
        .await
        .into_iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row))
        .collect();
    let mut wrong = Vec::new();
    for (id, row) in &victims {
        wrong.extend(judge(&scene, *id, row, &listed[&id.to_string()]).await);
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(scene.bird.foreign_requests(), 0);
    scene.expect_no_secrets();

    scene.bird.clear_faults();
    scene.archive.run(&["retry", "--all"]).await.expect_code(0);
    scene.once(0).await;
    healthy.extend(victims.keys());
    scene.expect_archived(&healthy);
    scene.expect_empty_staging();
}

/// What is wrong about how a recording stands.
async fn judge(
    scene: &Scene,
    id: RecordingId,
    (name, _, _, outcome, word): &Row,
    listed: &serde_json::Value,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut claim = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{name}: {what}"));
        }
    };
    let file = scene.archive.media_file_of(id);
    let found = if file.is_some() { Archived } else { Refused };
    claim(found == *outcome, format!("{found:?}, not {outcome:?}; {listed}"));
    if let Some(file) = file {
        claim(
            scene.archive.read(&file) == scene.workspace.body(id),
            "another body than upstream's".to_owned(),
        );
        claim(listed["state"] == "archived", listed.to_string());
        claim(file.ends_with(&format!("Z_{id}.mp3")), file);
        return wrong;
    }
    claim(listed["state"] == "due", listed.to_string());
    claim(listed["attempts"] == 1, listed.to_string());
    let shown = scene.show(id).await;
    claim(shown["last_error"] == listed["last_error"], shown.to_string());
    let error = listed["last_error"].as_str().unwrap_or_default();
    claim(!error.is_empty(), "no reason".to_owned());
    claim(
        !error.contains('\n') && !error.contains("X-Amz") && error.len() < 500,
        format!("not fit to print: {error}"),
    );
    claim(error.contains(word), format!("{error:?} does not say {word:?}"));
    let table = scene.archive.run(&["show", &id.to_string()]).await;
    claim(table.stdout.contains(error), "show does not tell the reason".to_owned());
    wrong
}

#[tokio::test]
async fn bodies_whose_length_is_told_wrongly() {
    let refused = |name, action, word| (name, action, Etag::Md5, Refused, word);
    outcomes(vec![
        refused("cut half way", MediaAction::Truncate(At::Half), ""),
        refused("cut before the last byte", MediaAction::Truncate(At::AllBut(1)), ""),
        refused("cut before the first byte", MediaAction::Truncate(At::Byte(0)), ""),
        refused("length too low", MediaAction::LengthTooLow(At::Half), "MD5"),
        refused("length too high", MediaAction::LengthTooHigh { more_bytes: 7 }, ""),
        refused("two lengths", MediaAction::TwoLengths, ""),
        refused("a negative length", MediaAction::NegativeLength, ""),
        refused("a huge length", MediaAction::HugeLength, ""),
        refused("a length and chunks", MediaAction::LengthAndChunked, "announced"),
        refused("chunks cut", MediaAction::ChunkedCut(At::Half), ""),
        refused("until close", MediaAction::UntilClose(At::Half), "MD5"),
        ("chunks", MediaAction::Chunked, Etag::Md5, Archived, ""),
        (
            "until close, whole",
            MediaAction::UntilClose(At::AllBut(0)),
            Etag::Md5,
            Archived,
            "",
        ),
    ])
    .await;
}

/// Without an MD5 nothing but the framing, the sound itself and a second question tell a part from the whole.
#[tokio::test]
async fn bodies_whose_length_is_told_wrongly_under_an_etag_that_proves_nothing() {
    let unproven = [Etag::None, Etag::Multipart, Etag::Kms];
    let mut table = Vec::new();
    for etag in unproven {
        let low = MediaAction::LengthTooLow(At::Byte(MORE_THAN_HALF + 9));
        let low_by_frames = MediaAction::LengthTooLow(At::Byte(MORE_THAN_HALF));
        table.extend([
            ("length too low", low, etag, Archived, ""),
            ("length too low, whole frames", low_by_frames, etag, Archived, ""),
            ("chunks", MediaAction::Chunked, etag, Archived, ""),
            ("cut", MediaAction::Truncate(At::Half), etag, Refused, ""),
            ("chunks cut", MediaAction::ChunkedCut(At::Half), etag, Refused, ""),
            (
                "until close",
                MediaAction::UntilClose(At::Half),
                etag,
                Refused,
                "end of the body",
            ),
            (
                "length too high",
                MediaAction::LengthTooHigh { more_bytes: 7 },
                etag,
                Refused,
                "",
            ),
        ]);
    }
    outcomes(table).await;
}

#[tokio::test]
async fn bodies_that_are_something_else() {
    let page = |content_type: &str, body: &'static str| MediaAction::Page {
        content_type: content_type.to_owned(),
        body: Bytes::from_static(body.as_bytes()),
    };
    let xml = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
    let row = |name, action, word| (name, action, Etag::Md5, Refused, word);
    outcomes(vec![
        row("no bytes", MediaAction::Empty, "empty"),
        row("204", MediaAction::NoContent, "204"),
        row("HTML", MediaAction::html_as("text/html"), "html"),
        row("HTML as audio", MediaAction::html_as("audio/mpeg"), ""),
        row("HTML as a stream", MediaAction::html_as("binary/octet-stream"), ""),
        row("XML", MediaAction::xml(), "xml"),
        row("XML as audio", page("audio/mpeg", xml), ""),
        row("JSON", MediaAction::json(), "json"),
        row("JSON as audio", page("audio/mpeg", r#"{"code":"NotFound"}"#), ""),
        row(
            "text as audio",
            page("audio/mpeg", "Service temporarily unavailable"),
            "",
        ),
        row("one bit", MediaAction::BitFlip(At::Half), "MD5"),
        row(
            "endless chunks",
            MediaAction::Endless { chunked: true },
            "larger than 1048576",
        ),
        row(
            "endless until close",
            MediaAction::Endless { chunked: false },
            "larger than 1048576",
        ),
        row(
            "a gzip bomb",
            MediaAction::GzipBomb {
                unpacked_bytes: 200 << 20,
            },
            "gzip",
        ),
        row("a gzip cut", MediaAction::GzipCut, "gzip"),
    ])
    .await;
}

#[tokio::test]
async fn hosts_that_stall_or_hang_up() {
    let row = |name, action, word| (name, action, Etag::Md5, Refused, word);
    outcomes(vec![
        row("stall", MediaAction::Stall(At::Byte(0)), "stall"),
        row("stall after a byte", MediaAction::Stall(At::Byte(1)), "stall"),
        row("a byte a second", MediaAction::Slow { bytes_per_second: 1 }, ""),
        row("reset", MediaAction::Reset(At::Byte(0)), ""),
        row("reset after a byte", MediaAction::Reset(At::Byte(1)), ""),
        row("reset before the last byte", MediaAction::Reset(At::AllBut(1)), ""),
        row("silence", MediaAction::Silence, "stall_timeout"),
        row(
            "a head a byte at a time",
            MediaAction::SlowHead(Duration::from_millis(100)),
            "stall_timeout",
        ),
        row("5,000 headers", MediaAction::Headers(many_headers()), ""),
        row(
            "interim replies and nothing else",
            MediaAction::Raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50_000).into()),
            "",
        ),
        row("close", MediaAction::Close, ""),
        row("a flood of headers", MediaAction::HeaderFlood { bytes: 2 << 20 }, ""),
        row(
            "not HTTP",
            MediaAction::Raw(Bytes::from_static(b"SSH-2.0-OpenSSH_9.6\r\n")),
            "",
        ),
    ])
    .await;
}

fn many_headers() -> Vec<(String, String)> {
    (0..5_000)
        .map(|number| (format!("X-{number}"), "h".to_owned()))
        .collect()
}

/// What a host says about a name or a type is kept as words; names and extensions are from our own table.
#[tokio::test]
async fn headers_that_name_things_name_nothing_here() {
    let row = |name, header: &str, value: &str| {
        let headers = vec![(header.to_owned(), value.to_owned())];
        (name, MediaAction::Headers(headers), Etag::Md5, Archived, "")
    };
    outcomes(vec![
        row(
            "a path for a name",
            "Content-Disposition",
            "attachment; filename=\"../../../../tmp/evil.mp3\"",
        ),
        row("a path for a type", "Content-Type", "audio/../../../tmp/evil"),
        row("a type with a line end", "Content-Type", "audio/mpeg; x=\"\\r\\n\""),
        row("no type at all", "Content-Type", ""),
        row("a neutral type", "Content-Type", "application/octet-stream"),
        row("video", "Content-Type", "video/mp4"),
        row("a type of 5,000 characters", "Content-Type", &"a".repeat(5_000)),
        (
            "10,000 interim replies",
            MediaAction::ContinueFlood { count: 10_000 },
            Etag::Md5,
            Archived,
            "",
        ),
    ])
    .await;
}

#[tokio::test]
async fn redirects_and_refusals() {
    let row = |name, action, word| (name, action, Etag::Md5, Refused, word);
    let redirect = |to| MediaAction::Redirect { status: 302, to };
    let to = |text: &str| redirect(RedirectTo::Other(text.to_owned()));
    outcomes(vec![
        row("another host", redirect(RedirectTo::Foreign), "allowed_hosts"),
        row("itself", redirect(RedirectTo::Itself), "redirects"),
        row("a file", to("file:///etc/passwd"), "file"),
        row(
            "the metadata service",
            to("http://169.254.169.254/latest/meta-data/"),
            "allowed_hosts",
        ),
        row("user and password", to("http://127.0.0.1@127.0.0.2/"), "allowed_hosts"),
        row("nowhere", to("http://"), ""),
        row("500", MediaAction::error(500, "InternalError"), "500"),
        row("503", MediaAction::slow_down(), "503 SlowDown"),
        row("403", MediaAction::access_denied(), "403 AccessDenied"),
        row(
            "a bad signature",
            MediaAction::error(403, "SignatureDoesNotMatch"),
            "SignatureDoesNotMatch",
        ),
        row(
            "a bad request",
            MediaAction::error(400, "InvalidArgument"),
            "InvalidArgument",
        ),
        row("a teapot", MediaAction::error(418, "Teapot"), "418"),
    ])
    .await;
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let scene = Scene::new().await;
    let ids = scene.add(2);
    let to = RedirectTo::Foreign;
    scene
        .bird
        .fault(FaultRule::media(MediaAction::Redirect { status: 302, to }).recording(ids[0]));
    scene.once(3).await;
    assert_eq!(scene.bird.foreign_requests(), 0);
    scene.expect_archived(&ids[1..]);
    let row = scene.row(ids[0]).await;
    assert!(
        row["last_error"]
            .as_str()
            .is_some_and(|why| why.contains("allowed_hosts")),
        "{row}"
    );
}

/// The one redirect that may be followed.
#[tokio::test]
async fn a_redirect_to_an_allowed_host_is_followed() {
    let redirect = |status| MediaAction::Redirect {
        status,
        to: RedirectTo::Right,
    };
    outcomes(vec![
        ("301", redirect(301), Etag::Md5, Archived, ""),
        ("302", redirect(302), Etag::Md5, Archived, ""),
        ("307", redirect(307), Etag::None, Archived, ""),
    ])
    .await;
}
