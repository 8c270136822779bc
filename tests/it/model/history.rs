//! One history: what each step means for the catalog and the world, and what must hold at its end.
//!
//! Must not know: how calls are carried out or compared.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use birdkeep::domain::state::State;

use super::calls::Answer;
use super::calls::Call;
use super::calls::body_of;
use super::calls::micros;
use super::calls::number;
use super::calls::workspace;
use super::drive::Drive;
use super::drive::Outcome;
use super::place::Volume;
use super::rules::End;
use super::rules::Key;
use super::rules::Listing;
use super::rules::Walked;
use super::steps::Ending;
use super::steps::Step;
use super::steps::Trouble;
use super::steps::Walk;
use super::steps::WalkEnd;
use super::steps::What;
use super::world::Entry;
use super::world::World;
use super::world::time;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const OVERLAP: i64 = 2 * HOUR;
/// How far back a poll goes, in rows, and how many it asks for one by one: few, so that both are reached.
const REACH: u32 = 4;
const RECHECKS: u32 = 2;

/// Goes through all steps, and then holds that nothing is lost for good.
pub(super) async fn go_through(volume: &Volume, steps: &[Step]) -> Result<()> {
    let mut history = History {
        drive: Drive::begin(volume).await?,
    };
    for (at, step) in steps.iter().enumerate() {
        history
            .take(step)
            .await
            .map_err(|error| error.context(format!("step {}: {step:?}", at + 1)))?;
    }
    history
        .come_to_rest()
        .await
        .map_err(|error| error.context("after the last step"))
}

struct History<'a> {
    drive: Drive<'a>,
}

/// The calls of one step, of which one goes wrong.
struct Calls {
    made: usize,
    trouble: Trouble,
}

impl Calls {
    const fn calm() -> Self {
        Self {
            made: 0,
            trouble: Trouble::None,
        }
    }

    const fn next(&mut self) -> Trouble {
        self.made += 1;
        match self.trouble {
            Trouble::Dies { call, .. } | Trouble::NoRoom { call, .. } if call + 1 == self.made => self.trouble,
            _ => Trouble::None,
        }
    }
}

impl History<'_> {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let mut calls = Calls {
            made: 0,
            trouble: step.trouble,
        };
        // A step of one call meets its trouble in that.
        let any = match step.trouble {
            Trouble::Dies { polls, .. } => Trouble::Dies { call: 0, polls },
            Trouble::NoRoom { free_bytes, .. } => Trouble::NoRoom { call: 0, free_bytes },
            Trouble::None => Trouble::None,
        };
        let drive = &mut self.drive;
        drive.world.wait(SECOND);
        let call = match &step.what {
            What::Upstream(key, change) => {
                drive.world.change(*key, change);
                return Ok(());
            }
            What::Wait(microseconds) => {
                drive.world.wait(*microseconds);
                return drive.compare().await;
            }
            What::Clock(ahead) => {
                drive.world.set_ahead(*ahead);
                return drive.compare().await;
            }
            What::Walk(walk) => return self.walk(walk, &mut calls).await.map(drop),
            What::Restart => return drive.restart(any).await,
            What::Sweep => {
                drive.call(Call::Reclaim, Trouble::None).await?;
                Call::HealWaits
            }
            What::Claim(keys) => Call::Claim(keys.clone()),
            What::ClaimDue(limit) => Call::ClaimDue(*limit),
            What::Settle { most, ending } => self.settlement(*most, *ending),
            What::Retry { numbers, space } => Call::Retry(numbers.clone(), *space),
            What::RetryAll(space) => Call::RetryAll(*space),
        };
        self.drive.call(call, any).await.map(drop)
    }

    fn settlement(&self, most: usize, ending: Ending) -> Call {
        let (drive, now) = (&self.drive, self.drive.world.local());
        let end = |(key, claim): (&Key, _)| {
            let claim: &birdkeep::catalog::Claim = claim;
            let attempts = claim.history.attempts + 1;
            let end = match ending {
                Ending::Stored => End::Stored(body_of(claim, now, 1_000 + u64::from(key.1) + u64::from(attempts))),
                Ending::Failed { spent } => {
                    let wait = if spent {
                        HOUR / 2
                    } else {
                        i64::from(attempts) * HOUR / 6
                    };
                    End::Failed {
                        attempts,
                        spent,
                        not_before: now + wait,
                    }
                }
                Ending::Gone => End::Gone {
                    attempts,
                    not_before: now + HOUR / 60,
                },
                Ending::GivenBack { waits } => End::GivenBack {
                    why: waits.then(|| "no link".to_owned()),
                    not_before: waits.then_some(now + HOUR / 60),
                },
            };
            (*key, end)
        };
        Call::Settle(drive.held.iter().take(most).map(end).collect())
    }

    /// A walk as the lister makes one. Says whether it came to its end.
    async fn walk(&mut self, walk: &Walk, calls: &mut Calls) -> Result<bool> {
        let (started_at, asked_at) = (self.drive.world.local(), self.drive.world.now);
        let (start_at, recheck) = if walk.full {
            (None, Vec::new())
        } else {
            self.plan(walk.space).await?
        };
        let touch_before = if walk.full { started_at } else { started_at - HOUR };
        let seen_at = |world: &World| started_at + world.now - asked_at;
        let (mut pages, mut listed, mut odd) = (0, BTreeSet::new(), BTreeSet::new());
        let mut count = 0;
        let outcome = loop {
            match walk.end {
                WalkEnd::Stopped(after) if after == pages => break "stopped",
                WalkEnd::Failed(after) if after == pages => break "failed: no answer",
                _ => {}
            }
            let world = &mut self.drive.world;
            world.wait(SECOND);
            let list = world.list(walk.space, start_at, walk.newest_first);
            let from = (pages * walk.page_items).min(list.len());
            let to = (from + walk.page_items).min(list.len());
            let entries: Vec<_> = list[from..to]
                .iter()
                .filter_map(|n| world.entry((walk.space, *n)))
                .collect();
            let page = listing(entries, seen_at(world), touch_before);
            count += to - from;
            listed.extend(page.items.iter().map(|item| item.n));
            odd.extend(page.odd.iter().map(|odd| odd.raw.clone()));
            if !self.did(Call::Page(walk.space, page), calls).await? {
                return Ok(false);
            }
            self.meanwhile(walk, pages);
            if to == list.len() {
                break "complete";
            }
            pages += 1;
        };
        let outcome = match outcome {
            "complete" => match self.recheck(walk.space, recheck, seen_at, calls).await? {
                Some(outcome) => outcome,
                None => return Ok(false),
            },
            other => other,
        };
        let finished_at = seen_at(&self.drive.world);
        let walked = Walked {
            full: walk.full,
            started_at,
            finished_at,
            asked_at,
            outcome,
            listed: count as u64,
            odd,
        };
        if !self.did(Call::Finish(walk.space, walked), calls).await? {
            return Ok(false);
        }
        if outcome == "complete" {
            self.drive.walked_at[walk.space] = Some(asked_at);
            self.given_up_is_tried_again(walk, &listed)?;
        }
        Ok(outcome == "complete")
    }

    fn meanwhile(&mut self, walk: &Walk, page: usize) {
        if let Some((_, key, change)) = walk.meanwhile.as_ref().filter(|(after, ..)| *after == page) {
            self.drive.world.change(*key, change);
        }
        if let Some((_, ahead)) = walk.jump.filter(|(after, _)| *after == page) {
            self.drive.world.set_ahead(ahead);
        }
    }

    /// Makes a call. Says whether the walk goes on.
    async fn did(&mut self, call: Call, calls: &mut Calls) -> Result<bool> {
        let trouble = calls.next();
        Ok(matches!(self.drive.call(call, trouble).await?, Outcome::Did(_)))
    }

    /// Asks one by one for what lies before the poll. `None` where the process died or the disk was full.
    async fn recheck(
        &mut self,
        space: usize,
        numbers: Vec<u8>,
        seen_at: impl Fn(&World) -> i64,
        calls: &mut Calls,
    ) -> Result<Option<&'static str>> {
        for n in numbers {
            self.drive.world.wait(SECOND);
            let now = seen_at(&self.drive.world);
            let call = match self.drive.world.entry((space, n)) {
                None => Call::NoteDeleted(space, n),
                Some(Entry::Odd(_)) => return Ok(Some("failed: it makes no sense")),
                Some(item) => Call::Page(space, listing(vec![item], now, now)),
            };
            if !self.did(call, calls).await? {
                return Ok(None);
            }
        }
        Ok(Some("complete"))
    }

    /// What a poll must look at: all that came up since the last walk that reached the end, and all that has no media yet.
    async fn plan(&self, space: usize) -> Result<(Option<i64>, Vec<u8>)> {
        let drive = &self.drive;
        let (now, overlap) = (drive.world.now, Duration::from_micros(OVERLAP.cast_unsigned()));
        let plan = drive
            .catalog
            .plan_poll(&workspace(space), time(now), overlap, REACH, RECHECKS)
            .await?;
        let start_at = plan.start_at.map(micros);
        let recheck: Vec<u8> = plan.recheck.iter().map(number).collect();
        let known = &drive.model.spaces[space];
        let wanted = known.plan(now, OVERLAP, REACH as usize, RECHECKS as usize);
        ensure!(
            start_at == wanted.as_ref().map(|(start, _)| *start),
            "planned {plan:?}, must be {wanted:?}"
        );
        // Of those last seen at the same time any will do.
        let seen = |numbers: &[u8]| -> Vec<i64> { numbers.iter().map(|n| known.rows[n].last_seen_at).collect() };
        let wanted = wanted.map(|(_, numbers)| numbers).unwrap_or_default();
        ensure!(seen(&recheck) == seen(&wanted), "planned {plan:?}, must be {wanted:?}");
        ensure!(
            recheck.iter().all(|n| known.rows[n].state == State::Waiting),
            "planned {plan:?}"
        );
        let since = drive.walked_at[space].unwrap_or(i64::MIN);
        for (n, thing) in &drive.world.things[space] {
            let came_up = thing.added_at >= since && thing.created_at >= thing.added_at - OVERLAP;
            let covered = start_at.is_none_or(|start| thing.created_at >= start);
            ensure!(
                !came_up || covered,
                "planned {plan:?} passes over {n}, which nobody has seen: {thing:?}"
            );
        }
        Ok((start_at, recheck))
    }

    /// What a full walk listed is tried again, also where it was given up.
    fn given_up_is_tried_again(&self, walk: &Walk, listed: &BTreeSet<u8>) -> Result<()> {
        let known = &self.drive.model.spaces[walk.space];
        let given_up = known
            .rows
            .iter()
            .filter(|(n, row)| listed.contains(*n) && row.state == State::GivenUp);
        for (n, row) in given_up.filter(|_| walk.full) {
            ensure!(
                known.waits_for_fetch(row),
                "{n} is listed and never tried again: {row:?}"
            );
        }
        Ok(())
    }

    /// No history ends where something on offer cannot be had any more: a walk and a drain bring all of it, and
    /// another walk then changes nothing.
    async fn come_to_rest(&mut self) -> Result<()> {
        let given_back = self.settlement(usize::MAX, Ending::GivenBack { waits: false });
        self.drive.call(given_back, Trouble::None).await?;
        for space in [0, 1] {
            ensure!(
                self.full_walk(space).await?,
                "a walk that nothing disturbs comes to its end"
            );
        }
        self.drive.call(Call::RetryAll(None), Trouble::None).await?;
        loop {
            self.drive.call(Call::ClaimDue(5), Trouble::None).await?;
            if self.drive.held.is_empty() {
                break;
            }
            let stored = self.settlement(usize::MAX, Ending::Stored);
            self.drive.call(stored, Trouble::None).await?;
        }
        for space in [0, 1] {
            let rows = &self.drive.model.spaces[space].rows;
            let offered = self.drive.world.things[space]
                .iter()
                .filter(|(_, thing)| thing.listed && !thing.garbled);
            for (n, thing) in offered.filter(|(_, thing)| thing.status == "available") {
                ensure!(
                    rows.get(n).is_some_and(|row| row.state == State::Archived),
                    "{n} is lost: {thing:?}"
                );
            }
        }
        self.drive.world.wait(SECOND);
        for space in [0, 1] {
            let list = self.drive.world.list(space, None, true);
            let entries = list
                .iter()
                .filter_map(|n| self.drive.world.entry((space, *n)))
                .collect();
            let now = self.drive.world.local();
            let did = self
                .drive
                .call(Call::Page(space, listing(entries, now, now)), Trouble::None)
                .await?;
            let Outcome::Did(Answer::Page(([new, changed, ..], fetchable))) = did else {
                anyhow::bail!("the page was not taken");
            };
            ensure!(
                (new, changed, fetchable.len()) == (0, 0, 0),
                "an unchanged list changed something"
            );
        }
        Ok(())
    }

    async fn full_walk(&mut self, space: usize) -> Result<bool> {
        let (full, newest_first, end) = (true, true, WalkEnd::Complete);
        let walk = Walk {
            space,
            full,
            page_items: 3,
            newest_first,
            end,
            meanwhile: None,
            jump: None,
        };
        self.drive.world.wait(SECOND);
        self.walk(&walk, &mut Calls::calm()).await
    }
}

fn listing(entries: Vec<Entry>, seen_at: i64, touch_before: i64) -> Listing {
    let mut page = Listing {
        seen_at,
        touch_before,
        ..Listing::default()
    };
    for entry in entries {
        match entry {
            Entry::Item(item) => page.items.push(item),
            Entry::Odd(odd) => page.odd.push(odd),
        }
    }
    page
}
