//! `status`, `list` and `show`: beside a daemon, after a pass, and where nothing was ever run.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::hex;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;

const SALES: &str = "0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11";
const ROW: [&str; 15] = [
    "workspace",
    "id",
    "state",
    "status",
    "created_at",
    "direction",
    "from",
    "to",
    "duration_seconds",
    "path",
    "size_bytes",
    "sha256",
    "archived_at",
    "attempts",
    "last_error",
];

/// Two workspaces with a recording of every kind, after one pass.
///
/// support: two archived (one incoming, one outgoing), one ongoing, one absent, one that failed. sales: one archived.
async fn one_of_each() -> (Bird, WorkspaceHandle, Archive) {
    let (bird, support, _) = place().await;
    let sales = bird.add_workspace(SALES, "salesKey-4f0aa0c81d");
    let mut archive = Archive::new(BINARY, &bird, &[("support", &support), ("sales", &sales)]);
    archive.set("download.max_attempts", "3");
    let at = |time: &str| RecordingSpec::at(&format!("2026-03-{time}Z"));
    support.add(
        at("01T08:00:00")
            .direction("incoming")
            .caller("31612345678")
            .called("3197001"),
    );
    support.add(
        at("02T08:00:00")
            .direction("outgoing")
            .caller("3197001")
            .called("4915199"),
    );
    support.add(at("03T08:00:00").direction("incoming").status("ongoing"));
    support.add(at("04T08:00:00").direction("incoming").status("absent"));
    let broken = support.add(at("05T08:00:00").direction("outgoing"));
    sales.add(at("06T08:00:00").direction("outgoing").caller("31687654321"));
    bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")).recording(broken));
    archive.run(&["--once"]).await.expect_code(3);
    (bird, support, archive)
}

async fn list(archive: &Archive, args: &[&str]) -> Vec<Value> {
    let args: Vec<&str> = ["list", "--format", "json"].iter().chain(args).copied().collect();
    archive.run(&args).await.expect_code(0).json_lines()
}

fn days(rows: &[Value]) -> Vec<u32> {
    rows.iter()
        .map(|row| row["created_at"].as_str().unwrap()[8..10].parse().unwrap())
        .collect()
}

/// The names of a JSON object in the order in which they were printed.
fn names(line: &str) -> Vec<String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let mut names: Vec<String> = object.keys().cloned().collect();
    names.sort_by_key(|name| line.find(&format!("\"{name}\":")).unwrap());
    names
}

#[tokio::test]
async fn list_prints_every_member_newest_first() {
    let (_bird, _support, archive) = one_of_each().await;
    let finished = archive.run(&["list", "--format", "json"]).await.expect_code(0);
    for line in finished.stdout.lines() {
        assert_eq!(names(line), ROW);
    }
    let rows = finished.json_lines();
    assert_eq!(days(&rows), [6, 5, 4, 3, 2, 1]);
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["archived", "due", "gone", "waiting", "archived", "archived"]);
    let first = &rows[5];
    assert_eq!(first["workspace"], "support");
    assert_eq!(first["status"], "available");
    assert_eq!(
        first["created_at"].as_str().unwrap().parse(),
        "2026-03-01T08:00:00Z".parse::<birdkeep::domain::clock::Timestamp>()
    );
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'), "{first}");
    assert!(first["archived_at"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!(
        (first["direction"].as_str(), first["attempts"].as_u64()),
        (Some("incoming"), Some(0))
    );
    assert!(
        first["from"].as_str().unwrap().contains("31612345678") && first["to"].as_str().unwrap().contains("3197001")
    );
    assert!(
        first["duration_seconds"].is_u64() && first["last_error"].is_null(),
        "{first}"
    );
    let path = first["path"].as_str().unwrap();
    let wanted = format!(
        "recordings/support/2026/03/01/20260301T080000Z_{}.mp3",
        first["id"].as_str().unwrap()
    );
    assert_eq!(path, wanted);
    assert!(archive.dir().join(path).is_file());
    let broken = &rows[1];
    assert_eq!(
        (broken["status"].as_str(), broken["attempts"].as_u64()),
        (Some("available"), Some(1))
    );
    assert!(
        broken["last_error"]
            .as_str()
            .is_some_and(|why| !why.is_empty() && !why.contains('\n')),
        "{broken}"
    );
    for member in ["path", "size_bytes", "sha256", "archived_at"] {
        assert!(broken[member].is_null() && rows[3][member].is_null(), "{member}");
    }
}

#[tokio::test]
async fn list_takes_only_what_was_asked_for() {
    let (_bird, support, archive) = one_of_each().await;
    for (args, wanted) in [
        (&["--workspace", "sales"][..], &[6][..]),
        (
            &["--workspace", "sales", "--workspace", "support", "--limit", "2"],
            &[6, 5],
        ),
        (&["--state", "archived"], &[6, 2, 1]),
        (&["--state", "due", "--state", "gone"], &[5, 4]),
        (&["--state", "given_up"], &[]),
        (&["--status", "ongoing"], &[3]),
        (&["--status", "absent", "--status", "ongoing"], &[4, 3]),
        (&["--direction", "incoming"], &[4, 3, 1]),
        (&["--number", "31612345678"], &[1]),
        (&["--number", "+31 6 1234-5678"], &[1]),
        (&["--number", "45678"], &[1]),
        (&["--number", "3197001"], &[2, 1]),
        (&["--number", "999999999"], &[]),
        (&["--since", "2026-03-05T08:00:00Z"], &[6, 5]),
        (&["--since", "2026-03-05"], &[6, 5]),
        (&["--until", "2026-03-02T08:00:00Z"], &[1]),
        (&["--since", "2026-03-02", "--until", "2026-03-04"], &[3, 2]),
        (&["--limit", "3"], &[6, 5, 4]),
        (&["--limit", "0"], &[]),
        (
            &[
                "--state",
                "archived",
                "--direction",
                "outgoing",
                "--workspace",
                "support",
            ],
            &[2],
        ),
    ] {
        assert_eq!(days(&list(&archive, args).await), wanted, "{args:?}");
    }
    for bad in [
        ["--state", "lost"],
        ["--since", "yesterday"],
        ["--number", "abc"],
        ["--limit", "-1"],
        ["--format", "xml"],
    ] {
        archive.run(&["list", bad[0], bad[1]]).await.expect_code(64);
    }
    // More than one page of rows.
    support.add_many(700, "2025-01-01T00:00:00Z", Duration::from_mins(1));
    let mut archive = archive;
    archive
        .set_text("sync.interval", "1s")
        .set_text("sync.full_walk_interval", "1s");
    // What lies further back is found by the first full walk that is due, a second after the last one began.
    let mut listed = Vec::new();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        archive.run(&["--once"]).await.expect_code(3);
        listed = rows(&archive).await;
        if listed.len() == 706 {
            break;
        }
    }
    let rows = listed;
    assert_eq!(rows.len(), 706);
    assert!(
        rows.windows(2)
            .all(|pair| pair[0]["created_at"].as_str() > pair[1]["created_at"].as_str())
    );
}

#[tokio::test]
async fn list_prints_tables_and_csv_that_can_be_read() {
    let (bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z").member("direction", "in,\"coming\""));
    workspace.add(RecordingSpec::at("2026-03-02T08:00:00Z").member("direction", "=HYPERLINK(\"x\")"));
    workspace.add(RecordingSpec::at("2026-03-03T08:00:00Z").member("direction", "\u{1b}[31mred\r\nsecond line"));
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 3);
    let csv = archive.run(&["list", "--format", "csv"]).await.expect_code(0).stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, ROW.join(",").as_str()));
    assert!(lines[3].contains(",\"in,\"\"coming\"\"\","), "{csv}");
    assert!(lines[2].contains(",\"'=HYPERLINK(\"\"x\"\")\","), "{csv}");
    for format in ["csv", "table"] {
        let printed = archive.run(&["list", "--format", format]).await.expect_code(0).stdout;
        assert!(!printed.contains(['\u{1b}', '\r']), "{printed:?}");
        assert_eq!(printed.lines().count(), 4, "{printed}");
    }
    let nothing = archive
        .run(&["list", "--state", "gone", "--format", "csv"])
        .await
        .expect_code(0)
        .stdout;
    assert_eq!(nothing, format!("{}\n", ROW.join(",")));
    assert_eq!(
        archive
            .run(&["list", "--state", "gone", "--format", "json"])
            .await
            .expect_code(0)
            .stdout,
        ""
    );
    let table = archive.run(&["list", "--state", "gone"]).await.expect_code(0).stdout;
    assert_eq!(table, "no recordings match\n");
    let table = archive.run(&["list"]).await.expect_code(0).stdout;
    assert!(table.starts_with("created"), "{table}");
    assert!(table.contains("2026-03-01 08:00:00Z  support"), "{table}");
}

#[tokio::test]
async fn status_tells_how_every_workspace_stands() {
    let (_bird, _support, archive) = one_of_each().await;
    let finished = archive.run(&["status", "--format", "json"]).await.expect_code(0);
    assert_eq!(finished.stdout.lines().count(), 1);
    let status = finished.json();
    assert_eq!(names(&finished.stdout), ["archive", "workspaces", "verify"]);
    assert_eq!(
        members(&status["archive"]),
        ["bytes", "dir", "free_bytes", "id", "recordings"]
    );
    assert_eq!(
        members(&status["verify"]),
        [
            "all_read_since",
            "damaged",
            "last_checked",
            "last_finished_at",
            "last_scope",
            "last_started_at",
            "missing",
            "sidecars",
            "unknown_files",
            "unreadable"
        ]
    );
    let workspaces = status["workspaces"].as_array().unwrap();
    for workspace in workspaces {
        assert_eq!(
            members(workspace),
            [
                "bytes",
                "counts",
                "id",
                "last_complete_walk_at",
                "last_walk",
                "name",
                "oldest_due_at",
                "set_aside"
            ]
        );
        assert_eq!(
            members(&workspace["counts"]),
            ["archived", "claimed", "due", "given_up", "gone", "waiting"]
        );
        assert_eq!(
            members(&workspace["last_walk"]),
            ["finished_at", "kind", "listed", "outcome", "started_at"]
        );
    }
}

#[tokio::test]
async fn status_counts_what_is_there() {
    let (_bird, _support, archive) = one_of_each().await;
    let status = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
    let workspaces = status["workspaces"].as_array().unwrap();
    let of = |name: &str| workspaces.iter().find(|workspace| workspace["name"] == name).unwrap();
    let counts = serde_json::json!({"waiting": 1, "due": 1, "claimed": 0, "archived": 2, "gone": 1, "given_up": 0});
    let support = of("support");
    assert_eq!(support["counts"], counts);
    assert_eq!(
        (&support["last_walk"]["kind"], &support["last_walk"]["outcome"]),
        (&"full".into(), &"complete".into())
    );
    assert_eq!(
        (&support["last_walk"]["listed"], &support["set_aside"]),
        (&5.into(), &0.into())
    );
    assert!(
        support["oldest_due_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-03-05T08:00:00"),
        "{support}"
    );
    assert!(of("sales")["oldest_due_at"].is_null());
    assert_eq!(of("sales")["id"], SALES);
    let sizes: u64 = archive
        .media_files()
        .iter()
        .map(|file| archive.read(file).len() as u64)
        .sum();
    assert_eq!(
        (&status["archive"]["bytes"], &status["archive"]["recordings"]),
        (&sizes.into(), &3.into())
    );
    assert_eq!(status["archive"]["dir"], archive.dir().to_str().unwrap());
    let marker: Value = serde_json::from_slice(&fs::read(archive.dir().join("archive.json")).unwrap()).unwrap();
    assert_eq!(status["archive"]["id"], marker["id"]);
    assert!(status["archive"]["free_bytes"].as_u64().unwrap() > 0);
    let table = archive.run(&["status"]).await.expect_code(0).stdout;
    for word in [
        "support",
        "sales",
        "3 recordings",
        "last complete walk",
        "2026-03-05 08:00:00Z",
    ] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    let one = archive
        .run(&["status", "--format", "json", "--workspace", "sales"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(one["workspaces"].as_array().unwrap().len(), 1);
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn show_tells_all_of_one_recording() {
    use sha2::Digest as _;
    let (_bird, support, archive) = one_of_each().await;
    let id = support.available()[0].to_string();
    let shown = archive.run(&["show", &id, "--format", "json"]).await.expect_code(0);
    assert_eq!(shown.stdout.lines().count(), 1);
    let shown = shown.json();
    assert_eq!(
        (&shown["id"], &shown["workspace"]),
        (&id.as_str().into(), &"support".into())
    );
    assert_eq!(shown["metadata"]["id"], id.as_str());
    assert!(shown["metadata"]["url"].is_null(), "the link was kept");
    let of_list = rows(&archive)
        .await
        .into_iter()
        .find(|row| row["id"] == id.as_str())
        .unwrap();
    for member in ROW {
        assert_eq!(shown[member], of_list[member], "{member}");
    }
    if let Some(path) = shown["path"].as_str() {
        let body = fs::read(archive.dir().join(path)).unwrap();
        assert_eq!(shown["sha256"], hex(&sha2::Sha256::digest(&body)));
    }
    let table = archive.run(&["show", &id]).await.expect_code(0).stdout;
    assert!(
        table.contains(&id) && table.contains("state") && table.contains("metadata"),
        "{table}"
    );
    let unknown = archive
        .run(&["show", "01890a5d-ac96-474b-8cce-b302099a8057"])
        .await
        .expect_code(1);
    assert!(
        unknown.stderr.contains("01890a5d-ac96-474b-8cce-b302099a8057"),
        "{}",
        unknown.stderr
    );
    assert_eq!(unknown.stdout, "");
    archive.run(&["show", &id, "--workspace", "sales"]).await.expect_code(1);
    archive.run(&["show", "../../etc/passwd"]).await.expect_code(64);
}

#[tokio::test]
async fn reading_beside_a_daemon_disturbs_nobody() {
    let (bird, workspace, archive) = place().await;
    let ids = workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let hold = bird.fault(FaultRule::media(MediaAction::Hold(crate::support::bird::At::Half)).recording(ids[0]));
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 3 && bird.media_in_flight() == 1)
        .await;
    eventually("two are archived", || archive.files().len() == 4).await;
    let id = ids[1].to_string();
    let mut seen = rows(&archive).await;
    // The row follows its file by a moment.
    let begun = std::time::Instant::now();
    while seen.iter().filter(|row| row["state"] == "archived").count() < 2 {
        assert!(begun.elapsed() < LONG, "{seen:?}");
        seen = rows(&archive).await;
    }
    assert!(
        seen.iter()
            .any(|row| row["state"] == "claimed" && row["id"] == ids[0].to_string()),
        "{seen:?}"
    );
    archive.run(&["show", &id]).await.expect_code(0);
    let status = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(status["workspaces"][0]["counts"]["claimed"], 1);
    archive.run(&["check"]).await.expect_code(0);
    bird.clear_fault(hold);
    bird.release_held();
    eventually("all are archived", || archive.files().len() == 6).await;
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn where_nothing_was_ever_run_that_is_said_and_nothing_made() {
    let (bird, _workspace, archive) = place().await;
    let id = "01890a5d-ac96-474b-8cce-b302099a8057";
    for args in [
        &["status"][..],
        &["list"],
        &["show", id],
        &["retry", id],
        &["retry", "--all"],
    ] {
        let finished = archive.run(args).await.expect_code(1);
        assert!(
            finished.stderr.contains("no archive") && finished.stderr.contains(&*archive.dir().to_string_lossy()),
            "{args:?}: {}",
            finished.stderr
        );
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.lines().count()),
            ("", 1),
            "{}",
            finished.stderr
        );
        assert!(!archive.dir().exists(), "{args:?} made the archive");
    }
    assert_eq!(bird.api_requests(), 0);
}

#[tokio::test]
async fn reading_needs_no_key_and_changes_nothing() {
    let (bird, workspace, mut archive) = place().await;
    let id = workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1))[0].to_string();
    archive.run(&["--once"]).await.expect_code(0);
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "/nonexistent/support.key");
    bird.forget_requests();
    let before = snapshot(&archive.dir());
    for args in [&["status"][..], &["list"], &["show", &id]] {
        archive.run(args).await.expect_code(0);
    }
    assert!(snapshot(&archive.dir()) == before);
    assert_eq!(bird.api_requests(), 0);
    // Those that talk to upstream do need it, and say which file it is that cannot be read.
    for args in [&["check"][..], &["--once"], &[]] {
        let finished = archive.run(args).await.expect_code(78);
        assert!(
            finished.stderr.contains("/nonexistent/support.key"),
            "{}",
            finished.stderr
        );
    }
}
