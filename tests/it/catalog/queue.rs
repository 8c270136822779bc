//! Claims: who gets what, and how they end.

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::Claim;
use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::domain::backoff::MAX_RETRY_DELAY;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::ids::WorkspaceName;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::MINUTE;
use super::harness::available;
use super::harness::failed;
use super::harness::id;
use super::harness::noon;
use super::harness::of_support;
use super::harness::recording;
use super::harness::stored;
use super::harness::workspace;

fn support() -> [WorkspaceName; 1] {
    [workspace("support")]
}

fn ids(claims: &[Claim]) -> Vec<RecordingId> {
    claims.iter().map(|claim| claim.recording.id).collect()
}

async fn claim_due(bench: &Bench, limit: u32) -> Vec<Claim> {
    bench.catalog.claim_due(&support(), limit).await.unwrap()
}

#[tokio::test]
async fn a_claim_carries_what_a_fetch_needs_and_is_given_once() {
    let bench = Bench::new().await;
    bench
        .upsert(&[available(1), recording(2, "ongoing"), available(3)])
        .await;
    let wanted = [
        of_support(3),
        of_support(2),
        of_support(9),
        of_support(1),
        of_support(3),
    ];
    let claims = bench.catalog.claim(&wanted).await.unwrap();
    assert_eq!(ids(&claims), [id(3), id(1)]);
    let (claim, listed) = (&claims[0], available(3));
    assert_eq!(claim.recording, of_support(3));
    assert_eq!(
        (claim.history.created_at, claim.duration_seconds),
        (listed.created_at, listed.duration_seconds)
    );
    assert_eq!(
        (&claim.format, &claim.metadata, claim.history.attempts),
        (&listed.format, &listed.metadata, 0)
    );
    assert!(!format!("{claim:?}").contains("status"), "a claim prints its metadata");
    assert_eq!(bench.state(3).await, State::Claimed);
    assert!(bench.catalog.claim(&wanted).await.unwrap().is_empty());
    assert!(claim_due(&bench, 9).await.is_empty());
}

#[tokio::test]
async fn what_waits_is_not_claimed_before_its_time() {
    let bench = Bench::new().await;
    let claim = bench.claimed(1).await;
    bench.end(claim, failed(1, false, noon().after(MINUTE))).await.unwrap();
    assert!(bench.catalog.claim(&[of_support(1)]).await.unwrap().is_empty());
    assert!(claim_due(&bench, 9).await.is_empty());
    assert_eq!(
        bench.catalog.next_due_at(&support()).await.unwrap(),
        Some(noon().after(MINUTE))
    );
    assert_eq!(bench.catalog.reader().due_now(&support(), noon()).await.unwrap(), 0);
    bench.clock.advance(MINUTE);
    assert_eq!(
        bench.catalog.reader().due_now(&support(), bench.now()).await.unwrap(),
        1
    );
    let claims = claim_due(&bench, 9).await;
    assert_eq!((ids(&claims), claims[0].history.attempts), (vec![id(1)], 1));
    assert_eq!(bench.catalog.next_due_at(&support()).await.unwrap(), None);
}

#[tokio::test]
async fn the_longest_due_and_then_the_oldest_come_first() {
    let bench = Bench::new().await;
    for (n, wait) in [(1, 2), (2, 1)] {
        let claim = bench.claimed(n).await;
        bench
            .end(claim, failed(1, false, noon().after(MINUTE * wait)))
            .await
            .unwrap();
    }
    bench.give_up(3, noon().after(MINUTE)).await;
    bench.upsert(&[available(9), available(8), available(7)]).await;
    bench.clock.advance(HOUR);
    assert_eq!(ids(&claim_due(&bench, 2).await), [id(7), id(8)]);
    assert_eq!(ids(&claim_due(&bench, 9).await), [id(9), id(2), id(3), id(1)]);
}

#[tokio::test]
async fn workspaces_take_turns() {
    let bench = Bench::new().await;
    bench.upsert(&(1..=20).map(available).collect::<Vec<_>>()).await;
    let sales: Vec<Recording> = (101..=103).map(available).collect();
    let page = Page {
        recordings: &sales,
        set_aside: &[],
        touch_before: noon(),
    };
    bench.catalog.upsert_page(&workspace("sales"), page).await.unwrap();
    let both = [
        workspace("support"),
        workspace("sales"),
        workspace("support"),
        workspace("unknown"),
    ];

    // One at a time: each gets every other turn.
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(
            bench.catalog.claim_due(&both, 1).await.unwrap()[0]
                .recording
                .workspace
                .to_string(),
        );
    }
    turns.sort();
    assert_eq!(turns, ["sales", "sales", "support", "support"]);
    let claims = bench.catalog.claim_due(&both, 6).await.unwrap();
    let of_sales = claims
        .iter()
        .filter(|claim| claim.recording.workspace == workspace("sales"))
        .count();
    assert_eq!(
        (claims.len(), of_sales),
        (6, 1),
        "what one has no more of goes to the other"
    );
    assert!(bench.catalog.claim_due(&[], 6).await.unwrap().is_empty());
    assert!(
        bench
            .catalog
            .claim_due(&[workspace("sales")], 6)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(bench.catalog.claim_due(&both, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_completed_claim_is_archived_with_all_that_proves_it() {
    let bench = Bench::new().await;
    let claim = bench.claimed(1).await;
    bench.end(claim, failed(2, false, noon())).await.unwrap();
    let claim = bench.catalog.claim(&[of_support(1)]).await.unwrap().pop().unwrap();
    let object = stored(&claim, noon().after(MINUTE));
    bench.end(claim, ClaimEnd::Completed(object.clone())).await.unwrap();
    let shown = bench.show(1).await;
    assert_eq!(shown.row.state, State::Archived);
    assert_eq!(
        (shown.row.path, shown.row.size_bytes),
        (Some(object.key.to_string()), Some(1_000))
    );
    assert_eq!(
        (shown.row.sha256, shown.row.archived_at),
        (Some(object.sha256), Some(object.archived_at))
    );
    assert_eq!((shown.content_type, shown.etag), (object.content_type, object.etag));
    assert_eq!((shown.remark, shown.not_before), (object.remark, None));
    assert_eq!((shown.row.attempts, shown.row.last_error), (2, None));
}

#[tokio::test]
async fn failed_gone_and_released_keep_their_reasons() {
    let bench = Bench::new().await;
    let later = noon().after(HOUR);
    let gone = ClaimEnd::Gone {
        reason: "404".to_owned(),
        attempts: 1,
        not_before: later,
    };
    let kept = ClaimEnd::Released {
        reason: None,
        not_before: None,
    };
    let told = ClaimEnd::Released {
        reason: Some("disk full".to_owned()),
        not_before: Some(later),
    };
    let mut ends = Vec::new();
    for (n, end) in [
        (1, failed(3, false, later)),
        (2, failed(12, true, later)),
        (3, gone),
        (4, kept),
        (5, told),
    ] {
        ends.push((bench.claimed(n).await, end));
    }
    bench.catalog.settle(&ends).await.unwrap();
    let mut found = Vec::new();
    for n in 1..=5 {
        let shown = bench.show(n).await;
        found.push((
            shown.row.state,
            shown.row.attempts,
            shown.row.last_error,
            shown.not_before,
        ));
    }
    let reset = Some("connection reset".to_owned());
    assert_eq!(
        found,
        [
            (State::Due, 3, reset.clone(), Some(later)),
            (State::GivenUp, 12, reset, Some(later)),
            (State::Gone, 1, Some("404".to_owned()), Some(later)),
            (State::Due, 0, None, None),
            (State::Due, 0, Some("disk full".to_owned()), Some(later)),
        ]
    );
}

#[tokio::test]
async fn a_given_up_recording_is_tried_for_as_long_as_it_is_listed() {
    let bench = Bench::new().await;
    bench.give_up(1, noon().after(MINUTE)).await;
    bench.clock.advance(HOUR);
    assert!(
        bench.catalog.claim(&[of_support(1)]).await.unwrap().is_empty(),
        "not by a listing, only in its turn"
    );
    let claims = claim_due(&bench, 9).await;
    assert_eq!(ids(&claims), [id(1)]);
    let release = ClaimEnd::Released {
        reason: None,
        not_before: None,
    };
    for claim in claims {
        bench.end(claim, release.clone()).await.unwrap();
    }
    assert_eq!(
        (bench.state(1).await, bench.show(1).await.row.attempts),
        (State::GivenUp, 12)
    );

    // A complete full walk that did not list it ends that, and one that does begins it again.
    bench.finish_full_walk(bench.now()).await;
    assert!(claim_due(&bench, 9).await.is_empty());
    assert_eq!(bench.catalog.next_due_at(&support()).await.unwrap(), None);
    assert_eq!(
        bench.catalog.reader().due_now(&support(), bench.now()).await.unwrap(),
        0
    );
    bench.clock.advance(HOUR * 2);
    bench.upsert(&[available(1)]).await;
    assert_eq!(
        bench.catalog.reader().due_now(&support(), bench.now()).await.unwrap(),
        1
    );
    assert_eq!(
        bench.catalog.next_due_at(&support()).await.unwrap(),
        Some(noon().after(MINUTE))
    );
    assert_eq!(ids(&claim_due(&bench, 9).await), [id(1)]);
}

#[tokio::test]
async fn a_lost_claim_settles_nothing() {
    let bench = Bench::new().await;
    let (lost, held) = (bench.claimed(1).await, bench.claimed(2).await);
    let release = ClaimEnd::Released {
        reason: None,
        not_before: None,
    };
    let reclaimer = Catalog::open(bench.options(2)).await.unwrap();
    assert_eq!(reclaimer.reclaim().await.unwrap(), 2);
    assert_eq!(bench.state(1).await, State::Due);
    bench.catalog.claim(&[of_support(2)]).await.unwrap();

    let ends = [(held, release.clone()), (lost, release.clone())];
    let error = bench.catalog.settle(&ends).await.unwrap_err();
    let CatalogError::LostClaim { recording } = error else {
        panic!("{error}")
    };
    assert_eq!(recording, of_support(1));
    assert_eq!(
        bench.state(2).await,
        State::Claimed,
        "settled together with a lost claim"
    );
    let [held, lost] = ends;
    bench.catalog.settle(&[held]).await.unwrap();
    assert!(bench.catalog.settle(&[lost]).await.is_err());
    bench.catalog.settle(&[]).await.unwrap();
}

#[tokio::test]
async fn another_runs_claims_are_given_back_as_they_were() {
    let bench = Bench::new().await;
    bench.give_up(1, Timestamp::from_microseconds(0).unwrap()).await;
    bench.upsert(&[available(2), available(3), available(4)]).await;
    assert_eq!(claim_due(&bench, 9).await.len(), 4);
    bench.upsert(&[recording(3, "absent"), recording(4, "ongoing")]).await;
    assert_eq!(bench.catalog.reclaim().await.unwrap(), 0, "its own claims");

    let next = Catalog::open(bench.options(2)).await.unwrap();
    assert_eq!(next.reclaim().await.unwrap(), 4);
    assert_eq!(next.reclaim().await.unwrap(), 0);
    let states = [
        bench.state(1).await,
        bench.state(2).await,
        bench.state(3).await,
        bench.state(4).await,
    ];
    assert_eq!(states, [State::GivenUp, State::Due, State::Gone, State::Waiting]);
    assert_eq!(
        (bench.show(1).await.row.attempts, bench.show(2).await.row.attempts),
        (12, 0)
    );
}

#[tokio::test]
async fn waits_written_by_a_wrong_clock_are_healed() {
    let bench = Bench::new().await;
    let longest = MAX_RETRY_DELAY * 3 / 2;
    let (plausible, absurd) = (noon().after(longest), noon().after(longest * 100));
    for (n, wait) in [(1, plausible), (2, absurd)] {
        let claim = bench.claimed(n).await;
        bench.end(claim, failed(1, false, wait)).await.unwrap();
        bench.give_up(n + 10, wait).await;
    }
    assert_eq!(bench.catalog.heal_waits(noon(), longest).await.unwrap(), 2);
    let mut waits = Vec::new();
    for n in [1, 11, 2, 12] {
        waits.push(bench.show(n).await.not_before.unwrap());
    }
    assert_eq!(waits, [plausible, plausible, noon(), noon()]);
    assert_eq!(bench.catalog.heal_waits(noon(), longest).await.unwrap(), 0);
}

#[tokio::test]
async fn a_row_that_lies_cannot_be_written() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1)]).await;
    bench.archive(2).await;
    for lie in [
        "UPDATE recordings SET state = 'archived' WHERE state = 'due'",
        "UPDATE recordings SET state = 'due' WHERE state = 'archived'",
        "UPDATE recordings SET sha256 = NULL WHERE state = 'archived'",
        "UPDATE recordings SET sha256 = x'00' WHERE state = 'archived'",
        "UPDATE recordings SET path = 'x' WHERE state = 'due'",
        "UPDATE recordings SET state = 'claimed' WHERE state = 'due'",
        "UPDATE recordings SET claimed_by = 1 WHERE state = 'due'",
        "UPDATE recordings SET state = 'done'",
        "UPDATE recordings SET id = x'00'",
        "UPDATE recordings SET size_bytes = 'many' WHERE state = 'archived'",
    ] {
        assert!(sqlx::query(lie).execute(&mut bench.raw().await).await.is_err(), "{lie}");
    }
}
