//! `birdkeep retry`: makes recordings due again. Works beside a running daemon, which takes them up within seconds.

use anyhow::Context;
use anyhow::Result;
use clap::Args;

use super::Outcome;
use super::output;
use crate::app::ArchiveView;
use crate::config::Config;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;

/// Which recordings.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryArgs {
    /// The recordings' ids
    #[arg(value_name = "ID", value_parser = super::recording_id)]
    ids: Vec<RecordingId>,

    /// All that were given up, are gone, or wait after a failure
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(config: &Config, selected: &[WorkspaceName], args: RetryArgs) -> Result<Outcome> {
    let view = ArchiveView::open(config).await?;
    let catalog = view.writer(config).await?;
    let workspaces = (!selected.is_empty()).then_some(selected);
    let report = if args.all {
        catalog.retry_all(workspaces).await
    } else {
        catalog.retry(&args.ids, workspaces).await
    };
    let report = report.context("cannot write to the catalog")?;
    catalog.close().await.context("cannot close the catalog")?;
    output::line(&format!("{} made due again", report.retried))?;
    for (ids, what) in [
        (&report.already_archived, "archived already, left as it is"),
        (&report.untouched, "due already or not available yet, left as it is"),
        (&report.not_known, "not known"),
    ] {
        ids.iter().try_for_each(|id| output::line(&format!("{id}: {what}")))?;
    }
    Ok(if report.not_known.is_empty() {
        Outcome::Well
    } else {
        Outcome::Failed
    })
}
