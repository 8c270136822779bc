//! Opening, closing, and living beside other connections.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::Refusal;
use birdkeep::domain::completeness::Period;
use birdkeep::domain::state::State;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;

use super::harness::ARCHIVE;
use super::harness::Bench;
use super::harness::available;
use super::harness::clock_at_noon;
use super::harness::id;
use super::harness::noon;
use super::harness::options;
use super::harness::workspace;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    format!("{}{suffix}", path.display()).into()
}

#[tokio::test]
async fn a_new_catalog_is_private_and_knows_its_archive() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1)]).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&beside(&bench.path(), suffix)), 0o600, "{suffix}");
    }
    let archive = bench.catalog.reader().archive().await.unwrap();
    assert_eq!((archive.archive_id.as_str(), archive.created_at), (ARCHIVE, noon()));
    assert_eq!(bench.number("PRAGMA user_version").await, 5);
    assert_eq!(bench.catalog.reader().integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_mode_follows_the_option_at_every_start() {
    let bench = Bench::new().await;
    let shared = CatalogOptions {
        group_readable: true,
        ..bench.options(2)
    };
    let catalog = Catalog::open(shared).await.unwrap();
    catalog.retry_all(None).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&beside(&bench.path(), suffix)), 0o640, "{suffix}");
    }
    catalog.close().await.unwrap();
    let catalog = Catalog::open(bench.options(3)).await.unwrap();
    assert_eq!(mode(&bench.path()), 0o600);
    catalog.close().await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_closing_and_the_log_is_folded_in() {
    let bench = Bench::new().await;
    bench.archive(1).await;
    let options = bench.options(2);
    let (path, Bench { dir, catalog, .. }) = (bench.path(), bench);
    catalog.close().await.unwrap();
    assert_eq!(fs::metadata(beside(&path, "-wal")).map_or(0, |log| log.len()), 0);

    let catalog = Catalog::open(options).await.unwrap();
    let found = catalog.reader().show(&available(1).id).await.unwrap();
    assert_eq!(found[0].row.state, State::Archived);
    drop(dir);
}

#[tokio::test]
async fn a_catalog_left_by_a_kill_is_read_with_its_log() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1), available(2)]).await;
    let left = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("catalog.sqlite{suffix}");
        fs::copy(bench.dir.path().join(&name), left.path().join(&name)).unwrap();
    }
    assert!(fs::metadata(left.path().join("catalog.sqlite-wal")).unwrap().len() > 0);
    let options = CatalogOptions {
        recordings_exist: true,
        ..options(&left, &bench.clock, 2)
    };
    let catalog = Catalog::open(options).await.unwrap();
    assert_eq!(catalog.reader().workspaces().await.unwrap()[1].counts[&State::Due], 2);
}

#[tokio::test]
async fn making_one_that_was_cut_short_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("catalog.sqlite"), b"").unwrap();
    let catalog = Catalog::open(options(&dir, &clock_at_noon(), 1)).await.unwrap();
    assert_eq!(catalog.reader().archive().await.unwrap().archive_id, ARCHIVE);
    assert_eq!(mode(&dir.path().join("catalog.sqlite")), 0o600);
}

#[tokio::test]
async fn a_reader_of_its_own_reads_while_the_writer_writes() {
    let bench = Bench::new().await;
    let reader = CatalogReader::open(&bench.path()).await.unwrap();
    for n in 1..=20 {
        bench.upsert(&[available(n)]).await;
        let seen = reader.workspaces().await.unwrap()[1].counts[&State::Due];
        assert_eq!(seen, u64::from(n));
    }
    // Within a transaction of the writer it reads what was there before.
    let mut raw = bench.raw().await;
    let mut tx = raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE recordings SET state = 'gone'")
        .execute(&mut *tx)
        .await
        .unwrap();
    assert_eq!(reader.workspaces().await.unwrap()[1].counts[&State::Due], 20);
    tx.commit().await.unwrap();
    assert_eq!(reader.workspaces().await.unwrap()[1].counts[&State::Gone], 20);
}

#[tokio::test]
async fn a_reader_opens_a_catalog_at_rest_and_leaves_it_as_it_is() {
    let bench = Bench::new().await;
    bench.upsert(&[available(1)]).await;
    let (path, dir) = (bench.path(), bench.dir);
    bench.catalog.close().await.unwrap();
    for suffix in ["-wal", "-shm"] {
        assert!(!beside(&path, suffix).exists(), "{suffix}");
    }
    let before = fs::read(&path).unwrap();
    let reader = CatalogReader::open(&path).await.unwrap();
    assert_eq!(reader.workspaces().await.unwrap()[1].counts[&State::Due], 1);
    assert_eq!(reader.archive().await.unwrap().archive_id, ARCHIVE);
    reader.close().await;
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(dir);
}

#[tokio::test]
async fn a_reader_makes_nothing_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let opened = CatalogReader::open(&dir.path().join("catalog.sqlite")).await;
    assert!(matches!(opened, Err(CatalogError::File { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_writer_waits_for_the_lock_of_another_process() {
    let bench = Bench::new().await;
    let mut raw = bench.raw().await;
    let held = raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let page = [available(1)];
    let upsert = bench.upsert(&page);
    tokio::pin!(upsert);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut upsert).await;
    assert!(early.is_err(), "went on without the lock");
    held.rollback().await.unwrap();
    assert_eq!(upsert.await.counts.new, 1);
}

#[tokio::test]
async fn a_dropped_write_leaves_nothing_and_the_next_one_goes_on() {
    let bench = Bench::new().await;
    let page: Vec<_> = (1..=50).map(available).collect();
    for micros in 0..20 {
        let _ = tokio::time::timeout(Duration::from_micros(micros * 150), bench.upsert(&page)).await;
        let stored = bench.number("SELECT count(*) FROM recordings").await;
        assert!(stored == 0 || stored == 50, "{stored} rows of a page");
    }
    assert_eq!(bench.upsert(&page).await.counts.set_aside, 0);
    assert_eq!(bench.number("SELECT count(*) FROM recordings").await, 50);
}

#[tokio::test]
async fn another_process_may_write_beside_the_daemon_but_makes_no_catalog() {
    let bench = Bench::new().await;
    bench.give_up(1, noon()).await;
    let beside = Catalog::open_beside_writer(bench.options(2)).await.unwrap();
    assert_eq!(beside.retry(&[available(1).id], None).await.unwrap().retried, 1);
    beside.close().await.unwrap();
    assert_eq!(bench.state(1).await, State::Due);
    bench.upsert(&[available(2)]).await;

    let empty = tempfile::tempdir().unwrap();
    let opened = Catalog::open_beside_writer(options(&empty, &bench.clock, 2)).await;
    assert!(matches!(
        opened,
        Err(CatalogError::Refused {
            refusal: Refusal::Missing,
            ..
        })
    ));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_known_workspace_never_changes_its_id() {
    let bench = Bench::new().await;
    let registered = |name: &str, id: &str| (workspace(name), id.parse().unwrap());
    bench
        .catalog
        .register_workspaces(&[registered("support", "support-id")])
        .await
        .unwrap();
    let both = [registered("new", "new-id"), registered("support", "other-id")];
    let error = bench.catalog.register_workspaces(&both).await.unwrap_err();
    assert!(matches!(error, CatalogError::WorkspaceIdChanged { .. }));
    for part in ["support", "other-id", "support-id"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let names: Vec<String> = bench
        .catalog
        .reader()
        .workspaces()
        .await
        .unwrap()
        .iter()
        .map(|found| found.name.to_string())
        .collect();
    assert_eq!(names, ["sales", "support"]);
}

#[tokio::test]
async fn a_catalog_of_the_first_schema_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let migrations = tempfile::tempdir().unwrap();
    let first = "0001_catalog.sql";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    fs::copy(sources.join(first), migrations.path().join(first)).unwrap();
    let path = dir.path().join("catalog.sqlite");
    let file = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&file).await.unwrap();
    let migrator = sqlx::migrate::Migrator::new(migrations.path()).await.unwrap();
    migrator.run(&mut old).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO archive VALUES (1, 'archive-1', 0);
         INSERT INTO workspaces (workspace, name, id, registered_at) VALUES (1, 'support', 'support-id', 0);
         INSERT INTO recordings (workspace, id, status, created_at, format, metadata, first_seen_at, last_seen_at, state,
             path, size_bytes, sha256, archived_at)
         VALUES (1, x'01010101010101010101010101010101', 'available', 0, 'mp3', '{}', 7, 7, 'archived',
             'recordings/support/1970/01/01/19700101T000000Z_01010101-0101-0101-0101-010101010101.mp3', 5, zeroblob(32), 9)",
    )
    .execute(&mut old)
    .await
    .unwrap();
    old.close().await.unwrap();

    let options = CatalogOptions {
        recordings_exist: true,
        ..options(&dir, &clock_at_noon(), 1)
    };
    let catalog = Catalog::open(options).await.unwrap();
    let reader = catalog.reader();
    assert_eq!(reader.integrity().await.unwrap(), Vec::<String>::new());
    let shown = reader.show(&id(1)).await.unwrap();
    assert_eq!((shown.len(), shown[0].row.state), (1, State::Archived));
    // Its sidecar was written before it held what the catalog knows: it is to be written anew, once.
    let stale = reader.stale_sidecars(None, 9).await.unwrap();
    assert_eq!((stale.len(), stale[0].history.first_seen_at.as_microseconds()), (1, 7));
    assert_eq!(reader.stale_sidecars(stale.last(), 9).await.unwrap(), []);
    catalog.note_sidecars(&stale).await.unwrap();
    assert_eq!(reader.stale_sidecars(None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_catalog_of_the_second_schema_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let migrations = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for known in ["0001_catalog.sql", "0002_integrity.sql"] {
        fs::copy(sources.join(known), migrations.path().join(known)).unwrap();
    }
    let path = dir.path().join("catalog.sqlite");
    let file = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&file).await.unwrap();
    let migrator = sqlx::migrate::Migrator::new(migrations.path()).await.unwrap();
    migrator.run(&mut old).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO archive (one, archive_id, created_at) VALUES (1, 'archive-1', 0);
         INSERT INTO workspaces (workspace, name, id, registered_at, last_complete_walk_at, last_full_walk_started_at)
         VALUES (1, 'support', 'support-id', 0, 8, 7);
         INSERT INTO recordings (workspace, id, status, created_at, format, metadata, first_seen_at, last_seen_at, state,
             path, size_bytes, sha256, archived_at, verified_at)
         VALUES (1, x'01010101010101010101010101010101', 'available', 0, 'mp3', '{}', 7, 7, 'archived',
             'recordings/support/1970/01/01/19700101T000000Z_01010101-0101-0101-0101-010101010101.mp3', 5, zeroblob(32), 9,
             10);",
    )
    .execute(&mut old)
    .await
    .unwrap();
    old.close().await.unwrap();

    // Who only reads does not change it, and says so.
    assert!(CatalogReader::open(&path).await.is_err());
    let options = CatalogOptions {
        recordings_exist: true,
        ..options(&dir, &clock_at_noon(), 1)
    };
    let catalog = Catalog::open(options).await.unwrap();
    assert_eq!(catalog.reader().integrity().await.unwrap(), Vec::<String>::new());
    let book = catalog.reader().books(noon()).await.unwrap().workspaces.remove(0);
    assert_eq!(book.open_sums(), Vec::<String>::new());
    let total = book.total(Period::default());
    assert_eq!((total.listed, total.archived, total.re_read, total.bytes), (1, 1, 1, 5));
    // What was not noted then is not known now.
    let walks = book.walks;
    assert_eq!(
        walks.last_full_started_at,
        Some("1970-01-01T00:00:00.000007Z".parse().unwrap())
    );
    assert_eq!((walks.last_full_finished_at, walks.last_full_listed), (None, None));
}
