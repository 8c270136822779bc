//! `birdkeep rebuild`: the catalog made again from the archive, and a report of what could not be used.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::short_bytes;
use super::progress;
use crate::app;
use crate::app::RebuildProgress;
use crate::app::RebuildReport;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::redact::one_line;
use crate::lifecycle::Lifecycle;

/// The longest line of the report, in characters.
const LONGEST: usize = 500;

/// How the catalog is made again.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Do not read the bodies: believe those that have the length their sidecar states, and leave reading them to `verify`
    #[arg(long)]
    quick: bool,

    /// How to print the report
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ReportFormat,
}

#[derive(Serialize)]
struct Report<'a> {
    recordings: u64,
    bytes: u64,
    without_body: Vec<String>,
    damaged: Vec<String>,
    unusable: Vec<Unusable<'a>>,
    bodies_without_sidecar: &'a [String],
    not_named: u64,
    hashed: bool,
    moved_aside: Vec<String>,
}

#[derive(Serialize)]
struct Unusable<'a> {
    path: &'a str,
    reason: &'a str,
}

pub(super) async fn run(config: &Config, clock: SharedClock, args: RebuildArgs) -> Result<Outcome> {
    let life = Lifecycle::install(config.shutdown.grace)?;
    let (progress, watched) = watch::channel(RebuildProgress::default());
    let over = CancellationToken::new();
    let bar = tokio::spawn(progress::draw_rebuild(watched, over.clone()));
    let report = app::rebuild(config, clock, args.quick, progress, life.soft()).await;
    over.cancel();
    drop(bar.await);
    let report = report?;
    match args.format {
        ReportFormat::Json => output::json(&Report::new(&report))?,
        ReportFormat::Table => print(&report)?,
    }
    Ok(if report.is_clean() {
        Outcome::Well
    } else {
        Outcome::Partly
    })
}

impl<'a> Report<'a> {
    fn new(report: &'a RebuildReport) -> Self {
        let unusable = report.unusable.iter().map(|unusable| Unusable {
            path: &unusable.path,
            reason: &unusable.reason,
        });
        let moved = report.moved_aside.iter().map(|(_, to)| to.display().to_string());
        Self {
            recordings: report.recordings,
            bytes: report.bytes,
            without_body: report.without_body.iter().map(ToString::to_string).collect(),
            damaged: report.damaged.iter().map(ToString::to_string).collect(),
            unusable: unusable.collect(),
            bodies_without_sidecar: &report.bodies_without_sidecar,
            not_named: report.not_named,
            hashed: report.hashed,
            moved_aside: moved.collect(),
        }
    }
}

fn print(report: &RebuildReport) -> Result<()> {
    let line = |text: String| output::line(&one_line(&text, LONGEST));
    for (from, to) in &report.moved_aside {
        line(format!(
            "moved aside what stood in the catalog's way: {} is {} now",
            from.display(),
            to.display()
        ))?;
    }
    for unusable in &report.unusable {
        line(format!("not used: {}: {}", unusable.path, unusable.reason))?;
    }
    for path in &report.bodies_without_sidecar {
        line(format!("not used: {path}: no sidecar speaks for it"))?;
    }
    for id in &report.without_body {
        line(format!("{id}: its body is not there; it is due"))?;
    }
    for id in &report.damaged {
        line(format!(
            "{id}: its body is not what its sidecar describes; see `birdkeep verify --repair`"
        ))?;
    }
    if report.not_named > 0 {
        line(format!("and {} more like these", report.not_named))?;
    }
    line(format!(
        "the catalog is made: {} recordings, {}; {} without a body, {} damaged, {} files not used",
        report.recordings,
        short_bytes(report.bytes),
        report.without_body.len(),
        report.damaged.len(),
        report.unusable.len() + report.bodies_without_sidecar.len()
    ))?;
    if !report.hashed {
        line("the bodies were not read (--quick): `birdkeep verify` reads them".to_owned())?;
    }
    Ok(())
}
