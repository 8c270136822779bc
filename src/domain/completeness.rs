//! Whether everything is there: the books of a workspace, day by day, and what of them an auditor must be told.
//!
//! Pure counting and judging. Must not know: where the numbers come from, how they are shown.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use super::clock::Timestamp;
use super::day::Day;
use super::gone::GoneCounts;
use super::ids::WorkspaceId;
use super::ids::WorkspaceName;
use super::state::STATES;
use super::state::State;

/// How long a recording may be due, from when it was first listed: a failing one is given up in less.
pub const LONGEST_DUE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long upstream may call a recording neither available nor without media, from when it was first listed: no call
/// lasts that long.
pub const LONGEST_WAITING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far in the future a noted time may lie before it tells of a wrong clock.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60 * 60);

/// How the recordings of one workspace stand that were created on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// All that the catalog knows, counted by themselves.
    pub listed: u64,
    /// Archived.
    pub archived: u64,
    /// Bytes archived.
    pub bytes: u64,
    /// Of the archived: re-read since, and nothing was found wrong.
    pub re_read: u64,
    /// Of the archived: something is wrong with the body or its sidecar.
    pub unsound: u64,
    /// Upstream has no media yet.
    pub waiting: u64,
    /// To be fetched.
    pub due: u64,
    /// Of the due: tried before, or kept from it, with the reason noted.
    pub due_tried: u64,
    /// Being fetched.
    pub claimed: u64,
    /// Without media upstream, by why.
    pub gone: GoneCounts,
    /// Attempts spent.
    pub given_up: u64,
    /// List items of the day that are not understood: beside what is listed.
    pub set_aside: u64,
    /// Items that were never understood and are not listed any more, by their ids: beside what is listed.
    pub set_aside_unlisted: u64,
    /// Of the due and claimed: listed for longer than [`LONGEST_DUE`], and a reason is noted.
    pub late: u64,
    /// Of the waiting, due and claimed: the last walk over everything did not list them.
    pub vanished: u64,
    /// Of the due and claimed: listed for longer than [`LONGEST_DUE`], never tried, and no reason is noted.
    pub untried: u64,
    /// Of the waiting: listed for longer than [`LONGEST_WAITING`].
    pub stuck: u64,
}

impl DayCounts {
    /// What nothing in the catalog explains.
    #[must_use]
    pub const fn unexplained(&self) -> u64 {
        self.vanished + self.untried + self.stuck
    }

    /// Whether every listed recording is in exactly one of the places where it may be.
    #[must_use]
    pub const fn closes(&self) -> bool {
        let open = self.waiting + self.due + self.claimed;
        self.listed == self.archived + open + self.gone.sum() + self.given_up
            && self.re_read + self.unsound <= self.archived
            && self.late + self.unexplained() <= open
    }

    /// How many are in a state.
    #[must_use]
    pub const fn in_state(&self, state: State) -> u64 {
        match state {
            State::Waiting => self.waiting,
            State::Due => self.due,
            State::Claimed => self.claimed,
            State::Archived => self.archived,
            State::Gone => self.gone.sum(),
            State::GivenUp => self.given_up,
        }
    }
}

impl AddAssign for DayCounts {
    fn add_assign(&mut self, other: Self) {
        self.listed += other.listed;
        self.archived += other.archived;
        self.bytes += other.bytes;
        self.re_read += other.re_read;
        self.unsound += other.unsound;
        self.waiting += other.waiting;
        self.due += other.due;
        self.due_tried += other.due_tried;
        self.claimed += other.claimed;
        self.gone += other.gone;
        self.given_up += other.given_up;
        self.set_aside += other.set_aside;
        self.set_aside_unlisted += other.set_aside_unlisted;
        self.late += other.late;
        self.vanished += other.vanished;
        self.untried += other.untried;
        self.stuck += other.stuck;
    }
}

/// What is known of the last walks over a workspace that reached their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalkEvidence {
    /// When the last one ended, whatever its kind.
    pub last_complete_at: Option<Timestamp>,
    /// When the last one over everything began.
    pub last_full_started_at: Option<Timestamp>,
    /// When it ended; `None` where it ended under a version that did not note it.
    pub last_full_finished_at: Option<Timestamp>,
    /// What it listed, with the same reservation: items set aside included, those listed twice counted twice.
    pub last_full_listed: Option<u64>,
    /// What was created before this it did not ask for.
    pub last_full_since: Option<Timestamp>,
}

/// The books of one workspace, all at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceBook {
    /// The operator's name of it.
    pub name: WorkspaceName,
    /// Upstream's id of it.
    pub id: WorkspaceId,
    /// Its walks.
    pub walks: WalkEvidence,
    /// Its days; those without recordings and without items set aside are not there.
    pub days: BTreeMap<Day, DayCounts>,
    /// How many recordings are in each state, by the catalog's own counters.
    pub counters: BTreeMap<State, u64>,
    /// Bytes archived, by the catalog's own counters.
    pub counted_bytes: u64,
}

/// Which days are asked about. Without bounds: all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first one.
    pub since: Option<Day>,
    /// The one after the last.
    pub until: Option<Day>,
}

impl Period {
    /// Whether a day belongs to it.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        self.since.is_none_or(|since| day >= since) && self.until.is_none_or(|until| day < until)
    }
}

impl WorkspaceBook {
    /// The days of a period.
    pub fn days_of(&self, period: Period) -> impl Iterator<Item = (Day, &DayCounts)> {
        let days = self.days.iter().map(|(day, counts)| (*day, counts));
        days.filter(move |(day, _)| period.contains(*day))
    }

    /// All days of a period in one.
    #[must_use]
    pub fn total(&self, period: Period) -> DayCounts {
        let mut total = DayCounts::default();
        self.days_of(period).for_each(|(_, counts)| total += *counts);
        total
    }

    /// The recordings that have or had media to fetch, on all days: what a counter of upstream's may count.
    #[must_use]
    pub fn with_media(&self) -> u64 {
        let total = self.total(Period::default());
        total.archived + total.due + total.claimed + total.given_up
    }

    /// Each sum that does not close, over all days, in words. None, where the books are right.
    #[must_use]
    pub fn open_sums(&self) -> Vec<String> {
        let mut open: Vec<String> = self
            .days
            .iter()
            .filter(|(_, counts)| !counts.closes())
            .map(|(day, counts)| format!("{day}: {} listed are not the sum of their states", counts.listed))
            .collect();
        let total = self.total(Period::default());
        for state in STATES {
            let (counted, summed) = (self.counters.get(&state).copied().unwrap_or(0), total.in_state(state));
            if counted != summed {
                open.push(format!(
                    "the counter of {state} says {counted}, the days sum up to {summed}"
                ));
            }
        }
        if self.counted_bytes != total.bytes {
            open.push(format!(
                "the counter of bytes says {}, the days sum up to {}",
                self.counted_bytes, total.bytes
            ));
        }
        open
    }
}

/// The kinds of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// The catalog is a restored copy that was not brought level with the files yet.
    Restored,
    /// No walk over everything has ever reached its end.
    NeverWalked,
    /// The last walk over everything began in the future: by a wrong clock, then or now.
    WrongClock,
    /// The period has not begun.
    NotBegun,
    /// The period has days that the last walk over everything did not ask for.
    NotListed,
    /// The last walk over everything is too old to vouch for the period.
    WalkTooOld,
    /// Attempts spent.
    GivenUp,
    /// Deleted upstream before they could be fetched.
    Deleted,
    /// List items that are not understood.
    SetAside,
    /// List items that were never understood and are not listed any more.
    SetAsideUnlisted,
    /// Archived, and something is wrong with it.
    Unsound,
    /// Due for longer than it should take, for a reason that is noted.
    Late,
    /// Nothing in the catalog says what became of them.
    Unexplained,
    /// The catalog contradicts itself.
    Sums,
}

impl GapKind {
    /// The kind's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::NeverWalked => "never_walked",
            Self::WrongClock => "wrong_clock",
            Self::NotBegun => "not_begun",
            Self::NotListed => "not_listed",
            Self::WalkTooOld => "walk_too_old",
            Self::GivenUp => "given_up",
            Self::Deleted => "deleted",
            Self::SetAside => "set_aside",
            Self::SetAsideUnlisted => "set_aside_unlisted",
            Self::Unsound => "unsound",
            Self::Late => "late",
            Self::Unexplained => "unexplained",
            Self::Sums => "sums",
        }
    }
}

/// One reason why a workspace's archive cannot be called complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What kind of reason.
    pub kind: GapKind,
    /// How many recordings, items or sums; `None` where that is not a matter of numbers.
    pub count: Option<u64>,
    /// In words, with the way to see or mend it.
    pub text: String,
}

/// What is asked of a workspace's books.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The time now, by our clock.
    pub now: Timestamp,
    /// Which days.
    pub period: Period,
    /// How long ago the last walk over everything may have begun, where the period goes on to this day.
    pub freshness: Duration,
}

/// Each reason why the period cannot be called complete. None: all that upstream listed is archived, or it is known why
/// not, or too early to ask. A workspace that is not configured any more is not walked, and not held to it.
#[must_use]
pub fn gaps(book: &WorkspaceBook, is_configured: bool, question: &Question) -> Vec<Gap> {
    let mut gaps = if is_configured {
        walk_gaps(&book.walks, question)
    } else {
        Vec::new()
    };
    let total = book.total(question.period);
    let mut add = |kind, count: u64, text: &str| {
        if count > 0 {
            gaps.push(Gap {
                kind,
                count: Some(count),
                text: format!("{count} {text}"),
            });
        }
    };
    add(
        GapKind::GivenUp,
        total.given_up,
        "given up: `birdkeep list --state given_up` says why, `birdkeep retry --all` tries again",
    );
    add(
        GapKind::Deleted,
        total.gone.deleted,
        "deleted at Bird before they could be fetched: `birdkeep list --state gone` shows them",
    );
    add(
        GapKind::SetAside,
        total.set_aside,
        "set aside: Bird lists what birdkeep does not understand; please report its shape",
    );
    add(
        GapKind::SetAsideUnlisted,
        total.set_aside_unlisted,
        "set aside, never understood, and not listed by Bird any more",
    );
    add(
        GapKind::Unsound,
        total.unsound,
        "archived and found unsound: see `birdkeep verify --found`",
    );
    add(
        GapKind::Late,
        total.late,
        "listed for more than a day and still due: `birdkeep list --state due` says why",
    );
    add(
        GapKind::Unexplained,
        total.vanished,
        "unexplained: not archived, and Bird's list does not hold them any more",
    );
    add(
        GapKind::Unexplained,
        total.untried,
        "unexplained: listed for more than a day, due, and never tried; does birdkeep run?",
    );
    add(
        GapKind::Unexplained,
        total.stuck,
        "unexplained: Bird has called them neither available nor without media for more than a week",
    );
    gaps.extend(sums_gap(book));
    gaps
}

/// What contradicts itself.
fn sums_gap(book: &WorkspaceBook) -> Option<Gap> {
    let open = book.open_sums();
    let first = open.first()?;
    Some(Gap {
        kind: GapKind::Sums,
        count: Some(open.len() as u64),
        text: format!(
            "{} sum(s) do not close, the first: {first}; the catalog is damaged",
            open.len()
        ),
    })
}

/// What the walks leave open.
fn walk_gaps(walks: &WalkEvidence, question: &Question) -> Vec<Gap> {
    let unlisted = unlisted_gap(walks, question.period);
    walk_gap(walks, question).into_iter().chain(unlisted).collect()
}

/// Whether the period asked about has days that nobody asked upstream for, by `sync.since`. A period without bounds is what
/// there is to ask about, and the statement says from where on.
fn unlisted_gap(walks: &WalkEvidence, period: Period) -> Option<Gap> {
    let from = walks.last_full_since?;
    let begins_before = period.since.is_some_and(|first| first.start() < from);
    let ends_before = period.until.is_some_and(|end| end.start() <= from);
    (begins_before || ends_before).then(|| Gap {
        kind: GapKind::NotListed,
        count: None,
        text: format!("Bird was not asked for what was created before {from} (sync.since): nobody knows what there is"),
    })
}

/// Whether the last walk over everything vouches for the period: it must have begun after the period's end or, where that
/// is still to come, not long ago.
fn walk_gap(walks: &WalkEvidence, question: &Question) -> Option<Gap> {
    let end = question.period.until.map(Day::start).filter(|end| *end <= question.now);
    let gap = |kind, text| {
        Some(Gap {
            kind,
            count: None,
            text,
        })
    };
    let Some(began) = walks.last_full_started_at else {
        return gap(
            GapKind::NeverWalked,
            "Bird's list was never read to its end: nobody knows what there is".to_owned(),
        );
    };
    if began > question.now.after(CLOCK_TOLERANCE) {
        return gap(
            GapKind::WrongClock,
            format!(
                "Bird's list was last read in whole at {began}, in the future: this machine's clock is or was wrong; \
                 ask again after the next time"
            ),
        );
    }
    match end {
        _ if question.period.since.is_some_and(|first| first.start() > question.now) => {
            gap(GapKind::NotBegun, "the period has not begun".to_owned())
        }
        Some(end) if began < end => gap(
            GapKind::WalkTooOld,
            format!(
                "Bird's list was last read in whole from {began} on, before the period's end: ask again after the next time"
            ),
        ),
        None if began < question.now.before(question.freshness) => gap(
            GapKind::WalkTooOld,
            format!(
                "Bird's list was last read in whole from {began} on, more than two sync.full_walk_interval ago; does birdkeep run?"
            ),
        ),
        _ => None,
    }
}
