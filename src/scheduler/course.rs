//! One workspace's walks: polls at their interval, and the walk over everything in a lane of its own beside them, so that
//! what is new does not wait for the end of what is old.
//!
//! A walk over everything takes the place of the poll at whose time it begins. Polls go on at their interval while it
//! lasts, and beside its next try where it failed half-way. Must not know: what a walk does.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Pass;
use super::Scheduler;
use super::health::Health;
use super::tally;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::WalkKind;
use crate::lister::Trouble;
use crate::lister::Walk;

/// The least time between requests to a workspace whose credential is refused.
const DENIED_REST: Duration = Duration::from_secs(60);

/// One workspace's walks, from start to stop.
pub(super) struct Course<'a> {
    scheduler: &'a Scheduler,
    workspace: &'a WorkspaceName,
    soft: &'a CancellationToken,
    health: Health,
    /// A poll, a walk over everything, or both.
    under_way: FuturesUnordered<BoxFuture<'a, Pass>>,
    is_polling: bool,
    is_walking_all: bool,
    /// Whether the last walk over everything broke off after it had listed something: then its next try, which may break
    /// off as well, takes no poll's place.
    broke_off: bool,
    /// When something is to begin.
    next: Instant,
}

impl<'a> Course<'a> {
    /// Walks that have not begun; the first is due at once.
    pub fn new(scheduler: &'a Scheduler, workspace: &'a WorkspaceName, soft: &'a CancellationToken) -> Self {
        Self {
            scheduler,
            workspace,
            soft,
            health: Health::default(),
            under_way: FuturesUnordered::new(),
            is_polling: false,
            is_walking_all: false,
            broke_off: false,
            next: Instant::now(),
        }
    }

    /// Walks again and again until it is stopped; then whatever is under way has ended.
    pub async fn run(mut self) {
        loop {
            let is_stopping = self.soft.is_cancelled();
            if is_stopping && self.under_way.is_empty() {
                return;
            }
            tokio::select! {
                Some(pass) = self.under_way.next() => self.end(&pass),
                () = tokio::time::sleep_until(self.next), if !self.is_polling && !is_stopping => self.begin().await,
                () = self.soft.cancelled(), if !is_stopping => {}
            }
        }
    }

    async fn begin(&mut self) {
        let begins_all = match self.scheduler.full_walk_due(self.workspace).await {
            Ok(due) => due && !self.is_walking_all,
            Err(failed) => {
                self.end(&failed);
                return;
            }
        };
        if begins_all {
            self.is_walking_all = true;
            self.start(WalkKind::Full);
            self.next = self.after(Duration::ZERO);
        }
        if !begins_all || self.broke_off {
            self.is_polling = true;
            self.start(WalkKind::Poll);
        }
    }

    fn start(&self, kind: WalkKind) {
        let walk = self.scheduler.walk(self.workspace, kind, self.soft);
        self.under_way.push(Box::pin(walk));
    }

    fn end(&mut self, pass: &Pass) {
        let is_well = self.health.note(pass, &mut self.scheduler.voice());
        tally(&self.scheduler.tallies.workspace(self.workspace), pass, is_well);
        if matches!(&pass.result, Ok(walk) if walk.report.changes.changed > 0) {
            self.scheduler.changed.notify_one();
        }
        let least = least_rest(pass);
        match pass.kind {
            WalkKind::Poll => {
                self.is_polling = false;
                self.next = self.after(least);
            }
            WalkKind::Full => {
                self.is_walking_all = false;
                self.broke_off = matches!(&pass.result, Ok(walk) if walk.trouble.is_some() && walk.report.pages > 0);
                if !least.is_zero() {
                    self.next = self.next.max(self.after(least));
                }
            }
        }
    }

    /// When the next poll is to begin, no sooner than in `least`.
    fn after(&self, least: Duration) -> Instant {
        Instant::now() + jittered(self.scheduler.options.interval.max(least))
    }
}

/// How long a workspace must be left alone after a pass.
fn least_rest(pass: &Pass) -> Duration {
    match &pass.result {
        Ok(Walk {
            trouble: Some(Trouble::Denied),
            ..
        }) => DENIED_REST,
        Ok(Walk {
            trouble: Some(Trouble::RateLimited(wait)),
            ..
        }) => *wait,
        _ => Duration::ZERO,
    }
}

/// A tenth earlier, so that polls of many workspaces do not march in step and none is later than it should be.
fn jittered(rest: Duration) -> Duration {
    rest.mul_f64(1.0 - fastrand::f64() / 10.0)
}
