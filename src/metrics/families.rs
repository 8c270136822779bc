//! The families, in the order in which people look: is it well, is everything there, what goes on, what was it like.
//!
//! Each stands in `docs/operate.md` as well, which a test holds. Must not know: how a sample is written.

use super::text::Kind;
use super::text::Text;
use crate::domain::clock::Timestamp;
use crate::domain::finding::FINDING_KINDS;
use crate::domain::report::WalkKind;
use crate::domain::state::STATES;
use crate::domain::tally::ApiOutcome;
use crate::domain::tally::Cause;
use crate::domain::tally::DownloadOutcome;
use crate::domain::tally::Tallies;
use crate::domain::tally::WalkEnd;
use crate::standing::ProblemCode;
use crate::standing::Standing;
use crate::standing::WorkspaceStanding;

/// Whether all is well.
pub(super) fn overall(text: &mut Text, standing: &Standing) {
    text.family("birdkeep_build_info", Kind::Gauge, "Always 1; says which version runs.")
        .count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let problems = standing.problems();
    text.family("birdkeep_ready", Kind::Gauge, "Whether /readyz says 200.")
        .flag(&[], standing.is_ready());
    let mut family = text.family(
        "birdkeep_problems",
        Kind::Gauge,
        "Problems that last now, by their code in /readyz.",
    );
    for code in ProblemCode::ALL {
        let of_code = problems.iter().filter(|problem| problem.code == code);
        family.count(&[("code", code.as_str())], of_code.count() as u64);
    }
    text.family(
        "birdkeep_catalog_readable",
        Kind::Gauge,
        "Whether the catalog could be read; if not, what is counted there is left out.",
    )
    .flag(&[], standing.due_now.is_some());
    text.family(
        "birdkeep_disk_accepts_recordings",
        Kind::Gauge,
        "Whether this machine takes recordings: room above the reserve, and a file that could be written and synced.",
    )
    .flag(&[], standing.disk.is_none());
}

/// The archive as a whole.
pub(super) fn archive(text: &mut Text, standing: &Standing) {
    if let Some(space) = standing.space {
        text.family(
            "birdkeep_disk_free_bytes",
            Kind::Gauge,
            "Free bytes on the archive's disk, the reserve included; at most 10 s old.",
        )
        .count(&[], space.free_bytes);
        text.family(
            "birdkeep_disk_reserve_bytes",
            Kind::Gauge,
            "Free bytes that are never taken (archive.min_free).",
        )
        .count(&[], space.reserve_bytes);
    }
    if let Some(offset) = standing.upstream_offset_seconds {
        text.family(
            "birdkeep_upstream_clock_offset_seconds",
            Kind::Gauge,
            "How far upstream's clock is ahead of this machine's; good to about a second.",
        )
        .measure(&[], offset);
    }
    text.family(
        "birdkeep_stale_after_seconds",
        Kind::Gauge,
        "A list that was last read to its end longer ago is stale (http.stale_after).",
    )
    .measure(&[], standing.stale_after.as_secs_f64());
}

/// Each workspace as the catalog has it, and what troubles it.
pub(super) fn workspaces(text: &mut Text, standing: &Standing) {
    let mut family = text.family(
        "birdkeep_recordings",
        Kind::Gauge,
        "Recordings in the catalog, by state.",
    );
    for workspace in known(standing) {
        for state in STATES {
            let labels = [("workspace", workspace.name.as_str()), ("state", state.as_str())];
            family.count(&labels, workspace.count(state));
        }
    }
    let mut family = text.family(
        "birdkeep_archived_bytes",
        Kind::Gauge,
        "Bytes of the bodies that are archived.",
    );
    for workspace in known(standing) {
        let bytes = workspace.summary.as_ref().map_or(0, |summary| summary.bytes);
        family.count(&label(workspace), bytes);
    }
    let mut family = text.family(
        "birdkeep_set_aside_items",
        Kind::Gauge,
        "List items that are not understood to this day.",
    );
    for workspace in known(standing) {
        family.count(&label(workspace), workspace.set_aside());
    }
    let mut family = text.family(
        "birdkeep_last_complete_walk_timestamp_seconds",
        Kind::Gauge,
        "When the list was last read to its end, in seconds since 1970.",
    );
    for (workspace, last) in walked(standing) {
        family.measure(&label(workspace), unix(last));
    }
    let mut family = text.family(
        "birdkeep_last_complete_walk_age_seconds",
        Kind::Gauge,
        "How long ago the list was last read to its end.",
    );
    for (workspace, _) in walked(standing) {
        if let Some(age) = workspace.last_complete_walk_age(standing.at) {
            family.measure(&label(workspace), age.as_secs_f64());
        }
    }
    let mut family = text.family(
        "birdkeep_oldest_due_age_seconds",
        Kind::Gauge,
        "How long ago the oldest recording was created that is due, being fetched or given up; 0 where there is none.",
    );
    for workspace in known(standing) {
        let age = workspace.oldest_due_at().map(|oldest| standing.at.since(oldest));
        family.measure(&label(workspace), age.unwrap_or_default().as_secs_f64());
    }
    troubles(text, standing);
}

fn troubles(text: &mut Text, standing: &Standing) {
    let mut family = text.family(
        "birdkeep_workspace_fresh",
        Kind::Gauge,
        "Whether the list was read to its end lately enough.",
    );
    for workspace in &standing.workspaces {
        family.flag(&label(workspace), workspace.is_fresh);
    }
    let mut family = text.family(
        "birdkeep_workspace_paused",
        Kind::Gauge,
        "Whether the credential is refused.",
    );
    for workspace in &standing.workspaces {
        family.flag(&label(workspace), workspace.paused.is_some());
    }
    let mut family = text.family(
        "birdkeep_workspace_failing",
        Kind::Gauge,
        "Whether the last walk failed for another reason than its credential.",
    );
    for workspace in &standing.workspaces {
        family.flag(&label(workspace), workspace.failing.is_some());
    }
}

/// What was asked of upstream.
pub(super) fn work(text: &mut Text, standing: &Standing) {
    let mut family = text.family(
        "birdkeep_walks_total",
        Kind::Counter,
        "Walks over a list, by kind and by how they ended.",
    );
    for workspace in &standing.workspaces {
        for kind in [WalkKind::Poll, WalkKind::Full] {
            for end in WalkEnd::ALL {
                let labels = [
                    ("workspace", workspace.name.as_str()),
                    ("kind", kind.as_str()),
                    ("outcome", end.as_str()),
                ];
                family.count(&labels, workspace.tally.walks(kind, end));
            }
        }
    }
    let mut family = text.family(
        "birdkeep_api_requests_total",
        Kind::Counter,
        "Requests to the API, each try, by how they ended.",
    );
    for workspace in &standing.workspaces {
        for outcome in ApiOutcome::ALL {
            let labels = [("workspace", workspace.name.as_str()), ("outcome", outcome.as_str())];
            family.count(&labels, workspace.tally.requests(outcome));
        }
    }
    let mut family = text.family(
        "birdkeep_api_wait_seconds_total",
        Kind::Counter,
        "Time that requests to the API waited for their turn: for the pace, and after \"too many\".",
    );
    for workspace in &standing.workspaces {
        family.measure(&label(workspace), workspace.tally.waited.get().as_secs_f64());
    }
}

/// The queue and the downloads.
pub(super) fn downloads(text: &mut Text, standing: &Standing, tallies: &Tallies) {
    if let Some(due_now) = standing.due_now {
        text.family(
            "birdkeep_queue_recordings",
            Kind::Gauge,
            "Recordings that could be fetched now.",
        )
        .count(&[], due_now);
    }
    text.family("birdkeep_downloads_in_flight", Kind::Gauge, "Downloads under way.")
        .count(&[], standing.in_flight);
    let mut family = text.family(
        "birdkeep_downloads_total",
        Kind::Counter,
        "Downloads, by what they came to and why; pairs that never happened are left out.",
    );
    for workspace in &standing.workspaces {
        for outcome in DownloadOutcome::ALL {
            for cause in Cause::ALL {
                let count = workspace.tally.downloads(outcome, cause);
                let is_usual = (outcome, cause) == (DownloadOutcome::Archived, Cause::None);
                if count > 0 || is_usual {
                    let labels = [
                        ("workspace", workspace.name.as_str()),
                        ("outcome", outcome.as_str()),
                        ("reason", cause.as_str()),
                    ];
                    family.count(&labels, count);
                }
            }
        }
    }
    text.histogram(
        "birdkeep_link_life_left_seconds",
        "Life left on a link when its download began; a download begun anew counts again.",
        &tallies.link_life,
    );
    text.histogram(
        "birdkeep_download_duration_seconds",
        "How long downloads took that were archived, from link to final name.",
        &tallies.download_seconds,
    );
    text.histogram(
        "birdkeep_download_size_bytes",
        "Lengths of the downloads that were archived.",
        &tallies.download_bytes,
    );
}

/// Re-reading, and what it found.
pub(super) fn verify(text: &mut Text, standing: &Standing, tallies: &Tallies) {
    if let Some(soundness) = &standing.soundness {
        let mut family = text.family(
            "birdkeep_findings",
            Kind::Gauge,
            "Archived recordings that are not as they were archived, by what was found.",
        );
        for kind in FINDING_KINDS {
            let count = soundness.findings.get(&kind).copied().unwrap_or(0);
            family.count(&[("kind", kind.as_str())], count);
        }
        if let Some(since) = soundness.all_read_since {
            text.family(
                "birdkeep_verify_all_read_since_timestamp_seconds",
                Kind::Gauge,
                "Since when every body was re-read, or archived, in seconds since 1970.",
            )
            .measure(&[], unix(since));
        }
        let last = soundness.last.as_ref();
        if let Some(files) = last.and_then(|last| last.unknown_files) {
            text.family(
                "birdkeep_verify_unknown_files",
                Kind::Gauge,
                "Files in the archive that no recording names, when they were last looked for.",
            )
            .count(&[], files);
        }
    }
    let rereading = tallies.rereading();
    text.family(
        "birdkeep_verify_recordings_total",
        Kind::Counter,
        "Recordings that the daemon re-read by itself.",
    )
    .count(&[], rereading.recordings);
    text.family(
        "birdkeep_verify_read_bytes_total",
        Kind::Counter,
        "Bytes that the daemon re-read by itself.",
    )
    .count(&[], rereading.bytes);
    text.family(
        "birdkeep_verify_part_recordings",
        Kind::Gauge,
        "Recordings in the part that is being re-read; 0 while nothing is.",
    )
    .count(&[], rereading.total);
    text.family(
        "birdkeep_verify_part_done_recordings",
        Kind::Gauge,
        "Recordings of that part that are done.",
    )
    .count(&[], rereading.done);
}

fn label(workspace: &WorkspaceStanding) -> [(&str, &str); 1] {
    [("workspace", workspace.name.as_str())]
}

/// The workspaces whose numbers are known.
fn known(standing: &Standing) -> impl Iterator<Item = &WorkspaceStanding> {
    let workspaces = standing.workspaces.iter();
    workspaces.filter(|workspace| workspace.summary.is_some())
}

/// Those of them whose lists were read to the end, and when.
fn walked(standing: &Standing) -> impl Iterator<Item = (&WorkspaceStanding, Timestamp)> {
    known(standing).filter_map(|workspace| Some((workspace, workspace.last_complete_walk_at()?)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of our days keep their seconds exactly"
)]
fn unix(at: Timestamp) -> f64 {
    at.as_microseconds() as f64 / 1e6
}
