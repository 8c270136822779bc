//! One body that the catalog does not know is adopted where its sidecar speaks for it, and refused with a reason where not.

use std::fs;
use std::sync::Arc;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogOptions;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::key::StoreKey;
use birdkeep::rebuild::Adoption;
use birdkeep::rebuild::RebuildError;
use birdkeep::rebuild::adopt_unknown;
use birdkeep::store::ReadPace;
use birdkeep::store::Store;
use birdkeep::store::StoreOptions;
use tokio_util::sync::CancellationToken;

use super::kit::body_of;
use super::kit::dump;
use super::kit::sidecar_of;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;

async fn open(archive: &Archive) -> (Store, Catalog) {
    let clock = Arc::new(SystemClock);
    let store = Store::open(&StoreOptions {
        dir: archive.dir(),
        expected_id: None,
        group_readable: false,
        min_free_bytes: 0,
        clock: Arc::<SystemClock>::clone(&clock),
        durable: true,
    })
    .unwrap();
    let options = CatalogOptions {
        path: archive.catalog_path(),
        archive_id: store.archive_id().to_owned(),
        recordings_exist: true,
        group_readable: false,
        clock,
        run_id: 1,
    };
    let catalog = Catalog::open(options).await.unwrap();
    (store, catalog)
}

async fn adopt(archive: &Archive, key: &StoreKey, pace: ReadPace) -> Result<Adoption, RebuildError> {
    let (store, catalog) = open(archive).await;
    let adopted = adopt_unknown(&catalog, &store, &store.reader().unwrap(), key, pace).await;
    catalog.close().await.unwrap();
    adopted
}

#[tokio::test]
async fn a_body_with_a_sidecar_gets_its_row_back_and_others_a_reason() {
    let (_bird, workspace, archive) = place().await;
    let id = workspace.add(RecordingSpec::new());
    archive.run(&["--once"]).await.expect_code(0);
    let before = dump(&archive.catalog_path()).await;
    let files = snapshot(&archive.dir().join("recordings"));
    let (body, sidecar) = (body_of(&archive, id), sidecar_of(&archive, id));
    let key: StoreKey = body
        .strip_prefix(archive.dir())
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let known = adopt(&archive, &key, ReadPace::default()).await.unwrap();
    assert_eq!(known, Adoption::Known);

    // Neither the recording nor its workspace is known.
    let forget = "DELETE FROM recordings; DELETE FROM counts; DELETE FROM days; DELETE FROM workspaces";
    sql(&archive, forget).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = adopt(&archive, &key, ReadPace::new(None, stop)).await;
    assert!(matches!(stopped, Err(RebuildError::Stopped)), "{stopped:?}");
    let (bytes, text) = (fs::read(&body).unwrap(), fs::read(&sidecar).unwrap());
    let refused = async |word: &str| match adopt(&archive, &key, ReadPace::default()).await.unwrap() {
        Adoption::Refused(why) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?}"),
    };
    fs::write(&body, &bytes[1..]).unwrap();
    refused("damaged").await;
    fs::remove_file(&body).unwrap();
    refused("missing").await;
    fs::write(&body, &bytes).unwrap();
    fs::write(&sidecar, "{}").unwrap();
    refused("no sidecar").await;
    fs::remove_file(&sidecar).unwrap();
    refused("no sidecar").await;
    fs::write(&sidecar, &text).unwrap();

    for expected in [Adoption::Adopted, Adoption::Known] {
        assert_eq!(adopt(&archive, &key, ReadPace::default()).await.unwrap(), expected);
        assert_eq!(dump(&archive.catalog_path()).await, before);
    }
    // Another body of the recording than the catalog knows.
    sql(&archive, "UPDATE recordings SET size_bytes = size_bytes + 1").await;
    refused("another body").await;
    assert!(snapshot(&archive.dir().join("recordings")).keys().eq(files.keys()));
}
