//! What of the daemon's standing is told of.
//!
//! Must not know: who is told.

use std::collections::BTreeMap;

use bytesize::ByteSize;

use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::standing::Problem;
use crate::standing::ProblemCode;
use crate::standing::Standing;
use crate::standing::WorkspaceStanding;

/// How things stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Situation {
    pub workspaces: BTreeMap<WorkspaceName, WorkspaceSituation>,
    /// Why the archive takes no recordings, if it does not.
    pub disk: Option<String>,
    /// All that makes a cycle a bad one, one line each.
    pub wrong: Vec<String>,
}

/// How one workspace stands.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkspaceSituation {
    /// Walks of this process that were begun, and that came to an end by themselves.
    pub walks_begun: u64,
    pub walks_ended: u64,
    /// What is said where the credential is refused.
    pub paused: Option<String>,
    /// Why the last walk of the run before failed, if it did.
    pub failed_before: Option<String>,
    /// Recordings that this process gave up, and the newest of them.
    pub gave_up: u64,
    pub newest_given_up: Vec<RecordingId>,
}

impl Situation {
    /// Out of a standing. `failed_before` says why the last walks failed that ended before this process began.
    pub(super) fn of(standing: &Standing, failed_before: &BTreeMap<WorkspaceName, String>) -> Self {
        let problems = standing.problems();
        let is_disk = |problem: &&Problem| matches!(problem.code, ProblemCode::DiskLow | ProblemCode::DiskRefuses);
        let is_bad = |problem: &&Problem| {
            is_disk(problem)
                || matches!(
                    problem.code,
                    ProblemCode::CatalogUnreadable | ProblemCode::Paused | ProblemCode::Failing
                )
        };
        let workspaces = standing.workspaces.iter().map(|workspace| {
            let before = failed_before.get(&workspace.name).cloned();
            (workspace.name.clone(), WorkspaceSituation::of(workspace, before))
        });
        Self {
            workspaces: workspaces.collect(),
            disk: problems.iter().find(is_disk).map(|problem| disk(standing, problem)),
            wrong: problems
                .iter()
                .filter(is_bad)
                .map(|problem| line(standing, problem))
                .collect(),
        }
    }
}

impl WorkspaceSituation {
    fn of(workspace: &WorkspaceStanding, failed_before: Option<String>) -> Self {
        let given_up = workspace.tally.given_up();
        Self {
            walks_begun: workspace.tally.passes_begun.get(),
            walks_ended: workspace.tally.passes_ended.get(),
            paused: workspace.paused.as_ref().map(|wrong| wrong.reason.clone()),
            failed_before,
            gave_up: given_up.count,
            newest_given_up: given_up.newest.into(),
        }
    }
}

fn line(standing: &Standing, problem: &Problem) -> String {
    match &problem.workspace {
        Some(workspace) => format!("{workspace}: {}", problem.text),
        None => disk(standing, problem),
    }
}

/// In sizes that people read, and that nobody takes for a phone number.
fn disk(standing: &Standing, problem: &Problem) -> String {
    match standing.space {
        Some(space) if problem.code == ProblemCode::DiskLow => format!(
            "{} are free, and archive.min_free keeps {}; nothing is fetched",
            ByteSize::b(space.free_bytes),
            ByteSize::b(space.reserve_bytes)
        ),
        _ => problem.text.clone(),
    }
}

/// Why the last walk of each workspace failed, where it did.
pub(super) fn failures(standing: &Standing) -> BTreeMap<WorkspaceName, String> {
    let failure = |workspace: &WorkspaceStanding| {
        let last = workspace.summary.as_ref()?.last_walk.as_ref()?;
        let why = last.outcome.strip_prefix("failed: ")?;
        Some((workspace.name.clone(), why.to_owned()))
    };
    standing.workspaces.iter().filter_map(failure).collect()
}
