//! Any history again, through the whole house: lister, catalog, queue and store against the simulator, with a clock that
//! is told. What a walk must have brought is judged by what upstream truly had.
//!
//! Must not know: pages, rows, or how anything is fetched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use birdkeep::app;
use birdkeep::app::App;
use birdkeep::app::Observer;
use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::ListFilter;
use birdkeep::catalog::RecordingRow;
use birdkeep::config::Config;
use birdkeep::config::Sources;
use birdkeep::domain::clock::SharedClock;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::report::WalkKind;
use birdkeep::domain::state::State;
use birdkeep::lifecycle::Lifecycle;
use proptest::prelude::*;

use super::world::ToldClock;
use crate::listing::scene::KEY;
use crate::listing::scene::NAME;
use crate::listing::scene::WORKSPACE;
use crate::listing::scene::archive_of;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::Endless;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::Paging;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;

const HOUR: u64 = 3_600;
const OVERLAP: i64 = 2 * 3_600 * 1_000_000;

/// Something that happens. A recording is told by its number, counted round among those there are.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    Add {
        hours_ago: i64,
        status: &'static str,
    },
    Status(usize, &'static str),
    Garble(usize, bool),
    Unlist(usize),
    Delete(usize),
    Wait {
        hours: u64,
    },
    /// This machine's clock is so far ahead from now on.
    Clock {
        days: i64,
    },
    Pass(Trouble),
}

/// What goes wrong in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// The list ends in an error at this page.
    Page(u32),
    Endless,
    Media,
}

pub(super) fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let status = || prop::sample::select(vec!["available", "available", "available", "ongoing", "absent"]);
    let trouble = prop_oneof![
        4 => Just(Trouble::None),
        2 => (1..4_u32).prop_map(Trouble::Page),
        1 => Just(Trouble::Endless),
        1 => Just(Trouble::Media),
    ];
    let hours_ago = prop_oneof![4 => Just(0), 1 => 1..20_i64, 1 => 20..9_000_i64, 1 => -20_000..-1_i64];
    let turn = prop_oneof![
        8 => (hours_ago, status()).prop_map(|(hours_ago, status)| Turn::Add { hours_ago, status }),
        3 => (any::<usize>(), status()).prop_map(|(n, status)| Turn::Status(n, status)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(n, garbled)| Turn::Garble(n, garbled)),
        1 => any::<usize>().prop_map(Turn::Unlist),
        1 => any::<usize>().prop_map(Turn::Delete),
        1 => (1..30_u64).prop_map(|hours| Turn::Wait { hours }),
        2 => prop::sample::select(vec![0, 1, -1, 3_650, -3_650]).prop_map(|days| Turn::Clock { days }),
        7 => trouble.prop_map(Turn::Pass),
    ];
    prop::collection::vec(turn, 4..30)
}

/// A recording as upstream truly has it.
#[derive(Debug, Clone)]
struct Thing {
    id: RecordingId,
    added_at: i64,
    created_at: i64,
    status: &'static str,
    garbled: bool,
    listed: bool,
    exists: bool,
}

impl Thing {
    fn is_understood(&self) -> bool {
        self.exists && self.listed && !self.garbled
    }
}

struct House {
    bird: Bird,
    workspace: WorkspaceHandle,
    archive: Archive,
    config: Config,
    clock: Arc<ToldClock>,
    ahead: i64,
    things: Vec<Thing>,
    /// When the last walk began that came to its end.
    walked_at: Option<i64>,
    /// Where each body lies that was ever archived, and its digest.
    archived: BTreeMap<RecordingId, (String, [u8; 32])>,
}

/// Goes through all turns, and then holds that all on offer can be had.
pub(super) async fn go_through(turns: &[Turn]) -> Result<()> {
    let mut house = House::new().await?;
    for (at, turn) in turns.iter().enumerate() {
        let told = || format!("turn {}: {turn:?}", at + 1);
        house.take(turn).await.map_err(|error| error.context(told()))?;
    }
    // By then every wait is over, and a full walk due.
    house.bird.advance(Duration::from_secs(49 * HOUR));
    house.ahead = 0;
    house.pass(Trouble::None).await?;
    house.all_is_there()
}

impl House {
    async fn new() -> Result<Self> {
        let bird = Bird::start(BirdOptions {
            paging: Paging::ByOffset,
            ..BirdOptions::default()
        })
        .await;
        let workspace = bird.add_workspace(WORKSPACE, KEY);
        let mut archive = archive_of(&bird, &[(NAME, &workspace)]);
        archive.set("api.page_size", "3");
        archive.set("sync.max_pages", "30");
        let file = Some(archive.config_path());
        let sources = Sources::from_environment(file, Vec::new(), None, Path::new("/nonexistent"));
        Ok(Self {
            config: Config::load(&sources)?.config,
            bird,
            workspace,
            archive,
            clock: Arc::default(),
            ahead: 0,
            things: Vec::new(),
            walked_at: None,
            archived: BTreeMap::new(),
        })
    }

    fn now(&self) -> i64 {
        self.bird.now().as_microseconds()
    }

    async fn take(&mut self, turn: &Turn) -> Result<()> {
        match turn {
            Turn::Add { hours_ago, status } => {
                let added_at = self.now();
                let created_at = added_at - hours_ago * 3_600 * 1_000_000;
                let spec = RecordingSpec::new()
                    .created_at(super::world::time(created_at))
                    .status(status);
                let id = self.workspace.add(spec.body_bytes(2_000));
                let (garbled, listed, exists) = (false, true, true);
                self.things.push(Thing {
                    id,
                    added_at,
                    created_at,
                    status,
                    garbled,
                    listed,
                    exists,
                });
            }
            Turn::Wait { hours } => self.bird.advance(Duration::from_secs(hours * HOUR)),
            Turn::Clock { days } => self.ahead = days * 24 * 3_600 * 1_000_000,
            Turn::Pass(trouble) => self.pass(*trouble).await?,
            Turn::Status(n, _) | Turn::Garble(n, _) | Turn::Unlist(n) | Turn::Delete(n) => self.change(*n, turn),
        }
        Ok(())
    }

    fn change(&mut self, n: usize, turn: &Turn) {
        let there: Vec<&mut Thing> = self.things.iter_mut().filter(|thing| thing.exists).collect();
        let count = there.len();
        let Some(thing) = there.into_iter().nth(n % count.max(1)) else {
            return;
        };
        match turn {
            Turn::Status(_, status) => {
                thing.status = status;
                self.workspace.set_status(thing.id, status);
            }
            Turn::Garble(_, garbled) => {
                thing.garbled = *garbled;
                let raw = format!("{{\"id\":\"{}\",\"createdAt\":7}}", thing.id);
                self.workspace.set_raw(thing.id, garbled.then(|| raw.into()));
            }
            Turn::Unlist(_) => {
                thing.listed = false;
                self.workspace.unlist(thing.id);
            }
            _ => {
                thing.exists = false;
                self.workspace.remove(thing.id);
            }
        }
    }

    /// One pass of a process of its own, and what must be so after it.
    async fn pass(&mut self, trouble: Trouble) -> Result<()> {
        let begun = self.now();
        self.clock.set(begun + self.ahead);
        match trouble {
            Trouble::None => {}
            Trouble::Page(page) => drop(self.bird.fault(FaultRule::list(ApiAction::malformed_json()).page(page))),
            Trouble::Endless => drop(self.bird.fault(FaultRule::list(ApiAction::Endless(Endless::SameToken)))),
            Trouble::Media => drop(self.bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")))),
        }
        let observer = Observer::new(Arc::clone(&self.clock) as SharedClock);
        let app = App::open(&self.config, Arc::clone(&self.clock) as SharedClock, &observer).await?;
        let life = Lifecycle::unattended(self.config.shutdown.grace);
        let report = app.run_once(&life, &app::notifier(&self.config)?).await?;
        self.bird.clear_faults();
        let reader = CatalogReader::open(&self.archive.catalog_path()).await?;
        let rows = reader.list_page(&ListFilter::default(), None, 1_000).await?;
        let summary = reader.workspaces().await?.remove(0);
        reader.close().await;
        let full = summary
            .last_walk
            .as_ref()
            .is_some_and(|walk| walk.kind == WalkKind::Full);
        self.nothing_is_lost(&rows)?;
        if report.walks_failed.is_empty() {
            self.what_came_up_is_there(&rows, full, trouble)?;
            let garbled = self
                .things
                .iter()
                .filter(|thing| thing.exists && thing.listed && thing.garbled)
                .count();
            ensure!(
                !full || summary.set_aside == garbled as u64,
                "{} set aside of {garbled}",
                summary.set_aside
            );
            self.walked_at = Some(begun);
        }
        Ok(())
    }

    /// What was archived stays so; and nothing is known that never was.
    fn nothing_is_lost(&mut self, rows: &[RecordingRow]) -> Result<()> {
        for row in rows {
            ensure!(
                self.things.iter().any(|thing| thing.id == row.id),
                "nobody ever had {row:?}"
            );
            if let (State::Archived, Some(path), Some(sha256)) = (row.state, &row.path, &row.sha256) {
                self.archived.entry(row.id).or_insert_with(|| (path.clone(), sha256.0));
            }
        }
        for (id, (path, sha256)) in &self.archived {
            let row = rows.iter().find(|row| row.id == *id && row.state == State::Archived);
            let as_ever =
                row.is_some_and(|row| (row.path.as_ref(), row.sha256.map(|sum| sum.0)) == (Some(path), Some(*sha256)));
            ensure!(as_ever, "{path} was archived, and now: {row:?}");
        }
        Ok(())
    }

    /// A walk that came to its end has brought what came up since the one before; a full one everything.
    fn what_came_up_is_there(&self, rows: &[RecordingRow], full: bool, trouble: Trouble) -> Result<()> {
        let since = self.walked_at.unwrap_or(i64::MIN);
        let came_up = |thing: &&Thing| thing.added_at >= since && thing.created_at >= thing.added_at - OVERLAP;
        for thing in self
            .things
            .iter()
            .filter(|thing| thing.is_understood())
            .filter(|thing| full || came_up(thing))
        {
            let row = rows.iter().find(|row| row.id == thing.id);
            let Some(row) = row else {
                anyhow::bail!("{thing:?} was passed over");
            };
            let fits = match (thing.status, row.state) {
                (_, State::Archived) => true,
                ("available", State::Due) => trouble == Trouble::Media || row.attempts > 0,
                ("available", State::GivenUp) => row.attempts > 0,
                ("ongoing", state) => state == State::Waiting,
                ("absent", state) => state == State::Gone,
                _ => false,
            };
            ensure!(fits, "{thing:?} is {row:?}");
        }
        Ok(())
    }

    fn all_is_there(&self) -> Result<()> {
        for thing in self
            .things
            .iter()
            .filter(|thing| thing.is_understood() && thing.status == "available")
        {
            let file = self.archive.media_file_of(thing.id);
            let same = file.is_some_and(|file| self.archive.read(&file) == self.workspace.body(thing.id));
            ensure!(same, "{thing:?} is not archived as upstream has it");
        }
        let secrets = self.archive.grep_secrets(&self.bird);
        ensure!(secrets.is_empty(), "{secrets:?}");
        Ok(())
    }
}
