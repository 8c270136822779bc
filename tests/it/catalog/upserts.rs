//! What a page of a listing changes, and what it must leave alone.

use std::fs;

use birdkeep::catalog::CatalogError;
use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::recording::Status;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::MINUTE;
use super::harness::at;
use super::harness::available;
use super::harness::failed;
use super::harness::id;
use super::harness::noon;
use super::harness::odd;
use super::harness::of_support;
use super::harness::recording;
use super::harness::workspace;

#[tokio::test]
async fn statuses_become_states_and_are_counted() {
    let bench = Bench::new().await;
    let page = [
        available(1),
        recording(2, "ongoing"),
        recording(3, "absent"),
        recording(4, "what is this"),
    ];
    let outcome = bench.upsert(&page).await;
    assert_eq!(
        (outcome.counts.new, outcome.counts.changed, outcome.counts.unchanged),
        (4, 0, 0)
    );
    assert_eq!(outcome.claimable, [id(1)]);
    let states = [
        bench.state(1).await,
        bench.state(2).await,
        bench.state(3).await,
        bench.state(4).await,
    ];
    assert_eq!(states, [State::Due, State::Waiting, State::Gone, State::Waiting]);

    let page = [
        available(1),
        available(2),
        recording(3, "absent"),
        recording(4, "failed"),
        available(5),
    ];
    let outcome = bench.upsert(&page).await;
    assert_eq!(
        (outcome.counts.new, outcome.counts.changed, outcome.counts.unchanged),
        (1, 2, 2)
    );
    assert_eq!(outcome.claimable, [id(1), id(2), id(5)]);
    assert_eq!(bench.state(4).await, State::Gone);
}

#[tokio::test]
async fn every_column_of_a_listing_is_kept_and_follows_it() {
    let bench = Bench::new().await;
    bench.upsert(&[recording(1, "ongoing")]).await;
    bench.clock.advance(MINUTE);
    let listed = Recording {
        direction: None,
        from: Some("anonymous".to_owned()),
        to: None,
        duration_seconds: None,
        format: "WAV".to_owned(),
        ..available(1)
    };
    bench.upsert(std::slice::from_ref(&listed)).await;
    let shown = bench.show(1).await;
    assert_eq!(shown.row.status, "available");
    assert_eq!(
        (&shown.row.direction, &shown.row.from, &shown.row.to),
        (&None, &listed.from, &None)
    );
    assert_eq!((shown.row.duration_seconds, shown.format.as_str()), (None, "WAV"));
    assert_eq!(shown.metadata, listed.metadata);
    assert_eq!(
        (shown.first_seen_at, shown.last_seen_at),
        (noon(), noon().after(MINUTE))
    );
}

#[tokio::test]
async fn created_at_stays_as_first_seen() {
    let bench = Bench::new().await;
    let first = available(1);
    bench.upsert(std::slice::from_ref(&first)).await;
    let moved = Recording {
        created_at: noon(),
        metadata: "{\"createdAt\":\"other\"}".to_owned(),
        ..first.clone()
    };
    assert_eq!(bench.upsert(&[moved]).await.counts.changed, 1);
    let shown = bench.show(1).await;
    assert_eq!(
        (shown.row.created_at, shown.metadata.as_str()),
        (first.created_at, "{\"createdAt\":\"other\"}")
    );
}

#[tokio::test]
async fn a_quiet_page_writes_nothing_until_its_rows_were_last_seen_too_long_ago() {
    let bench = Bench::new().await;
    let (page, aside) = ([available(1), recording(2, "ongoing")], [odd("{\"id\":1}", None)]);
    bench.page(&page, &aside).await;
    let log = || {
        let log = fs::metadata(bench.dir.path().join("catalog.sqlite-wal")).unwrap();
        (log.len(), log.modified().unwrap())
    };
    let before = log();
    bench.clock.advance(MINUTE * 59);
    let outcome = bench.page(&page, &aside).await;
    assert_eq!((outcome.counts.unchanged, outcome.counts.set_aside), (2, 1));
    assert_eq!(log(), before, "a quiet page was written");
    assert_eq!(bench.show(1).await.last_seen_at, noon());

    bench.clock.advance(MINUTE * 2);
    bench.page(&page, &aside).await;
    assert_ne!(log(), before, "rows are not marked as seen");
    let aside = bench.catalog.reader().set_aside(&[], 9).await.unwrap();
    let seen = [
        bench.show(1).await.last_seen_at,
        bench.show(2).await.last_seen_at,
        aside[0].last_seen_at,
    ];
    assert_eq!(seen, [noon().after(MINUTE * 61); 3]);
}

#[tokio::test]
async fn a_clock_put_back_does_not_make_what_a_walk_saw_look_unseen() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1)]).await;
    let began = noon().after(HOUR);
    bench.clock.set(noon().before(HOUR));
    let page = Page {
        recordings: &[available(1)],
        set_aside: &[],
        seen_at: began,
        touch_before: began,
    };
    bench.catalog.upsert_page(&workspace("support"), page).await.unwrap();
    assert_eq!(bench.show(1).await.last_seen_at, began);
}

#[tokio::test]
async fn what_a_clock_that_was_wrong_saw_is_set_right_by_the_next_walk() {
    let bench = Bench::new().await;
    let (listed, gone) = (odd("{\"a\":1}", None), odd("{\"b\":2}", None));
    bench.clock.set(at("2034-05-01T12:00:00Z"));
    bench.page(&[available(1)], &[listed.clone(), gone]).await;
    bench.clock.set(noon());
    bench.page(&[available(1)], std::slice::from_ref(&listed)).await;
    bench.finish_full_walk(noon()).await;
    let open = bench.catalog.reader().set_aside(&[], 9).await.unwrap();
    assert_eq!(open.len(), 1, "what is not listed any more stays set aside: {open:?}");
    assert_eq!((&open[0].raw, open[0].last_seen_at), (&listed.raw, noon()));
    assert_eq!(bench.show(1).await.last_seen_at, noon());
}

#[tokio::test]
async fn metadata_that_changes_after_archiving_is_kept_in_both_versions() {
    let bench = Bench::new().await;
    let object = bench.archive(1).await;
    bench.clock.advance(MINUTE);
    let metadata = "{\"status\":\"absent\"}".to_owned();
    let changed = Recording {
        status: Status::from_upstream("absent"),
        metadata,
        ..available(1)
    };
    for _ in 0..2 {
        bench.upsert(std::slice::from_ref(&changed)).await;
    }
    let shown = bench.show(1).await;
    assert_eq!(
        (shown.row.state, shown.row.status.as_str()),
        (State::Archived, "absent")
    );
    assert_eq!(
        (shown.row.path, shown.row.sha256),
        (Some(object.key.to_string()), Some(object.sha256))
    );
    assert_eq!(shown.metadata, changed.metadata);
    assert_eq!(shown.metadata_versions.len(), 1);
    assert_eq!(shown.metadata_versions[0].metadata, available(1).metadata);
    assert_eq!(shown.metadata_versions[0].superseded_at, noon().after(MINUTE));

    bench.upsert(&[recording(2, "ongoing")]).await;
    bench.upsert(&[available(2)]).await;
    assert_eq!(bench.show(2).await.metadata_versions, []);
}

#[tokio::test]
async fn the_last_of_several_in_a_page_counts() {
    let bench = Bench::new().await;
    let page = [available(1), available(2), recording(1, "ongoing"), available(2)];
    let outcome = bench.upsert(&page).await;
    assert_eq!(outcome.counts.new, 2);
    assert_eq!(outcome.claimable, [id(2)]);
    assert_eq!(bench.state(1).await, State::Waiting);
}

#[tokio::test]
async fn what_the_queue_wrote_survives_a_listing() {
    let bench = Bench::new().await;
    let later = noon().after(HOUR);
    let claim = bench.claimed(1).await;
    bench.end(claim, failed(3, false, later)).await.unwrap();
    let claim = bench.claimed(2).await;
    let reason = "404".to_owned();
    bench
        .end(
            claim,
            ClaimEnd::Gone {
                reason,
                attempts: 4,
                not_before: later,
            },
        )
        .await
        .unwrap();
    bench.give_up(3, later).await;

    let outcome = bench.upsert(&[available(1), available(2), available(3)]).await;
    assert_eq!(outcome.claimable, [], "claimable although told to wait");
    for (n, state, attempts) in [(1, State::Due, 3), (2, State::Due, 4), (3, State::GivenUp, 12)] {
        let shown = bench.show(n).await;
        assert_eq!(
            (shown.row.state, shown.row.attempts, shown.not_before),
            (state, attempts, Some(later))
        );
        assert!(shown.row.last_error.is_some());
    }
    let claim = bench.claimed(4).await;
    bench.upsert(&[recording(4, "absent")]).await;
    assert_eq!(bench.state(4).await, State::Claimed);
    bench
        .end(
            claim,
            ClaimEnd::Released {
                reason: None,
                not_before: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(bench.state(4).await, State::Gone);
}

#[tokio::test]
async fn an_item_set_aside_stays_until_it_is_understood_or_gone() {
    let bench = Bench::new().await;
    let open = async || -> Vec<Option<RecordingId>> {
        let rows = bench
            .catalog
            .reader()
            .set_aside(&[workspace("support")], 9)
            .await
            .unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    let items = [
        odd("{\"a\":1}", Some(id(1))),
        odd("{\"b\":2}", None),
        odd("{\"b\":2}", None),
    ];
    assert_eq!(bench.page(&[], &items).await.counts.set_aside, 2);
    assert_eq!(open().await.len(), 2);
    assert_eq!(
        bench
            .catalog
            .reader()
            .set_aside(&[workspace("sales")], 9)
            .await
            .unwrap(),
        []
    );

    bench.upsert(&[available(1)]).await;
    assert_eq!(open().await, [None], "understood now");
    bench.page(&[], &items[..1]).await;
    assert_eq!(open().await.len(), 2, "not understood again");

    bench.clock.advance(HOUR * 2);
    let began = bench.now();
    bench.page(&[], &items[1..]).await;
    bench.finish_full_walk(began).await;
    assert_eq!(open().await, [None], "no longer listed");
    let row = &bench.catalog.reader().set_aside(&[], 9).await.unwrap()[0];
    assert_eq!(
        (row.raw.as_str(), row.reason.as_str(), row.first_seen_at),
        ("{\"b\":2}", "no createdAt", noon())
    );
}

#[tokio::test]
async fn a_workspace_that_was_not_registered_is_an_error() {
    let bench = Bench::new().await;
    let page = Page {
        recordings: &[available(1)],
        set_aside: &[],
        seen_at: noon(),
        touch_before: noon(),
    };
    let error = bench
        .catalog
        .upsert_page(&workspace("unknown"), page)
        .await
        .unwrap_err();
    assert!(matches!(error, CatalogError::UnknownWorkspace { .. }));
    assert!(!error.is_local() && !error.is_corrupt());
    assert_eq!(bench.number("SELECT count(*) FROM recordings").await, 0);
    assert!(bench.catalog.claim(&[of_support(1)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn any_text_and_number_comes_back_as_it_was() {
    let bench = Bench::new().await;
    let odd = "\"\\ \0 \u{1} \n \u{2028} é 😀 '); DROP TABLE recordings; --".to_owned();
    let page = [i64::MAX, i64::MIN, 0].map(|duration| {
        let n = u8::try_from(duration.rem_euclid(200)).unwrap();
        Recording {
            status: Status::from_upstream(&odd),
            direction: Some(odd.clone()),
            from: Some(odd.clone()),
            to: Some(String::new()),
            duration_seconds: Some(duration),
            format: odd.clone(),
            metadata: odd.clone(),
            ..available(n)
        }
    });
    assert_eq!(bench.upsert(&page).await.counts.new, 3);
    assert_eq!(bench.upsert(&page).await.counts.unchanged, 3);
    for listed in page {
        let shown = bench.show(listed.id.as_bytes()[0]).await;
        assert_eq!(
            (&shown.row.from, &shown.row.direction),
            (&listed.from, &listed.direction)
        );
        assert_eq!((shown.row.to, shown.metadata), (listed.to, listed.metadata));
        assert_eq!(shown.row.duration_seconds, listed.duration_seconds);
    }
}

#[tokio::test]
async fn any_text_of_a_claims_end_comes_back_as_it_was() {
    let bench = Bench::new().await;
    let odd = "\"\\ \0 \u{1} \n é 😀".to_owned();
    let claim = bench.claimed(1).await;
    let mut object = super::harness::stored(&claim, noon());
    (object.etag, object.remark, object.content_type) = (Some(odd.clone()), Some(odd.clone()), None);
    bench.end(claim, ClaimEnd::Completed(object)).await.unwrap();
    let shown = bench.show(1).await;
    assert_eq!(
        (shown.etag, shown.remark, shown.content_type),
        (Some(odd.clone()), Some(odd.clone()), None)
    );
    let claim = bench.claimed(2).await;
    let not_before = noon();
    let reason = odd.clone();
    bench
        .end(
            claim,
            ClaimEnd::Gone {
                reason,
                attempts: 1,
                not_before,
            },
        )
        .await
        .unwrap();
    assert_eq!(bench.show(2).await.row.last_error, Some(odd));
}

#[tokio::test]
async fn several_pages_are_one_transaction_with_an_outcome_each() {
    let bench = Bench::new().await;
    let (one, other) = ([available(1), available(2)], [available(2), recording(3, "ongoing")]);
    let page = |recordings| Page {
        recordings,
        set_aside: &[],
        seen_at: bench.now(),
        touch_before: bench.now(),
    };
    let support = workspace("support");
    let outcomes = bench
        .catalog
        .upsert_pages(&support, &[page(&one[..]), page(&other[..])])
        .await
        .unwrap();
    let counts: Vec<_> = outcomes.iter().map(|of| (of.counts.new, of.counts.unchanged)).collect();
    assert_eq!(counts, [(2, 0), (1, 1)]);
    assert_eq!(
        (outcomes[0].claimable.len(), &outcomes[1].claimable[..]),
        (2, &[id(2)][..])
    );
    let nowhere = bench
        .catalog
        .upsert_pages(&workspace("nowhere"), &[page(&one[..])])
        .await;
    assert!(
        matches!(nowhere, Err(CatalogError::UnknownWorkspace { .. })),
        "{nowhere:?}"
    );
}
