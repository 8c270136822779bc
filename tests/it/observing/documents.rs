//! The documents and what the daemon really says are held together: metrics, codes, reasons, rules, dashboard.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use birdkeep::domain::tally::Cause;
use birdkeep::standing::ProblemCode;
use serde_json::Value;

use super::kit::start;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::surviving::kit::place;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the first table below a heading, its head left out, each as its cells.
fn table_below(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, below) = document.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// A scrape of a daemon that has walked, fetched, failed and re-read.
async fn scrape() -> String {
    let (bird, workspace, archive) = place().await;
    let ids = workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    bird.fault(FaultRule::media(MediaAction::error(404, "NoSuchKey")).recording(ids[0]));
    let daemon = start(&archive).await;
    daemon
        .until_samples("all families are there", |samples| {
            samples.keys().any(|name| name.contains("outcome=\"failed\",reason="))
                && samples.contains_key("birdkeep_verify_unknown_files")
                && samples.contains_key("birdkeep_verify_all_read_since_timestamp_seconds")
                && samples.contains_key("birdkeep_last_complete_walk_age_seconds{workspace=\"support\"}")
        })
        .await;
    daemon.get("/metrics").await.body
}

/// Each family of an exposition: its type and its labels.
fn families(exposition: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(
                families
                    .insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()))
                    .is_none(),
                "{name} twice"
            );
            assert!(exposition.contains(&format!("# HELP {name} ")), "{name} has no HELP");
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
            let family = family_of(name, |name| families.contains_key(name));
            let labels = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\""))
                .map(|(name, _)| name);
            let (_, known) = families
                .get_mut(&family)
                .unwrap_or_else(|| panic!("{line} has no TYPE"));
            known.extend(labels.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    families
}

/// A sample's family: histograms have three samples.
fn family_of(sample: &str, is_known: impl Fn(&str) -> bool) -> String {
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts
        .iter()
        .find_map(|part| sample.strip_suffix(part).filter(|name| is_known(name)));
    whole.unwrap_or(sample).to_owned()
}

/// Every name of a metric in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("birdkeep_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_documented_metrics_are_those_that_are_served() {
    let exposition = scrape().await;
    let served = families(&exposition);
    let documented: BTreeMap<String, (String, BTreeSet<String>)> =
        table_below(&text("docs/operate.md"), "\n## Metrics\n")
            .into_iter()
            .map(|row| {
                let labels = row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
                (row[0].trim_matches('`').to_owned(), (row[1].clone(), labels))
            })
            .collect();
    assert_eq!(documented, served);

    let rules = text("docs/alerts.yml");
    let expressions = rules.split("expr: ").skip(1).map(|rule| {
        rule.split("\n        for:")
            .next()
            .unwrap()
            .split("labels:")
            .next()
            .unwrap()
    });
    let mut used: BTreeSet<String> = expressions.flat_map(named).collect();
    assert!(used.len() > 10, "{used:?}");
    let dashboard: Value = serde_json::from_str(&text("docs/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let shown: BTreeSet<String> = targets
        .flat_map(|target| named(target["expr"].as_str().unwrap()))
        .collect();
    used.extend(shown.iter().cloned());
    for name in &used {
        let family = family_of(name, |name| served.contains_key(name));
        assert!(served.contains_key(&family), "{name} is used and not served");
    }
    // What is worth a family is worth a place where it is seen; the rest says less of the same.
    let shown: BTreeSet<String> = shown
        .iter()
        .map(|name| family_of(name, |name| served.contains_key(name)))
        .collect();
    let unseen: Vec<&String> = served.keys().filter(|name| !shown.contains(*name)).collect();
    assert_eq!(
        unseen,
        [
            "birdkeep_last_complete_walk_timestamp_seconds",
            "birdkeep_stale_after_seconds",
            "process_virtual_memory_bytes",
        ]
    );
}

#[test]
fn every_code_and_every_reason_is_documented_and_no_other() {
    let operate = text("docs/operate.md");
    let first = |rows: Vec<Vec<String>>| -> Vec<String> {
        rows.into_iter()
            .map(|row| row[0].trim_matches('`').to_owned())
            .collect()
    };
    let rows = table_below(&operate, "\n## Health and readiness\n");
    for (row, code) in rows.iter().zip(ProblemCode::ALL) {
        assert_eq!(row[2] == "yes", code.makes_unready(), "{row:?}");
        assert!(row.len() == 4 && !row[3].is_empty(), "{row:?}");
    }
    assert_eq!(first(rows), ProblemCode::ALL.map(ProblemCode::as_str));
    let (_, below) = operate.split_once("`reason` is one of:").unwrap();
    assert_eq!(first(table_below(below, "\n")), Cause::ALL.map(Cause::as_str));
    let codes: BTreeSet<String> = table_below(&operate, "\n## Exit codes\n")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(codes, ["0", "1", "3", "64", "78"].map(str::to_owned).into());
}

#[test]
fn every_alert_has_its_words_its_test_and_its_page() {
    let (rules, tests, operate) = (
        text("docs/alerts.yml"),
        text("docs/alerts_test.yml"),
        text("docs/operate.md"),
    );
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        for part in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert_eq!(rule.matches(part).count(), 1, "{name}: {part}");
        }
        assert!(
            rule.contains(&format!("runbook: docs/operate.md#{}\n", name.to_ascii_lowercase())),
            "{name}"
        );
        assert!(operate.contains(&format!("\n### {name}\n")), "{name} has no page");
        assert!(
            tests.matches(&format!("alertname: {name}\n")).count() >= 2,
            "{name} is not tested"
        );
        alerts += 1;
    }
    assert_eq!(alerts, operate.matches("\n### Birdkeep").count());
    assert!(alerts >= 14, "{alerts}");
}

#[test]
fn the_dashboard_is_one_that_grafana_can_import() {
    let dashboard: Value = serde_json::from_str(&text("docs/dashboard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables
            .iter()
            .any(|variable| variable["type"] == "datasource" && variable["query"] == "prometheus")
    );
    let mut ids = BTreeSet::new();
    let mut rows = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{panel}");
        if panel["type"] == "row" {
            rows += 1;
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(
            panel["title"].as_str().is_some_and(|title| !title.is_empty()),
            "{panel}"
        );
        let place = &panel["gridPos"];
        assert!(
            place["x"].as_i64().unwrap() + place["w"].as_i64().unwrap() <= 24,
            "{panel}"
        );
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
    assert!(rows >= 5, "{rows}");
}

/// Runs promtool in `docs/`; `None` where there is none.
fn promtool(args: &[&str], input: &str) -> Option<(bool, String)> {
    let spawned = Command::new("promtool")
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: promtool is not here (Debian: prometheus)");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn promtool_takes_the_rules_and_they_pass_their_tests() {
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        if let Some((well, said)) = promtool(&args, "") {
            assert!(well, "{args:?}: {said}");
        }
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_a_scrape() {
    if let Some((well, said)) = promtool(&["check", "metrics"], &scrape().await) {
        assert!(well && said.trim().is_empty(), "{said}");
    }
}
