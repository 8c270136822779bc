//! Words of foreign origin: odd times, odd types, texts meant for the terminal, the log or a spreadsheet.

use serde_json::Value;
use serde_json::json;

use crate::listing::scene::Scene;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;

/// Times as no clock shows them, each with the folder its recording belongs in, or none where it cannot be one.
const TIMES: [(&str, Option<&str>); 12] = [
    ("2016-12-31T23:59:60Z", Some("2016/12/31")),
    ("2024-03-31T02:30:00+01:00", Some("2024/03/31")),
    ("2024-01-01T00:30:00+01:00", Some("2023/12/31")),
    ("2024-02-29T12:00:00.123456789Z", Some("2024/02/29")),
    ("1970-01-01T00:00:00Z", Some("1970/01/01")),
    ("2099-06-01T00:00:00Z", Some("2099/06/01")),
    ("2023-02-29T12:00:00Z", None),
    ("10000-01-01T00:00:00Z", None),
    ("-000001-01-01T00:00:00Z", None),
    ("2024-01-01", None),
    ("1704067200", None),
    ("2024-13-01T00:00:00Z/../..", None),
];

#[tokio::test]
async fn an_odd_time_is_kept_as_given_or_set_aside_and_stops_no_page() {
    let scene = Scene::new().await;
    let sound = scene.add(4);
    let odd = TIMES.map(|(time, _)| scene.workspace.add(RecordingSpec::new().member("createdAt", time)));
    scene.once(3).await;
    scene.expect_archived(&sound);
    for (id, (time, folder)) in odd.iter().zip(TIMES) {
        let file = scene.archive.media_file_of(id);
        match folder {
            Some(folder) => {
                let file = file.unwrap_or_else(|| panic!("{time} is not archived"));
                assert!(file.starts_with(&format!("support/{folder}/")), "{time}: {file}");
                assert_eq!(scene.show(*id).await["metadata"]["createdAt"], time);
            }
            None => assert_eq!(file, None, "{time}"),
        }
    }
    let without = TIMES.iter().filter(|(_, folder)| folder.is_none()).count();
    let status = scene.status().await;
    assert_eq!(status["set_aside"], without, "{status}");
    assert_eq!(status["last_walk"]["outcome"], "complete");
}

/// Everything but what names a recording may be anything.
#[tokio::test]
async fn members_of_another_type_than_documented_cost_nothing() {
    let scene = Scene::new().await;
    let optional = [
        "source",
        "channelId",
        "originator",
        "receiver",
        "direction",
        "origin",
        "duration",
        "stereo",
        "transcription",
        "updatedAt",
        "startedAt",
        "endedAt",
    ];
    let values = [
        Value::Null,
        json!(7),
        json!(-1.5e300),
        json!("text"),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!([[{"number": {"number": 7, "identity": []}}]]),
        json!({"number": {"number": {}, "identity": null}, "contact": 7}),
    ];
    let ids: Vec<_> = values
        .iter()
        .map(|value| {
            let spec = RecordingSpec::new().body_bytes(3_000);
            let with = |spec: RecordingSpec, name: &&str| spec.member(name, value.clone());
            scene.workspace.add(optional.iter().fold(spec, with))
        })
        .collect();
    scene.once(0).await;
    scene.expect_archived(&ids);
    scene.once(0).await;
    assert_eq!(scene.bird.media_requests(), ids.len() as u64);
    assert_eq!(scene.status().await["set_aside"], 0);
}

/// Clears the screen, forges a line, turns the line around.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n2026-01-01 ERROR forged\u{9b}31m\u{202e}\0";

#[tokio::test]
async fn foreign_words_are_inert_on_a_terminal_and_in_a_spreadsheet() {
    let scene = Scene::new().await;
    let formula = "=cmd|' /C calc'!A0";
    let shown = scene.workspace.add(
        RecordingSpec::new()
            .member("direction", NASTY)
            .member("novel", NASTY)
            .member("originator", json!({"number": {"number": formula}}))
            .member("receiver", json!({"number": {"number": NASTY}})),
    );
    scene.workspace.add(RecordingSpec::new().status(NASTY));
    scene
        .workspace
        .add(RecordingSpec::new().raw(json!({"id": NASTY, "status": NASTY}).to_string()));
    let refused = scene.add(1)[0];
    let message = MediaAction::Error {
        status: 403,
        code: NASTY.to_owned(),
        message: NASTY.to_owned(),
        retry_after: None,
    };
    scene.bird.fault(FaultRule::media(message).recording(refused));
    let mut printed = Vec::new();
    printed.push(
        scene
            .archive
            .run(&["--once", "--log-level", "trace"])
            .await
            .expect_code(3),
    );
    let mut error = ApiAction::status(422);
    if let ApiAction::Status { body, .. } = &mut error {
        *body = Some(json!({"code": NASTY, "message": NASTY}).to_string());
    }
    scene.bird.fault(FaultRule::list(error));
    printed.push(
        scene
            .archive
            .run(&["--once", "--log-level", "trace"])
            .await
            .expect_code(3),
    );
    let (shown, refused) = (shown.to_string(), refused.to_string());
    for args in [
        vec!["status"],
        vec!["list"],
        vec!["list", "--format", "csv"],
        vec!["show", &shown],
        vec!["show", &refused],
    ] {
        printed.push(scene.archive.run(&args).await.expect_code(0));
    }
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for text in printed.iter().flat_map(|run| [&run.stdout, &run.stderr]) {
        for line in text.lines() {
            assert!(!line.chars().any(|c| c.is_control() || turns(c)), "{line:?}");
            assert!(!line.starts_with("2026-01-01 ERROR"), "{line:?}");
        }
    }
    let csv = &printed[4].stdout;
    assert!(csv.contains("'=cmd"), "{csv}");
    assert!(!csv.contains(",=") && !csv.contains(",\"="), "{csv}");
}
