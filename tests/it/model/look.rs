//! All that the catalog's read side shows, and the same of the model, side by side.
//!
//! Must not know: what happened before.

use std::collections::BTreeMap;

use anyhow::Result;
use anyhow::ensure;
use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::ListFilter;
use birdkeep::catalog::RecordingDetail;
use birdkeep::catalog::RecordingRow;
use birdkeep::catalog::WorkspaceSummary;
use birdkeep::domain::completeness::WorkspaceBook;
use birdkeep::domain::day::Day;
use birdkeep::domain::state::STATES;
use birdkeep::domain::state::State;

use super::calls::REASON;
use super::calls::SPACES;
use super::calls::id;
use super::calls::micros;
use super::calls::number;
use super::calls::workspace;
use super::rules::Aside;
use super::rules::Body;
use super::rules::Key;
use super::rules::Model;
use super::rules::Row;
use super::rules::Space;
use super::steps::NUMBERS;
use super::world::time;

/// A workspace as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) rows: BTreeMap<u8, Row>,
    aside: BTreeMap<String, Aside>,
    summary: Summary,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Summary {
    counts: BTreeMap<State, u64>,
    bytes: u64,
    set_aside: u64,
    /// Whether full, from when to when, how it ended, how many it listed.
    last_walk: Option<(bool, i64, i64, String, u64)>,
    last_complete_at: Option<i64>,
    oldest_due_at: Option<i64>,
    due_now: u64,
    next_due_at: Option<i64>,
}

/// What the catalog shows of both workspaces. Holds that it shows the same in every way that it can be asked.
pub(super) async fn shown(catalog: &Catalog, now: i64) -> Result<[Shown; 2]> {
    let reader = catalog.reader();
    let mut rows: [BTreeMap<u8, Row>; 2] = Default::default();
    let listed = list(&reader).await?;
    let mut details = 0;
    for n in 0..NUMBERS {
        for detail in reader.show(&id(n)).await? {
            let space = space_of(detail.row.workspace.as_str());
            ensure!(
                listed.contains(&detail.row),
                "{n} is shown and not listed so: {detail:?}"
            );
            details += 1;
            rows[space].insert(n, row(detail));
        }
    }
    ensure!(
        details == listed.len(),
        "{details} are shown and {} listed",
        listed.len()
    );
    let mut aside: [BTreeMap<String, Aside>; 2] = Default::default();
    for item in reader.set_aside(&[], 1_000).await? {
        ensure!(item.reason == REASON, "{item:?}");
        let shown = Aside {
            n: item.id.as_ref().map(number),
            first_seen_at: micros(item.first_seen_at),
            last_seen_at: micros(item.last_seen_at),
            open: true,
        };
        aside[space_of(item.workspace.as_str())].insert(item.raw, shown);
    }
    let faults = reader.integrity().await?;
    ensure!(faults.is_empty(), "{faults:?}");
    hold_books(&reader.books(time(now)).await?.workspaces, &rows)?;
    let summaries = reader.workspaces().await?;
    ensure!(summaries.iter().map(|of| of.name.as_str()).eq(SPACES), "{summaries:?}");
    let mut shown = Vec::new();
    for (space, (rows, aside)) in rows.into_iter().zip(aside).enumerate() {
        let summary = summary(catalog, &summaries[space], space, now).await?;
        shown.push(Shown { rows, aside, summary });
    }
    Ok(shown.try_into().expect("two workspaces"))
}

/// Holds that the books close, and that each day says of each state what the rows do.
fn hold_books(books: &[WorkspaceBook], rows: &[BTreeMap<u8, Row>; 2]) -> Result<()> {
    ensure!(books.iter().map(|of| of.name.as_str()).eq(SPACES), "{books:?}");
    for (book, rows) in books.iter().zip(rows) {
        let open = book.open_sums();
        ensure!(open.is_empty(), "{}", open.join("; "));
        let mut wanted: BTreeMap<(Day, State), u64> = BTreeMap::new();
        for row in rows.values() {
            *wanted.entry((Day::of(time(row.created_at)), row.state)).or_default() += 1;
        }
        let counted = book
            .days
            .iter()
            .flat_map(|(day, counts)| STATES.into_iter().map(|state| ((*day, state), counts.in_state(state))));
        let counted: BTreeMap<(Day, State), u64> = counted.filter(|(_, count)| *count > 0).collect();
        ensure!(counted == wanted, "the books say {counted:?}, the rows {wanted:?}");
    }
    Ok(())
}

/// The whole list, a few at a time: newest first, none twice.
async fn list(reader: &CatalogReader) -> Result<Vec<RecordingRow>> {
    let mut listed: Vec<RecordingRow> = Vec::new();
    loop {
        let page = reader
            .list_page(&ListFilter::default(), listed.last().map(RecordingRow::cursor), 5)
            .await?;
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    ensure!(
        listed.is_sorted_by(|a, b| a.created_at >= b.created_at),
        "not newest first: {listed:?}"
    );
    Ok(listed)
}

fn space_of(name: &str) -> usize {
    SPACES.iter().position(|space| *space == name).expect("one of ours")
}

fn row(detail: RecordingDetail) -> Row {
    let row = detail.row;
    let body = row.path.map(|path| Body {
        path,
        size_bytes: row.size_bytes.unwrap_or_default(),
        sha256: row.sha256.expect("what has a path has a digest").0,
        archived_at: row.archived_at.map(micros).unwrap_or_default(),
        remark: detail.remark,
    });
    Row {
        state: row.state,
        status: row.status,
        created_at: micros(row.created_at),
        text: detail.metadata,
        first_seen_at: micros(detail.first_seen_at),
        last_seen_at: micros(detail.last_seen_at),
        attempts: row.attempts,
        not_before: detail.not_before.map(micros).unwrap_or_default(),
        why: row.last_error,
        body,
        earlier: detail
            .metadata_versions
            .into_iter()
            .map(|old| (micros(old.superseded_at), old.metadata))
            .collect(),
    }
}

async fn summary(catalog: &Catalog, of: &WorkspaceSummary, space: usize, now: i64) -> Result<Summary> {
    let name = [workspace(space)];
    let last = of.last_walk.as_ref();
    Ok(Summary {
        counts: of.counts.clone(),
        bytes: of.bytes,
        set_aside: of.set_aside,
        last_walk: last.map(|walk| {
            let times = (micros(walk.started_at), micros(walk.finished_at));
            (
                walk.kind.as_str() == "full",
                times.0,
                times.1,
                walk.outcome.clone(),
                walk.listed,
            )
        }),
        last_complete_at: of.last_complete_walk_at.map(micros),
        oldest_due_at: of.oldest_due_at.map(micros),
        due_now: catalog.reader().due_now(&name, time(now)).await?,
        next_due_at: catalog.next_due_at(&name).await?.map(micros),
    })
}

impl Model {
    /// What must be shown.
    pub(super) fn shown(&self, now: i64) -> [Shown; 2] {
        [0, 1].map(|space| self.spaces[space].shown(now))
    }

    /// Those that are being fetched.
    pub(super) fn claimed(&self) -> Vec<Key> {
        let of = |space: usize| {
            let claimed = self.spaces[space]
                .rows
                .iter()
                .filter(|(_, row)| row.state == State::Claimed);
            claimed.map(move |(n, _)| (space, *n))
        };
        of(0).chain(of(1)).collect()
    }
}

impl Space {
    fn shown(&self, now: i64) -> Shown {
        let rows = || self.rows.values();
        let in_state = |state: State| rows().filter(|row| row.state == state).count() as u64;
        let open = |state: State| matches!(state, State::Due | State::Claimed | State::GivenUp);
        let aside: BTreeMap<_, _> = self
            .aside
            .iter()
            .filter(|(_, aside)| aside.open)
            .map(|(raw, aside)| (raw.clone(), aside.clone()))
            .collect();
        let last = self.last_walk.as_ref();
        let summary = Summary {
            counts: STATES.into_iter().map(|state| (state, in_state(state))).collect(),
            bytes: rows()
                .filter_map(|row| row.body.as_ref())
                .map(|body| body.size_bytes)
                .sum(),
            set_aside: aside.len() as u64,
            last_walk: last.map(|walk| {
                (
                    walk.full,
                    walk.started_at,
                    walk.finished_at,
                    walk.outcome.to_owned(),
                    walk.listed,
                )
            }),
            last_complete_at: self.last_complete_at,
            oldest_due_at: rows().filter(|row| open(row.state)).map(|row| row.created_at).min(),
            due_now: self.rows.keys().filter(|n| self.may_be_taken(**n, now)).count() as u64,
            next_due_at: rows()
                .filter(|row| self.waits_for_fetch(row))
                .map(|row| row.not_before)
                .min(),
        };
        Shown {
            rows: self.rows.clone(),
            aside,
            summary,
        }
    }
}

/// Where what is shown is not what must be, in as few words as will do.
pub(super) fn differences(shown: &[Shown; 2], wanted: &[Shown; 2]) -> Vec<String> {
    let mut found = Vec::new();
    for (space, (shown, wanted)) in shown.iter().zip(wanted).enumerate() {
        for n in 0..NUMBERS {
            let (is, must) = (shown.rows.get(&n), wanted.rows.get(&n));
            if is != must {
                found.push(format!(
                    "recording {n} of {}:\n  is   {is:?}\n  must {must:?}",
                    SPACES[space]
                ));
            }
        }
        if shown.aside != wanted.aside {
            found.push(format!(
                "set aside of {}:\n  is   {:?}\n  must {:?}",
                SPACES[space], shown.aside, wanted.aside
            ));
        }
        if shown.summary != wanted.summary {
            found.push(format!(
                "sums of {}:\n  is   {:?}\n  must {:?}",
                SPACES[space], shown.summary, wanted.summary
            ));
        }
    }
    found
}
