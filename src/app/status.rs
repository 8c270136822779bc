//! Tells systemd in words what the daemon does: what `systemctl status` shows.
//!
//! Must not know: how the daemon comes to stand so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::redact::one_line;
use crate::lifecycle;
use crate::standing::Observer;
use crate::standing::Phase;
use crate::standing::Standing;
use crate::telemetry;

/// How often it is looked at whether there is something else to tell.
const INTERVAL: Duration = Duration::from_secs(5);

/// The longest line, in characters.
const LONGEST: usize = 200;

/// What became of the newest configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reload {
    /// It is in force.
    #[default]
    None,
    /// It is being taken up.
    UnderWay,
    /// It is not in force.
    Refused,
}

/// The one line about the daemon.
pub(super) struct Status {
    observer: Arc<Observer>,
    reload: watch::Sender<Reload>,
}

impl Status {
    pub fn new(observer: &Arc<Observer>) -> Self {
        Self {
            observer: Arc::clone(observer),
            reload: watch::Sender::default(),
        }
    }

    /// How reading the configuration again goes. To be called before systemd is told of it with words of its own, which
    /// stand until the next turn.
    pub fn reload_is(&self, reload: Reload) {
        self.reload.send_replace(reload);
    }

    /// Tells how the daemon stands whenever the words for it change, until it is dropped. Looks at nothing where nobody
    /// listens.
    pub async fn keep_telling(&self, soft: CancellationToken) {
        if !lifecycle::is_told() {
            return;
        }
        let mut reload = self.reload.subscribe();
        let mut last = String::new();
        loop {
            let now = *reload.borrow_and_update();
            let standing = self.observer.standing().await;
            // Others told of what began during the look, and know better.
            let is_old =
                reload.has_changed().unwrap_or_default() || (soft.is_cancelled() && standing.phase != Phase::Stopping);
            let line = line(now, &standing);
            if !is_old && line != last {
                lifecycle::status(&line);
                last = line;
            }
            tokio::time::sleep(INTERVAL).await;
            if reload.has_changed().unwrap_or_default() {
                last.clear();
            }
        }
    }
}

fn line(reload: Reload, standing: &Standing) -> String {
    let about = match (reload, standing.phase) {
        (Reload::UnderWay, Phase::Running) => "taking up a new configuration; ",
        (Reload::Refused, Phase::Running) => "a new configuration was refused, see the log; ",
        _ => "",
    };
    let line = format!("{about}{}", standing.in_words());
    // One for the mark where it is cut.
    one_line(&telemetry::clean(&line), LONGEST - 1)
}
