//! The daemon: one generation of rooms at work until it is told to stop, the next one after each new configuration.
//!
//! Must not know: what the rooms do.

use std::sync::Arc;

use anyhow::anyhow;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use super::LAST_WAIT;
use super::generation::Generation;
use super::listen;
use super::overdue;
use super::part_died;
use super::reload::Reading;
use super::reload::Reloads;
use super::status::Reload;
use super::status::Status;
use crate::lifecycle;
use crate::lifecycle::Hangups;
use crate::lifecycle::Lifecycle;
use crate::notify::Notifier;
use crate::queue::Stop;
use crate::queue::Until;
use crate::standing::Phase;
use crate::web::Web;

/// A part of a generation that ended.
enum Part {
    /// Its walks, sweeps and re-reading.
    Walks,
    /// Its downloads, the last of them stored and written down.
    Fetches,
}

/// Everything of all generations that still works.
struct Parts {
    set: JoinSet<anyhow::Result<Part>>,
    /// Ends the newest generation.
    newest: CancellationToken,
}

impl Parts {
    /// Sets a generation to work until `life` or the next generation stops it.
    fn start(&mut self, generation: &Generation, life: &Lifecycle) {
        let soft = life.soft().child_token();
        self.newest = soft.clone();
        let (scheduler, walks_end) = (generation.scheduler.clone(), soft.clone());
        self.set.spawn(async move {
            scheduler.run(&walks_end).await;
            Ok(Part::Walks)
        });
        let stop = Stop {
            soft,
            leaving: life.soft().clone(),
            hard: life.hard().clone(),
        };
        let queue = generation.queue.clone();
        self.set.spawn(async move {
            queue.run(Until::Stopped, &stop).await?;
            Ok(Part::Fetches)
        });
    }
}

impl App {
    /// Runs until `life` says stop, and takes up a new configuration whenever `reloads`, if there are any, asks for it.
    /// Ends with nothing in flight.
    ///
    /// # Errors
    /// A part ended unasked: the catalog cannot be used, or a fault in the program.
    pub async fn run(self, life: &Lifecycle, notifier: &Arc<Notifier>, reloads: Option<Reloads>) -> anyhow::Result<()> {
        let web = listen::listen(&self.config, &self.ground.observer).await?;
        let ended = self.run_listening(life, notifier, reloads, &web).await;
        web.close().await;
        ended
    }

    async fn run_listening(
        mut self,
        life: &Lifecycle,
        notifier: &Arc<Notifier>,
        reloads: Option<Reloads>,
        web: &Web,
    ) -> anyhow::Result<()> {
        let (observer, soft) = (Arc::clone(&self.ground.observer), life.soft().clone());
        let status = Arc::new(Status::new(&observer));
        let telling = Arc::clone(&status);
        // Dropped, they end.
        let mut beside = JoinSet::new();
        beside.spawn(async move { telling.keep_telling(soft).await });
        let soft = life.soft().clone();
        beside.spawn(async move {
            soft.cancelled().await;
            observer.phase_is(Phase::Stopping);
        });
        let is_copy = self.is_copy().await?;
        if is_copy {
            self.ground.observer.phase_is(Phase::Reconciling);
            // It may take longer than systemd waits for a start.
            life.ready("bringing a restored catalog level with the archive");
        }
        if !self.reconcile(life.soft()).await? {
            self.close().await;
            return Ok(());
        }
        self.ground.observer.phase_is(Phase::Running);
        let over = CancellationToken::new();
        let watching = self.watching(notifier).await;
        let watched = tokio::spawn(watching.run(life.soft().clone(), over.clone()));
        if !is_copy {
            life.ready("running: the first walks begin");
        }
        let ended = self.keep_running(life, reloads, web, &status).await;
        over.cancel();
        drop(watched.await);
        self.close().await;
        ended
    }

    async fn keep_running(
        &mut self,
        life: &Lifecycle,
        reloads: Option<Reloads>,
        web: &Web,
        status: &Status,
    ) -> anyhow::Result<()> {
        let mut parts = Parts {
            set: JoinSet::new(),
            newest: CancellationToken::new(),
        };
        parts.start(&self.generation, life);
        let mut reloads = reloads.map(|Reloads { asked, load }| (asked, Reading::new(load)));
        let mut next = None;
        // Of those asked for in a row, the last one.
        let mut is_refused = false;
        let mut ended = Ok(());
        loop {
            tokio::select! {
                part = parts.set.join_next() => match part {
                    None => return ended,
                    Some(part) => match outcome(part) {
                        // Only now does the next one begin: no two generations walk, sweep or re-read at a time. What
                        // the old one is still downloading, it finishes beside the new one.
                        Ok(Part::Walks) => if let Some(generation) = next.take().filter(|_| !life.soft().is_cancelled()) {
                            self.generation = generation;
                            parts.start(&self.generation, life);
                            tell_reloaded(status, is_refused);
                        },
                        Ok(Part::Fetches) => {}
                        Err(error) => {
                            life.stop();
                            ended = ended.and(Err(error));
                        }
                    },
                },
                reading = asked(&mut reloads), if !life.soft().is_cancelled() => {
                    status.reload_is(Reload::UnderWay);
                    lifecycle::reloading();
                    let built = self.next_generation(&reading, life.soft()).await;
                    is_refused = built.is_none();
                    if let Some(generation) = built {
                        web.rules_are(listen::rules(&self.config));
                        parts.newest.cancel();
                        next = Some(generation);
                    } else if next.is_none() && !life.soft().is_cancelled() {
                        tell_reloaded(status, is_refused);
                    }
                }
                () = overdue(life) => {
                    return ended.and(Err(anyhow!(
                        "what was in flight did not end within {LAST_WAIT:?} of the hard stop"
                    )));
                }
            }
        }
    }
}

fn tell_reloaded(status: &Status, is_refused: bool) {
    let (reload, words) = if is_refused {
        (Reload::Refused, "running; a new configuration was refused, see the log")
    } else {
        (Reload::None, "running, with the new configuration")
    };
    status.reload_is(reload);
    lifecycle::reloaded(words);
}

/// Waits until the configuration is to be read again.
async fn asked(reloads: &mut Option<(Hangups, Reading)>) -> Reading {
    match reloads {
        Some((asked, reading)) => {
            asked.next().await;
            reading.clone()
        }
        None => std::future::pending().await,
    }
}

fn outcome(part: Result<anyhow::Result<Part>, JoinError>) -> anyhow::Result<Part> {
    part.unwrap_or_else(|error| Err(part_died("a part of the daemon", &error)))
}
