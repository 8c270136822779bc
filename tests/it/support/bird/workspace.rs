//! The handle by which a test moves one workspace: adds recordings, changes them, takes them away.
//!
//! Must not know: how any of it is served.

use std::sync::Arc;
use std::time::Duration;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use bytes::Bytes;
use serde_json::Map;
use serde_json::Value;

use super::Shared;
use super::body::Object;
use super::body::Source;
use super::record::Recording;
use super::record::RecordingSpec;
use super::time::iso_milliseconds;
use super::world::Rights;
use super::world::Workspace;

/// One workspace of a running server. Clones are the same workspace.
#[derive(Clone)]
pub struct WorkspaceHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) id: String,
}

impl WorkspaceHandle {
    /// Its id upstream.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key it takes now.
    pub fn key(&self) -> String {
        self.with(|workspace| workspace.key.clone())
    }

    /// Takes this key from now on, and the one before no longer.
    pub fn set_key(&self, key: &str) {
        self.shared.secrets.lock().unwrap().push(("access key", key.to_owned()));
        self.with(|workspace| key.clone_into(&mut workspace.key));
    }

    /// Takes this token as well, sent as `Bearer`.
    pub fn set_bearer_token(&self, token: &str) {
        self.shared
            .secrets
            .lock()
            .unwrap()
            .push(("bearer token", token.to_owned()));
        self.with(|workspace| workspace.bearer_token = Some(token.to_owned()));
    }

    /// What its key may do from now on.
    pub fn set_rights(&self, rights: Rights) {
        self.with(|workspace| workspace.rights = rights);
    }

    /// Adds a recording, or puts another in place of one of the same id.
    pub fn add(&self, spec: RecordingSpec) -> RecordingId {
        self.with(|workspace| workspace.add(spec))
    }

    /// Adds this many available recordings, the first created at `from` (RFC 3339), each next one `step` later.
    pub fn add_many(&self, count: usize, from: &str, step: Duration) -> Vec<RecordingId> {
        let mut at: Timestamp = from.parse().expect("an RFC 3339 time");
        self.with(|workspace| {
            (0..count)
                .map(|_| {
                    let id = workspace.add(RecordingSpec::new().created_at(at));
                    at = at.after(step);
                    id
                })
                .collect()
        })
    }

    /// Changes `status`, and `updatedAt` with it.
    pub fn set_status(&self, id: RecordingId, status: &str) {
        let now = iso_milliseconds(self.shared.clock.now());
        self.change(id, |recording| {
            recording.members.insert("status".to_owned(), status.into());
            recording.members.insert("updatedAt".to_owned(), now.into());
        });
    }

    /// Changes any members of the JSON. A member `url` stands in place of the signed link.
    pub fn edit(&self, id: RecordingId, edit: impl FnOnce(&mut Map<String, Value>)) {
        self.change(id, |recording| edit(&mut recording.members));
    }

    /// Sends these bytes in place of the recording's JSON from now on, or its JSON again.
    pub fn set_raw(&self, id: RecordingId, raw: Option<Bytes>) {
        self.change(id, |recording| recording.raw = raw);
    }

    /// Takes a recording away altogether: not listed, 404 by its id, media gone.
    pub fn remove(&self, id: RecordingId) {
        assert!(self.with(|workspace| workspace.remove(id)), "no recording {id}");
    }

    /// No longer lists a recording; by its id and link it is still there.
    pub fn unlist(&self, id: RecordingId) {
        self.change(id, |recording| recording.listed = false);
    }

    /// Deletes the media and leaves everything else as it is, `status` included.
    pub fn delete_media(&self, id: RecordingId) {
        self.change(id, |recording| recording.object = None);
    }

    /// Stores other media under the same name.
    pub fn replace_media(&self, id: RecordingId, body: impl Into<Bytes>) {
        let source = Source::Bytes(body.into());
        self.change(id, |recording| {
            recording.object = Some(Arc::new(Object::new(source, recording.etag)));
        });
    }

    /// The media of a recording, byte for byte. Not for very large ones: all of it is in memory.
    pub fn body(&self, id: RecordingId) -> Bytes {
        self.object(id).bytes()
    }

    /// The size of the media of a recording.
    pub fn body_len_bytes(&self, id: RecordingId) -> u64 {
        self.object(id).len_bytes()
    }

    /// The `ETag` of the media of a recording, quoted.
    pub fn etag(&self, id: RecordingId) -> Option<String> {
        self.object(id).etag()
    }

    /// A member of a recording's JSON.
    pub fn member(&self, id: RecordingId, name: &str) -> Option<Value> {
        self.recording(id).members.get(name).cloned()
    }

    /// A freshly signed link to the media of a recording, whatever its status.
    pub fn link(&self, id: RecordingId) -> String {
        self.shared.plain_link(&self.id, &self.recording(id))
    }

    /// The ids of all that are listed and `available`, sorted.
    pub fn available(&self) -> Vec<RecordingId> {
        self.ids(Recording::is_available)
    }

    /// The ids of all that are listed, sorted.
    pub fn listed(&self) -> Vec<RecordingId> {
        self.ids(|_| true)
    }

    fn ids(&self, wanted: impl Fn(&Recording) -> bool) -> Vec<RecordingId> {
        let mut ids: Vec<_> = self.with(|workspace| {
            let listed = workspace
                .all()
                .filter(|recording| recording.listed && wanted(recording));
            listed.map(|recording| recording.id).collect()
        });
        ids.sort_unstable();
        ids
    }

    fn object(&self, id: RecordingId) -> Arc<Object> {
        self.recording(id)
            .object
            .clone()
            .unwrap_or_else(|| panic!("recording {id} has no media"))
    }

    fn recording(&self, id: RecordingId) -> Arc<Recording> {
        self.with(|workspace| workspace.get(id).cloned())
            .unwrap_or_else(|| panic!("no recording {id}"))
    }

    fn change(&self, id: RecordingId, change: impl FnOnce(&mut Recording)) {
        assert!(self.with(|workspace| workspace.change(id, change)), "no recording {id}");
    }

    fn with<T>(&self, act: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut world = self.shared.world.lock().unwrap();
        act(world
            .workspaces
            .get_mut(&self.id)
            .expect("workspaces are never taken away"))
    }
}
