//! The read side: lists, one recording, numbers.

use birdkeep::catalog::CatalogError;
use birdkeep::catalog::ListCursor;
use birdkeep::catalog::ListFilter;
use birdkeep::catalog::Page;
use birdkeep::catalog::RecordingRow;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::recording::Status;
use birdkeep::domain::state::STATES;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::available;
use super::harness::failed;
use super::harness::id;
use super::harness::noon;
use super::harness::odd;
use super::harness::recording;
use super::harness::workspace;

async fn list(bench: &Bench, filter: ListFilter) -> Vec<u8> {
    let rows = bench.catalog.reader().list_page(&filter, None, 1_000).await.unwrap();
    rows.iter().map(|row| row.id.as_bytes()[0]).collect()
}

async fn list_number(bench: &Bench, number: &str) -> Vec<u8> {
    list(
        bench,
        ListFilter {
            number: Some(number.to_owned()),
            ..ListFilter::default()
        },
    )
    .await
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, a line or two for each filter")]
async fn every_filter_keeps_what_it_says_newest_first() {
    let bench = Bench::new().await;
    bench.archive(1).await;
    let outgoing = Recording {
        direction: Some("outgoing".to_owned()),
        ..available(2)
    };
    bench
        .upsert(&[outgoing, recording(3, "absent"), recording(4, "ongoing")])
        .await;
    let page = Page {
        recordings: &[available(5)],
        set_aside: &[],
        seen_at: noon(),
        touch_before: noon(),
    };
    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();

    let any = ListFilter::default();
    let text = |text: &str| vec![text.to_owned()];
    let created = |n| Some(available(n).created_at);
    let (support, sales) = (workspace("support"), workspace("sales"));
    for (filter, expected) in [
        (any.clone(), vec![5, 4, 3, 2, 1]),
        (
            ListFilter {
                workspaces: vec![support.clone()],
                ..any.clone()
            },
            vec![4, 3, 2, 1],
        ),
        (
            ListFilter {
                workspaces: vec![support, sales],
                ..any.clone()
            },
            vec![5, 4, 3, 2, 1],
        ),
        (
            ListFilter {
                workspaces: vec![workspace("unknown")],
                ..any.clone()
            },
            vec![],
        ),
        (
            ListFilter {
                states: vec![State::Archived, State::Gone],
                ..any.clone()
            },
            vec![3, 1],
        ),
        (
            ListFilter {
                statuses: text("ongoing"),
                ..any.clone()
            },
            vec![4],
        ),
        (
            ListFilter {
                statuses: text("' OR TRUE --"),
                ..any.clone()
            },
            vec![],
        ),
        (
            ListFilter {
                directions: text("outgoing"),
                ..any.clone()
            },
            vec![2],
        ),
        (
            ListFilter {
                since: created(2),
                until: created(4),
                ..any.clone()
            },
            vec![3, 2],
        ),
        (
            ListFilter {
                states: vec![State::Due],
                directions: text("incoming"),
                ..any.clone()
            },
            vec![5],
        ),
    ] {
        assert_eq!(list(&bench, filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn numbers_are_compared_by_their_digits() {
    let bench = Bench::new().await;
    let numbers = |n, from: Option<&str>, to: Option<&str>| Recording {
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        ..available(n)
    };
    bench
        .upsert(&[
            numbers(1, Some("+31 (6) 123-45678"), Some("+4930999")),
            numbers(2, Some("anonymous"), Some("+31612345678")),
            numbers(3, None, Some("45678")),
            numbers(4, None, None),
        ])
        .await;
    assert_eq!(list_number(&bench, "+31612345678").await, [2, 1]);
    assert_eq!(list_number(&bench, "0031 612345678").await, Vec::<u8>::new());
    assert_eq!(list_number(&bench, "612 345 678").await, [2, 1]);
    assert_eq!(list_number(&bench, "45678").await, [3, 2, 1], "five digits are an end");
    assert_eq!(list_number(&bench, "5678").await, Vec::<u8>::new(), "four are not");
    assert_eq!(list_number(&bench, "930999").await, [1]);
    assert_eq!(list_number(&bench, "anonymous").await, [2]);
    assert_eq!(list_number(&bench, "").await, Vec::<u8>::new());
    assert_eq!(list_number(&bench, "%").await, Vec::<u8>::new());
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat_also_where_times_are_equal() {
    let bench = Bench::new().await;
    let same = |n: u8| Recording {
        created_at: available(n / 4).created_at,
        ..available(n)
    };
    bench.upsert(&(0..50).map(same).collect::<Vec<_>>()).await;
    for workspaces in [vec![], vec![workspace("support")]] {
        let filter = ListFilter {
            workspaces,
            ..ListFilter::default()
        };
        let mut seen: Vec<RecordingRow> = Vec::new();
        loop {
            let after: Option<ListCursor> = seen.last().map(RecordingRow::cursor);
            let page = bench.catalog.reader().list_page(&filter, after, 7).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() == 7 || seen.len() + page.len() == 50);
            seen.extend(page);
        }
        assert_eq!(seen.len(), 50);
        assert!(seen.is_sorted_by(|a, b| a.created_at >= b.created_at));
        let mut ids: Vec<_> = seen.iter().map(|row| row.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 50);
    }
}

#[tokio::test]
async fn a_summary_says_what_a_recount_says() {
    let bench = Bench::new().await;
    bench.archive(10).await;
    bench.archive(11).await;
    bench
        .upsert(&[
            available(20),
            available(21),
            recording(22, "ongoing"),
            recording(23, "failed"),
        ])
        .await;
    bench.give_up(24, noon()).await;
    let _held = bench.claimed(25).await;
    bench.page(&[], &[odd("{}", None), odd("[]", None)]).await;

    let [sales, support]: [_; 2] = bench.catalog.reader().workspaces().await.unwrap().try_into().unwrap();
    let expected = [(State::Archived, 2), (State::Due, 2), (State::GivenUp, 1)];
    for (state, count) in expected
        .into_iter()
        .chain([(State::Waiting, 1), (State::Gone, 1), (State::Claimed, 1)])
    {
        assert_eq!(support.counts[&state], count, "{state}");
    }
    assert_eq!((support.bytes, support.set_aside), (2_000, 2));
    assert_eq!(support.oldest_due_at, Some(available(20).created_at));
    assert_eq!((support.name.as_str(), support.id.as_str()), ("support", "support-id"));
    assert_eq!(sales.counts.values().sum::<u64>(), 0);
    assert_eq!(
        (sales.counts.len(), sales.oldest_due_at, sales.bytes),
        (STATES.len(), None, 0)
    );
    let wrong = "SELECT count(*) FROM (SELECT workspace, state, count(*), coalesce(sum(size_bytes), 0)
        FROM recordings GROUP BY 1, 2 EXCEPT SELECT workspace, state, recordings, bytes FROM counts)";
    assert_eq!(bench.number(wrong).await, 0);
}

#[tokio::test]
async fn the_oldest_due_is_found_in_every_state_that_is_owed() {
    let bench = Bench::new().await;
    let oldest = async || bench.catalog.reader().workspaces().await.unwrap()[1].oldest_due_at;
    bench.upsert(&[available(9)]).await;
    assert_eq!(oldest().await, Some(available(9).created_at));
    bench.give_up(8, noon()).await;
    assert_eq!(oldest().await, Some(available(8).created_at));
    let claim = bench.claimed(7).await;
    assert_eq!(oldest().await, Some(available(7).created_at));
    bench.end(claim, failed(1, false, noon().after(HOUR))).await.unwrap();
    assert_eq!(oldest().await, Some(available(7).created_at));
    let claim = bench.claimed(6).await;
    bench
        .end(claim, failed(1, false, noon().after(HOUR * 2)))
        .await
        .unwrap();
    assert_eq!(oldest().await, Some(available(6).created_at), "among those that wait");
}

#[tokio::test]
async fn states_are_read_for_those_that_are_known() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1), recording(2, "absent")]).await;
    let reader = bench.catalog.reader();
    let states = reader
        .states_of(&workspace("support"), &[id(1), id(2), id(3)])
        .await
        .unwrap();
    assert_eq!(
        (states.len(), states[&id(1)], states[&id(2)]),
        (2, State::Due, State::Gone)
    );
    assert!(
        reader
            .states_of(&workspace("sales"), &[id(1)])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(reader.show(&id(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_row_is_named() {
    let bench = Bench::new().await;
    bench
        .upsert(&[
            available(1),
            Recording {
                status: Status::from_upstream("paused"),
                ..available(2)
            },
        ])
        .await;
    let damage = "UPDATE recordings SET created_at = 9000000000000000000 WHERE status = 'paused'";
    sqlx::query(damage).execute(&mut bench.raw().await).await.unwrap();
    let error = bench.catalog.reader().show(&id(2)).await.unwrap_err();
    assert!(matches!(
        error,
        CatalogError::Row {
            table: "recordings",
            column: "created_at",
            row: 2
        }
    ));
    assert!(error.is_corrupt());
    let sentence = error.to_string();
    assert!(sentence.contains("recordings") && sentence.contains("row 2") && sentence.contains("created_at"));
}

#[tokio::test]
async fn integrity_tells_of_rows_that_refer_to_nothing() {
    let bench = Bench::new().await;
    let mut raw = bench.raw().await;
    for statement in [
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO metadata_versions (seq, superseded_at, metadata) VALUES (99, 0, '{}')",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    let faults = bench.catalog.reader().integrity().await.unwrap();
    assert_eq!(
        faults,
        ["table metadata_versions, row 1: refers to no row of recordings"]
    );
}

#[tokio::test]
async fn integrity_tells_of_a_day_that_is_not_counted_as_it_is() {
    for wrong in [
        "DELETE FROM dates",
        "UPDATE days SET due = due + 1",
        "UPDATE days SET bytes = bytes - 1",
        "UPDATE days SET re_read = re_read + 1",
        "UPDATE days SET day = day + 1",
    ] {
        let bench = Bench::new().await;
        bench.archive(1).await;
        bench.upsert(&[available(2)]).await;
        let mut raw = bench.raw().await;
        sqlx::query(wrong).execute(&mut raw).await.unwrap();
        let faults = bench.catalog.reader().integrity().await.unwrap();
        assert!(
            faults
                .iter()
                .any(|fault| fault.starts_with("the counters of 2024-05-01 ")),
            "{wrong}: {faults:?}"
        );
    }
}
