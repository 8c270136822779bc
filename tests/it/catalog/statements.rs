//! Every statement that the compiler checked: it is named, and it reads no more than it returns.

use std::fs;
use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::Row as _;

use super::harness::Bench;

/// What may be read from end to end: tables that hold a row a workspace, a finding or a verification, lists handed in as
/// a parameter, partial indexes that hold what is under way at the moment, and an index of which the first entry is taken.
/// The books alone add up everything: days found one by one, what is unfinished, and an index that holds all they need to
/// know of what is archived.
const SHORT: [&str; 18] = [
    "SCAN days",
    "SCAN unfinished",
    "SCAN unlisted",
    "SCAN r USING COVERING INDEX recordings_archived_by_day",
    "SCAN f",
    "SCAN verifications",
    "SCAN repairs USING INDEX repairs_unfinished",
    "SCAN recordings USING INDEX recordings_to_verify",
    "SCAN w",
    "SCAN workspaces",
    "SCAN archive",
    "SCAN counts",
    "SCAN wanted VIRTUAL TABLE",
    "SCAN chosen VIRTUAL TABLE",
    "SCAN ended VIRTUAL TABLE",
    "SCAN json_each VIRTUAL TABLE",
    "SCAN CONSTANT ROW",
    "SCAN recordings USING INDEX recordings_claimed",
];

fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let data: serde_json::Value = serde_json::from_str(&text).unwrap();
        found.push(data["query"].as_str().unwrap().to_owned());
    }
    assert!(found.len() > 30, "{} statements", found.len());
    found
}

#[test]
fn each_has_a_name_of_its_own() {
    let mut names: Vec<String> = statements()
        .iter()
        .map(|text| text.lines().next().unwrap().to_owned())
        .collect();
    for name in &names {
        let word = name
            .strip_prefix("-- catalog.")
            .unwrap_or_else(|| panic!("no name: {name}"));
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
    }
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "two statements share a name");
}

#[tokio::test]
async fn none_reads_all_recordings() {
    let bench = Bench::new().await;
    let mut raw = bench.raw().await;
    for statement in statements() {
        let text = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut raw).await.unwrap();
        for step in plan {
            let step: String = step.get("detail");
            let scans = step.starts_with("SCAN") && !step.starts_with("SCAN (subquery");
            assert!(
                !scans || SHORT.iter().any(|short| step.starts_with(short)),
                "{step}\n{statement}"
            );
            let sorts = step.starts_with("USE TEMP B-TREE") && step.ends_with("ORDER BY");
            assert!(
                !sorts || statement.starts_with("-- catalog.set_aside\n"),
                "{step}\n{statement}"
            );
        }
    }
}
