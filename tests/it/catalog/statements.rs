//! Every statement that the compiler checked: it is named, and it reads no more than it returns.

use std::fs;
use std::path::Path;

use birdkeep::catalog::Catalog;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::harness::Bench;

/// What may be read from end to end: tables that hold a row a workspace, a day, a finding or a verification, lists handed in
/// as a parameter, partial indexes that hold what is under way at the moment, and an index of which the first entries are
/// taken. The books alone add up what is unfinished.
const SHORT: [&str; 19] = [
    "SCAN days",
    "SCAN unfinished",
    "SCAN unlisted",
    "SCAN parts",
    "SCAN f",
    "SCAN verifications",
    "SCAN repairs USING INDEX repairs_unfinished",
    "SCAN recordings USING INDEX recordings_to_verify",
    "SCAN s USING INDEX set_aside_newest",
    "SCAN w",
    "SCAN workspaces",
    "SCAN archive",
    "SCAN counts",
    "SCAN wanted VIRTUAL TABLE",
    "SCAN chosen VIRTUAL TABLE",
    "SCAN ended VIRTUAL TABLE",
    "SCAN json_each VIRTUAL TABLE",
    "SCAN jsonb_each VIRTUAL TABLE",
    "SCAN CONSTANT ROW",
];

/// What reads everything, by its statement, and why it may.
const WHOLE: [(&str, &[&str]); 2] = [
    // Beside an integrity check, which reads every page of the file anyway: a copy is proved by it.
    (
        "catalog.miscounted_days",
        &["SCAN every_row", "SCAN counted", "SCAN kept", "SCAN (subquery"],
    ),
    // Every claim of a dead run: as many as there are downloads at a time.
    (
        "catalog.claims_of_others",
        &["SCAN recordings USING INDEX recordings_claimed"],
    ),
];

/// Ways into an index that lead to a whole workspace, where nothing else sets an end to it.
const WIDE: [&str; 3] = [
    "recordings_by_workspace (workspace=?)",
    "sqlite_autoindex_recordings_1 (workspace=?)",
    "recordings_by_state (state=?)",
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

fn name_of(statement: &str) -> &str {
    let first = statement.lines().next().unwrap_or_default();
    first.trim_start_matches("-- ")
}

/// Why a step of a statement's plan costs more than what is asked for.
fn excess(name: &str, step: &str) -> bool {
    let whole = WHOLE.iter().find(|(whole, _)| *whole == name);
    let may_scan = whole.is_some_and(|(_, steps)| steps.iter().any(|may| step.starts_with(may)));
    let scans = step.starts_with("SCAN") && !step.starts_with("SCAN (subquery");
    let is_short = SHORT.iter().any(|short| step.starts_with(short));
    let sorts = step.starts_with("USE TEMP B-TREE") && step.ends_with("ORDER BY");
    let is_wide = WIDE.iter().any(|wide| step.ends_with(wide));
    scans && !may_scan && !is_short || sorts || is_wide
}

async fn excesses(raw: &mut SqliteConnection) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements() {
        let text = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *raw).await.unwrap();
        let name = name_of(&statement);
        for step in plan {
            let step: String = step.get("detail");
            if excess(name, &step) {
                found.push(format!("{name}: {step}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn none_reads_all_recordings() {
    let bench = Bench::new().await;
    assert_eq!(excesses(&mut bench.raw().await).await, Vec::<String>::new());
}

/// Statistics that were taken while there was next to nothing make it look best to read everything: birdkeep keeps none.
#[tokio::test]
async fn statistics_are_dropped_at_the_start() {
    let bench = Bench::new().await;
    for n in 1..=4 {
        bench.archive(n).await;
    }
    sqlx::query("ANALYZE").execute(&mut bench.raw().await).await.unwrap();
    let kept = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'sqlite_stat*'";
    assert!(bench.number(kept).await > 0);
    assert_ne!(excesses(&mut bench.raw().await).await, Vec::<String>::new());
    let _again = Catalog::open(bench.options(2)).await.unwrap();
    assert_eq!(bench.number(kept).await, 0);
    assert_eq!(excesses(&mut bench.raw().await).await, Vec::<String>::new());
}
