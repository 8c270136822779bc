//! `birdkeep status`: how each workspace stands. Works beside a running daemon and takes no lock.

use anyhow::Context;
use anyhow::Result;
use serde::Serialize;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::Table;
use super::output::count;
use super::output::or_dash;
use super::output::short_bytes;
use super::output::short_time;
use crate::app::ArchiveView;
use crate::catalog::LastWalk;
use crate::catalog::WorkspaceSummary;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::STATES;
use crate::domain::state::State;

#[derive(Serialize)]
struct Status<'a> {
    archive: Archive<'a>,
    workspaces: Vec<Workspace<'a>>,
}

#[derive(Serialize)]
struct Archive<'a> {
    id: Option<&'a str>,
    dir: String,
    bytes: u64,
    recordings: u64,
    free_bytes: u64,
}

#[derive(Serialize)]
struct Workspace<'a> {
    name: &'a str,
    id: &'a str,
    counts: serde_json::Map<String, serde_json::Value>,
    set_aside: u64,
    bytes: u64,
    last_walk: Option<Walk<'a>>,
    last_complete_walk_at: Option<Timestamp>,
    oldest_due_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Walk<'a> {
    kind: &'a str,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    outcome: Option<&'a str>,
    listed: u64,
}

pub(super) async fn run(config: &Config, selected: &[WorkspaceName], format: ReportFormat) -> Result<Outcome> {
    let view = ArchiveView::open(config).await?;
    let mut workspaces = view.reader.workspaces().await.context("cannot read the catalog")?;
    if !selected.is_empty() {
        workspaces.retain(|workspace| selected.contains(&workspace.name));
    }
    let archive = Archive {
        id: view.glance.id.as_deref(),
        dir: view.dir.display().to_string(),
        bytes: workspaces.iter().map(|workspace| workspace.bytes).sum(),
        recordings: workspaces
            .iter()
            .map(|workspace| count(workspace, State::Archived))
            .sum(),
        free_bytes: view.glance.free_bytes,
    };
    match format {
        ReportFormat::Json => {
            let workspaces = workspaces.iter().map(json_workspace).collect();
            output::json(&Status { archive, workspaces })?;
        }
        ReportFormat::Table => print(&archive, &workspaces)?,
    }
    Ok(Outcome::Well)
}

fn json_workspace(summary: &WorkspaceSummary) -> Workspace<'_> {
    let count = |state: State| (state.as_str().to_owned(), count(summary, state).into());
    Workspace {
        name: summary.name.as_str(),
        id: summary.id.as_str(),
        counts: STATES.into_iter().map(count).collect(),
        set_aside: summary.set_aside,
        bytes: summary.bytes,
        last_walk: summary.last_walk.as_ref().map(json_walk),
        last_complete_walk_at: summary.last_complete_walk_at,
        oldest_due_at: summary.oldest_due_at,
    }
}

fn json_walk(walk: &LastWalk) -> Walk<'_> {
    Walk {
        kind: walk.kind.as_str(),
        started_at: walk.started_at,
        finished_at: Some(walk.finished_at),
        outcome: Some(&walk.outcome),
        listed: walk.listed,
    }
}

fn print(archive: &Archive<'_>, workspaces: &[WorkspaceSummary]) -> Result<()> {
    output::line(&format!(
        "archive {} in {}: {} recordings, {}; {} free",
        or_dash(archive.id),
        archive.dir,
        archive.recordings,
        short_bytes(archive.bytes),
        short_bytes(archive.free_bytes)
    ))?;
    let mut table = Table::new(&[
        "workspace",
        "waiting#",
        "due#",
        "claimed#",
        "archived#",
        "gone#",
        "given_up#",
        "set_aside#",
        "size#",
        "last complete walk",
        "oldest due",
    ]);
    for workspace in workspaces {
        let counts = STATES.into_iter().map(|state| count(workspace, state).to_string());
        let last = [
            workspace.set_aside.to_string(),
            short_bytes(workspace.bytes),
            or_dash(workspace.last_complete_walk_at.map(short_time)),
            or_dash(workspace.oldest_due_at.map(short_time)),
        ];
        table.row([workspace.name.to_string()].into_iter().chain(counts).chain(last));
    }
    table.print(false)?;
    for workspace in workspaces {
        if let Some(walk) = workspace.last_walk.as_ref().filter(|walk| walk.outcome != "complete") {
            output::line(&format!(
                "{}: the last walk ({}, {}) {}",
                workspace.name,
                walk.kind.as_str(),
                short_time(walk.started_at),
                crate::domain::redact::one_line(&walk.outcome, 300)
            ))?;
        }
    }
    Ok(())
}
