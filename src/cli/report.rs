//! `birdkeep report`: the statement of completeness. Works beside a running daemon, takes no lock, and needs neither keys
//! nor network.

use std::collections::BTreeMap;
use std::collections::HashMap;

use anyhow::Context;
use anyhow::Result;
use clap::Args;
use clap::ValueEnum;

use super::KeyFiles;
use super::Outcome;
use super::output;
use super::report_json;
use super::report_text;
use crate::app;
use crate::app::ArchiveView;
use crate::app::Counted;
use crate::catalog::ArchiveRow;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::completeness::Gap;
use crate::domain::completeness::GapKind;
use crate::domain::completeness::Period;
use crate::domain::completeness::Question;
use crate::domain::completeness::WalkEvidence;
use crate::domain::completeness::WorkspaceBook;
use crate::domain::completeness::gaps;
use crate::domain::day::Day;
use crate::domain::ids::WorkspaceName;

/// How many times the time between two walks over everything may pass before the last one is too old.
const FULL_WALKS_MISSED: u32 = 2;

/// What to state, and how.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Only recordings created on this day or later (UTC; RFC 3339 at midnight will do too)
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<Day>,

    /// Only recordings created before this day
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<Day>,

    /// Do not ask Bird for its own counter: no key is read, and nothing is sent
    #[arg(long)]
    no_witness: bool,

    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: StatementFormat,
}

impl ReportArgs {
    /// Whether this statement asks Bird anything.
    pub(super) const fn wants_witness(&self) -> bool {
        !self.no_witness
    }
}

/// How a statement is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatementFormat {
    /// For people, to print and keep.
    Table,
    /// One JSON object.
    Json,
    /// RFC 4180, with a header: a row a workspace and day.
    Csv,
}

/// A day as people write it.
fn day(text: &str) -> Result<Day, String> {
    let at: Option<Timestamp> = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok();
    at.filter(|at| Day::of(*at).start() == *at)
        .map(Day::of)
        .ok_or_else(|| "not a date such as 2026-01-31, or its first moment in UTC".to_owned())
}

/// Everything that a statement says.
pub(super) struct Statement {
    pub archive: ArchiveRow,
    pub dir: String,
    pub stated_at: Timestamp,
    pub period: Period,
    pub workspaces: Vec<Stated>,
    /// What concerns the archive as a whole.
    pub gaps: Vec<Gap>,
}

/// What a statement says of one workspace.
pub(super) struct Stated {
    pub book: WorkspaceBook,
    pub is_configured: bool,
    pub gaps: Vec<Gap>,
    /// What upstream counts, or why that is not known.
    pub witness: Result<Counted, String>,
}

impl Statement {
    /// Every gap, with the workspace that it is in.
    pub fn all_gaps(&self) -> impl Iterator<Item = (Option<&WorkspaceName>, &Gap)> {
        let of_archive = self.gaps.iter().map(|gap| (None, gap));
        let of_workspaces = self
            .workspaces
            .iter()
            .flat_map(|stated| stated.gaps.iter().map(|gap| (Some(&stated.book.name), gap)));
        of_archive.chain(of_workspaces)
    }

    /// Whether there is no gap.
    pub fn is_complete(&self) -> bool {
        self.all_gaps().next().is_none()
    }
}

pub(super) async fn run(
    config: &Config,
    clock: SharedClock,
    selected: &[WorkspaceName],
    args: ReportArgs,
    keys: KeyFiles,
) -> Result<Outcome> {
    let period = Period {
        since: args.since,
        until: args.until,
    };
    if let (Some(since), Some(until)) = (period.since, period.until)
        && since >= until
    {
        output::complain("--since is not before --until: no day is asked for");
        return Ok(Outcome::Usage);
    }
    let view = ArchiveView::open(config).await?;
    let stated_at = clock.now();
    let books = view.reader.books(stated_at).await.context("cannot read the catalog")?;
    let mut witnesses = match keys {
        KeyFiles::Read => app::witness(config, clock).await.into_iter().collect(),
        KeyFiles::Unread(why) => {
            let names = config.workspaces.iter();
            let not_asked = |name: &WorkspaceName| (name.clone(), Err(format!("not asked: {why}")));
            names.map(|workspace| not_asked(&workspace.name)).collect()
        }
    };
    let question = Question {
        now: stated_at,
        period,
        freshness: config.sync.full_walk_interval * FULL_WALKS_MISSED,
    };
    let statement = Statement {
        gaps: books.copied_at.map(restored).into_iter().collect(),
        archive: books.archive,
        dir: view.dir.display().to_string(),
        stated_at,
        period,
        workspaces: with_unknown(books.workspaces, config)
            .into_iter()
            .filter(|book| selected.is_empty() || selected.contains(&book.name))
            .map(|book| state(book, config, &question, &mut witnesses))
            .collect(),
    };
    match args.format {
        StatementFormat::Table => report_text::print(&statement)?,
        StatementFormat::Json => report_json::print(&statement)?,
        StatementFormat::Csv => report_json::print_csv(&statement)?,
    }
    Ok(if statement.is_complete() {
        Outcome::Well
    } else {
        Outcome::Partly
    })
}

fn restored(copied_at: Timestamp) -> Gap {
    Gap {
        kind: GapKind::Restored,
        count: None,
        text: format!(
            "the catalog is a backup of {} and was not brought level with the files yet: start birdkeep once",
            output::short_time(copied_at)
        ),
    }
}

/// The books, with an empty one for each configured workspace that the catalog has never heard of.
fn with_unknown(mut books: Vec<WorkspaceBook>, config: &Config) -> Vec<WorkspaceBook> {
    for workspace in &config.workspaces {
        if !books.iter().any(|book| book.name == workspace.name) {
            books.push(WorkspaceBook {
                name: workspace.name.clone(),
                id: workspace.id.clone(),
                walks: WalkEvidence::default(),
                days: BTreeMap::new(),
                counters: BTreeMap::new(),
                counted_bytes: 0,
            });
        }
    }
    books.sort_by(|one, other| one.name.cmp(&other.name));
    books
}

fn state(
    book: WorkspaceBook,
    config: &Config,
    question: &Question,
    witnesses: &mut HashMap<WorkspaceName, Result<Counted, String>>,
) -> Stated {
    let configured = config.workspaces.iter().find(|known| known.name == book.name);
    let is_configured = configured.is_some();
    let witness = witnesses.remove(&book.name);
    let mut gaps = gaps(&book, is_configured, question);
    if let Some(other) = configured.filter(|known| known.id != book.id) {
        gaps.push(Gap {
            kind: GapKind::NeverWalked,
            count: None,
            text: format!(
                "the configuration gives this name to another workspace, {}, whose list was never read",
                other.id
            ),
        });
    }
    Stated {
        gaps,
        is_configured,
        witness: witness.unwrap_or_else(|| Err("not asked: the workspace is not configured".to_owned())),
        book,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_day_and_nothing_in_between() {
        assert_eq!(day("2026-01-31").unwrap().to_string(), "2026-01-31");
        assert_eq!(day("2026-01-31T00:00:00Z"), day("2026-01-31"));
        assert_eq!(day("2026-01-31T01:00:00+01:00"), day("2026-01-31"));
        for bad in ["2026-01-31T08:00:00Z", "2026-01", "yesterday", "", "2026-02-30"] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
