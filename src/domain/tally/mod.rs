//! What the rooms have done since the process began, and what troubles they have now, in numbers.
//!
//! Rooms write here and read nothing; whoever shows it reads. Counts begin at zero with the process, so that nothing
//! that must survive a restart lives here. Bounded: one entry for each configured workspace, closed sets of words. Must
//! not know: who reads it, or how it is shown.

mod label;
mod measure;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

pub use label::ApiOutcome;
pub use label::Cause;
pub use label::DownloadOutcome;
pub use label::WalkEnd;
pub use measure::Counter;
pub use measure::Histogram;
pub use measure::Measured;
pub use measure::Seconds;

use super::ids::RecordingId;
use super::ids::WorkspaceName;
use super::report::WalkKind;

/// Upper bounds of the life left on a link when its download began, in seconds. Bird's links live ten minutes.
pub const LINK_LIFE_SECONDS: &[f64] = &[
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 360.0, 480.0, 540.0, 600.0, 3600.0,
];

/// Upper bounds of how long a download took, in seconds.
pub const DOWNLOAD_SECONDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 14400.0,
];

/// Upper bounds of a downloaded body's length, in bytes.
pub const DOWNLOAD_BYTES: &[f64] = &[
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, in one line and without secrets.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// When it was last met.
    pub last_met: Instant,
}

/// A place for one trouble: empty while all is well.
#[derive(Debug, Default)]
pub struct TroubleNow(Mutex<Option<Trouble>>);

impl TroubleNow {
    /// It is met: for the first time, or again, with perhaps another reason.
    pub fn met(&self, reason: &str) {
        let now = Instant::now();
        let mut held = lock(&self.0);
        let since = held.as_ref().map_or(now, |trouble| trouble.since);
        *held = Some(Trouble {
            reason: reason.to_owned(),
            since,
            last_met: now,
        });
    }

    /// It is over.
    pub fn over(&self) {
        *lock(&self.0) = None;
    }

    /// The trouble, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<Trouble> {
        lock(&self.0).clone()
    }
}

/// Recordings that a workspace's last attempt was spent on, by this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// How many.
    pub count: u64,
    /// The newest of them, the last one first.
    pub newest: VecDeque<RecordingId>,
}

/// How many of those given up are known by their ids.
const MOST_GIVEN_UP: usize = 100;

/// What was done for one workspace, and what troubles it.
#[derive(Debug, Default)]
pub struct WorkspaceTally {
    requests: [Counter; ApiOutcome::ALL.len()],
    /// Time that requests waited for the pace and for "too many".
    pub waited: Seconds,
    walks: [[Counter; WalkEnd::ALL.len()]; 2],
    last_complete_walk: Mutex<Option<Instant>>,
    downloads: [[Counter; Cause::ALL.len()]; DownloadOutcome::ALL.len()],
    /// Walks that were begun.
    pub passes_begun: Counter,
    /// Walks that came to an end by themselves, those included that the catalog could not take.
    pub passes_ended: Counter,
    given_up: Mutex<GivenUp>,
    /// The list cannot be read because the credential is refused.
    pub list_denied: TroubleNow,
    /// Recordings cannot be viewed because the credential is refused. Met again every minute while it lasts and there is
    /// something to fetch; nobody says that it is over where there is nothing more to fetch.
    pub view_denied: TroubleNow,
    /// Walks fail otherwise.
    pub failing: TroubleNow,
    /// The catalog does not take what is listed.
    pub not_kept: TroubleNow,
}

impl WorkspaceTally {
    /// A request to the API ended so.
    pub fn request(&self, outcome: ApiOutcome) {
        self.requests[outcome as usize].add(1);
    }

    /// Requests that ended so.
    #[must_use]
    pub fn requests(&self, outcome: ApiOutcome) -> u64 {
        self.requests[outcome as usize].get()
    }

    /// A walk ended so.
    pub fn walk(&self, kind: WalkKind, end: WalkEnd) {
        self.walks[kind as usize][end as usize].add(1);
        if end == WalkEnd::Complete {
            *lock(&self.last_complete_walk) = Some(Instant::now());
        }
    }

    /// Walks of this kind that ended so.
    #[must_use]
    pub fn walks(&self, kind: WalkKind, end: WalkEnd) -> u64 {
        self.walks[kind as usize][end as usize].get()
    }

    /// When this process last came to the end of the list.
    #[must_use]
    pub fn last_complete_walk(&self) -> Option<Instant> {
        *lock(&self.last_complete_walk)
    }

    /// What troubled it is over, as when it is configured anew.
    pub fn forget_troubles(&self) {
        for trouble in [&self.list_denied, &self.view_denied, &self.failing, &self.not_kept] {
            trouble.over();
        }
    }

    /// A recording was given up that had not been before, and that is written down.
    pub fn gave_up(&self, id: RecordingId) {
        let mut given_up = lock(&self.given_up);
        given_up.count += 1;
        given_up.newest.truncate(MOST_GIVEN_UP - 1);
        given_up.newest.push_front(id);
    }

    /// What this process gave up.
    #[must_use]
    pub fn given_up(&self) -> GivenUp {
        lock(&self.given_up).clone()
    }

    /// A download ended so, and that is written down.
    pub fn download(&self, outcome: DownloadOutcome, cause: Cause) {
        self.downloads[outcome as usize][cause as usize].add(1);
    }

    /// Downloads that ended so.
    #[must_use]
    pub fn downloads(&self, outcome: DownloadOutcome, cause: Cause) -> u64 {
        self.downloads[outcome as usize][cause as usize].get()
    }
}

/// How far the daemon's own re-reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rereading {
    /// Recordings re-read since the process began.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the part that is being re-read: how many recordings are done.
    pub done: u64,
    /// And how many it has; 0 while nothing is re-read.
    pub total: u64,
}

/// Everything that is tallied, of one process.
#[derive(Debug)]
pub struct Tallies {
    workspaces: Mutex<BTreeMap<WorkspaceName, Arc<WorkspaceTally>>>,
    /// Life left on a link when its download began, in seconds.
    pub link_life: Histogram,
    /// How long whole downloads took, in seconds.
    pub download_seconds: Histogram,
    /// Lengths of whole downloads, in bytes.
    pub download_bytes: Histogram,
    in_flight: Mutex<u64>,
    /// This machine does not take recordings.
    pub local_fault: TroubleNow,
    rereading: Mutex<Rereading>,
    upstream_offset: Mutex<Option<f64>>,
}

impl Default for Tallies {
    fn default() -> Self {
        Self {
            workspaces: Mutex::default(),
            link_life: Histogram::new(LINK_LIFE_SECONDS),
            download_seconds: Histogram::new(DOWNLOAD_SECONDS),
            download_bytes: Histogram::new(DOWNLOAD_BYTES),
            in_flight: Mutex::default(),
            local_fault: TroubleNow::default(),
            rereading: Mutex::default(),
            upstream_offset: Mutex::default(),
        }
    }
}

impl Tallies {
    /// The tally of one workspace, made where there is none yet. Callers name configured workspaces only.
    #[must_use]
    pub fn workspace(&self, name: &WorkspaceName) -> Arc<WorkspaceTally> {
        let mut workspaces = lock(&self.workspaces);
        if let Some(tally) = workspaces.get(name) {
            return Arc::clone(tally);
        }
        Arc::clone(workspaces.entry(name.clone()).or_default())
    }

    /// A download begins; it has ended when what is returned is dropped, however that comes.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        *lock(&self.in_flight) += 1;
        InFlight(Arc::clone(self))
    }

    /// Downloads under way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        *lock(&self.in_flight)
    }

    /// A part is being re-read and has come so far.
    pub fn reread(&self, done: u64, bytes: u64, total: u64) {
        let mut held = lock(&self.rereading);
        held.recordings += done.saturating_sub(held.done);
        held.bytes += bytes;
        held.done = done;
        held.total = total;
    }

    /// Nothing is re-read any more.
    pub fn end_rereading(&self) {
        let mut held = lock(&self.rereading);
        held.done = 0;
        held.total = 0;
    }

    /// How far the daemon's re-reading has come.
    #[must_use]
    pub fn rereading(&self) -> Rereading {
        *lock(&self.rereading)
    }

    /// Upstream's clock is this many seconds ahead of ours, or behind where negative.
    pub fn offset_is(&self, seconds: Option<f64>) {
        *lock(&self.upstream_offset) = seconds;
    }

    /// How far upstream's clock is ahead of ours in seconds; `None` before its first reply.
    #[must_use]
    pub fn upstream_offset(&self) -> Option<f64> {
        *lock(&self.upstream_offset)
    }
}

/// A download under way.
#[derive(Debug)]
pub struct InFlight(Arc<Tallies>);

impl InFlight {
    /// The body is whole: it took so long and is so long.
    pub fn whole(&self, took: Duration, size_bytes: u64) {
        self.0.download_seconds.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a length, for a histogram")]
        self.0.download_bytes.observe(size_bytes as f64);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.0.in_flight);
        *in_flight = in_flight.saturating_sub(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_goes_down_however_a_download_ends() {
        let tallies = Arc::new(Tallies::default());
        let (first, second) = (tallies.enter(), tallies.enter());
        assert_eq!(tallies.in_flight(), 2);
        drop(first);
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = second;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(unwound.is_err());
        assert_eq!(tallies.in_flight(), 0);
    }

    #[test]
    fn a_trouble_keeps_its_beginning_and_its_last_word() {
        let trouble = TroubleNow::default();
        trouble.met("one");
        let first = trouble.get().unwrap();
        trouble.met("two");
        let second = trouble.get().unwrap();
        assert_eq!((second.since, second.reason.as_str()), (first.since, "two"));
        assert!(second.last_met >= first.last_met);
        trouble.over();
        assert_eq!(trouble.get(), None);
    }

    #[test]
    fn what_was_reread_adds_up_over_parts() {
        let tallies = Tallies::default();
        tallies.reread(1, 10, 3);
        tallies.reread(3, 20, 3);
        tallies.end_rereading();
        tallies.reread(2, 5, 2);
        let so_far = tallies.rereading();
        assert_eq!(
            (so_far.recordings, so_far.bytes, so_far.done, so_far.total),
            (5, 35, 2, 2)
        );
    }

    #[test]
    fn each_count_has_a_place_of_its_own() {
        let tallies = Tallies::default();
        let name: WorkspaceName = "a".parse().unwrap();
        let tally = tallies.workspace(&name);
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            for _ in 0..=at {
                tally.download(DownloadOutcome::Failed, cause);
            }
        }
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(
                tallies.workspace(&name).downloads(DownloadOutcome::Failed, cause),
                at as u64 + 1
            );
            assert_eq!(tally.downloads(DownloadOutcome::Archived, cause), 0);
        }
        tally.walk(WalkKind::Full, WalkEnd::Complete);
        assert_eq!(tally.walks(WalkKind::Full, WalkEnd::Complete), 1);
        assert_eq!(tally.walks(WalkKind::Poll, WalkEnd::Complete), 0);
        assert!(tally.last_complete_walk().is_some());
    }
}
