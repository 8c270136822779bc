//! `birdkeep verify`: re-reads the archive and says what is not as it was archived.

use std::num::NonZeroU32;
use std::num::NonZeroU64;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::Table;
use super::output::short_bytes;
use super::progress;
use crate::app;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::one_line;
use crate::lifecycle::Lifecycle;
use crate::verify::RepairReport;
use crate::verify::Scope;
use crate::verify::VerifyOptions;
use crate::verify::VerifyReport;

/// What to re-read, how fast, and what to do about it.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Only these recordings
    #[arg(value_name = "ID", value_parser = super::recording_id, conflicts_with_all = ["sample", "found"])]
    ids: Vec<RecordingId>,

    /// Only one part in N: what was not read for the longest time, so that N runs read everything
    #[arg(long, value_name = "1/N", value_parser = part, conflicts_with = "found")]
    sample: Option<NonZeroU32>,

    /// Only what was found wrong before and not found good since
    #[arg(long)]
    found: bool,

    /// Put right what is found: keep the damaged bytes in damaged/, make the recording due again, write sidecars anew,
    /// adopt bodies that only their sidecars know. The daemon must not be running
    #[arg(long)]
    repair: bool,

    /// Read at most so much a second, such as "50 MiB" [default: as fast as it goes]
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    rate: Option<NonZeroU64>,

    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ReportFormat,
}

fn part(text: &str) -> Result<NonZeroU32, String> {
    text.strip_prefix("1/")
        .and_then(|parts| parts.parse().ok())
        .ok_or_else(|| "expected a part such as 1/30".to_owned())
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let size = text.parse::<bytesize::ByteSize>().ok();
    size.and_then(|size| NonZeroU64::new(size.as_u64()))
        .ok_or_else(|| "expected a size such as \"50 MiB\", more than nothing".to_owned())
}

#[derive(Serialize)]
struct Report {
    checked: u64,
    ok: u64,
    bytes: u64,
    missing: Vec<String>,
    damaged: Vec<String>,
    unreadable: Vec<String>,
    sidecars: Vec<String>,
    unknown_files: Vec<String>,
    repaired: Vec<Repaired>,
    not_repaired: Vec<NotRepaired>,
    adopted: Vec<String>,
    complete: bool,
}

#[derive(Serialize)]
struct Repaired {
    id: String,
    kept: String,
}

#[derive(Serialize)]
struct NotRepaired {
    id: String,
    reason: String,
}

pub(super) async fn run(
    config: &Config,
    clock: SharedClock,
    workspaces: Vec<WorkspaceName>,
    args: VerifyArgs,
) -> Result<Outcome> {
    let life = Lifecycle::install(config.shutdown.grace)?;
    let asked = args.ids.len() as u64;
    let options = VerifyOptions {
        scope: match (args.sample, args.found) {
            (Some(parts), _) => Scope::Part(parts),
            (None, true) => Scope::Found,
            (None, false) if args.ids.is_empty() => Scope::All,
            (None, false) => Scope::Ids(args.ids),
        },
        workspaces,
        bytes_per_second: args.rate,
        by_daemon: false,
    };
    let sender = watch::Sender::default();
    let over = CancellationToken::new();
    let bar = tokio::spawn(progress::draw_reading(sender.subscribe(), over.clone()));
    let done = if args.repair {
        app::verify_and_repair(config, clock, &options, life.soft(), &sender).await
    } else {
        let report = app::verify(config, clock, &options, life.soft(), &sender).await;
        report.map(|report| (report, RepairReport::default()))
    };
    over.cancel();
    drop(bar.await);
    let (report, repaired) = done?;
    let not_read = asked.saturating_sub(report.progress.checked);
    match args.format {
        ReportFormat::Json => print_json(&report, &repaired)?,
        ReportFormat::Table => print(&report, &repaired, args.repair)?,
    }
    if not_read > 0 {
        output::complain(&format!("{not_read} of the {asked} ids are of no archived recording"));
    }
    Ok(match (report.stopped || not_read > 0, report.findings.is_empty()) {
        (_, false) => Outcome::Partly,
        (true, true) => Outcome::Failed,
        (false, true) => Outcome::Well,
    })
}

fn ids(report: &VerifyReport, kind: FindingKind) -> Vec<String> {
    report.ids(kind).map(|id| id.to_string()).collect()
}

fn print_json(report: &VerifyReport, repaired: &RepairReport) -> Result<()> {
    let unknown = report.unknown_files.iter().flatten();
    output::json(&Report {
        checked: report.progress.checked,
        ok: report.progress.checked - report.progress.unsound,
        bytes: report.progress.bytes,
        missing: ids(report, FindingKind::Missing),
        damaged: ids(report, FindingKind::Damaged),
        unreadable: ids(report, FindingKind::Unreadable),
        sidecars: ids(report, FindingKind::Sidecar),
        unknown_files: unknown.map(|file| file.path.clone()).collect(),
        repaired: repaired
            .repaired
            .iter()
            .map(|(id, kept)| Repaired {
                id: id.to_string(),
                kept: kept.clone(),
            })
            .collect(),
        not_repaired: repaired
            .left
            .iter()
            .map(|(id, reason)| NotRepaired {
                id: id.to_string(),
                reason: reason.clone(),
            })
            .collect(),
        adopted: repaired.adopted.iter().map(ToString::to_string).collect(),
        complete: !report.stopped,
    })
}

fn print(report: &VerifyReport, repaired: &RepairReport, repair: bool) -> Result<()> {
    let mut table = Table::new(&["found", "workspace", "id", "path", "detail"]);
    for (row, finding) in &report.findings {
        let recording = row.key.recording();
        table.row([
            finding.kind.to_string(),
            recording.workspace.to_string(),
            recording.id.to_string(),
            row.key.to_string(),
            finding.detail.clone(),
        ]);
    }
    if !table.is_empty() {
        table.print(false)?;
    }
    for file in report.unknown_files.iter().flatten() {
        let what = file.what.map_or_else(String::new, |what| format!(" ({what})"));
        output::line(&one_line(&format!("unknown    {}{what}", file.path), usize::MAX))?;
    }
    for (id, kept) in &repaired.repaired {
        let what = if kept.is_empty() {
            "nothing stood there".to_owned()
        } else {
            format!("what stood there is kept in {kept}")
        };
        output::line(&format!("repaired   {id}: {what}"))?;
    }
    for (id, why) in &repaired.left {
        output::line(&format!("left       {id}: {why}"))?;
    }
    for key in &repaired.adopted {
        output::line(&format!("adopted    {key}: its sidecar and its bytes agree"))?;
    }
    let progress = report.progress;
    let count = |kind| report.ids(kind).count();
    output::line(&format!(
        "{} re-read ({}): {} as archived, {} missing, {} damaged, {} unreadable, {} with a wrong sidecar{}",
        progress.checked,
        short_bytes(progress.bytes),
        progress.checked - progress.unsound,
        count(FindingKind::Missing),
        count(FindingKind::Damaged),
        count(FindingKind::Unreadable),
        count(FindingKind::Sidecar),
        report
            .unknown_files
            .as_ref()
            .map_or_else(String::new, |files| format!("; {} unknown files", files.len()))
    ))?;
    if report.stopped {
        output::line("stopped before the end: not everything that was asked for was re-read")?;
    }
    if !report.findings.is_empty() && !repair {
        output::line("to put it right: stop the daemon, run `birdkeep verify --found --repair`, start it again")?;
    }
    Ok(())
}
