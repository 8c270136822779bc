//! One who looks, from the beginning of a process to its end, and has told what is new.
//!
//! Must not know: how it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Notifier;
use super::cycle::Cycles;
use super::cycle::Turn;
use super::damage::Damage;
use super::ping::Ping;
use super::situation::Situation;
use super::situation::failures;
use super::watch::Watch;
use crate::catalog::CatalogReader;
use crate::domain::ids::WorkspaceName;
use crate::standing::Observer;
use crate::standing::Standing;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long what is still to be told holds up the end of the daemon.
const FAREWELL: Duration = Duration::from_secs(3);

/// Looks and remembers.
pub struct Watching {
    notifier: Arc<Notifier>,
    observer: Arc<Observer>,
    reader: CatalogReader,
    archive_id: String,
    failed_before: BTreeMap<WorkspaceName, String>,
    cycles: Cycles,
    watch: Watch,
    damage: Option<Damage>,
}

impl Watching {
    /// Begins to look: what is found now is not new. To be called before the first walk begins.
    pub async fn begin(
        notifier: Arc<Notifier>,
        observer: Arc<Observer>,
        reader: CatalogReader,
        archive_id: String,
    ) -> Self {
        let silent = notifier.is_silent();
        let (failed_before, damage) = if silent {
            Default::default()
        } else {
            let standing = observer.standing().await;
            (failures(&standing), Damage::known(&reader).await.ok())
        };
        Self {
            notifier,
            observer,
            reader,
            archive_id,
            failed_before,
            cycles: Cycles::default(),
            watch: Watch::default(),
            damage,
        }
    }

    /// Tells of cycles until `soft`, and of events until `over`; then of what is new still, and waits a moment for that to
    /// be told.
    pub async fn run(mut self, soft: CancellationToken, over: CancellationToken) {
        if self.notifier.is_silent() {
            return;
        }
        let notifier = Arc::clone(&self.notifier);
        let archive_id = self.archive_id.clone();
        let told = CancellationToken::new();
        let send = async {
            if let Some(switch) = &notifier.switch {
                tokio::select! {
                    () = switch.keep_sending(&told) => {}
                    () = soft.cancelled() => {}
                }
            }
        };
        let run = async {
            if let Some(teller) = &notifier.teller {
                teller.keep_running(&archive_id, &told).await;
            }
        };
        let look = async {
            while !over.is_cancelled() {
                let standing = self.look().await;
                if !soft.is_cancelled() {
                    self.tell_turns(&standing);
                }
                tokio::select! {
                    () = over.cancelled() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
            }
            self.observer.look_again();
            self.look().await;
            told.cancel();
        };
        let farewell = async {
            over.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            _ = async { tokio::join!(send, run, look) } => {}
            () = farewell => {}
        }
    }

    /// Looks once more, at the end of a pass, and waits until the command has run for what is new.
    pub async fn end(mut self) {
        if self.notifier.is_silent() {
            return;
        }
        self.observer.look_again();
        self.look().await;
        self.notifier.run_what_waits(&self.archive_id).await;
    }

    async fn look(&mut self) -> Situation {
        let standing = self.observer.standing().await;
        let situation = Situation::of(&standing, &self.failed_before);
        for event in self.watch.news(&situation, standing.at, Instant::now()) {
            self.notifier.tell(event);
        }
        self.look_for_damage(&standing).await;
        situation
    }

    async fn look_for_damage(&mut self, standing: &Standing) {
        let Some(damage) = &mut self.damage else {
            // The catalog could not be read at the start; what it holds when it can is taken for known.
            self.damage = Damage::known(&self.reader).await.ok();
            return;
        };
        match damage.news(&self.reader, standing.at).await {
            Ok(event) => event.into_iter().for_each(|event| self.notifier.tell(event)),
            Err(error) => tracing::debug!(error = %error, "cannot look for new findings"),
        }
    }

    fn tell_turns(&mut self, situation: &Situation) {
        for turn in self.cycles.turn(situation, Instant::now()) {
            self.notifier.ping(match turn {
                Turn::Began => Ping::Start,
                Turn::Succeeded => Ping::Success,
                Turn::Failed(wrong) => Ping::Failure(wrong.join("\n")),
            });
        }
    }
}
