//! The books: what became of every recording, by the day of its call, and that they close.

use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::catalog::VerifyChoice;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::completeness::DayCounts;
use birdkeep::domain::completeness::Period;
use birdkeep::domain::completeness::WalkEvidence;
use birdkeep::domain::completeness::WorkspaceBook;
use birdkeep::domain::day::Day;
use birdkeep::domain::finding::Finding;
use birdkeep::domain::finding::FindingKind;
use birdkeep::domain::gone::GoneCounts;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::at;
use super::harness::available;
use super::harness::failed;
use super::harness::id;
use super::harness::odd;
use super::harness::of_support;
use super::harness::recording;
use super::harness::workspace;

fn day(text: &str) -> Day {
    Day::of(at(&format!("{text}T00:00:00Z")))
}

fn made(recording: Recording, created_at: &str) -> Recording {
    Recording {
        created_at: at(created_at),
        ..recording
    }
}

async fn books(bench: &Bench) -> Vec<WorkspaceBook> {
    bench.catalog.reader().books(bench.now()).await.unwrap().workspaces
}

/// The books of `support`, which close.
async fn book(bench: &Bench) -> WorkspaceBook {
    let book = books(bench).await.pop().unwrap();
    assert_eq!(book.name, workspace("support"));
    assert_eq!(book.open_sums(), Vec::<String>::new(), "{book:?}");
    book
}

/// The one day of `support` that the harness's recordings are created on.
async fn first_of_may(bench: &Bench) -> DayCounts {
    let book = book(bench).await;
    assert_eq!(book.days.keys().copied().collect::<Vec<_>>(), [day("2024-05-01")]);
    book.days[&day("2024-05-01")]
}

async fn note(bench: &Bench, found: impl Fn(u8) -> Option<Finding>) {
    let run = bench.catalog.begin_verification("all", false).await.unwrap();
    let reader = bench.catalog.reader();
    let rows = reader
        .to_verify(&VerifyChoice::All, &[], None, 9, bench.now())
        .await
        .unwrap();
    let readings: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let found = found(row.key.recording().id.as_bytes()[0]);
            (row, found)
        })
        .collect();
    bench.catalog.note_readings(run, &readings).await.unwrap();
}

#[tokio::test]
async fn an_empty_catalog_has_empty_books_that_close() {
    let bench = Bench::new().await;
    let books = bench.catalog.reader().books(bench.now()).await.unwrap();
    assert_eq!(books.archive.archive_id, "archive-1");
    assert_eq!(books.copied_at, None);
    let names: Vec<_> = books.workspaces.iter().map(|book| book.name.as_str()).collect();
    assert_eq!(names, ["sales", "support"]);
    for book in &books.workspaces {
        assert!(book.days.is_empty() && book.open_sums().is_empty(), "{book:?}");
        assert_eq!(book.walks, WalkEvidence::default());
    }
}

#[tokio::test]
async fn every_recording_is_counted_where_it_stands() {
    let bench = Bench::new().await;
    for n in 1..=3 {
        bench.archive(n).await;
    }
    note(&bench, |n| {
        (n == 2).then(|| Finding::new(FindingKind::Damaged, "other bytes"))
    })
    .await;
    bench.clock.advance(HOUR);
    bench.archive(4).await;
    bench.upsert(&[recording(10, "ongoing"), recording(11, "paused")]).await;
    bench.upsert(&[available(20), available(21)]).await;
    let claim = bench.claimed(21).await;
    bench.end(claim, failed(1, false, bench.now())).await.unwrap();
    drop(bench.claimed(30).await);
    bench.upsert(&[recording(40, "absent"), recording(41, "failed")]).await;
    bench.give_up(50, bench.now().after(HOUR)).await;
    let items = [
        odd("{}", None),
        odd("{\"createdAt\":\"2024-05-01T09:00:00Z\"}", Some(id(60))),
    ];
    bench.page(&[], &items).await;
    let counts = first_of_may(&bench).await;
    let wanted = DayCounts {
        listed: 12,
        archived: 4,
        bytes: 4_000,
        re_read: 2,
        unsound: 1,
        waiting: 2,
        due: 2,
        due_tried: 1,
        claimed: 1,
        gone: GoneCounts {
            absent: 1,
            failed: 1,
            ..GoneCounts::default()
        },
        given_up: 1,
        set_aside: 2,
        ..DayCounts::default()
    };
    assert_eq!(counts, wanted);
}

#[tokio::test]
async fn reasons_are_told_apart_by_what_was_noted() {
    let bench = Bench::new().await;
    let gone = |reason: &str| ClaimEnd::Gone {
        reason: reason.to_owned(),
        attempts: 1,
        not_before: bench.now(),
    };
    for (n, reason) in [
        (1, "upstream has no media: its status is absent"),
        (2, "upstream has no media: its status is failed"),
        (
            3,
            "asked for a fresh link: the API answered 404 (NotFound: no such recording)",
        ),
        (4, "upstream has no media: its status is odd"),
    ] {
        let claim = bench.claimed(n).await;
        bench.end(claim, gone(reason)).await.unwrap();
    }
    bench.upsert(&[recording(5, "ongoing")]).await;
    let support = workspace("support");
    bench
        .catalog
        .note_deleted(&support, id(5), birdkeep::domain::gone::NO_LONGER_KNOWN)
        .await
        .unwrap();
    // An error of an earlier try does not hide what upstream says itself.
    let claim = bench.claimed(6).await;
    bench.end(claim, failed(1, false, bench.now())).await.unwrap();
    bench.upsert(&[recording(6, "absent")]).await;
    let wanted = GoneCounts {
        absent: 2,
        failed: 1,
        deleted: 2,
        other: 1,
    };
    assert_eq!(first_of_may(&bench).await.gone, wanted);
}

#[tokio::test]
async fn days_are_those_of_utc_and_belong_to_their_workspace() {
    let bench = Bench::new().await;
    let times = [
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "2024-02-28T23:59:59.999999Z",
        "2024-02-29T00:00:00Z",
        "2024-02-29T23:59:59Z",
        "2024-03-01T00:00:00Z",
    ];
    let of_support: Vec<_> = (1..).zip(times).map(|(n, time)| made(available(n), time)).collect();
    bench.upsert(&of_support).await;
    let page = Page {
        recordings: &[made(available(9), "2024-02-29T12:00:00Z")],
        set_aside: &[],
        seen_at: bench.now(),
        touch_before: bench.now(),
    };
    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();
    let days = |book: &WorkspaceBook| -> Vec<_> {
        let days = book.days.iter();
        days.map(|(day, counts)| (day.to_string(), counts.listed, counts.due))
            .collect()
    };
    let wanted = [
        ("1969-12-31", 1),
        ("1970-01-01", 1),
        ("2024-02-28", 1),
        ("2024-02-29", 2),
        ("2024-03-01", 1),
    ];
    let wanted: Vec<_> = wanted.map(|(day, count)| (day.to_owned(), count, count)).into();
    let both = books(&bench).await;
    assert_eq!(days(&both[1]), wanted);
    assert_eq!(days(&both[0]), [("2024-02-29".to_owned(), 1, 1)]);
    assert!(both.iter().all(|book| book.open_sums().is_empty()), "{both:?}");
    let february = Period {
        since: Some(day("2024-02-01")),
        until: Some(day("2024-03-01")),
    };
    assert_eq!(both[1].total(february).listed, 3);
}

#[tokio::test]
async fn what_lasts_too_long_is_told_from_what_is_fresh() {
    let bench = Bench::new().await;
    bench
        .upsert(&[recording(1, "ongoing"), available(2), available(3)])
        .await;
    let claim = bench.claimed(3).await;
    bench.end(claim, failed(1, false, bench.now())).await.unwrap();
    let parts = |counts: DayCounts| (counts.late, counts.vanished, counts.untried, counts.stuck);
    assert_eq!(parts(first_of_may(&bench).await), (0, 0, 0, 0));
    bench.clock.advance(HOUR * 24);
    assert_eq!(parts(first_of_may(&bench).await), (0, 0, 0, 0));
    bench.clock.advance(HOUR);
    assert_eq!(parts(first_of_may(&bench).await), (1, 0, 1, 0));
    bench.clock.advance(HOUR * 24 * 7);
    assert_eq!(parts(first_of_may(&bench).await), (1, 0, 1, 1));
    // Fetching it at last, it is still not there.
    let claim = bench.catalog.claim(&[of_support(2)]).await.unwrap();
    assert_eq!(parts(first_of_may(&bench).await), (1, 0, 1, 1));
    let claim = claim.into_iter().next().unwrap();
    let object = super::harness::stored(&claim, bench.now());
    bench.end(claim, ClaimEnd::Completed(object)).await.unwrap();
    assert_eq!(parts(first_of_may(&bench).await), (1, 0, 0, 1));
}

#[tokio::test]
async fn what_the_last_whole_walk_did_not_list_is_missed_unless_it_is_kept_or_known_to_be_gone() {
    let bench = Bench::new().await;
    bench.archive(1).await;
    bench
        .upsert(&[recording(2, "ongoing"), available(3), recording(4, "absent")])
        .await;
    bench.give_up(5, bench.now()).await;
    bench.clock.advance(HOUR * 2);
    let began = bench.now();
    bench.upsert(&[recording(6, "ongoing"), available(7)]).await;
    assert_eq!(first_of_may(&bench).await.vanished, 0, "no walk has ended");
    bench.clock.advance(HOUR);
    bench.finish_full_walk(began).await;
    let counts = first_of_may(&bench).await;
    assert_eq!((counts.vanished, counts.unexplained(), counts.late), (2, 2, 0));
    let walks = book(&bench).await.walks;
    assert_eq!(
        (
            walks.last_full_started_at,
            walks.last_full_finished_at,
            walks.last_full_listed
        ),
        (Some(began), Some(bench.now()), Some(5))
    );
    // A poll is no proof of absence, and leaves the evidence of the whole walk as it is.
    bench.clock.advance(HOUR);
    let poll = super::harness::walk(
        birdkeep::domain::report::WalkKind::Poll,
        birdkeep::domain::report::WalkOutcome::Complete,
        bench.now(),
        bench.now(),
    );
    bench.catalog.finish_walk(&workspace("support"), &poll).await.unwrap();
    let after = book(&bench).await.walks;
    assert_eq!(after.last_complete_at, Some(bench.now()));
    assert_eq!(
        (after.last_full_started_at, after.last_full_listed),
        (Some(began), Some(5))
    );
    // It is listed again.
    bench.upsert(&[recording(2, "ongoing"), available(3)]).await;
    assert_eq!(first_of_may(&bench).await.vanished, 0);
}

#[tokio::test]
async fn what_was_set_aside_counts_by_its_own_day_where_it_says_one() {
    let bench = Bench::new().await;
    let items = [
        odd("{\"createdAt\":\"2024-04-03T23:00:00Z\",\"id\":7}", None),
        odd("{\"createdAt\":\"0001-01-01T00:00:00Z\"}", None),
        odd("{\"createdAt\":\"yesterday\"}", None),
        odd("{\"createdAt\":{\"a\":1}}", None),
        odd("[\"createdAt\"]", None),
        odd("{\"createdAt\":\"2024-04-03T23:00:00Z\",\"cut sho", None),
        odd("null", None),
    ];
    bench.page(&[], &items).await;
    let book = book(&bench).await;
    let days: Vec<_> = book
        .days
        .iter()
        .map(|(day, counts)| (day.to_string(), counts.set_aside))
        .collect();
    assert_eq!(days, [("2024-04-03".to_owned(), 1), ("2024-05-01".to_owned(), 6)]);
}

#[tokio::test]
async fn what_was_never_understood_and_is_not_listed_any_more_stays_in_the_books() {
    let bench = Bench::new().await;
    let items = [
        odd("{\"a\":1}", Some(id(1))),
        odd("{\"a\":2}", Some(id(1))),
        odd("{\"b\":1}", Some(id(2))),
        odd("{\"c\":1}", None),
    ];
    bench.page(&[], &items).await;
    bench.clock.advance(HOUR);
    // One is understood now, the text of another has changed, nothing else is listed.
    let began = bench.now();
    bench.page(&[available(2)], &[]).await;
    bench.finish_full_walk(began).await;
    let counts = first_of_may(&bench).await;
    assert_eq!((counts.set_aside, counts.set_aside_unlisted, counts.listed), (0, 1, 1));
    bench.page(&[], &[odd("{\"a\":3}", Some(id(1)))]).await;
    let counts = first_of_may(&bench).await;
    assert_eq!((counts.set_aside, counts.set_aside_unlisted), (1, 0));
}

#[tokio::test]
async fn re_read_means_after_it_was_archived_and_at_a_time_that_is_known() {
    let bench = Bench::new().await;
    bench.archive(1).await;
    assert_eq!(first_of_may(&bench).await.re_read, 0);
    note(&bench, |_| None).await;
    assert_eq!(first_of_may(&bench).await.re_read, 1);
    for (micros, re_read) in [("0", 0), ("NULL", 0), ("archived_at - 1", 0), ("archived_at", 1)] {
        let statement = format!("UPDATE recordings SET verified_at = {micros}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut bench.raw().await)
            .await
            .unwrap();
        assert_eq!(first_of_may(&bench).await.re_read, re_read, "{micros}");
    }
}

#[tokio::test]
async fn books_that_do_not_close_say_where() {
    let bench = Bench::new().await;
    bench.archive(1).await;
    bench.upsert(&[available(2)]).await;
    let mut raw = bench.raw().await;
    sqlx::raw_sql("UPDATE counts SET recordings = recordings + 1 WHERE state = 'due'; UPDATE counts SET bytes = bytes + 7 WHERE state = 'archived'")
        .execute(&mut raw)
        .await
        .unwrap();
    let book = books(&bench).await.pop().unwrap();
    let open = book.open_sums().join("\n");
    assert!(
        open.contains("due says 2, the days sum up to 1") && open.contains("bytes says 1007"),
        "{open}"
    );
    assert_eq!(book.counters[&State::Archived], 1);
}

#[tokio::test]
async fn the_books_are_of_one_moment_beside_a_writer() {
    let bench = Bench::new().await;
    let reader = bench.catalog.reader();
    let until: Timestamp = bench.now().after(HOUR);
    let writing = async {
        for n in 1..=60 {
            bench.archive(n).await;
        }
    };
    let looking = async {
        let mut looks = 0;
        loop {
            let book = reader.books(until).await.unwrap().workspaces.pop().unwrap();
            assert_eq!(book.open_sums(), Vec::<String>::new());
            looks += 1;
            if book.total(Period::default()).archived == 60 {
                return looks;
            }
        }
    };
    let ((), looks) = tokio::join!(writing, looking);
    assert!(looks > 1, "{looks}");
}
