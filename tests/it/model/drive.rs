//! Drives a real catalog and the model through the same calls, with the process dying and the disk filling up under
//! them, and compares all that is shown after each.
//!
//! Must not know: which calls belong together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use anyhow::ensure;
use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::Claim;
use birdkeep::catalog::ClaimEnd;
use birdkeep::domain::clock::SharedClock;

use super::calls::Answer;
use super::calls::Call;
use super::calls::SPACES;
use super::calls::claim_end;
use super::calls::key_of;
use super::calls::perform;
use super::calls::workspace;
use super::look::differences;
use super::look::shown;
use super::place::Volume;
use super::rules::Key;
use super::rules::Model;
use super::rules::Space;
use super::steps::Trouble;
use super::world::World;

/// What became of a call.
pub(super) enum Outcome {
    Did(Answer),
    /// The disk was full; nothing was changed.
    Refused,
    /// The process died in it, and another one has begun.
    Died,
}

/// A catalog, the model of it, and the world around both.
pub(super) struct Drive<'a> {
    volume: &'a Volume,
    dir: PathBuf,
    life: u32,
    pub(super) catalog: Catalog,
    pub(super) model: Model,
    pub(super) world: World,
    pub(super) held: BTreeMap<Key, Claim>,
    /// When each workspace's last walk that came to its end began, in truth.
    pub(super) walked_at: [Option<i64>; 2],
}

impl<'a> Drive<'a> {
    pub(super) async fn begin(volume: &'a Volume) -> Result<Self> {
        let (dir, world) = (volume.clear()?, World::new());
        let catalog = Catalog::open(options(&dir, &world, 0, false)).await?;
        let known = [0, 1].map(|space| {
            (
                workspace(space),
                format!("{}-id", SPACES[space]).parse().expect("an id"),
            )
        });
        catalog.register_workspaces(&known).await?;
        Ok(Self {
            volume,
            dir,
            life: 0,
            catalog,
            model: Model::default(),
            world,
            held: BTreeMap::new(),
            walked_at: [None; 2],
        })
    }

    /// Makes a call, this going wrong.
    pub(super) async fn call(&mut self, call: Call, trouble: Trouble) -> Result<Outcome> {
        let mut ends: Vec<(Claim, ClaimEnd)> = Vec::new();
        if let Call::Settle(settled) = &call {
            for (key, end) in settled {
                let claim = self.held.remove(key).expect("only what is held is settled");
                let end = claim_end(&claim, end);
                ends.push((claim, end));
            }
        }
        if let Trouble::Dies { polls, .. } = trouble {
            self.die_in(&call, &ends, polls).await?;
            return Ok(Outcome::Died);
        }
        let full = matches!(trouble, Trouble::NoRoom { free_bytes, .. } if self.volume.fill(free_bytes)?);
        let did = perform(&self.catalog, &call, &ends, self.world.local()).await;
        if full {
            self.volume.relieve()?;
        }
        let outcome = match did {
            Ok((answer, claims)) => {
                self.must_answer(&call, &answer)?;
                self.held
                    .extend(claims.into_iter().map(|claim| (key_of(&claim), claim)));
                Outcome::Did(answer)
            }
            Err(error) if full => {
                ensure!(error.is_local(), "a full disk is told as {error:?}");
                self.held
                    .extend(ends.into_iter().map(|(claim, _)| (key_of(&claim), claim)));
                Outcome::Refused
            }
            Err(error) => return Err(anyhow!(error).context(format!("in {call:?}"))),
        };
        self.compare().await?;
        Ok(outcome)
    }

    fn must_answer(&mut self, call: &Call, answer: &Answer) -> Result<()> {
        let taken = if let Answer::Taken(keys) = answer {
            &keys[..]
        } else {
            &[]
        };
        let wanted = self.model.apply(call, self.world.local(), taken)?;
        ensure!(
            *answer == wanted,
            "{call:?} answers\n  {answer:?}\nand must\n  {wanted:?}"
        );
        Ok(())
    }

    pub(super) async fn compare(&self) -> Result<()> {
        let now = self.world.local();
        let found = differences(&shown(&self.catalog, now).await?, &self.model.shown(now));
        ensure!(found.is_empty(), "{}", found.join("\n"));
        Ok(())
    }

    /// The process is killed when the call was polled so often. The next one finds all of it or nothing; all, where it
    /// had come to its end.
    async fn die_in(&mut self, call: &Call, ends: &[(Claim, ClaimEnd)], polls: u32) -> Result<()> {
        let now = self.world.local();
        let did = {
            let mut doing = Box::pin(perform(&self.catalog, call, ends, now));
            let did = Few {
                future: doing.as_mut(),
                left: polls,
            }
            .await;
            self.life += 1;
            self.dir = self.volume.after_a_crash(&self.dir, self.life)?;
            did
        };
        self.catalog = self.open().await?;
        let found = shown(&self.catalog, now).await?;
        let mut all = self.model.clone();
        let claimed = |space: usize| {
            found[space]
                .rows
                .iter()
                .filter(|(_, row)| row.state.as_str() == "claimed")
        };
        let before = self.model.claimed();
        let taken: Vec<Key> = [0, 1]
            .iter()
            .flat_map(|space| claimed(*space).map(|(n, _)| (*space, *n)))
            .filter(|key| !before.contains(key))
            .collect();
        let may_be_all = all.apply(call, now, &taken).is_ok();
        all.die();
        self.model.die();
        let as_before = differences(&found, &self.model.shown(now));
        let as_after = differences(&found, &all.shown(now));
        match did {
            Some(Err(error)) => return Err(anyhow!(error).context(format!("in {call:?}"))),
            _ if may_be_all && as_after.is_empty() => self.model = all,
            None if as_before.is_empty() => {}
            Some(Ok(_)) => bail!("{call:?} had come to its end, and then:\n{}", as_after.join("\n")),
            None => bail!(
                "half of {call:?} is there:\n{}\n-- or --\n{}",
                as_before.join("\n"),
                as_after.join("\n")
            ),
        }
        self.take_over().await
    }

    /// The process ends and another one begins: in order, or, if it dies, with its log as it is.
    pub(super) async fn restart(&mut self, trouble: Trouble) -> Result<()> {
        if let Trouble::Dies { .. } = trouble {
            self.life += 1;
            self.dir = self.volume.after_a_crash(&self.dir, self.life)?;
            self.model.die();
        } else {
            self.catalog.clone().close().await?;
            self.model.close();
        }
        self.life += 1;
        let full = matches!(trouble, Trouble::NoRoom { free_bytes, .. } if self.volume.fill(free_bytes)?);
        let opened = self.open().await;
        if full {
            self.volume.relieve()?;
        }
        self.catalog = match opened {
            Err(error) if full => {
                ensure!(error.is_local(), "a full disk is told as {error:?}");
                self.open().await?
            }
            other => other?,
        };
        self.compare().await?;
        self.take_over().await
    }

    async fn open(&self) -> Result<Catalog, CatalogError> {
        Catalog::open(options(&self.dir, &self.world, self.life, true)).await
    }

    /// What every process does first: what the one before was fetching is given back.
    async fn take_over(&mut self) -> Result<()> {
        self.held.clear();
        let wanted: u64 = self.model.spaces.iter_mut().map(Space::reclaim).sum();
        let reclaimed = self.catalog.reclaim().await?;
        ensure!(
            reclaimed == wanted,
            "{reclaimed} claims of the dead were given back, of {wanted}"
        );
        self.compare().await
    }
}

fn options(dir: &std::path::Path, world: &World, life: u32, recordings_exist: bool) -> CatalogOptions {
    CatalogOptions {
        path: dir.join("catalog.sqlite"),
        archive_id: "model".to_owned(),
        recordings_exist,
        group_readable: false,
        clock: Arc::clone(&world.clock) as SharedClock,
        run_id: i64::from(life) + 1,
    }
}

/// Polls a future so often and no more.
struct Few<'a, F> {
    future: Pin<&'a mut F>,
    left: u32,
}

impl<F: Future> Future for Few<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}
