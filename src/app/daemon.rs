//! The daemon: one generation of rooms at work until it is told to stop, the next one after each new configuration.
//!
//! Must not know: what the rooms do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use super::LAST_WAIT;
use super::generation::Generation;
use super::listen;
use super::overdue;
use super::part_died;
use super::reload::LoadAgain;
use super::reload::Reloads;
use crate::domain::report::DrainReport;
use crate::lifecycle;
use crate::lifecycle::Lifecycle;
use crate::notify::Notifier;
use crate::queue::Stop;
use crate::queue::Until;
use crate::standing::Phase;
use crate::web::Web;

/// How often systemd is told in words what goes on.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

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
        let observer = Arc::clone(&self.ground.observer);
        let soft = life.soft().clone();
        let stopping = tokio::spawn(async move {
            soft.cancelled().await;
            observer.phase_is(Phase::Stopping);
        });
        let over = CancellationToken::new();
        let watching = self.watching(notifier).await;
        let watched = tokio::spawn(watching.run(life.soft().clone(), over.clone()));
        let told = tokio::spawn(tell_status(self.progress(), life.soft().clone()));
        if !is_copy {
            life.ready("running");
        }
        let ended = self.keep_running(life, reloads, web).await;
        told.abort();
        stopping.abort();
        over.cancel();
        drop(watched.await);
        self.close().await;
        ended
    }

    async fn keep_running(&mut self, life: &Lifecycle, mut reloads: Option<Reloads>, web: &Web) -> anyhow::Result<()> {
        let mut parts = Parts {
            set: JoinSet::new(),
            newest: CancellationToken::new(),
        };
        parts.start(&self.generation, life);
        let mut next = None;
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
                            lifecycle::reloaded("running, with the new configuration");
                        },
                        Ok(Part::Fetches) => {}
                        Err(error) => {
                            life.stop();
                            ended = ended.and(Err(error));
                        }
                    },
                },
                load = asked(&mut reloads), if !life.soft().is_cancelled() => {
                    lifecycle::reloading();
                    match self.next_generation(&load).await {
                        Some(generation) => {
                            web.rules_are(listen::rules(&self.config));
                            parts.newest.cancel();
                            next = Some(generation);
                        }
                        None if next.is_none() => {
                            lifecycle::reloaded("running; a new configuration was refused, see the log");
                        }
                        None => {}
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

/// Waits until the configuration is to be read again.
async fn asked(reloads: &mut Option<Reloads>) -> LoadAgain {
    match reloads {
        Some(Reloads { asked, load }) => {
            asked.next().await;
            LoadAgain::clone(load)
        }
        None => std::future::pending().await,
    }
}

fn outcome(part: Result<anyhow::Result<Part>, JoinError>) -> anyhow::Result<Part> {
    part.unwrap_or_else(|error| Err(part_died("a part of the daemon", &error)))
}

/// Keeps systemd's one line about us up to date.
async fn tell_status(mut progress: watch::Receiver<DrainReport>, soft: CancellationToken) {
    while !soft.is_cancelled() {
        let report = *progress.borrow_and_update();
        lifecycle::status(&format!(
            "running: {} archived ({} bytes), {} failed since the start",
            report.archived, report.archived_bytes, report.failed
        ));
        tokio::time::sleep(STATUS_INTERVAL).await;
        if progress.changed().await.is_err() {
            return;
        }
    }
}
