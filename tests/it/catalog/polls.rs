//! From where a poll lists, and what is remembered of walks.

use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::PollPlan;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::report::WalkKind;
use birdkeep::domain::report::WalkOutcome;
use birdkeep::domain::report::WalkReport;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::MINUTE;
use super::harness::at;
use super::harness::available;
use super::harness::id;
use super::harness::noon;
use super::harness::recording;
use super::harness::walk;
use super::harness::workspace;

const OVERLAP_MINUTES: u32 = 10;

/// What a poll would look at after a walk that reached its end.
async fn plan(bench: &Bench, reach_rows: u32, recheck_limit: u32) -> PollPlan {
    bench.finish_full_walk(noon()).await;
    plan_unwalked(bench, reach_rows, recheck_limit).await
}

async fn plan_unwalked(bench: &Bench, reach_rows: u32, recheck_limit: u32) -> PollPlan {
    let overlap = MINUTE * OVERLAP_MINUTES;
    bench
        .catalog
        .plan_poll(&workspace("support"), noon(), overlap, reach_rows, recheck_limit)
        .await
        .unwrap()
}

/// When recording `n` was created, minus the overlap.
fn overlap_before(n: u8) -> Timestamp {
    available(n).created_at.before(MINUTE * OVERLAP_MINUTES)
}

#[tokio::test]
async fn everything_is_listed_where_nothing_ever_was() {
    let bench = Bench::new().await;
    assert_eq!(
        plan(&bench, 990, 9).await,
        PollPlan {
            start_at: None,
            recheck: Vec::new()
        }
    );
}

#[tokio::test]
async fn a_poll_begins_behind_the_newest_or_the_oldest_unsettled() {
    let bench = Bench::new().await;
    bench.upsert(&[available(30), available(60)]).await;
    assert_eq!(plan(&bench, 990, 9).await.start_at, Some(overlap_before(60)));
    bench.upsert(&[recording(20, "ongoing"), recording(40, "paused")]).await;
    assert_eq!(
        plan(&bench, 990, 9).await,
        PollPlan {
            start_at: Some(overlap_before(20)),
            recheck: Vec::new()
        }
    );
    bench.upsert(&[available(20)]).await;
    assert_eq!(plan(&bench, 990, 9).await.start_at, Some(overlap_before(40)));
    let page = [recording(1, "ongoing")].map(|other| Recording { id: id(99), ..other });
    let page = birdkeep::catalog::Page {
        recordings: &page,
        set_aside: &[],
        seen_at: noon(),
        touch_before: noon(),
    };
    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();
    assert_eq!(
        plan(&bench, 990, 9).await.start_at,
        Some(overlap_before(40)),
        "another workspace's recording counts"
    );
}

#[tokio::test]
async fn a_walk_that_was_cut_short_settles_nothing() {
    let bench = Bench::new().await;
    bench.upsert(&[available(30)]).await;
    assert_eq!(
        plan_unwalked(&bench, 990, 9).await.start_at,
        None,
        "no walk ever reached the end"
    );
    bench.finish_full_walk(noon()).await;
    bench.upsert(&[available(90)]).await;
    let failed = walk(WalkKind::Poll, WalkOutcome::Failed("page 2".to_owned()), noon(), noon());
    bench.catalog.finish_walk(&workspace("support"), &failed).await.unwrap();
    assert_eq!(
        plan_unwalked(&bench, 990, 9).await.start_at,
        Some(overlap_before(30)),
        "what page 2 held may be older"
    );
    let complete = walk(WalkKind::Poll, WalkOutcome::Complete, noon(), noon());
    bench
        .catalog
        .finish_walk(&workspace("support"), &complete)
        .await
        .unwrap();
    assert_eq!(plan_unwalked(&bench, 990, 9).await.start_at, Some(overlap_before(90)));
}

#[tokio::test]
async fn a_recording_that_upstream_deleted_before_it_was_available_is_gone() {
    let bench = Bench::new().await;
    bench.upsert(&[recording(1, "ongoing"), available(2)]).await;
    for n in [1, 2] {
        bench
            .catalog
            .note_deleted(&workspace("support"), id(n), "no longer known")
            .await
            .unwrap();
    }
    assert_eq!(bench.show(1).await.row.last_error.as_deref(), Some("no longer known"));
    let states = (bench.state(1).await, bench.state(2).await);
    assert_eq!(
        states,
        (
            birdkeep::domain::state::State::Gone,
            birdkeep::domain::state::State::Due
        )
    );
}

#[tokio::test]
async fn a_clock_ahead_settles_nothing_that_upstream_has_not_reached() {
    let bench = Bench::new().await;
    let future = Recording {
        created_at: at("2031-01-01T00:00:00Z"),
        ..available(200)
    };
    bench.upsert(&[available(30), future]).await;
    let ahead = at("2034-05-01T12:00:00Z");
    let walk = WalkReport {
        asked_at: noon(),
        since: None,
        ..walk(WalkKind::Full, WalkOutcome::Complete, ahead, ahead)
    };
    bench.catalog.finish_walk(&workspace("support"), &walk).await.unwrap();
    assert_eq!(plan_unwalked(&bench, 990, 9).await.start_at, Some(overlap_before(30)));
}

#[tokio::test]
async fn a_date_in_the_future_moves_nothing() {
    let bench = Bench::new().await;
    let future: Vec<Recording> = (200..250)
        .map(|n| Recording {
            created_at: at("2031-01-01T00:00:00Z"),
            ..available(n)
        })
        .collect();
    bench.upsert(&future).await;
    assert_eq!(plan(&bench, 10, 9).await.start_at, None, "nothing else was ever listed");
    bench.upsert(&[available(60)]).await;
    assert_eq!(
        plan(&bench, 10, 9).await.start_at,
        Some(overlap_before(60)),
        "ten rows do not reach that far"
    );
}

#[tokio::test]
async fn a_poll_reaches_back_a_bounded_number_of_rows_and_rechecks_the_rest() {
    let bench = Bench::new().await;
    let unsettled: Vec<Recording> = (1..=4).map(|n| recording(n, "ongoing")).collect();
    bench.upsert(&unsettled).await;
    bench.upsert(&(100..=200).map(available).collect::<Vec<_>>()).await;
    let reached = plan(&bench, 50, 9).await;
    assert_eq!(reached.start_at, Some(overlap_before(200)));
    assert_eq!(reached.recheck.len(), 4);
    assert_eq!(plan(&bench, 1, 9).await.start_at, Some(overlap_before(200)));
    assert_eq!(
        plan(&bench, 990, 9).await,
        PollPlan {
            start_at: Some(overlap_before(1)),
            recheck: Vec::new()
        }
    );

    // The least recently seen come first, and come in turn.
    let mut turns: Vec<RecordingId> = Vec::new();
    for _ in 0..4 {
        bench.clock.advance(MINUTE);
        let next = plan(&bench, 50, 1).await.recheck;
        let listed = unsettled.iter().find(|listed| listed.id == next[0]).unwrap().clone();
        turns.extend(next);
        let page = birdkeep::catalog::Page {
            recordings: &[listed],
            set_aside: &[],
            seen_at: bench.now(),
            touch_before: bench.now(),
        };
        bench.catalog.upsert_page(&workspace("support"), page).await.unwrap();
    }
    turns.sort();
    assert_eq!(turns, [id(1), id(2), id(3), id(4)]);
}

#[tokio::test]
async fn only_a_complete_walk_counts_as_one() {
    let bench = Bench::new().await;
    let support = workspace("support");
    let summary = async || bench.catalog.reader().workspaces().await.unwrap().remove(1);
    assert_eq!(summary().await.last_walk, None);

    let times = |hours: u32| (noon().after(HOUR * hours), noon().after(HOUR * hours + MINUTE));
    let finish = async |kind, outcome, hours| {
        let (began, ended) = times(hours);
        bench
            .catalog
            .finish_walk(&support, &walk(kind, outcome, began, ended))
            .await
            .unwrap();
    };
    finish(WalkKind::Full, WalkOutcome::Failed("repeated token".to_owned()), 1).await;
    let found = summary().await;
    let last = found.last_walk.unwrap();
    assert_eq!(
        (last.kind, last.outcome.as_str(), last.listed),
        (WalkKind::Full, "failed: repeated token", 5)
    );
    assert_eq!((last.started_at, last.finished_at), times(1));
    assert_eq!(found.last_complete_walk_at, None);
    assert_eq!(bench.catalog.last_full_walk(&support).await.unwrap(), None);

    finish(WalkKind::Full, WalkOutcome::Complete, 2).await;
    finish(WalkKind::Poll, WalkOutcome::Complete, 3).await;
    finish(WalkKind::Full, WalkOutcome::Stopped, 4).await;
    let found = summary().await;
    assert_eq!(found.last_walk.unwrap().outcome, "stopped");
    assert_eq!(found.last_complete_walk_at, Some(times(3).1));
    let full = bench.catalog.last_full_walk(&support).await.unwrap().unwrap();
    assert_eq!((full.started_at, full.since), (times(2).0, None));
    assert_eq!(bench.catalog.last_full_walk(&workspace("sales")).await.unwrap(), None);
    assert!(bench.catalog.last_full_walk(&workspace("unknown")).await.is_err());
}

#[tokio::test]
async fn a_poll_or_a_walk_cut_short_resolves_nothing_set_aside() {
    let bench = Bench::new().await;
    bench.page(&[], &[super::harness::odd("{}", None)]).await;
    let support = workspace("support");
    for (kind, outcome) in [
        (WalkKind::Poll, WalkOutcome::Complete),
        (WalkKind::Full, WalkOutcome::Stopped),
        (WalkKind::Full, WalkOutcome::Failed("500".to_owned())),
    ] {
        let began = noon().after(HOUR);
        bench
            .catalog
            .finish_walk(&support, &walk(kind, outcome, began, began))
            .await
            .unwrap();
        assert_eq!(bench.catalog.reader().workspaces().await.unwrap()[1].set_aside, 1);
    }
}

fn poll(began: Timestamp) -> WalkReport {
    walk(WalkKind::Poll, WalkOutcome::Complete, began, began)
}

/// What another process is told of the last complete walk over `support`.
async fn told_to_others(bench: &Bench) -> Option<Timestamp> {
    let reader = CatalogReader::open(&bench.path()).await.unwrap();
    let told = reader.workspaces().await.unwrap().pop().unwrap();
    reader.close().await;
    told.last_complete_walk_at
}

#[tokio::test]
async fn an_idle_poll_writes_nothing_and_is_told_by_this_process() {
    let bench = Bench::new().await;
    let support = workspace("support");
    bench.upsert(&[available(1), recording(2, "ongoing")]).await;
    let first = bench.now();
    bench.catalog.finish_walk(&support, &poll(first)).await.unwrap();
    let log = bench.path().with_extension("sqlite-wal");
    let log_bytes = || std::fs::metadata(&log).unwrap().len();
    let before = log_bytes();
    for _ in 0..4 {
        bench.clock.advance(MINUTE);
        let outcome = bench.upsert(&[available(1), recording(2, "ongoing")]).await;
        assert_eq!(outcome.counts.unchanged, 2);
        bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
        let told = bench.catalog.reader().workspaces().await.unwrap().pop().unwrap();
        assert_eq!(told.last_complete_walk_at, Some(bench.now()));
        assert_eq!(told.last_walk.unwrap().finished_at, bench.now());
        let books = bench.catalog.reader().books(bench.now()).await.unwrap();
        assert_eq!(books.workspaces[1].walks.last_complete_at, Some(bench.now()));
    }
    assert_eq!(log_bytes(), before, "something was written");
    assert_eq!(told_to_others(&bench).await, Some(first));
    // Others are not told of one that is older than this.
    bench.clock.advance(MINUTE);
    bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
    assert!(log_bytes() > before);
    assert_eq!(told_to_others(&bench).await, Some(bench.now()));
}

#[tokio::test]
async fn a_poll_that_says_anything_new_is_entered_and_so_is_the_last_one_of_all() {
    let bench = Bench::new().await;
    let support = workspace("support");
    bench.upsert(&[available(1)]).await;
    bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
    bench.clock.advance(MINUTE);
    bench.upsert(&[available(2)]).await;
    bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
    assert_eq!(told_to_others(&bench).await, Some(bench.now()), "it settles more");
    bench.clock.advance(MINUTE);
    let idle = bench.now();
    bench.catalog.finish_walk(&support, &poll(idle)).await.unwrap();
    assert_ne!(told_to_others(&bench).await, Some(idle));
    let failed = walk(
        WalkKind::Poll,
        WalkOutcome::Failed("no answer".to_owned()),
        idle,
        idle.after(MINUTE),
    );
    bench.catalog.finish_walk(&support, &failed).await.unwrap();
    assert_eq!(
        told_to_others(&bench).await,
        Some(idle),
        "with the failed one came the one before"
    );
    bench.clock.advance(MINUTE * 2);
    bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
    assert_eq!(told_to_others(&bench).await, Some(bench.now()), "it ended the trouble");
    bench.clock.advance(MINUTE);
    bench.catalog.finish_walk(&support, &poll(bench.now())).await.unwrap();
    bench.catalog.clone().close().await.unwrap();
    assert_eq!(told_to_others(&bench).await, Some(bench.now()), "the end was in order");
}
