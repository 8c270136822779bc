//! `birdkeep check`: the preflight, a line a finding.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::ReportFormat;
use super::output;
use crate::app;
use crate::app::Finding;
use crate::app::Level;
use crate::app::PreflightOptions;
use crate::config::Loaded;
use crate::domain::clock::SharedClock;
use crate::domain::redact::one_line;
use crate::lifecycle::Lifecycle;
use crate::telemetry;

/// The longest part of a finding that is shown, in characters.
const LONGEST: usize = 600;

/// The options of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is changed at Bird or in the archive. To see whether a key could delete recordings, one \
DELETE is sent for a random id, made anew each time, which no recording has: 401 or 403 says that the key may not, which is \
as it should be; 404 says that it may. --no-delete-probe leaves that out.\n\nExit codes: 0 no finding is a fail; 1 one is; \
78 the configuration has faults, which are listed."
)]
pub(super) struct CheckArgs {
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ReportFormat,

    /// Do not try whether the keys may delete recordings
    #[arg(long)]
    no_delete_probe: bool,
}

pub(super) async fn run(loaded: &Loaded, clock: SharedClock, args: &CheckArgs) -> Result<Outcome> {
    let life = Lifecycle::install(loaded.config.shutdown.grace)?;
    let options = PreflightOptions {
        delete_probe: !args.no_delete_probe,
    };
    let (mut worst, mut printed, mut findings) = (Level::Ok, Ok(()), Vec::new());
    app::preflight(loaded, options, clock, life.soft(), |finding| {
        worst = worst.max(finding.level);
        match args.format {
            ReportFormat::Json => findings.push(FindingJson::of(&finding)),
            ReportFormat::Table if printed.is_ok() => printed = print(&finding),
            ReportFormat::Table => {}
        }
    })
    .await?;
    printed?;
    if matches!(args.format, ReportFormat::Json) {
        let outcome = worst.as_str();
        output::json(&ReportJson { outcome, findings })?;
    }
    Ok(match worst {
        Level::Fail => Outcome::Failed,
        Level::Ok | Level::Warn => Outcome::Well,
    })
}

fn print(finding: &Finding) -> Result<()> {
    let level = match finding.level {
        Level::Ok => "ok  ",
        Level::Warn => "warn",
        Level::Fail => "FAIL",
    };
    let workspace = finding.workspace.as_ref();
    let about = workspace.map_or_else(String::new, |workspace| format!("{workspace}: "));
    let remedy = finding
        .remedy
        .as_deref()
        .map_or_else(String::new, |remedy| format!(" -> {}", fit(remedy)));
    output::line(&format!(
        "{level}  {about}{}: {}{remedy}",
        finding.subject,
        fit(&finding.found)
    ))
}

/// What was found may repeat what upstream said.
fn fit(text: &str) -> String {
    one_line(&telemetry::clean(text), LONGEST)
}

#[derive(Serialize)]
struct ReportJson {
    outcome: &'static str,
    findings: Vec<FindingJson>,
}

#[derive(Serialize)]
struct FindingJson {
    level: &'static str,
    subject: &'static str,
    found: String,
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
}

impl FindingJson {
    fn of(finding: &Finding) -> Self {
        Self {
            level: finding.level.as_str(),
            subject: finding.subject,
            found: fit(&finding.found),
            remedy: finding.remedy.as_deref().map(fit),
            workspace: finding.workspace.as_ref().map(ToString::to_string),
        }
    }
}
