//! An operator's wish to try again.

use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::available;
use super::harness::failed;
use super::harness::id;
use super::harness::noon;
use super::harness::recording;
use super::harness::workspace;

/// 1 archived, 2 given up, 3 gone, 4 due and waiting, 5 due, 6 waiting for upstream, 7 claimed.
async fn one_of_each() -> Bench {
    let bench = Bench::new().await;
    let later = noon().after(HOUR);
    bench.archive(1).await;
    bench.give_up(2, later).await;
    let claim = bench.claimed(3).await;
    let gone = ClaimEnd::Gone {
        reason: "404".to_owned(),
        attempts: 5,
        not_before: later,
    };
    bench.end(claim, gone).await.unwrap();
    let claim = bench.claimed(4).await;
    bench.end(claim, failed(2, false, later)).await.unwrap();
    bench.upsert(&[available(5), recording(6, "ongoing")]).await;
    let _held = bench.claimed(7).await;
    bench
}

async fn assert_retried(bench: &Bench) {
    for (n, state, attempts) in [
        (1, State::Archived, 0),
        (2, State::Due, 0),
        (3, State::Due, 0),
        (4, State::Due, 2),
        (5, State::Due, 0),
        (6, State::Waiting, 0),
        (7, State::Claimed, 0),
    ] {
        let shown = bench.show(n).await;
        assert_eq!(
            (shown.row.state, shown.row.attempts, shown.not_before),
            (state, attempts, None),
            "{n}"
        );
    }
    assert!(
        bench.show(2).await.row.last_error.is_some(),
        "the reason is history, not lost"
    );
}

#[tokio::test]
async fn by_id() {
    let bench = one_of_each().await;
    let wanted: Vec<_> = (1..=8).chain([2]).map(id).collect();
    let report = bench.catalog.retry(&wanted, None).await.unwrap();
    assert_eq!(report.retried, 3);
    assert_eq!((report.already_archived, report.not_known), (vec![id(1)], vec![id(8)]));
    assert_eq!(report.untouched, [id(5), id(6), id(7)]);
    assert_retried(&bench).await;
    assert_eq!(bench.catalog.retry(&[id(2)], None).await.unwrap().untouched, [id(2)]);
}

#[tokio::test]
async fn all() {
    let bench = one_of_each().await;
    assert_eq!(bench.catalog.retry_all(None).await.unwrap().retried, 3);
    assert_retried(&bench).await;
    assert_eq!(bench.catalog.retry_all(None).await.unwrap().retried, 0);
}

#[tokio::test]
async fn of_some_workspaces_only() {
    let bench = one_of_each().await;
    let page = Page {
        recordings: &[recording(2, "absent")],
        set_aside: &[],
        seen_at: noon(),
        touch_before: noon(),
    };
    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();
    let sales = [workspace("sales")];
    let report = bench.catalog.retry(&[id(2), id(3)], Some(&sales)).await.unwrap();
    assert_eq!((report.retried, report.not_known), (1, vec![id(3)]));
    let states: Vec<State> = bench
        .catalog
        .reader()
        .show(&id(2))
        .await
        .unwrap()
        .iter()
        .map(|shown| shown.row.state)
        .collect();
    assert_eq!(states, [State::Due, State::GivenUp]);

    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();
    assert_eq!(bench.catalog.retry_all(Some(&sales)).await.unwrap().retried, 1);
    assert_eq!(bench.catalog.retry_all(Some(&[])).await.unwrap().retried, 0);
    assert_eq!(bench.state(3).await, State::Gone);
    assert_eq!(bench.catalog.retry(&[id(2)], None).await.unwrap().retried, 1);
}
