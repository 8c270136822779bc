//! `birdkeep health`: whether the daemon of this configuration lives, or is ready; for container probes.

use anyhow::Context as _;
use anyhow::Result;
use clap::Args;
use serde::Deserialize;

use super::Outcome;
use super::output;
use crate::app;
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
    /// Whether what is asked is told only to whoever has the listener's token.
    pub(super) const fn needs_token(&self) -> bool {
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

pub(super) async fn run(config: &Config, args: HealthArgs) -> Result<Outcome> {
    let reply = app::probe(config, args.ready)
        .await
        .with_context(|| format!("no daemon answers at {} (http.listen)", config.http.listen))?;
    let is_well = reply.status == 200;
    let word = match (args.ready, is_well) {
        (false, true) => "alive",
        (true, true) => "ready",
        (true, false) if reply.status == 503 => "not ready",
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
