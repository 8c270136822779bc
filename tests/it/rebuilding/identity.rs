//! Any row that a catalog can hold of an archived recording goes through its sidecar and comes back the same.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use birdkeep::api::read_stored;
use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::SharedClock;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::digest::Sha256Digest;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::report::StoredObject;
use birdkeep::rebuild::Progress;
use birdkeep::rebuild::RebuildOptions;
use birdkeep::rebuild::rebuild;
use birdkeep::store::Store;
use birdkeep::store::StoreOptions;
use proptest::prelude::*;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::kit::dump;

const OURS: [&str; 5] = ["workspace", "attempts", "upstream", "metadata_versions", "remark"];

/// One recording: its time and body, what upstream says of it one after another, and what the media host said.
#[derive(Debug, Clone)]
struct Case {
    created_at: i64,
    body: Vec<u8>,
    objects: Vec<Vec<(String, String)>>,
    format: String,
    content_type: Option<String>,
    etag: Option<String>,
    remark: Option<String>,
    attempts: u32,
}

fn raw() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("{\"b\" : [1.50 , -0, 1e400],\"a\":{}}".to_owned()),
        Just("\"\\ud800\\u0000\\/\"".to_owned()),
        "\\PC{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ]
}

fn member() -> impl Strategy<Value = (String, String)> {
    let names = prop_oneof![
        proptest::sample::select(&OURS[..]).prop_map(str::to_owned),
        Just("direction".to_owned()),
        Just("duration".to_owned()),
        Just("originator".to_owned()),
        "[a-zäö \"\\\\]{1,6}",
    ];
    let value = prop_oneof![
        raw(),
        Just("{\"number\":{\"identity\":\"+31 6-1\"}}".to_owned()),
        Just("29".to_owned())
    ];
    (names, value)
}

prop_compose! {
    fn case()(
        created_at in -62_135_596_799_999_999_i64..253_402_207_200_000_000,
        body in proptest::collection::vec(any::<u8>(), 1..40),
        objects in proptest::collection::vec(proptest::collection::vec(member(), 0..5), 1..4),
        format in prop_oneof![Just("mp3".to_owned()), Just("OGG".to_owned()), "[a-z/.]{0,5}"],
        content_type in proptest::option::of("\\PC{0,8}"), etag in proptest::option::of("\\PC{0,8}"),
        remark in proptest::option::of("\\PC{0,8}"), attempts in 0_u32..5,
    ) -> Case {
        Case { created_at, body, objects, format, content_type, etag, remark, attempts }
    }
}

impl Case {
    fn listed(&self, at: usize, id: &RecordingId) -> birdkeep::domain::recording::Recording {
        let created_at = birdkeep::domain::clock::Timestamp::from_microseconds(self.created_at).unwrap();
        let mut text = format!(
            "{{\"id\":\"{id}\",\"status\":\"available\",\"createdAt\":\"{created_at}\",\"format\":\"{}\",\"nth\":{at}",
            self.format
        );
        let mut named = Vec::new();
        for (name, value) in &self.objects[at] {
            if !named.contains(name) {
                text.push_str(&format!(",{}:{value}", serde_json::Value::from(name.as_str())));
                named.push(name.clone());
            }
        }
        text.push('}');
        read_stored(&text).unwrap()
    }
}

fn options(path: &Path, archive_id: &str, clock: &SharedClock) -> CatalogOptions {
    CatalogOptions {
        path: path.to_owned(),
        archive_id: archive_id.to_owned(),
        recordings_exist: false,
        group_readable: false,
        clock: Arc::clone(clock),
        run_id: 1,
    }
}

/// Archives one recording through the catalog's own doors, with as many versions as the case has.
async fn archive(catalog: &Catalog, dir: &Path, number: u8, case: &Case) {
    let recording = RecordingRef {
        workspace: "support".parse().unwrap(),
        id: RecordingId::from_bytes([number; 16]),
    };
    let touch_before = SystemClock.now();
    let list = async |at: usize| {
        let page = Page {
            recordings: &[case.listed(at, &recording.id)],
            set_aside: &[],
            seen_at: touch_before,
            touch_before,
        };
        catalog.upsert_page(&recording.workspace, page).await.unwrap();
    };
    list(0).await;
    for attempts in 1..=case.attempts {
        let claim = catalog.claim(std::slice::from_ref(&recording)).await.unwrap().remove(0);
        let end = ClaimEnd::Failed {
            reason: "reset".to_owned(),
            attempts,
            spent: false,
            not_before: touch_before.before(Duration::from_hours(1)),
        };
        catalog.settle(&[(claim, end)]).await.unwrap();
    }
    let claim = catalog.claim(std::slice::from_ref(&recording)).await.unwrap().remove(0);
    let key = StoreKey::new(
        &recording,
        claim.history.created_at,
        Format::from_upstream(&claim.format),
    );
    let folder = dir.join(key.folders().collect::<std::path::PathBuf>());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(key.file_name()), &case.body).unwrap();
    let object = StoredObject {
        key,
        size_bytes: case.body.len() as u64,
        sha256: Sha256Digest(Sha256::digest(&case.body).into()),
        content_type: case.content_type.clone(),
        etag: case.etag.clone(),
        archived_at: touch_before,
        remark: case.remark.clone(),
        earlier: None,
    };
    catalog.settle(&[(claim, ClaimEnd::Completed(object))]).await.unwrap();
    for at in 1..case.objects.len() {
        list(at).await;
    }
}

async fn goes_through(cases: &[Case]) {
    let place = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let dir = place.path().join("archive");
    let store = Store::open(&StoreOptions {
        dir: dir.clone(),
        expected_id: None,
        group_readable: false,
        min_free_bytes: 0,
        clock: Arc::clone(&clock),
        durable: true,
    })
    .unwrap();
    let (lost, made) = (place.path().join("lost.sqlite"), place.path().join("made.sqlite"));
    let catalog = Catalog::open(options(&lost, store.archive_id(), &clock)).await.unwrap();
    let workspace = ("support".parse().unwrap(), "support-id".parse().unwrap());
    catalog
        .register_workspaces(std::slice::from_ref(&workspace))
        .await
        .unwrap();
    for (number, case) in (1..).zip(cases) {
        archive(&catalog, &dir, number, case).await;
    }
    // Nothing has written a sidecar yet: all that are to be written are made from their rows.
    sqlx_forget(&lost).await;
    for stale in catalog.reader().stale_sidecars(None, 100).await.unwrap() {
        let (object, metadata, history) = (stale.object.clone(), stale.metadata.clone(), stale.history.clone());
        store.describe_again(object, metadata, history).await.unwrap();
    }
    catalog.close().await.unwrap();
    let options = RebuildOptions {
        catalog: options(&made, store.archive_id(), &clock),
        workspaces: vec![workspace],
        quick: false,
    };
    let (progress, _) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let report = rebuild(&store, &store.reader().unwrap(), options, &progress, &stop)
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(dump(&lost).await, dump(&made).await);
}

/// Has every sidecar written again.
async fn sqlx_forget(catalog: &Path) {
    use sqlx::ConnectOptions as _;
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(catalog);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql("UPDATE recordings SET sidecar_revision = NULL")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_goes_through_its_sidecar_and_comes_back(cases in proptest::collection::vec(case(), 1..9)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(goes_through(&cases));
    }
}
