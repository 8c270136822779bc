//! Catalogs that must not be opened: each is refused with the way out, and is left byte for byte as it was.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::Refusal;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

use super::harness::Bench;
use super::harness::available;
use super::harness::clock_at_noon;
use super::harness::options;

/// A closed catalog with some hundred rows.
async fn closed() -> TempDir {
    let bench = Bench::new().await;
    bench.upsert(&(0..200).map(available).collect::<Vec<_>>()).await;
    bench.catalog.close().await.unwrap();
    bench.dir
}

async fn execute(path: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Opens what lies in `dir` as a catalog beside recordings, expects a refusal, and returns it.
async fn refused(dir: &TempDir) -> Refusal {
    refused_with(CatalogOptions {
        recordings_exist: true,
        ..options(dir, &clock_at_noon(), 9)
    })
    .await
}

async fn refused_with(options: CatalogOptions) -> Refusal {
    let path = options.path.clone();
    let before = fs::read(&path).ok();
    let kind_before = fs::symlink_metadata(&path).map(|file| file.file_type()).ok();
    let error = Catalog::open(options).await.err().expect("opened");
    assert_eq!(fs::read(&path).ok(), before, "the file was changed");
    assert_eq!(
        fs::symlink_metadata(&path).map(|file| file.file_type()).ok(),
        kind_before
    );
    let CatalogError::Refused { refusal, .. } = error else {
        panic!("not refused: {error}, {:?}", error.source());
    };
    assert!(
        refusal.to_string().contains("`birdkeep rebuild`"),
        "no way out: {refusal}"
    );
    refusal
}

#[tokio::test]
async fn missing_or_empty_beside_recordings() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(refused(&dir).await, Refusal::Missing);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let path = dir.path().join("catalog.sqlite");
    fs::write(&path, b"").unwrap();
    assert_eq!(refused(&dir).await, Refusal::Empty);

    fs::remove_file(&path).unwrap();
    execute(&path, "PRAGMA journal_mode = WAL; CREATE TABLE t (a); DROP TABLE t;").await;
    assert!(fs::metadata(&path).unwrap().len() > 0);
    assert_eq!(refused(&dir).await, Refusal::Empty);
}

#[tokio::test]
async fn a_catalog_that_was_never_given_to_an_archive_is_empty() {
    let dir = closed().await;
    execute(&dir.path().join("catalog.sqlite"), "DELETE FROM archive").await;
    assert_eq!(refused(&dir).await, Refusal::Empty);
}

#[tokio::test]
async fn no_database_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    for garbage in [vec![b'x'; 10], vec![0; 4096], vec![0xff; 100_000]] {
        fs::write(&path, garbage).unwrap();
        assert!(matches!(refused(&dir).await, Refusal::Damaged { .. }));
        let options = options(&dir, &clock_at_noon(), 9);
        assert!(
            matches!(refused_with(options).await, Refusal::Damaged { .. }),
            "replaced where no recordings exist"
        );
        assert!(
            CatalogReader::open(&path)
                .await
                .err()
                .is_some_and(|error| error.is_corrupt())
        );
    }
}

#[tokio::test]
async fn truncated_or_garbled() {
    let dir = closed().await;
    let path = dir.path().join("catalog.sqlite");
    let sound = fs::read(&path).unwrap();
    assert!(sound.len() > 20 * 4096);
    for kept in [1_000, 4_096, sound.len() / 2, sound.len() - 4_096] {
        fs::write(&path, &sound[..kept]).unwrap();
        assert!(
            matches!(refused(&dir).await, Refusal::Damaged { .. }),
            "{kept} bytes kept"
        );
    }
    // Every page in turn, a few hundred bytes of its content.
    for page in 0..sound.len() / 4_096 {
        let mut garbled = sound.clone();
        garbled[page * 4_096..page * 4_096 + 300].fill(0xa5);
        fs::write(&path, &garbled).unwrap();
        let error = Catalog::open(CatalogOptions {
            recordings_exist: true,
            ..options(&dir, &clock_at_noon(), 9)
        })
        .await;
        // Text within a row may change without SQLite being able to tell.
        if let Err(error) = error {
            assert!(error.is_corrupt(), "page {page}: {error}, {:?}", error.source());
            assert_eq!(fs::read(&path).unwrap(), garbled, "page {page}");
        } else {
            assert!(page > 0, "a garbled header was opened");
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(dir.path().join(format!("catalog.sqlite{suffix}")));
        }
    }
}

#[tokio::test]
async fn of_a_newer_schema() {
    let dir = closed().await;
    let path = dir.path().join("catalog.sqlite");
    execute(&path, "PRAGMA user_version = 7").await;
    assert_eq!(refused(&dir).await, Refusal::Newer { found: 7, known: 5 });
    execute(
        &path,
        "PRAGMA user_version = 1; INSERT INTO _sqlx_migrations VALUES (9, 'later', '2030-01-01', TRUE, x'00', 1)",
    )
    .await;
    assert_eq!(refused(&dir).await, Refusal::Newer { found: 9, known: 5 });
    assert!(CatalogReader::open(&path).await.is_err());
}

#[tokio::test]
async fn of_another_archive_or_program() {
    let dir = closed().await;
    let other = CatalogOptions {
        archive_id: "archive-2".to_owned(),
        ..options(&dir, &clock_at_noon(), 9)
    };
    let refusal = refused_with(other).await;
    assert_eq!(
        refusal,
        Refusal::OtherArchive {
            found: "archive-1".to_owned(),
            expected: "archive-2".to_owned()
        }
    );

    let dir = tempfile::tempdir().unwrap();
    execute(&dir.path().join("catalog.sqlite"), "CREATE TABLE recordings (id TEXT)").await;
    assert_eq!(refused(&dir).await, Refusal::OtherProgram);
    let options = options(&dir, &clock_at_noon(), 9);
    assert_eq!(
        refused_with(options).await,
        Refusal::OtherProgram,
        "taken over where no recordings exist"
    );
}

#[tokio::test]
async fn no_regular_file() {
    let dir = closed().await;
    let path = dir.path().join("catalog.sqlite");
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(refused(&dir).await, Refusal::NotRegularFile);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(refused(&dir).await, Refusal::NotRegularFile);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(&dir).await, Refusal::NotRegularFile);
}
