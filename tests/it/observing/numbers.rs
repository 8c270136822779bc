//! The numbers are the catalog's, after any run and any restart; what is measured is measured truly.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::kit::Daemon;
use super::kit::start;
use crate::support::bird::ApiAction;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;
use crate::surviving::kit::place_with;

const FROM: &str = "2026-03-01T10:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);

fn close(is: f64, wanted: f64) -> bool {
    (is - wanted).abs() < 0.001
}

/// Holds a scrape against what `status` says of the same catalog.
#[track_caller]
fn assert_equal(samples: &BTreeMap<String, f64>, status: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{status}"));
    for workspace in status["workspaces"].as_array().unwrap() {
        let name = workspace["name"].as_str().unwrap();
        let of = |family: &str| samples[&format!("birdkeep_{family}{{workspace=\"{name}\"}}")];
        for (state, count) in workspace["counts"].as_object().unwrap() {
            let sample = samples[&format!("birdkeep_recordings{{workspace=\"{name}\",state=\"{state}\"}}")];
            assert!(close(sample, number(count)), "{state}: {sample} {status}");
        }
        assert!(close(of("archived_bytes"), number(&workspace["bytes"])), "{status}");
        assert!(
            close(of("set_aside_items"), number(&workspace["set_aside"])),
            "{status}"
        );
        let last: birdkeep::domain::clock::Timestamp =
            workspace["last_complete_walk_at"].as_str().unwrap().parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a time of today")]
        let last = last.as_microseconds() as f64 / 1e6;
        assert!(close(of("last_complete_walk_timestamp_seconds"), last), "{status}");
        assert!(of("last_complete_walk_age_seconds") < LONG.as_secs_f64());
        let has_due = !workspace["oldest_due_at"].is_null();
        assert_eq!(of("oldest_due_age_seconds") > 0.0, has_due, "{status}");
    }
    for (kind, said) in [
        ("missing", "missing"),
        ("damaged", "damaged"),
        ("unreadable", "unreadable"),
        ("sidecar", "sidecars"),
    ] {
        let sample = samples[&format!("birdkeep_findings{{kind=\"{kind}\"}}")];
        assert!(close(sample, number(&status["verify"][said])), "{kind}: {status}");
    }
}

/// Holds scrapes against `status` once they have caught up with it: a look at the catalog is kept for a second.
async fn expect_equal(daemon: &Daemon, archive: &Archive) {
    let status = status(archive).await;
    let walked = |workspace: &Value| -> (String, f64) {
        let at = workspace["last_complete_walk_at"].as_str().unwrap();
        let at: birdkeep::domain::clock::Timestamp = at.parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a time of today")]
        let seconds = at.as_microseconds() as f64 / 1e6;
        let name = workspace["name"].as_str().unwrap();
        let family = "birdkeep_last_complete_walk_timestamp_seconds";
        (format!("{family}{{workspace=\"{name}\"}}"), seconds)
    };
    let walks: Vec<(String, f64)> = status["workspaces"].as_array().unwrap().iter().map(walked).collect();
    let caught_up = |samples: &BTreeMap<String, f64>| {
        let is_there = |(sample, at): &(String, f64)| samples.get(sample).is_some_and(|found| close(*found, *at));
        walks.iter().all(is_there)
    };
    let samples = daemon.until_samples("it caught up with the catalog", caught_up).await;
    assert_equal(&samples, &status);
}

async fn status(archive: &Archive) -> Value {
    archive.run(&["status", "--format", "json"]).await.expect_code(0).json()
}

async fn end(mut daemon: Daemon) {
    daemon.running.sigterm();
    end_within(&mut daemon.running, LONG).await.expect_code(0);
}

#[tokio::test]
async fn metrics_equal_the_catalog_after_a_run_and_after_a_restart() {
    let (bird, workspace, mut archive) = place().await;
    // No further walk, so that nothing moves between the two looks.
    archive
        .set_text("sync.interval", "1h")
        .set("download.max_attempts", "1");
    workspace.add_many(4, FROM, MINUTE);
    workspace.add(RecordingSpec::at(FROM).status("ongoing"));
    workspace.add(RecordingSpec::at(FROM).status("absent"));
    workspace.add(RecordingSpec::at(FROM).raw("null"));
    let lost = workspace.add(RecordingSpec::at(FROM));
    bird.fault(FaultRule::media(MediaAction::error(404, "NoSuchKey")).recording(lost));
    let settled = "birdkeep_recordings{workspace=\"support\",state=\"given_up\"}";
    let archived = "birdkeep_recordings{workspace=\"support\",state=\"archived\"}";
    let walked = "birdkeep_walks_total{workspace=\"support\",kind=\"full\",outcome=\"complete\"}";

    let daemon = start(&archive).await;
    let samples = daemon
        .until_samples("all is settled", |samples| {
            samples.get(settled) == Some(&1.0) && samples.get(archived) == Some(&4.0) && samples[walked] > 0.0
        })
        .await;
    expect_equal(&daemon, &archive).await;
    let downloads = |outcome: &str, reason: &str| {
        let labels = format!("workspace=\"support\",outcome=\"{outcome}\",reason=\"{reason}\"");
        samples[&format!("birdkeep_downloads_total{{{labels}}}")]
    };
    assert!(close(downloads("archived", "none"), 4.0), "{samples:#?}");
    assert!(close(downloads("given_up", "http_status_4xx"), 1.0), "{samples:#?}");
    assert!(close(samples["birdkeep_download_size_bytes_count"], 4.0));
    let bytes = samples["birdkeep_archived_bytes{workspace=\"support\"}"];
    assert!(
        close(samples["birdkeep_download_size_bytes_sum"], bytes),
        "{samples:#?}"
    );
    assert!(close(samples["birdkeep_downloads_in_flight"], 0.0));
    assert!(close(samples["birdkeep_queue_recordings"], 0.0));
    assert!(close(samples["birdkeep_ready"], 1.0), "{samples:#?}");
    let requests = samples["birdkeep_api_requests_total{workspace=\"support\",outcome=\"ok\"}"];
    #[expect(clippy::cast_precision_loss, reason = "a handful of requests")]
    let asked = bird.api_requests() as f64;
    assert!(close(requests, asked), "{requests} {asked}");
    end(daemon).await;

    let daemon = start(&archive).await;
    let samples = daemon.until_samples("it walked again", |samples| {
        samples["birdkeep_walks_total{workspace=\"support\",kind=\"poll\",outcome=\"complete\"}"] > 0.0
    });
    let samples = samples.await;
    expect_equal(&daemon, &archive).await;
    assert!(
        close(samples["birdkeep_download_size_bytes_count"], 0.0),
        "counters begin with the process"
    );
    end(daemon).await;
}

#[tokio::test]
async fn the_life_left_on_links_is_what_the_links_say() {
    let options = BirdOptions {
        url_life: Duration::from_secs(30),
        ..BirdOptions::default()
    };
    let (_bird, workspace, mut archive) = place_with(options).await;
    archive.set_text("sync.interval", "1h");
    workspace.add_many(5, FROM, MINUTE);
    let daemon = start(&archive).await;
    let samples = daemon
        .until_samples("all is archived", |samples| {
            samples["birdkeep_download_size_bytes_count"] > 4.0
        })
        .await;
    let at_most = |bound: &str| samples[&format!("birdkeep_link_life_left_seconds_bucket{{le=\"{bound}\"}}")];
    // Asked for at once: none has more than its thirty seconds, none much less, whatever the machine is busy with.
    assert!(close(at_most("30"), 5.0) && close(at_most("10"), 0.0), "{samples:#?}");
    assert!(close(samples["birdkeep_link_life_left_seconds_count"], 5.0));
    let sum = samples["birdkeep_link_life_left_seconds_sum"];
    assert!((50.0..=150.0).contains(&sum), "{sum}");
    end(daemon).await;
}

#[tokio::test]
async fn trouble_upstream_is_counted_by_what_it_is() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(2, FROM, MINUTE);
    bird.fault(FaultRule::list(ApiAction::status(429)).times(1));
    bird.fault(FaultRule::media(MediaAction::error(403, "SignatureDoesNotMatch")).times(1));
    let daemon = start(&archive).await;
    let failed = "birdkeep_downloads_total{workspace=\"support\",outcome=\"failed\",reason=\"http_status_4xx\"}";
    let limited = "birdkeep_api_requests_total{workspace=\"support\",outcome=\"rate_limited\"}";
    let samples = daemon
        .until_samples("both are counted", |samples| {
            samples.contains_key(failed) && samples[limited] > 0.0
        })
        .await;
    assert!(
        close(samples[failed], 1.0) && close(samples[limited], 1.0),
        "{samples:#?}"
    );
    assert!(samples["birdkeep_api_wait_seconds_total{workspace=\"support\"}"] > 0.0);
    end(daemon).await;
}

#[tokio::test]
async fn downloads_under_way_are_seen_and_gone_when_they_end() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(3, FROM, MINUTE);
    bird.fault(FaultRule::media(MediaAction::Hold(crate::support::bird::At::Half)));
    let daemon = start(&archive).await;
    daemon
        .until_samples("three are under way", |samples| {
            close(samples["birdkeep_downloads_in_flight"], 3.0)
        })
        .await;
    bird.clear_faults();
    bird.release_held();
    daemon
        .until_samples("none is", |samples| {
            close(samples["birdkeep_downloads_in_flight"], 0.0)
                && close(samples["birdkeep_download_size_bytes_count"], 3.0)
        })
        .await;
    end(daemon).await;
}
