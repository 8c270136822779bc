//! `birdkeep backup`: a copy of the catalog that can be put back. Works beside a running daemon and takes no lock.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::short_bytes;
use crate::app;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::one_line;
use crate::lifecycle::Lifecycle;

/// The longest path that is printed, in characters: the longest that Linux knows.
const LONGEST_PATH: usize = 4096;

/// Where to.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// A file that does not exist, or a directory, in which the copy is named by archive and time
    #[arg(value_name = "DEST")]
    destination: PathBuf,

    /// How to print what was made
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ReportFormat,
}

#[derive(Serialize)]
struct Made<'a> {
    path: String,
    archive_id: &'a str,
    recordings: u64,
    archived: u64,
    size_bytes: u64,
    created_at: Timestamp,
}

pub(super) async fn run(
    config: &Config,
    clock: SharedClock,
    selected: &[WorkspaceName],
    args: BackupArgs,
) -> Result<Outcome> {
    if !selected.is_empty() {
        output::complain("a backup is of the whole catalog: --workspace cannot be given with it");
        return Ok(Outcome::Usage);
    }
    let life = Lifecycle::install(config.shutdown.grace)?;
    let (created_at, begun) = (clock.now(), Instant::now());
    let backup = app::backup(config, &args.destination, created_at, life.soft()).await?;
    let report = &backup.report;
    match args.format {
        ReportFormat::Json => output::json(&Made {
            path: backup.path.display().to_string(),
            archive_id: &report.archive_id,
            recordings: report.recordings,
            archived: report.archived,
            size_bytes: report.size_bytes,
            created_at,
        })?,
        ReportFormat::Table => output::line(&format!(
            "{}: archive {}, {} recordings, {} of them archived; {} in {:.1} s, tested",
            one_line(&backup.path.display().to_string(), LONGEST_PATH),
            report.archive_id,
            report.recordings,
            report.archived,
            short_bytes(report.size_bytes),
            begun.elapsed().as_secs_f64()
        ))?,
    }
    Ok(Outcome::Well)
}
