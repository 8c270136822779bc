//! What is printed: JSON, CSV, and the page for people, each whole and the same numbers.

use std::time::Duration;

use serde_json::Value;

use super::kit::COLUMNS;
use super::kit::report;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::place;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut names: [&str; N]) -> Vec<&str> {
    names.sort_unstable();
    names.to_vec()
}

/// Two workspaces, of which one has a gap.
async fn two() -> (crate::support::bird::Bird, Archive) {
    let (bird, support, _) = place().await;
    let sales = bird.add_workspace("0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11", "salesKey-4f0aa0c81d");
    let archive = Archive::new(
        crate::surviving::kit::BINARY,
        &bird,
        &[("support", &support), ("sales", &sales)],
    );
    support.add_many(2, "2026-03-01T08:00:00Z", Duration::from_hours(24));
    sales.add(RecordingSpec::at("2026-03-01T08:00:00Z").status("failed"));
    sales.add(RecordingSpec::at("2026-03-04T08:00:00Z").member("status", Value::Null));
    archive.run(&["--once"]).await.expect_code(3);
    (bird, archive)
}

#[tokio::test]
async fn json_is_one_object_with_these_members() {
    let (_bird, archive) = two().await;
    let printed = archive.run(&["report", "--format", "json"]).await.expect_code(3).stdout;
    assert_eq!(printed.lines().count(), 1);
    let statement = report(&archive, &["--since", "2026-03-01", "--until", "2026-03-31"], 3).await;
    assert_eq!(
        members(&statement),
        sorted([
            "archive",
            "stated_at",
            "version",
            "since",
            "until",
            "workspaces",
            "gaps",
            "complete"
        ])
    );
    assert_eq!(
        members(&statement["archive"]),
        sorted(["id", "dir", "catalog_created_at"])
    );
    assert_eq!(
        (&statement["since"], &statement["until"]),
        (&"2026-03-01".into(), &"2026-03-31".into())
    );
    assert_eq!(statement["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        members(&statement["gaps"][0]),
        sorted(["workspace", "kind", "count", "text"])
    );
    for workspace in statement["workspaces"].as_array().unwrap() {
        assert_eq!(
            members(workspace),
            sorted([
                "name",
                "id",
                "configured",
                "walks",
                "days",
                "total",
                "sums_close",
                "witness"
            ])
        );
        assert_eq!(
            members(&workspace["walks"]),
            sorted([
                "last_complete_at",
                "last_full_started_at",
                "last_full_finished_at",
                "last_full_listed",
                "last_full_since"
            ])
        );
        assert_eq!(
            members(&workspace["witness"]),
            sorted(["counter", "counted_at", "known_with_media", "difference", "note"])
        );
        assert_eq!(members(&workspace["total"]), sorted(COLUMNS));
        assert!(workspace["days"][0]["day"].is_string());
        assert_eq!(members(&workspace["days"][0]).len(), COLUMNS.len() + 1);
    }
}

#[tokio::test]
async fn csv_has_a_row_a_workspace_and_day_with_the_numbers_of_json() {
    let (_bird, archive) = two().await;
    let csv = archive
        .run(&["report", "--no-witness", "--format", "csv"])
        .await
        .expect_code(3);
    let lines: Vec<Vec<&str>> = csv.stdout.lines().map(|line| line.split(',').collect()).collect();
    let header: Vec<&str> = ["workspace", "day"].into_iter().chain(COLUMNS).collect();
    assert_eq!(lines[0], header);
    let statement = report(&archive, &["--no-witness"], 3).await;
    let mut wanted = Vec::new();
    for workspace in statement["workspaces"].as_array().unwrap() {
        for day in workspace["days"].as_array().unwrap() {
            let first = [&workspace["name"], &day["day"]].map(|text| text.as_str().unwrap().to_owned());
            let numbers = COLUMNS.map(|name| day[name].to_string());
            wanted.push(first.into_iter().chain(numbers).collect::<Vec<String>>());
        }
    }
    assert_eq!(lines[1..], wanted);
    assert_eq!(wanted.len(), 4);
    // What has no row is said where it does not get between the rows.
    assert!(csv.stderr.contains("sales: 1 set aside"), "{}", csv.stderr);
    let none = archive
        .run(&["report", "--no-witness", "--format", "csv", "--since", "2026-04-01"])
        .await
        .expect_code(0);
    assert_eq!(none.stdout, format!("{}\n", header.join(",")));
    assert_eq!(none.stderr, "");
}

#[tokio::test]
async fn the_page_for_people_says_what_it_is_of_and_ends_in_a_verdict() {
    let (_bird, archive) = two().await;
    let statement = report(&archive, &[], 3).await;
    let text = archive.run(&["report"]).await.expect_code(3).stdout;
    let id = statement["archive"]["id"].as_str().unwrap();
    for word in [
        id,
        env!("CARGO_PKG_VERSION"),
        &*archive.dir().to_string_lossy(),
        "all days",
        "Workspace sales (0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11)",
        "Workspace support",
        "2026-03-01",
        "gone: 1 failed",
        "set aside: 1 listed to this day",
        "the catalog's counters say the same",
        "NOT COMPLETE",
        "- sales: 1 set aside",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    assert!(!text.contains("2026-03-03"), "a day without recordings in\n{text}");
    let one = archive
        .run(&["report", "--workspace", "support"])
        .await
        .expect_code(0)
        .stdout;
    assert!(!one.contains("sales") && one.contains("COMPLETE as far as"), "{one}");
    assert!(!one.contains("NOT COMPLETE"), "{one}");
    let table: Vec<&str> = one.lines().filter(|line| line.starts_with("total")).collect();
    let cells: Vec<&str> = table[0].split_whitespace().take(4).collect();
    assert_eq!(cells, ["total", "2", "2", "0"]);
    let period = archive
        .run(&["report", "--since", "2026-03-02", "--until", "2026-03-03"])
        .await
        .expect_code(0)
        .stdout;
    assert!(period.contains("2026-03-02 and later, before 2026-03-03"), "{period}");
    assert!(period.contains("no recordings"), "{period}");
}
