//! `birdkeep --once` and `--once --dry-run`: one pass, or a look at what it would do.

use std::sync::Arc;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::output;
use super::output::Table;
use super::output::count;
use super::output::short_bytes;
use super::progress;
use crate::app;
use crate::app::App;
use crate::app::Notifier;
use crate::app::Observer;
use crate::app::OnceReport;
use crate::config::Config;
use crate::config::Loaded;
use crate::domain::clock::SharedClock;
use crate::domain::state::STATES;
use crate::domain::state::State;
use crate::lifecycle::Lifecycle;

pub(super) async fn once(loaded: &Loaded, clock: SharedClock) -> Result<Outcome> {
    let config = &loaded.config;
    let life = Lifecycle::install(config.shutdown.grace)?;
    for warning in &loaded.warnings {
        tracing::warn!(remark = warning, "the configuration is allowed, and unwise");
    }
    let notifier = app::notifier(config)?;
    let told = notifier.begin_pass();
    let ended = pass(config, clock, &life, &notifier).await;
    let outcome = match &ended {
        _ if life.soft().is_cancelled() => None,
        Ok(report) if report.is_complete() => Some(Ok(())),
        Ok(report) => Some(Err(shortcomings(report).join("\n"))),
        Err(error) => Some(Err(format!("birdkeep ended: {error:#}"))),
    };
    told.end(outcome).await;
    let report = ended?;
    print(&report)?;
    Ok(if report.is_complete() {
        Outcome::Well
    } else {
        Outcome::Partly
    })
}

async fn pass(config: &Config, clock: SharedClock, life: &Lifecycle, notifier: &Arc<Notifier>) -> Result<OnceReport> {
    let app = App::open(config, Arc::clone(&clock), &Observer::new(clock)).await?;
    let over = CancellationToken::new();
    let bar = tokio::spawn(progress::draw(app.reader(), app.progress(), over.clone()));
    let report = app.run_once(life, notifier).await;
    over.cancel();
    drop(bar.await);
    report
}

/// What is not as it should be after a pass, one thing a line.
fn shortcomings(report: &OnceReport) -> Vec<String> {
    let walks = report.walks_failed.iter();
    let mut lines: Vec<String> = walks
        .map(|(workspace, why)| format!("{workspace}: the list was not read to its end: {why}"))
        .collect();
    for workspace in &report.workspaces {
        let open = [State::Due, State::Claimed, State::GivenUp];
        let counts = open.map(|state| (state.as_str(), count(workspace, state)));
        let counts = counts.into_iter().chain([("set_aside", workspace.set_aside)]);
        let counts: Vec<String> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        if !counts.is_empty() {
            lines.push(format!("{}: {}", workspace.name, counts.join(", ")));
        }
    }
    lines
}

fn print(report: &OnceReport) -> Result<()> {
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
    ]);
    for workspace in &report.workspaces {
        let counts = STATES.into_iter().map(|state| count(workspace, state).to_string());
        let last = [workspace.set_aside.to_string(), short_bytes(workspace.bytes)];
        table.row([workspace.name.to_string()].into_iter().chain(counts).chain(last));
    }
    table.print(false)?;
    let drained = report.drained;
    output::line(&format!(
        "this pass: {} archived ({}), {} failed, {} gone",
        drained.archived,
        short_bytes(drained.archived_bytes),
        drained.failed,
        drained.gone
    ))?;
    for (workspace, why) in &report.walks_failed {
        output::line(&format!("{workspace}: the list was not read to its end: {why}"))?;
    }
    if !report.is_complete() {
        output::line(
            "not everything is archived: see `birdkeep list --state due --state given_up` and `birdkeep status`",
        )?;
    }
    Ok(())
}

pub(super) async fn dry_run(config: &Config, clock: SharedClock) -> Result<Outcome> {
    let life = Lifecycle::install(config.shutdown.grace)?;
    let reports = app::dry_run(config, clock, life.soft()).await?;
    let mut table = Table::new(&[
        "workspace",
        "listed#",
        "would_archive#",
        "archived#",
        "waiting#",
        "without_media#",
        "set_aside#",
    ]);
    for (name, report) in &reports {
        let numbers = [
            report.listed,
            report.would_archive,
            report.archived,
            report.waiting,
            report.without_media,
            report.set_aside,
        ];
        table.row(
            [name.to_string()]
                .into_iter()
                .chain(numbers.map(|number| number.to_string())),
        );
    }
    table.print(false)?;
    let mut outcome = Outcome::Well;
    for (name, report) in &reports {
        if let Some(why) = &report.failure {
            output::line(&format!("{name}: the list was not read to its end: {why}"))?;
            outcome = Outcome::Partly;
        }
        if report.set_aside > 0 {
            outcome = Outcome::Partly;
        }
    }
    output::line("dry run: nothing was written")?;
    Ok(outcome)
}
