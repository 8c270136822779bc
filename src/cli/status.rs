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
use crate::catalog::Soundness;
use crate::catalog::WorkspaceSummary;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::finding::FindingKind;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::STATES;
use crate::domain::state::State;

#[derive(Serialize)]
struct Status<'a> {
    archive: Archive<'a>,
    workspaces: Vec<Workspace<'a>>,
    verify: Verify,
}

#[derive(Serialize)]
struct Archive<'a> {
    id: Option<&'a str>,
    dir: String,
    bytes: u64,
    recordings: u64,
    free_bytes: u64,
}

/// How sound the archive is known to be.
#[derive(Serialize)]
struct Verify {
    last_scope: Option<String>,
    last_started_at: Option<Timestamp>,
    last_finished_at: Option<Timestamp>,
    last_checked: Option<u64>,
    unknown_files: Option<u64>,
    missing: u64,
    damaged: u64,
    unreadable: u64,
    sidecars: u64,
    all_read_since: Option<Timestamp>,
}

impl Verify {
    fn new(soundness: &Soundness) -> Self {
        let count = |kind| soundness.findings.get(&kind).copied().unwrap_or(0);
        let last = soundness.last.as_ref();
        Self {
            last_scope: last.map(|last| last.scope.clone()),
            last_started_at: last.map(|last| last.started_at),
            last_finished_at: last.and_then(|last| last.finished_at),
            last_checked: last.map(|last| last.checked),
            unknown_files: last.and_then(|last| last.unknown_files),
            missing: count(FindingKind::Missing),
            damaged: count(FindingKind::Damaged),
            unreadable: count(FindingKind::Unreadable),
            sidecars: count(FindingKind::Sidecar),
            all_read_since: soundness.all_read_since,
        }
    }
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
    let soundness = view.reader.soundness().await.context("cannot read the catalog")?;
    let verify = Verify::new(&soundness);
    match format {
        ReportFormat::Json => {
            let workspaces = workspaces.iter().map(json_workspace).collect();
            output::json(&Status {
                archive,
                workspaces,
                verify,
            })?;
        }
        ReportFormat::Table => {
            print(&archive, &workspaces)?;
            print_verify(&verify)?;
        }
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

fn print_verify(verify: &Verify) -> Result<()> {
    let Some(scope) = &verify.last_scope else {
        return output::line("nothing was re-read yet (birdkeep verify; the daemon does a part a day)");
    };
    output::line(&format!(
        "re-read last: {scope}, {} recordings, begun {}{}; everything re-read since {}",
        or_dash(verify.last_checked),
        or_dash(verify.last_started_at.map(short_time)),
        if verify.last_finished_at.is_some() {
            ""
        } else {
            ", not finished"
        },
        or_dash(verify.all_read_since.map(short_time))
    ))?;
    let Verify {
        missing,
        damaged,
        unreadable,
        sidecars,
        ..
    } = verify;
    if missing + damaged + unreadable + sidecars > 0 {
        output::line(&format!(
            "FOUND: {missing} missing, {damaged} damaged, {unreadable} unreadable, {sidecars} with a wrong sidecar; \
             see `birdkeep verify --found`"
        ))?;
    }
    match verify.unknown_files {
        Some(files @ 1..) => output::line(&format!("{files} files that no recording names; see `birdkeep verify`")),
        _ => Ok(()),
    }
}
