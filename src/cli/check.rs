//! `birdkeep check`: the preflight, a line a finding.

use anyhow::Result;

use super::Outcome;
use super::output;
use crate::app;
use crate::app::Finding;
use crate::app::Level;
use crate::config::Loaded;
use crate::domain::clock::SharedClock;
use crate::domain::redact::one_line;
use crate::lifecycle::Lifecycle;

/// The longest finding shown, in characters.
const LONGEST: usize = 400;

pub(super) async fn run(loaded: &Loaded, clock: SharedClock) -> Result<Outcome> {
    let config = &loaded.config;
    let life = Lifecycle::install(config.shutdown.grace)?;
    let mut outcome = Outcome::Well;
    let mut printed = Ok(());
    app::preflight(config, &loaded.warnings, clock, life.soft(), |finding| {
        if finding.level == Level::Fail {
            outcome = Outcome::Failed;
        }
        if printed.is_ok() {
            printed = print(&finding);
        }
    })
    .await?;
    printed?;
    Ok(outcome)
}

fn print(finding: &Finding) -> Result<()> {
    let level = match finding.level {
        Level::Ok => "ok  ",
        Level::Warn => "warn",
        Level::Fail => "FAIL",
    };
    let remedy = if finding.remedy.is_empty() {
        String::new()
    } else {
        format!(" -> {}", finding.remedy)
    };
    output::line(&one_line(
        &format!("{level}  {}: {}{remedy}", finding.subject, finding.found),
        LONGEST,
    ))
}
