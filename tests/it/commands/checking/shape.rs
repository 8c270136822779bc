//! `check --format json`.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::surviving::kit::place;

#[tokio::test]
async fn json_is_one_object_with_every_finding() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);
    let report = archive.run(&["check", "--format", "json"]).await.expect_code(0).json();
    let findings = report["findings"].as_array().unwrap();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let explained: Vec<&str> = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')).collect();
    for finding in findings {
        let subject = format!("`{}`", finding["subject"].as_str().unwrap());
        assert!(
            explained.iter().any(|known| known.trim() == subject),
            "{subject} is not explained"
        );
        let members: Vec<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        let known = |name: &&str| ["level", "subject", "found", "remedy", "workspace"].contains(name);
        assert!(members.iter().all(known) && members.len() >= 4, "{finding}");
        assert_eq!(finding["level"] == "ok", finding["remedy"] == Value::Null, "{finding}");
    }
    let of = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    assert_eq!(of("list")["workspace"], "support");
    assert_eq!(of("lock").get("workspace"), None);
    let worst = if findings.iter().any(|finding| finding["level"] == "warn") {
        "warn"
    } else {
        "ok"
    };
    assert_eq!(report["outcome"], worst);

    archive.set_text("archive.min_free", "900 TiB");
    let report = archive.run(&["check", "--format", "json"]).await.expect_code(1).json();
    assert_eq!(report["outcome"], "fail");
}
