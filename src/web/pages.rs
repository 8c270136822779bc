//! What is answered: the index, health, readiness, metrics.
//!
//! Must not know: connections, who may ask.

use hyper::StatusCode;
use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;
use crate::metrics;
use crate::standing::Observer;
use crate::standing::Problem;
use crate::standing::Standing;
use crate::standing::WorkspaceStanding;

/// The page that answers for as long as the event loop turns.
pub(super) const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";
const METRICS: &str = "/metrics";

/// Every page.
pub(super) const PATHS: [&str; 4] = ["/", HEALTHZ, READYZ, METRICS];

const INDEX: &str = "birdkeep\n\n\
    /healthz   200 while the process answers at all\n\
    /readyz    200 if nothing is wrong that needs somebody, else 503 and what it is (JSON)\n\
    /metrics   numbers for Prometheus\n";

const PLAIN: &str = "text/plain; charset=utf-8";

/// One answer.
pub(super) struct Page {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub text: String,
}

impl Page {
    /// A few words.
    pub fn plain(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            content_type: PLAIN,
            text: text.to_owned(),
        }
    }
}

/// The page of one of [`PATHS`].
pub(super) async fn page(path: &str, observer: &Observer) -> Page {
    match path {
        METRICS => Page {
            status: StatusCode::OK,
            content_type: metrics::CONTENT_TYPE,
            text: metrics::exposition(&*observer.standing().await, observer.tallies()),
        },
        READYZ => readiness(&*observer.standing().await),
        // That this is answered is the proof. What a part waits for — upstream, a disk — a restart would not mend, and a
        // part that ends takes the process with it.
        HEALTHZ => Page::plain(StatusCode::OK, "alive\n"),
        _ => Page::plain(StatusCode::OK, INDEX),
    }
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    at: Timestamp,
    problems: Vec<Told<'a>>,
    workspaces: Vec<Workspace<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    workspace: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct Workspace<'a> {
    name: &'a str,
    ready: bool,
    last_complete_walk_at: Option<Timestamp>,
    oldest_due_at: Option<Timestamp>,
    due: Option<u64>,
    given_up: Option<u64>,
}

fn readiness(standing: &Standing) -> Page {
    let problems = standing.problems();
    let ready = standing.is_ready();
    let answer = Readiness {
        ready,
        at: standing.at,
        problems: problems.iter().map(told).collect(),
        workspaces: standing
            .workspaces
            .iter()
            .map(|workspace| shown(workspace, &problems))
            .collect(),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&answer) {
        Ok(text) => Page {
            status,
            content_type: "application/json",
            text: text + "\n",
        },
        Err(error) => Page::plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn told(problem: &Problem) -> Told<'_> {
    Told {
        code: problem.code.as_str(),
        workspace: problem.workspace.as_ref().map(WorkspaceName::as_str),
        text: &problem.text,
    }
}

fn shown<'a>(workspace: &'a WorkspaceStanding, problems: &[Problem]) -> Workspace<'a> {
    let is_here = |problem: &&Problem| problem.workspace.as_ref() == Some(&workspace.name);
    let count = |state| workspace.summary.as_ref().map(|_| workspace.count(state));
    Workspace {
        name: workspace.name.as_str(),
        ready: !problems
            .iter()
            .filter(is_here)
            .any(|problem| problem.code.makes_unready()),
        last_complete_walk_at: workspace.last_complete_walk_at(),
        oldest_due_at: workspace.oldest_due_at(),
        due: count(State::Due),
        given_up: count(State::GivenUp),
    }
}
