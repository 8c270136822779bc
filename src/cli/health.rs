//! `birdkeep health`: whether the daemon of this configuration lives, or is ready; for container probes.

use std::net::SocketAddr;

use anyhow::Context as _;
use anyhow::Result;
use clap::Args;
use serde::Deserialize;

use super::Outcome;
use super::output;
use crate::app;
use crate::app::AskError;
use crate::app::Reply;
use crate::config::Config;
use crate::domain::redact::one_line;

/// The longest line, in characters.
const LONGEST: usize = 400;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Whether it is ready, not only alive: exit 1 while anything needs somebody
    #[arg(long)]
    ready: bool,
}

impl HealthArgs {
    /// Whether more than life is asked for.
    pub(super) const fn wants_readiness(&self) -> bool {
        self.ready
    }
}

#[derive(Deserialize)]
struct Readiness {
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    workspace: Option<String>,
    text: String,
}

/// Whether it lives. A configuration that a daemon refused, or was not yet told of, is none that it runs by: whatever is wrong
/// with it, only where to ask is taken from it.
pub(super) async fn alive(listen: SocketAddr) -> Outcome {
    let told = tell(listen, app::probe_life(listen).await, "alive");
    told.unwrap_or_else(|error| {
        output::complain(&format!("{error:#}"));
        Outcome::Failed
    })
}

/// Whether it is ready.
pub(super) async fn ready(config: &Config) -> Result<Outcome> {
    tell(config.http.listen, app::probe_readiness(config).await, "ready")
}

fn tell(listen: SocketAddr, reply: Result<Reply, AskError>, well: &str) -> Result<Outcome> {
    let reply = reply.with_context(|| format!("no daemon answers at {listen} (http.listen)"))?;
    let is_well = reply.status == 200;
    let word = match reply.status {
        200 => well,
        503 => "not ready",
        _ => "refused",
    };
    let line = match serde_json::from_str::<Readiness>(&reply.text) {
        Ok(readiness) if !readiness.problems.is_empty() => format!("{word}: {}", in_words(&readiness)),
        _ if is_well => word.to_owned(),
        _ => format!("{word}: status {}: {}", reply.status, reply.text.trim()),
    };
    output::line(&one_line(&line, LONGEST))?;
    Ok(if is_well { Outcome::Well } else { Outcome::Failed })
}

fn in_words(readiness: &Readiness) -> String {
    let problems = readiness.problems.iter().map(|problem| match &problem.workspace {
        Some(workspace) => format!("{workspace}: {} ({})", problem.code, problem.text),
        None => format!("{} ({})", problem.code, problem.text),
    });
    problems.collect::<Vec<_>>().join("; ")
}
