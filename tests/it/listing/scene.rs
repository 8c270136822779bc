//! A simulator with one workspace, and an archive that points at it, with settings short enough for tests.

use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use futures::StreamExt as _;
use serde_json::Value;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RequestKind;
use crate::support::bird::SeenRequest;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Finished;

pub(crate) const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
pub(crate) const KEY: &str = "key-of-the-support-workspace-0123456789";
pub(crate) const NAME: &str = "support";

/// Cases of a table that run side by side: most of their time is spent waiting.
const SIDE_BY_SIDE: usize = 12;

/// One simulator and one archive of its one workspace.
pub(crate) struct Scene {
    pub(crate) bird: Bird,
    pub(crate) workspace: WorkspaceHandle,
    pub(crate) archive: Archive,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(BirdOptions::default()).await
    }

    pub(crate) async fn with(options: BirdOptions) -> Self {
        let bird = Bird::start(options).await;
        let workspace = bird.add_workspace(WORKSPACE, KEY);
        let archive = archive_of(&bird, &[(NAME, &workspace)]);
        Self {
            bird,
            workspace,
            archive,
        }
    }

    /// Adds recordings with small bodies, one minute apart.
    pub(crate) fn add(&self, count: u64) -> Vec<RecordingId> {
        add_small(&self.workspace, count)
    }

    /// One pass, which must end with this code.
    pub(crate) async fn once(&self, code: i32) -> Finished {
        self.archive.run(&["--once"]).await.expect_code(code)
    }

    /// `status --format json`, of the one workspace.
    pub(crate) async fn status(&self) -> Value {
        status_of(&self.archive, NAME).await
    }

    /// The recording's line of `list --format json`.
    pub(crate) async fn row(&self, id: RecordingId) -> Value {
        let rows = rows(&self.archive, &[]).await;
        let id = id.to_string();
        let found = rows.into_iter().find(|row| row["id"] == id.as_str());
        found.unwrap_or_else(|| panic!("{id} is not listed"))
    }

    /// `show --format json`.
    pub(crate) async fn show(&self, id: RecordingId) -> Value {
        let args = ["show", &id.to_string(), "--format", "json"];
        self.archive.run(&args).await.expect_code(0).json()
    }

    /// Fails unless each of these has one file, equal to upstream's body.
    #[track_caller]
    pub(crate) fn expect_archived(&self, ids: &[RecordingId]) {
        expect_archived(&self.archive, &self.workspace, ids);
    }

    /// Fails where anything is left of bodies that did not come to their end.
    #[track_caller]
    pub(crate) fn expect_empty_staging(&self) {
        assert_eq!(self.archive.staging_files(), Vec::<String>::new());
    }

    #[track_caller]
    pub(crate) fn expect_no_secrets(&self) {
        assert_eq!(self.archive.grep_secrets(&self.bird), []);
    }

    /// Passes with the walk over the whole list due, until such a walk was asked for; the last one.
    pub(crate) async fn full_walk(&mut self) -> Finished {
        self.archive.set_text("sync.interval", "1s");
        self.archive.set_text("sync.full_walk_interval", "1s");
        self.bird.forget_requests();
        for _ in 0..40 {
            let finished = self.archive.run(&["--once"]).await;
            if lists(&self.bird).iter().any(|list| list.start_at.is_none()) {
                return finished;
            }
        }
        panic!("a full walk never came due");
    }
}

/// An archive with short settings.
pub(crate) fn archive_of(bird: &Bird, workspaces: &[(&str, &WorkspaceHandle)]) -> Archive {
    let mut archive = Archive::new(env!("CARGO_BIN_EXE_birdkeep"), bird, workspaces);
    archive.set_text("api.timeout", "2s");
    archive.set("api.requests_per_second", "1000");
    archive.set_text("download.stall_timeout", "1s");
    archive.set_text("download.total_timeout", "30s");
    archive
}

pub(crate) fn add_small(workspace: &WorkspaceHandle, count: u64) -> Vec<RecordingId> {
    (0..count)
        .map(|n| workspace.add(RecordingSpec::new().body_bytes(3_000 + 7 * n)))
        .collect()
}

pub(crate) async fn status_of(archive: &Archive, name: &str) -> Value {
    let status = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
    let workspaces = status["workspaces"].as_array().unwrap().clone();
    let found = workspaces.into_iter().find(|workspace| workspace["name"] == name);
    found.unwrap_or_else(|| panic!("no workspace {name} in {status}"))
}

/// `list --format json` with more arguments.
pub(crate) async fn rows(archive: &Archive, more: &[&str]) -> Vec<Value> {
    let args = [&["list", "--format", "json"], more].concat();
    archive.run(&args).await.expect_code(0).json_lines()
}

#[track_caller]
pub(crate) fn expect_archived(archive: &Archive, workspace: &WorkspaceHandle, ids: &[RecordingId]) {
    for id in ids {
        let file = archive.media_file_of(id);
        let file = file.unwrap_or_else(|| panic!("{id} has no file"));
        assert!(
            archive.read(&file) == workspace.body(*id),
            "{file} is not what upstream has"
        );
    }
}

/// The sidecar of a recording that is archived.
#[track_caller]
pub(crate) fn sidecar(archive: &Archive, id: RecordingId) -> Value {
    let file = archive.media_file_of(id).expect("a file");
    let (stem, _) = file.rsplit_once('.').unwrap();
    serde_json::from_slice(&archive.read(&format!("{stem}.json"))).expect("a sidecar that is JSON")
}

/// A page that was asked for.
pub(crate) struct SeenList {
    pub(crate) seen: SeenRequest,
    pub(crate) workspace: String,
    pub(crate) page: u32,
    pub(crate) start_at: Option<String>,
    pub(crate) end_at: Option<String>,
}

pub(crate) fn lists(bird: &Bird) -> Vec<SeenList> {
    let seen_list = |seen: SeenRequest| match seen.kind.clone() {
        RequestKind::List {
            workspace,
            page,
            start_at,
            end_at,
            ..
        } => Some(SeenList {
            seen,
            workspace,
            page,
            start_at,
            end_at,
        }),
        _ => None,
    };
    bird.requests().into_iter().filter_map(seen_list).collect()
}

/// Runs every case of a table, several at once, and names those that failed.
pub(crate) async fn each_case<C: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    cases: Vec<(&'static str, C)>,
    run: impl Fn(&'static str, C) -> F,
) {
    let runs = cases.into_iter().map(|(name, case)| {
        let run = run(name, case);
        async move { (name, tokio::spawn(run).await.is_ok()) }
    });
    let ended: Vec<_> = futures::stream::iter(runs)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<_> = ended.iter().filter(|(_, well)| !well).map(|(name, _)| *name).collect();
    assert!(
        failed.is_empty(),
        "{} of {} cases failed: {failed:?}",
        failed.len(),
        ended.len()
    );
}

/// Time between two requests by the server's clock.
pub(crate) fn between(first: &SeenRequest, second: &SeenRequest) -> Duration {
    second.at.since(first.at)
}
