//! How long the books of a million recordings take, and that they take no more memory than their days.

use std::time::Instant;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::CatalogReader;
use birdkeep::domain::clock::Clock as _;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::completeness::Period;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// A million recordings of three years, 19 of 20 archived, metadata as long as Bird's.
const FILL: &str = "
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000)
    INSERT INTO recordings (workspace, id, status, created_at, format, metadata, first_seen_at, last_seen_at, state, path,
        size_bytes, sha256, archived_at, verified_at)
    SELECT 1, CAST(printf('%016d', n) AS BLOB), 'available', 1700000000000000 + n * 94000000, 'mp3',
        printf('%.2000c', 'x'), 0, 0,
        CASE n % 100 WHEN 0 THEN 'due' WHEN 1 THEN 'waiting' WHEN 2 THEN 'gone' WHEN 3 THEN 'given_up' WHEN 4 THEN 'due'
            ELSE 'archived' END,
        CASE WHEN n % 100 > 4 THEN 'p' END, CASE WHEN n % 100 > 4 THEN 100000 END,
        CASE WHEN n % 100 > 4 THEN zeroblob(32) END, CASE WHEN n % 100 > 4 THEN 5 END, n % 7
    FROM n";

#[tokio::test]
#[ignore = "takes minutes and 3 GB of disk; run it alone: cargo test --release --test it reporting::large -- --ignored --nocapture"]
async fn a_million_recordings_are_added_up_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let options = CatalogOptions {
        path: path.clone(),
        archive_id: "large".to_owned(),
        recordings_exist: false,
        group_readable: false,
        clock: std::sync::Arc::new(SystemClock),
        run_id: 1,
    };
    let catalog = Catalog::open(options).await.unwrap();
    let known = [("support".parse().unwrap(), "support-id".parse().unwrap())];
    catalog.register_workspaces(&known).await.unwrap();
    catalog.close().await.unwrap();
    let mut raw = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query(FILL).execute(&mut raw).await.unwrap();
    let reader = CatalogReader::open(&path).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let book = reader.books(SystemClock.now()).await.unwrap().workspaces.remove(0);
        took.push(begun.elapsed());
        assert_eq!(book.open_sums(), Vec::<String>::new());
        assert_eq!(book.total(Period::default()).listed, 1_000_000);
        assert!(book.days.len() > 1_000, "{}", book.days.len());
    }
    eprintln!("the books of 1,000,000 recordings took {took:?}");
}
