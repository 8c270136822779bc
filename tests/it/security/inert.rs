//! Text from outside is inert wherever it is shown: in logs, tables, JSON, CSV, and as a question to the catalog.

use std::fs;

use serde_json::json;

use crate::listing::scene::Scene;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Finished;

/// A title for the window, a cleared screen, a line of its own, a reordered line, a C1 control, a separator, a tag.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n2026-01-01T00:00:00Z ERROR forged\t\u{202e}\u{9b}31m\u{2028}\
                       \u{2066}\u{200f}\u{feff}\u{e0041}\u{7f}\u{8}";
const FORMULA: &str = "=cmd|' /C calc'!A0";

fn is_inert(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'))
}

/// Each line is one of ours, and holds nothing that a terminal obeys.
#[track_caller]
fn assert_inert(what: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().all(is_inert), "{what}: {line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{what}: {line:?}");
    }
    assert!(!text.contains('\r'), "{what}");
}

fn assert_all_inert(what: &str, run: &Finished) {
    assert_inert(what, &run.stdout);
    assert_inert(what, &run.stderr);
}

fn hostile_recording(number: &str) -> RecordingSpec {
    RecordingSpec::new()
        .body_bytes(3000)
        .direction(&format!("in{HOSTILE}"))
        .member(
            "originator",
            json!({"number": {"identity": format!("{number}{HOSTILE}")}}),
        )
        .member("receiver", json!({"number": {"identity": number}}))
        .member("note", HOSTILE)
        .member(HOSTILE, HOSTILE)
}

async fn hostile_scene() -> (Scene, String) {
    let scene = Scene::new().await;
    let id = scene.workspace.add(hostile_recording(FORMULA));
    scene.workspace.add(hostile_recording("+31612345678"));
    scene.workspace.add(hostile_recording("＝1+1").status(HOSTILE));
    scene.workspace.add(hostile_recording("@SUM(A1)").format(HOSTILE));
    scene
        .workspace
        .add(RecordingSpec::new().raw(json!({"id": HOSTILE, "status": HOSTILE}).to_string()));
    let page = |content_type: &str| MediaAction::Page {
        content_type: content_type.to_owned(),
        body: format!("<Error><Code>{HOSTILE}</Code><Message>{HOSTILE}</Message></Error>").into(),
    };
    scene
        .bird
        .fault(FaultRule::media(page("text/html")).recording(id).times(1));
    let body = json!({"code": HOSTILE, "message": HOSTILE}).to_string();
    let refusal = ApiAction::Status {
        status: 418,
        retry_after: Some("\u{202e}".to_owned()),
        body: Some(body),
    };
    scene.bird.fault(FaultRule::list(refusal).times(1));
    (scene, id.to_string())
}

#[tokio::test]
async fn nothing_from_outside_moves_a_cursor_or_makes_a_line() {
    let (scene, id) = hostile_scene().await;
    let trace = "birdkeep=trace,reqwest=trace,hyper=trace,hyper_util=trace,sqlx=trace";
    // The first pass meets the refusal, the second the rest.
    for format in ["text", "text", "json", "json"] {
        let run = scene
            .archive
            .run(&["--once", "--log-level", trace, "--log-format", format])
            .await;
        assert_all_inert(format, &run);
        for line in run.stderr.lines() {
            if format == "json" {
                let parsed = serde_json::from_str::<serde_json::Value>(line);
                assert!(parsed.is_ok_and(|value| value.is_object()), "{line}");
            } else {
                assert!(line.starts_with("20"), "a log line begins with its time: {line:?}");
            }
        }
    }
    for args in [
        &["status"][..],
        &["status", "--format", "json"],
        &["list"],
        &["list", "--format", "json"],
        &["list", "--format", "csv"],
        &["show", &id],
        &["show", &id, "--format", "json"],
        &["check"],
        &["--once", "--dry-run"],
        &["show", "00000000-0000-4000-8000-000000000000"],
    ] {
        let run = scene.archive.run(args).await;
        assert_all_inert(&args.join(" "), &run);
    }
    // Escaped and not lost: JSON still says what upstream said.
    let rows = scene.archive.run(&["list", "--format", "json"]).await.json_lines();
    let direction = format!("in{HOSTILE}");
    assert!(
        rows.iter().any(|row| row["direction"] == direction.as_str()),
        "{rows:?}"
    );
    let shown = scene.archive.run(&["show", &id, "--format", "json"]).await.json();
    assert_eq!(shown["metadata"]["note"], HOSTILE);
}

#[tokio::test]
async fn no_cell_is_a_formula() {
    let (scene, _) = hostile_scene().await;
    scene.archive.run(&["--once"]).await;
    scene.archive.run(&["--once"]).await;
    let csv = scene
        .archive
        .run(&["list", "--format", "csv"])
        .await
        .expect_code(0)
        .stdout;
    let mut formulas = 0;
    for line in csv.lines().skip(1) {
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
        for cell in line.split(',') {
            let cell = cell.trim_start_matches('"');
            let number = cell
                .strip_prefix('+')
                .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
            assert!(!cell.starts_with(['=', '+', '-', '@', '＝']) || number, "{line}");
            formulas += usize::from(cell.starts_with("'=") || cell.starts_with("'@") || cell.starts_with("'＝"));
        }
    }
    assert!(formulas >= 3, "{csv}");
    assert!(csv.contains(",+31612345678,"), "{csv}");
}

#[tokio::test]
async fn names_of_files_are_inert_too() {
    let scene = Scene::new().await;
    fs::create_dir(scene.archive.dir()).unwrap();
    fs::write(scene.archive.dir().join(format!("x{}", HOSTILE.replace('/', ""))), "").unwrap();
    for args in [&["--once"][..], &["check"], &["status"], &["list"]] {
        let run = scene.archive.run(args).await;
        assert_all_inert(&args.join(" "), &run);
        assert_ne!(run.code, Some(0));
    }
}

#[tokio::test]
async fn what_is_searched_for_is_a_value_and_never_a_statement() {
    let scene = Scene::new().await;
    let ids = scene.add(3);
    scene.once(0).await;
    let long = "9".repeat(100_000);
    for args in [
        &["--status", "'); DROP TABLE recordings; --"][..],
        &["--status", "%"],
        &["--direction", "' OR '1'='1"],
        &["--direction", "_ncoming"],
        &["--number", "12345%' OR 1=1 --"],
        &["--number", "99999 NEAR 1 * \""],
        &["--number", &long],
    ] {
        let args = [&["list", "--format", "json"], args].concat();
        let run = scene.archive.run(&args).await.expect_code(0);
        assert_eq!(run.stdout, "", "{args:?}");
    }
    scene.archive.run(&["list", "--number", "%"]).await.expect_code(64);
    scene.expect_archived(&ids);
    let rows = scene.archive.run(&["list", "--format", "json"]).await.expect_code(0);
    assert_eq!(rows.json_lines().len(), 3);
}
