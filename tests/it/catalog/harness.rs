//! A catalog in a folder of its own, and short ways to make what goes into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::Claim;
use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::catalog::RecordingDetail;
use birdkeep::catalog::UpsertOutcome;
use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::digest::Sha256Digest;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::ids::WorkspaceName;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::recording::SetAside;
use birdkeep::domain::recording::Status;
use birdkeep::domain::report::StoredObject;
use birdkeep::domain::report::UpsertCounts;
use birdkeep::domain::report::WalkKind;
use birdkeep::domain::report::WalkOutcome;
use birdkeep::domain::report::WalkReport;
use birdkeep::domain::state::State;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const ARCHIVE: &str = "archive-1";

/// A clock that moves when told to.
pub(super) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(super) fn set(&self, now: Timestamp) {
        self.0.store(now.as_microseconds(), Ordering::SeqCst);
    }

    pub(super) fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) catalog: Catalog,
}

impl Bench {
    /// A new catalog that knows the workspaces `support` and `sales`; it is noon on 1 May 2024.
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock_at_noon();
        let catalog = Catalog::open(options(&dir, &clock, 1)).await.unwrap();
        let known = ["support", "sales"].map(|name| (workspace(name), format!("{name}-id").parse().unwrap()));
        catalog.register_workspaces(&known).await.unwrap();
        Self { dir, clock, catalog }
    }

    pub(super) fn options(&self, run_id: i64) -> CatalogOptions {
        CatalogOptions {
            recordings_exist: true,
            ..options(&self.dir, &self.clock, run_id)
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("catalog.sqlite")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A connection that is not the catalog's.
    pub(super) async fn raw(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(self.path()))
            .await
            .unwrap()
    }

    pub(super) async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&mut self.raw().await)
            .await
            .unwrap()
    }

    pub(super) async fn upsert(&self, recordings: &[Recording]) -> UpsertOutcome {
        self.page(recordings, &[]).await
    }

    pub(super) async fn page(&self, recordings: &[Recording], set_aside: &[SetAside]) -> UpsertOutcome {
        let page = Page {
            recordings,
            set_aside,
            seen_at: self.now(),
            touch_before: self.now().before(HOUR),
        };
        self.catalog.upsert_page(&workspace("support"), page).await.unwrap()
    }

    /// Lists a recording of `support`, and claims it.
    pub(super) async fn claimed(&self, n: u8) -> Claim {
        self.upsert(&[available(n)]).await;
        self.catalog.claim(&[of_support(n)]).await.unwrap().pop().unwrap()
    }

    /// Lists, claims and completes a recording of `support`.
    pub(super) async fn archive(&self, n: u8) -> StoredObject {
        let claim = self.claimed(n).await;
        let object = stored(&claim, self.now());
        self.end(claim, ClaimEnd::Completed(object.clone())).await.unwrap();
        object
    }

    pub(super) async fn end(&self, claim: Claim, end: ClaimEnd) -> Result<(), CatalogError> {
        self.catalog.settle(&[(claim, end)]).await
    }

    /// Lists, claims and fails a recording of `support` for good.
    pub(super) async fn give_up(&self, n: u8, not_before: Timestamp) {
        let claim = self.claimed(n).await;
        self.end(claim, failed(12, true, not_before)).await.unwrap();
    }

    pub(super) async fn show(&self, n: u8) -> RecordingDetail {
        let mut found = self.catalog.reader().show(&id(n)).await.unwrap();
        assert_eq!(found.len(), 1, "recording {n}");
        found.remove(0)
    }

    pub(super) async fn state(&self, n: u8) -> State {
        self.show(n).await.row.state
    }

    pub(super) async fn finish_full_walk(&self, started_at: Timestamp) {
        let report = walk(WalkKind::Full, WalkOutcome::Complete, started_at, self.now());
        self.catalog.finish_walk(&workspace("support"), &report).await.unwrap();
    }
}

pub(super) fn clock_at_noon() -> Arc<ManualClock> {
    let clock = Arc::new(ManualClock(AtomicI64::new(0)));
    clock.set(noon());
    clock
}

pub(super) fn options(dir: &TempDir, clock: &Arc<ManualClock>, run_id: i64) -> CatalogOptions {
    CatalogOptions {
        path: dir.path().join("catalog.sqlite"),
        archive_id: ARCHIVE.to_owned(),
        recordings_exist: false,
        group_readable: false,
        clock: Arc::<ManualClock>::clone(clock),
        run_id,
    }
}

pub(super) fn noon() -> Timestamp {
    at("2024-05-01T12:00:00Z")
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn workspace(name: &str) -> WorkspaceName {
    name.parse().unwrap()
}

pub(super) fn id(n: u8) -> RecordingId {
    RecordingId::from_bytes([n; 16])
}

pub(super) fn of_support(n: u8) -> RecordingRef {
    RecordingRef {
        workspace: workspace("support"),
        id: id(n),
    }
}

/// A recording created `n` minutes after eight on 1 May 2024.
pub(super) fn recording(n: u8, status: &str) -> Recording {
    Recording {
        id: id(n),
        status: Status::from_upstream(status),
        created_at: at("2024-05-01T08:00:00Z").after(MINUTE * u32::from(n)),
        direction: Some("incoming".to_owned()),
        from: Some(format!("+31 6 000{n:05}")),
        to: Some("+4930123456".to_owned()),
        duration_seconds: Some(i64::from(n) + 1),
        format: "mp3".to_owned(),
        metadata: format!("{{\"id\":\"{}\",\"status\":\"{status}\"}}", id(n)),
    }
}

pub(super) fn available(n: u8) -> Recording {
    recording(n, "available")
}

pub(super) fn odd(raw: &str, id: Option<RecordingId>) -> SetAside {
    SetAside {
        raw: raw.to_owned(),
        reason: "no createdAt".to_owned(),
        id,
    }
}

pub(super) fn stored(claim: &Claim, archived_at: Timestamp) -> StoredObject {
    StoredObject {
        key: StoreKey::new(
            &claim.recording,
            claim.history.created_at,
            Format::from_upstream(&claim.format),
        ),
        size_bytes: 1_000,
        sha256: Sha256Digest([7; 32]),
        content_type: Some("audio/mpeg".to_owned()),
        etag: Some("\"abc\"".to_owned()),
        archived_at,
        remark: Some("shorter than stated".to_owned()),
        earlier: None,
    }
}

pub(super) fn failed(attempts: u32, spent: bool, not_before: Timestamp) -> ClaimEnd {
    ClaimEnd::Failed {
        reason: "connection reset".to_owned(),
        attempts,
        spent,
        not_before,
    }
}

pub(super) fn walk(kind: WalkKind, outcome: WalkOutcome, started_at: Timestamp, finished_at: Timestamp) -> WalkReport {
    WalkReport {
        kind,
        started_at,
        finished_at,
        asked_at: started_at,
        since: None,
        outcome,
        listed: 5,
        pages: 1,
        changes: UpsertCounts::default(),
    }
}
