//! What is re-read next, and what is noted of it.

use birdkeep::catalog::StoredRow;
use birdkeep::catalog::VerifyChoice;
use birdkeep::domain::finding::Finding;
use birdkeep::domain::finding::FindingKind;

use super::harness::Bench;
use super::harness::HOUR;
use super::harness::id;
use super::harness::noon;

/// The next to be re-read, the longest ago first.
async fn next(bench: &Bench, limit: u32) -> Vec<StoredRow> {
    let choice = VerifyChoice::LongestAgo(bench.now());
    bench
        .catalog
        .reader()
        .to_verify(&choice, &[], None, limit, bench.now())
        .await
        .unwrap()
}

fn numbers(rows: &[StoredRow]) -> Vec<u8> {
    rows.iter().map(|row| row.key.recording().id.as_bytes()[0]).collect()
}

/// Archives recordings an hour apart.
async fn archived(count: u8) -> Bench {
    let bench = Bench::new().await;
    for n in 1..=count {
        bench.archive(n).await;
        bench.clock.advance(HOUR);
    }
    bench
}

#[tokio::test]
async fn what_was_not_read_for_the_longest_time_comes_first_and_nothing_twice() {
    let bench = archived(5).await;
    let run = bench.catalog.begin_verification("1/2", false).await.unwrap();
    let first = next(&bench, 3).await;
    assert_eq!(numbers(&first), [1, 2, 3]);
    let readings: Vec<_> = first.into_iter().map(|row| (row, None)).collect();
    bench.clock.advance(HOUR);
    bench.catalog.note_readings(run, &readings).await.unwrap();
    bench.archive(6).await;
    bench.clock.advance(HOUR);
    assert_eq!(numbers(&next(&bench, 9).await), [4, 5, 1, 2, 3, 6]);
    let reader = bench.catalog.reader();
    let all = reader
        .to_verify(&VerifyChoice::All, &[], None, 4, bench.now())
        .await
        .unwrap();
    let rest = reader
        .to_verify(&VerifyChoice::All, &[], all.last(), 4, bench.now())
        .await
        .unwrap();
    assert_eq!((numbers(&all), numbers(&rest)), (vec![1, 2, 3, 4], vec![5, 6]));
}

#[tokio::test]
async fn a_clock_that_was_ahead_hides_nothing_from_being_read() {
    let bench = archived(2).await;
    let right = bench.now();
    bench.clock.advance(HOUR * 24 * 365 * 10);
    bench.archive(3).await;
    let run = bench.catalog.begin_verification("all", false).await.unwrap();
    let readings: Vec<_> = next(&bench, 1).await.into_iter().map(|row| (row, None)).collect();
    bench.catalog.note_readings(run, &readings).await.unwrap();
    bench.clock.set(right);
    assert_eq!(numbers(&next(&bench, 9).await), [2]);
    assert_eq!(bench.catalog.heal_readings(right).await.unwrap(), 2);
    assert_eq!(numbers(&next(&bench, 9).await), [1, 3, 2]);
    assert_eq!(bench.show(1).await.verified_at, None);
    assert_eq!(bench.catalog.heal_readings(right).await.unwrap(), 0);
}

#[tokio::test]
async fn findings_stay_until_they_are_found_good_and_belong_to_what_was_read() {
    let bench = archived(2).await;
    let damaged = || Some(Finding::new(FindingKind::Damaged, "other bytes"));
    let run = bench.catalog.begin_verification("all", false).await.unwrap();
    let rows = next(&bench, 9).await;
    let readings: Vec<_> = rows.iter().cloned().map(|row| (row, damaged())).collect();
    bench.catalog.note_readings(run, &readings).await.unwrap();
    let reader = bench.catalog.reader();
    assert_eq!(reader.soundness().await.unwrap().findings[&FindingKind::Damaged], 2);
    assert_eq!(bench.show(1).await.finding, damaged());
    let found = reader
        .to_verify(&VerifyChoice::Found, &[], None, 9, bench.now())
        .await
        .unwrap();
    assert!(found.iter().all(|row| row.known == Some(FindingKind::Damaged)));

    // Repaired and archived anew in between: what was read before says nothing of it.
    let repair = bench
        .catalog
        .begin_repair(&rows[0], &damaged().unwrap(), "damaged/x")
        .await
        .unwrap();
    bench.catalog.finish_repair(&repair).await.unwrap();
    bench
        .catalog
        .note_readings(run, &[(rows[0].clone(), damaged())])
        .await
        .unwrap();
    assert_eq!(bench.show(1).await.finding, None);
    assert_eq!(reader.repairs_of(&id(1)).await.unwrap().len(), 1);
    assert!(
        bench
            .catalog
            .begin_repair(&rows[0], &damaged().unwrap(), "damaged/y")
            .await
            .is_err()
    );

    bench
        .catalog
        .note_readings(run, &[(rows[1].clone(), None)])
        .await
        .unwrap();
    bench.catalog.finish_verification(run, Some(0)).await.unwrap();
    let soundness = reader.soundness().await.unwrap();
    assert_eq!(soundness.findings[&FindingKind::Damaged], 0);
    let last = soundness.last.unwrap();
    assert_eq!((last.checked, last.unsound, last.unknown_files), (4, 3, Some(0)));
    assert!(last.started_at >= noon() && last.finished_at.is_some());
    assert_eq!(reader.integrity().await.unwrap(), Vec::<String>::new());
}
