//! An archive of a few recordings, and ways to damage it.
//!
//! Must not know: what verify says.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use serde_json::Value;

use crate::support::bird::Bird;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::place;

pub(super) struct Scene {
    pub(super) bird: Bird,
    pub(super) workspace: WorkspaceHandle,
    pub(super) archive: Archive,
    pub(super) ids: Vec<RecordingId>,
}

impl Scene {
    /// An archive of so many recordings, all of them archived.
    pub(super) async fn of(recordings: usize) -> Self {
        let (bird, workspace, mut archive) = place().await;
        archive.set_text("sync.interval", "1s");
        let ids = workspace.add_many(recordings, "2026-03-01T10:00:00Z", Duration::from_mins(1));
        archive.run(&["--once"]).await.expect_code(0);
        Self {
            bird,
            workspace,
            archive,
            ids,
        }
    }

    /// The body of the recording of this number.
    pub(super) fn body(&self, number: usize) -> PathBuf {
        let file = self.archive.media_file_of(self.ids[number]).unwrap();
        self.archive.dir().join("recordings").join(file)
    }

    pub(super) fn sidecar(&self, number: usize) -> PathBuf {
        self.body(number).with_extension("json")
    }

    /// Changes one byte in the middle of a body. Returns all its bytes.
    pub(super) fn flip(&self, number: usize) -> Vec<u8> {
        let path = self.body(number);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        bytes
    }

    pub(super) fn id(&self, number: usize) -> String {
        self.ids[number].to_string()
    }

    pub(super) async fn verify(&self, more: &[&str], code: i32) -> Value {
        let args: Vec<&str> = ["verify", "--format", "json"].iter().chain(more).copied().collect();
        self.archive.run(&args).await.expect_code(code).json()
    }

    pub(super) async fn status(&self) -> Value {
        let finished = self.archive.run(&["status", "--format", "json"]).await;
        finished.expect_code(0).json()["verify"].clone()
    }

    pub(super) async fn show(&self, number: usize) -> Value {
        let finished = self.archive.run(&["show", &self.id(number), "--format", "json"]).await;
        finished.expect_code(0).json()
    }
}
