//! The verdict by itself: books made by hand, and what is said of them.

use std::collections::BTreeMap;
use std::time::Duration;

use birdkeep::domain::completeness::DayCounts;
use birdkeep::domain::completeness::GapKind;
use birdkeep::domain::completeness::Period;
use birdkeep::domain::completeness::Question;
use birdkeep::domain::completeness::WalkEvidence;
use birdkeep::domain::completeness::WorkspaceBook;
use birdkeep::domain::completeness::gaps;
use birdkeep::domain::day::Day;
use birdkeep::domain::gone::GoneCounts;
use birdkeep::domain::state::STATES;
use proptest::prelude::*;

fn day(number: i64) -> Day {
    Day::from_number(740_000 + number).unwrap()
}

/// A book with these days, whose counters agree with them, last walked in whole on the given day.
fn book(days: &[DayCounts], walked: Option<Day>) -> WorkspaceBook {
    let mut book = WorkspaceBook {
        name: "support".parse().unwrap(),
        id: "support-id".parse().unwrap(),
        walks: WalkEvidence {
            last_full_started_at: walked.map(Day::start),
            ..WalkEvidence::default()
        },
        days: (0..).map(day).zip(days.iter().copied()).collect(),
        counters: BTreeMap::new(),
        counted_bytes: 0,
    };
    let total = book.total(Period::default());
    book.counters = STATES.into_iter().map(|state| (state, total.in_state(state))).collect();
    book.counted_bytes = total.bytes;
    book
}

fn question(now: Day, period: Period) -> Question {
    Question {
        now: now.start(),
        period,
        freshness: Duration::from_hours(48),
    }
}

fn kinds(book: &WorkspaceBook, is_configured: bool, question: &Question) -> Vec<GapKind> {
    gaps(book, is_configured, question).iter().map(|gap| gap.kind).collect()
}

prop_compose! {
    /// A day that closes.
    fn counts()(n in prop::array::uniform8(0_u64..4), of_archived in 0_u64..4, bytes in 0_u64..99, aside in 0_u64..2, vanished in 0_u64..2) -> DayCounts {
        let [archived, waiting, due, claimed, absent, deleted, other, given_up] = n;
        let re_read = of_archived.min(archived);
        DayCounts {
            listed: n.iter().sum(),
            archived, bytes, re_read, waiting, due, claimed, given_up,
            unsound: archived - re_read,
            gone: GoneCounts { absent, failed: 0, deleted, other },
            set_aside: aside,
            vanished: vanished.min(waiting + due + claimed),
            ..DayCounts::default()
        }
    }
}

proptest! {
    #[test]
    fn sums_that_close_on_each_day_close_over_any_period(days in prop::collection::vec(counts(), 0..12), since in 0_i64..12, length in 1_i64..12) {
        let book = book(&days, None);
        prop_assert!(book.open_sums().is_empty());
        let period = Period { since: Some(day(since)), until: Some(day(since + length)) };
        let total = book.total(period);
        prop_assert!(total.closes());
        let by_hand: u64 = days.iter().skip(usize::try_from(since).unwrap()).take(usize::try_from(length).unwrap()).map(|counts| counts.listed).sum();
        prop_assert_eq!(total.listed, by_hand);
    }

    #[test]
    fn one_recording_more_or_less_anywhere_is_seen(days in prop::collection::vec(counts(), 1..8), at in any::<prop::sample::Index>(), what in 0..7) {
        let mut book = book(&days, None);
        let counts = book.days.get_mut(&day(i64::try_from(at.index(days.len())).unwrap())).unwrap();
        match what {
            0 => counts.listed += 1,
            1 => counts.archived += 1,
            2 => counts.waiting += 1,
            3 => counts.due += 1,
            4 => counts.claimed += 1,
            5 => counts.gone.other += 1,
            _ => counts.given_up += 1,
        }
        prop_assert!(!book.open_sums().is_empty());
        let asked = question(day(0), Period::default());
        prop_assert!(kinds(&book, false, &asked).contains(&GapKind::Sums));
    }

    #[test]
    fn complete_is_said_of_nothing_that_is_open(days in prop::collection::vec(counts(), 0..8)) {
        let asked = question(day(100), Period::default());
        let book = book(&days, Some(day(100)));
        let total = book.total(Period::default());
        let open = total.given_up + total.gone.deleted + total.set_aside + total.unsound + total.unexplained();
        prop_assert_eq!(kinds(&book, true, &asked).is_empty(), open == 0);
    }
}

#[test]
fn each_kind_of_trouble_is_a_gap_of_its_own() {
    let asked = question(day(5), Period::default());
    let of = |counts: DayCounts| kinds(&book(&[counts], Some(day(5))), true, &asked);
    let base = DayCounts {
        listed: 3,
        waiting: 1,
        due: 1,
        archived: 1,
        ..DayCounts::default()
    };
    assert_eq!(of(base), []);
    assert_eq!(of(DayCounts { late: 1, ..base }), [GapKind::Late]);
    let gone = GoneCounts {
        absent: 1,
        failed: 0,
        deleted: 1,
        other: 0,
    };
    assert_eq!(
        of(DayCounts {
            gone,
            listed: 5,
            ..base
        }),
        [GapKind::Deleted]
    );
    assert_eq!(of(DayCounts { unsound: 1, ..base }), [GapKind::Unsound]);
    assert_eq!(of(DayCounts { set_aside: 1, ..base }), [GapKind::SetAside]);
    assert_eq!(
        of(DayCounts {
            set_aside_unlisted: 1,
            ..base
        }),
        [GapKind::SetAsideUnlisted]
    );
    for part in [
        DayCounts { vanished: 1, ..base },
        DayCounts { untried: 1, ..base },
        DayCounts { stuck: 1, ..base },
    ] {
        assert_eq!(of(part), [GapKind::Unexplained]);
    }
    assert_eq!(
        of(DayCounts {
            given_up: 1,
            listed: 4,
            ..base
        }),
        [GapKind::GivenUp]
    );
}

#[test]
fn a_walk_must_have_begun_after_the_period_or_lately() {
    let until = |end: i64| Period {
        since: None,
        until: Some(day(end)),
    };
    for (walked, now, period, wanted) in [
        (None, 10, Period::default(), Some(GapKind::NeverWalked)),
        (Some(10), 10, Period::default(), None),
        (Some(8), 10, Period::default(), None),
        (Some(7), 10, Period::default(), Some(GapKind::WalkTooOld)),
        // Over: a walk after its end is enough, however long ago.
        (Some(4), 10, until(4), None),
        (Some(3), 10, until(4), Some(GapKind::WalkTooOld)),
        (Some(9), 10, until(10), Some(GapKind::WalkTooOld)),
        // Not over yet.
        (Some(9), 10, until(11), None),
        (Some(7), 10, until(11), Some(GapKind::WalkTooOld)),
    ] {
        let book = book(&[], walked.map(day));
        let found = kinds(&book, true, &question(day(now), period));
        assert_eq!(
            found,
            wanted.into_iter().collect::<Vec<_>>(),
            "{walked:?} {now} {period:?}"
        );
        assert_eq!(kinds(&book, false, &question(day(now), period)), []);
    }
}
