//! Short ways to ask for a statement, and what every statement must hold.

use serde_json::Value;

use crate::support::harness::Archive;

/// The numbers of a day, in the order in which CSV has them.
pub(super) const COLUMNS: [&str; 20] = [
    "listed",
    "archived",
    "bytes",
    "re_read",
    "unsound",
    "waiting",
    "due",
    "due_tried",
    "claimed",
    "gone_absent",
    "gone_failed",
    "gone_deleted",
    "gone_other",
    "given_up",
    "set_aside",
    "set_aside_unlisted",
    "late",
    "vanished",
    "untried",
    "stuck",
];

/// What `report --format json` says, with this exit code. Holds that all its sums close.
pub(super) async fn report(archive: &Archive, more: &[&str], code: i32) -> Value {
    let args: Vec<&str> = ["report", "--format", "json"].iter().chain(more).copied().collect();
    let statement = archive.run(&args).await.expect_code(code).json();
    assert_eq!(statement["complete"], code == 0, "{statement}");
    for workspace in statement["workspaces"].as_array().unwrap() {
        assert_closes(workspace);
    }
    statement
}

/// As [`report`], without a question to Bird.
pub(super) async fn quiet(archive: &Archive, code: i32) -> Value {
    report(archive, &["--no-witness"], code).await
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("{name} in {row}"))
}

#[track_caller]
fn assert_closes(workspace: &Value) {
    assert_eq!(workspace["sums_close"], true, "{workspace}");
    let days = workspace["days"].as_array().unwrap();
    for row in days.iter().chain([&workspace["total"]]) {
        let parts = [
            "archived",
            "waiting",
            "due",
            "claimed",
            "given_up",
            "gone_absent",
            "gone_failed",
            "gone_deleted",
            "gone_other",
        ];
        let sum: u64 = parts.iter().map(|name| number(row, name)).sum();
        assert_eq!(number(row, "listed"), sum, "{row}");
        assert!(
            number(row, "re_read") + number(row, "unsound") <= number(row, "archived"),
            "{row}"
        );
    }
    for name in COLUMNS {
        let sum: u64 = days.iter().map(|row| number(row, name)).sum();
        assert_eq!(number(&workspace["total"], name), sum, "{name} in {workspace}");
    }
}

/// The gaps as `workspace: kind count`.
pub(super) fn gaps(statement: &Value) -> Vec<String> {
    let gaps = statement["gaps"].as_array().unwrap().iter();
    gaps.map(|gap| {
        assert!(gap["text"].as_str().is_some_and(|text| !text.is_empty()), "{gap}");
        let name = gap["workspace"].as_str().unwrap_or("-");
        match gap["count"].as_u64() {
            Some(count) => format!("{name}: {} {count}", gap["kind"].as_str().unwrap()),
            None => format!("{name}: {}", gap["kind"].as_str().unwrap()),
        }
    })
    .collect()
}

/// Those of the numbers of a row that are not 0, but for its bytes.
pub(super) fn numbers(row: &Value) -> Vec<(&'static str, u64)> {
    COLUMNS
        .into_iter()
        .map(|name| (name, number(row, name)))
        .filter(|(name, count)| *count > 0 && *name != "bytes")
        .collect()
}
