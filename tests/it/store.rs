//! What the store promises, held against real directories.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::digest::Md5Digest;
use birdkeep::domain::digest::Sha256Digest;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::recording::History;
use birdkeep::domain::report::EarlierSidecar;
use birdkeep::domain::report::StoredObject;
use birdkeep::store::BodyPlan;
use birdkeep::store::OpenError;
use birdkeep::store::SidecarNote;
use birdkeep::store::Store;
use birdkeep::store::StoreError;
use birdkeep::store::StoreErrorKind;
use birdkeep::store::StoreOptions;
use birdkeep::store::sidecar;
use bytes::Bytes;
use rustix::fs::FileType;
use rustix::fs::Mode;
use sha2::Digest;

const ID: &str = "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd";
const STEM: &str = "recordings/support/2023/10/23/20231023T155508Z_5b74ee9e-9d45-473a-82cd-f1f7feea6bbd";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }
}

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        dir: dir.to_owned(),
        expected_id: None,
        group_readable: false,
        min_free_bytes: 0,
        clock: Arc::new(Noon),
        durable: true,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&options(dir)).unwrap()
}

fn refusal(options: &StoreOptions) -> OpenError {
    Store::open(options).err().expect("it was opened")
}

fn recording() -> RecordingRef {
    RecordingRef {
        workspace: "support".parse().unwrap(),
        id: ID.parse().unwrap(),
    }
}

fn key() -> StoreKey {
    StoreKey::new(&recording(), "2023-10-23T15:55:08.234Z".parse().unwrap(), Format::Mp3)
}

fn note() -> SidecarNote {
    SidecarNote {
        recording: recording(),
        metadata: format!("{{\"id\":\"{ID}\",\"duration\":1.50,\"from\":\"+31612345678\"}}"),
        content_type: Some("audio/mpeg".to_owned()),
        etag: Some("\"abc\"".to_owned()),
        remark: None,
        history: History {
            workspace_id: "w-1".parse().unwrap(),
            created_at: "2023-10-23T15:55:08.234Z".parse().unwrap(),
            first_seen_at: "2023-10-23T15:56:00Z".parse().unwrap(),
            attempts: 2,
            versions: Vec::new(),
        },
    }
}

const PLAN: BodyPlan = BodyPlan {
    format: Format::Mp3,
    want_md5: true,
    max_bytes: 10_000_000,
};

/// What is returned of an object whose sidecar was there already.
fn found_again(stored: &StoredObject) -> StoredObject {
    let earlier = EarlierSidecar {
        metadata: note().metadata,
        history: Some(note().history),
    };
    StoredObject {
        earlier: Some(Box::new(earlier)),
        ..stored.clone()
    }
}

/// Bytes that differ from place to place.
fn body(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at / 7 + at % 251) % 256).unwrap())
        .collect()
}

async fn publish(store: &Store, bytes: &[u8]) -> Result<StoredObject, StoreError> {
    let mut staged = store.begin(PLAN);
    for chunk in bytes.chunks(70_001) {
        staged.write(Bytes::copy_from_slice(chunk)).await?;
    }
    staged.seal().await?.publish(&key(), note()).await
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(sha2::Sha256::digest(bytes).into())
}

fn media(dir: &Path) -> PathBuf {
    dir.join(format!("{STEM}.mp3"))
}

fn beside(dir: &Path) -> PathBuf {
    dir.join(format!("{STEM}.json"))
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn nothing_is_staged(dir: &Path) {
    assert_eq!(entries(&dir.join("staging")), [""; 0]);
}

/// Every path below with its permission bits, the folder itself first.
fn modes(dir: &Path) -> Vec<(PathBuf, u32)> {
    let mut all = vec![(dir.to_owned(), fs::symlink_metadata(dir).unwrap().mode() & 0o7777)];
    for name in entries(dir) {
        let path = dir.join(name);
        let found = fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            all.extend(modes(&path));
        } else {
            all.push((path, found.mode() & 0o7777));
        }
    }
    all
}

fn node(path: &Path, kind: FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn fifo(path: &Path) {
    node(path, FileType::Fifo);
}

/// A device that nobody drives: whoever opens it is told so. Only root may make it.
fn device(path: &Path, kind: FileType) {
    let number = rustix::fs::makedev(60, 7);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from_raw_mode(0o600), number).unwrap();
}

fn os_error(error: &StoreError) -> Option<i32> {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs one of the tests below that only work as a child, in `dir`; `before` comes before it on a shell's line.
fn run_child(test: &str, dir: &Path, before: &str) -> std::process::Output {
    fs::write(dir.join("child"), "").unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} \"$0\" --ignored --exact store::{test}")])
        .arg(std::env::current_exe().unwrap())
        .current_dir(dir)
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_body_is_published_whole_with_its_sidecar() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(!store.has_recordings().unwrap());
    let bytes = body(600_000);

    let mut staged = store.begin(PLAN);
    for chunk in bytes.chunks(100_000) {
        staged.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(staged.received_bytes(), 600_000);
    let sealed = staged.seal().await.unwrap();
    assert_eq!(sealed.facts.size_bytes, 600_000);
    assert_eq!(sealed.facts.sha256, sha256(&bytes));
    assert_eq!(sealed.facts.md5, Some(Md5Digest(md5::Md5::digest(&bytes).into())));
    assert_eq!(sealed.facts.leading, bytes[..64]);
    assert_eq!(sealed.facts.mp3, None);
    assert!(!media(dir.path()).exists());
    let stored = sealed.publish(&key(), note()).await.unwrap();

    assert_eq!(stored.key, key());
    assert_eq!((stored.size_bytes, stored.sha256), (600_000, sha256(&bytes)));
    assert_eq!(stored.archived_at, Noon.now());
    assert_eq!(fs::read(media(dir.path())).unwrap(), bytes);
    assert_eq!(fs::metadata(media(dir.path())).unwrap().nlink(), 1);
    let text = fs::read_to_string(beside(dir.path())).unwrap();
    let read = sidecar::parse(&text).unwrap();
    assert_eq!(read.metadata, note().metadata);
    assert_eq!((read.sha256, read.size_bytes), (stored.sha256, stored.size_bytes));
    assert_eq!((read.content_type, read.etag), (note().content_type, note().etag));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["workspace"], "support");
    assert_eq!(json["archiver_version"], env!("CARGO_PKG_VERSION"));
    assert!(text.contains("\"duration\": 1.50,"), "{text}");
    assert!(store.has_recordings().unwrap());
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn the_frames_of_an_mp3_are_counted_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut frame = vec![0_u8; 288];
    frame[..4].copy_from_slice(&[0xff, 0xf3, 0x88, 0xc4]);
    let mut staged = store.begin(BodyPlan {
        want_md5: false,
        ..PLAN
    });
    staged.write(frame.repeat(1000).into()).await.unwrap();
    let facts = staged.seal().await.unwrap().facts.clone();
    assert_eq!(facts.mp3.unwrap().duration, Duration::from_secs(36));
    assert_eq!(facts.md5, None);
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn the_same_body_again_is_adopted_and_another_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = publish(&store, &body(1000)).await.unwrap();
    let inodes = || {
        (
            fs::metadata(media(dir.path())).unwrap().ino(),
            fs::metadata(beside(dir.path())).unwrap().ino(),
        )
    };
    let before = (inodes(), fs::read(beside(dir.path())).unwrap());

    assert_eq!(publish(&store, &body(1000)).await.unwrap(), found_again(&first));

    for other in [body(999), body(1000).into_iter().rev().collect()] {
        let error = publish(&store, &other).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Conflict);
        let conflict = error.conflict().unwrap();
        assert_eq!(
            (conflict.existing_sha256, conflict.existing_bytes),
            (first.sha256, 1000)
        );
        assert_eq!(
            (conflict.our_sha256, conflict.our_bytes),
            (sha256(&other), other.len() as u64)
        );
        assert_eq!(error.to_string(), format!("could not publish {STEM}.mp3"));
    }
    assert_eq!((inodes(), fs::read(beside(dir.path())).unwrap()), before);
    assert_eq!(fs::read(media(dir.path())).unwrap(), body(1000));
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn bodies_that_are_dropped_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut staged = store.begin(PLAN);
    staged.write(body(300_000).into()).await.unwrap();
    assert_eq!(entries(&dir.path().join("staging")).len(), 1);
    drop(staged);
    nothing_is_staged(dir.path());

    let sealed = {
        let mut staged = store.begin(PLAN);
        staged.write(body(300_000).into()).await.unwrap();
        staged.restart(false);
        assert_eq!(staged.received_bytes(), 0);
        staged.write(body(10).into()).await.unwrap();
        staged.seal().await.unwrap()
    };
    assert_eq!((sealed.facts.sha256, sealed.facts.md5), (sha256(&body(10)), None));
    assert_eq!(entries(&dir.path().join("staging")).len(), 1);
    drop(sealed);
    nothing_is_staged(dir.path());
    assert!(!store.has_recordings().unwrap());
}

#[tokio::test]
async fn a_write_that_is_cut_off_ends_its_body() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut staged = store.begin(PLAN);
    // Polled once, the write is under way on its thread when the future is dropped, unless that thread was quicker.
    while futures::poll!(std::pin::pin!(staged.write(body(300_000).into()))).is_ready() {
        staged.restart(false);
    }
    assert!(staged.write(body(1).into()).await.unwrap_err().is_local());
    assert!(staged.seal().await.is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !entries(&dir.path().join("staging")).is_empty() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_publish_whose_caller_went_away_still_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut staged = store.begin(PLAN);
    staged.write(body(5000).into()).await.unwrap();
    let sealed = staged.seal().await.unwrap();
    {
        let (key, note) = (key(), note());
        let mut publish = std::pin::pin!(sealed.publish(&key, note));
        let _ = futures::poll!(&mut publish);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(stored) = store.adopt(&key(), &recording()).await.unwrap() {
            assert_eq!(stored.sha256, sha256(&body(5000)));
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut staged = store.begin(BodyPlan {
        max_bytes: 1000,
        ..PLAN
    });
    staged.write(body(1000).into()).await.unwrap();
    let error = staged.write(body(1).into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::TooLarge);
    assert!(!error.is_local());
    nothing_is_staged(dir.path());
    assert!(staged.seal().await.is_err());
}

#[tokio::test]
async fn metadata_of_another_recording_is_refused_before_anything_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for metadata in [
        "[]",
        "{}",
        "{\"id\":\"00000000-0000-0000-0000-000000000000\"}",
        "not JSON +31612345678",
    ] {
        let mut staged = store.begin(PLAN);
        staged.write(body(10).into()).await.unwrap();
        let note = SidecarNote {
            metadata: metadata.to_owned(),
            ..note()
        };
        let error = staged.seal().await.unwrap().publish(&key(), note).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid);
        assert!(!format!("{error:?}").contains("+316"));
    }
    assert!(!store.has_recordings().unwrap());
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn everything_is_private_or_open_to_the_group_alone() {
    for (group_readable, file_mode, folder_mode) in [(false, 0o600, 0o700), (true, 0o640, 0o750)] {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("a/b");
        let store = Store::open(&StoreOptions {
            group_readable,
            ..options(&dir)
        })
        .unwrap();
        publish(&store, &body(10)).await.unwrap();
        for (path, mode) in modes(&outer.path().join("a")) {
            let wanted = if path.is_dir() { folder_mode } else { file_mode };
            assert_eq!(mode, wanted, "{}", path.display());
        }
    }
}

#[test]
#[ignore = "run by others as a child"]
fn child_publishes() {
    if !Path::new("child").exists() {
        return;
    }
    // One thread for all file work: whoever changes its system calls counts them by thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = tokio::task::spawn_blocking(|| open(Path::new("archive")))
            .await
            .unwrap();
        publish(&store, &body(10)).await.unwrap();
    });
}

#[test]
fn the_umask_changes_nothing() {
    for umask in ["000", "022", "077", "277"] {
        let dir = tempfile::tempdir().unwrap();
        let output = run_child("child_publishes", dir.path(), &format!("umask {umask}; exec"));
        assert!(output.status.success(), "{umask}: {output:?}");
        let archive = dir.path().join("archive");
        assert!(media(&archive).exists());
        for (path, mode) in modes(&archive) {
            assert_eq!(
                mode,
                if path.is_dir() { 0o700 } else { 0o600 },
                "{umask} {}",
                path.display()
            );
        }
    }
}

#[test]
fn an_empty_directory_that_becomes_an_archive_becomes_private() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("made-by-hand");
    fs::create_dir(&dir).unwrap();
    fs::create_dir(dir.join("lost+found")).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&dir);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(
        entries(&dir),
        ["archive.json", "birdkeep.lock", "lost+found", "recordings", "staging"]
    );
    assert_eq!(store.dir(), dir.canonicalize().unwrap());
    assert_eq!(Store::look(&dir).unwrap().id.as_deref(), Some(store.archive_id()));
}

#[test]
fn a_second_writer_is_refused_at_once_and_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    fs::write(dir.path().join("staging/of-the-first.part"), "half").unwrap();
    let before = modes(dir.path());
    let asked = Instant::now();
    let error = refusal(&options(dir.path()));
    assert!(asked.elapsed() < Duration::from_secs(1));
    let OpenError::Locked { holder, path } = &error else {
        panic!("{error:?}")
    };
    assert!(holder.contains(&format!("pid {} ", std::process::id())), "{holder}");
    assert!(path.ends_with("birdkeep.lock"));
    assert_eq!(modes(dir.path()), before);

    let id = first.archive_id().to_owned();
    let clone = first.clone();
    drop(first);
    assert!(matches!(refusal(&options(dir.path())), OpenError::Locked { .. }));
    drop(clone);
    let again = open(dir.path());
    assert_eq!((again.archive_id(), again.cleared_staging()), (&*id, 1));
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn a_body_under_way_keeps_the_archive_locked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let staged = store.begin(PLAN);
    drop(store);
    assert!(matches!(refusal(&options(dir.path())), OpenError::Locked { .. }));
    drop(staged);
    open(dir.path());
}

#[test]
fn the_right_archive_or_none() {
    let outer = tempfile::tempdir().unwrap();
    let (here, gone) = (outer.path().join("here"), outer.path().join("gone"));
    let id = open(&here).archive_id().to_owned();
    let expecting = |dir: &Path, id: &str| StoreOptions {
        expected_id: Some(id.to_owned()),
        ..options(dir)
    };
    assert_eq!(Store::open(&expecting(&here, &id)).unwrap().archive_id(), id);

    let other = "00000000-0000-4000-8000-000000000000";
    match refusal(&expecting(&here, other)) {
        OpenError::OtherArchive { expected, found, .. } => assert_eq!((&*expected, &*found), (other, &*id)),
        error => panic!("{error:?}"),
    }
    assert!(matches!(refusal(&expecting(&gone, &id)), OpenError::NotMounted { .. }));
    assert!(!gone.exists());
    fs::create_dir(&gone).unwrap();
    let error = refusal(&expecting(&gone, &id));
    assert!(matches!(error, OpenError::NotMounted { .. }));
    assert!(
        error.to_string().contains(&id) && error.to_string().contains("archive.json"),
        "{error}"
    );
    assert_eq!(entries(&gone), [""; 0]);
}

#[test]
fn markers_that_are_missing_newer_or_garbled_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let marker = dir.path().join("archive.json");
    let good = fs::read_to_string(&marker).unwrap();
    let json: serde_json::Value = serde_json::from_str(&good).unwrap();
    assert_eq!(
        (&json["layout_version"], &json["created_at"]),
        (&1.into(), &"2026-03-01T12:00:00Z".into())
    );

    for (text, wanted) in [
        (String::new(), "MarkerGarbled"),
        ("garbage".to_owned(), "MarkerGarbled"),
        (good[..good.len() / 2].to_owned(), "MarkerGarbled"),
        (
            good.replace("\"layout_version\":1", "\"layout_version\":0"),
            "MarkerGarbled",
        ),
        (good.replace(json["id"].as_str().unwrap(), "../x"), "MarkerGarbled"),
        (
            good.replace("\"layout_version\":1", "\"layout_version\":2"),
            "NewerLayout",
        ),
    ] {
        fs::write(&marker, &text).unwrap();
        let error = format!("{:?}", refusal(&options(dir.path())));
        assert!(error.starts_with(wanted), "{text}: {error}");
        assert_eq!(fs::read_to_string(&marker).unwrap(), text);
    }

    fs::remove_file(&marker).unwrap();
    let error = refusal(&options(dir.path()));
    assert!(matches!(error, OpenError::MarkerMissing { .. }), "{error:?}");
    assert_eq!(entries(dir.path()), ["birdkeep.lock", "recordings", "staging"]);
    assert_eq!(Store::look(dir.path()).unwrap().id, None);

    symlink("/etc/hostname", &marker).unwrap();
    assert!(matches!(refusal(&options(dir.path())), OpenError::NotOurs { .. }));

    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.doc"), "").unwrap();
    let error = refusal(&options(foreign.path()));
    assert!(error.to_string().contains("thesis.doc"), "{error}");
    assert_eq!(entries(foreign.path()), ["thesis.doc"]);
}

#[test]
fn an_archive_that_was_being_made_when_the_process_died_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for left in [&["birdkeep.lock"][..], &["birdkeep.lock", "archive.json.new"]] {
        for name in left {
            fs::write(dir.path().join(name), "{\"half").unwrap();
        }
        drop(open(dir.path()));
        assert_eq!(
            entries(dir.path()),
            ["archive.json", "birdkeep.lock", "recordings", "staging"]
        );
        fs::remove_file(dir.path().join("archive.json")).unwrap();
        fs::remove_dir(dir.path().join("recordings")).unwrap();
        fs::remove_dir(dir.path().join("staging")).unwrap();
    }
}

#[test]
fn a_place_that_is_not_safe_is_refused() {
    let outer = tempfile::tempdir().unwrap();
    let open_to_all = outer.path().join("open");
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o1777)).unwrap();
    let error = refusal(&options(&open_to_all));
    assert!(
        matches!(error, OpenError::WorldWritable { mode: 0o1777, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("chmod o-w"));
    assert_eq!(entries(&open_to_all), [""; 0]);

    let file = outer.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refusal(&options(&file)), OpenError::NotADirectory { .. }));
    assert!(matches!(
        refusal(&options(&file.join("below"))),
        OpenError::NotADirectory { .. }
    ));
}

#[test]
fn what_is_planted_at_the_archives_own_names_is_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let real = outer.path().join("real");
    drop(open(&real));
    let outside = outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary.part"), "alive").unwrap();
    for part in ["staging", "recordings", "birdkeep.lock"] {
        let kept = outer.path().join("kept");
        fs::rename(real.join(part), &kept).unwrap();
        symlink(&outside, real.join(part)).unwrap();
        let error = refusal(&options(&real));
        assert!(
            matches!(
                error,
                OpenError::NotOurs {
                    found: "a symbolic link",
                    ..
                }
            ),
            "{error:?}"
        );
        fs::remove_file(real.join(part)).unwrap();
        fifo(&real.join(part));
        let error = refusal(&options(&real));
        assert!(
            matches!(
                error,
                OpenError::NotOurs {
                    found: "a named pipe",
                    ..
                }
            ),
            "{error:?}"
        );
        fs::remove_file(real.join(part)).unwrap();
        fs::rename(&kept, real.join(part)).unwrap();
    }
    assert_eq!(entries(&outside), ["canary.part"]);

    // What the operator points at may be a link; what lies in staging is not followed when it is cleared.
    let link = outer.path().join("link");
    symlink(&real, &link).unwrap();
    symlink(outside.join("canary.part"), real.join("staging/planted")).unwrap();
    fs::write(real.join("staging/left.part"), "half").unwrap();
    let store = open(&link);
    assert_eq!(store.dir(), real.canonicalize().unwrap());
    assert_eq!(store.cleared_staging(), 1);
    assert_eq!(fs::read_to_string(outside.join("canary.part")).unwrap(), "alive");
}

#[tokio::test]
async fn nothing_planted_in_the_archive_is_followed_overwritten_or_waited_for() {
    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "alive").unwrap();
    let names = ["recordings/support", "recordings/support/2023", STEM, "mp3", "json"];
    for (at, name) in names.into_iter().enumerate() {
        let dir = outer.path().join(format!("archive-{at}"));
        let store = open(&dir);
        let path = match name {
            "mp3" => media(&dir),
            "json" => beside(&dir),
            STEM => media(&dir).parent().unwrap().to_owned(),
            folder => dir.join(folder),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let plants: [fn(&Path, &Path); 8] = [
            |path, outside| symlink(outside, path).unwrap(),
            |path, outside| symlink(outside.join("canary"), path).unwrap(),
            |path, outside| symlink(outside.join("nowhere"), path).unwrap(),
            |path, _| fifo(path),
            |path, outside| fs::hard_link(outside.join("canary"), path).unwrap(),
            |path, _| node(path, FileType::Socket),
            |path, _| device(path, FileType::CharacterDevice),
            |path, _| device(path, FileType::BlockDevice),
        ];
        let plants = &plants[..if is_root() { plants.len() } else { 6 }];
        for (which, plant) in plants.iter().enumerate() {
            plant(&path, &outside);
            let patience = Duration::from_secs(10);
            let adopted = tokio::time::timeout(patience, store.adopt(&key(), &recording()))
                .await
                .unwrap();
            assert_eq!(adopted.unwrap(), None, "{name} {which}");
            let published = tokio::time::timeout(patience, publish(&store, &body(10)))
                .await
                .unwrap();
            let error = published.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Conflict, "{name} {which}: {error:?}");
            fs::remove_file(&path).unwrap();
            assert!(!store.has_recordings().unwrap(), "{name} {which}: something was left");
            nothing_is_staged(&dir);
        }
        publish(&store, &body(10)).await.unwrap();
    }
    assert_eq!(entries(&outside), ["canary"]);
    assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "alive");
}

#[tokio::test]
async fn a_folder_swapped_for_a_link_again_and_again_leads_nowhere() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, outside) = (outer.path().join("archive"), outer.path().join("outside"));
    fs::create_dir_all(outside.join("2023/10/23")).unwrap();
    let store = open(&dir);
    let (folder, aside) = (dir.join("recordings/support"), outer.path().join("aside"));
    fs::create_dir(&folder).unwrap();
    let swapping = std::thread::spawn({
        let outside = outside.clone();
        move || {
            for _ in 0..300 {
                fs::rename(&folder, &aside).unwrap();
                let planted = symlink(&outside, &folder).is_ok();
                std::thread::yield_now();
                if planted {
                    fs::remove_file(&folder).unwrap();
                } else {
                    // The store made a folder of its own in the meantime.
                    fs::remove_dir_all(&folder).unwrap();
                }
                fs::rename(&aside, &folder).unwrap();
            }
        }
    });
    while !swapping.is_finished() {
        let _ = publish(&store, &body(10)).await;
    }
    let _ = swapping.join();
    assert_eq!(entries(&outside.join("2023/10/23")), [""; 0]);
    nothing_is_staged(&dir);
}

#[tokio::test]
async fn a_body_that_a_crash_left_is_adopted_only_if_all_of_it_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let adopt = || async { store.adopt(&key(), &recording()).await.unwrap() };
    assert_eq!(adopt().await, None);
    assert_eq!(entries(&dir.path().join("recordings")), [""; 0]);

    let stored = publish(&store, &body(5000)).await.unwrap();
    assert_eq!(adopt().await, Some(found_again(&stored)));
    let (bytes, text) = (
        fs::read(media(dir.path())).unwrap(),
        fs::read_to_string(beside(dir.path())).unwrap(),
    );

    let elsewhere = RecordingRef {
        workspace: "sales".parse().unwrap(),
        id: recording().id,
    };
    assert_eq!(store.adopt(&key(), &elsewhere).await.unwrap(), None);
    let another = RecordingRef {
        id: "00000000-0000-0000-0000-000000000000".parse().unwrap(),
        ..recording()
    };
    assert_eq!(store.adopt(&key(), &another).await.unwrap(), None);

    for wrong in [
        "",
        "garbage",
        &text.replace(": 5000", ": 5001"),
        &text.replace("\"id\"", "\"no\""),
    ] {
        fs::write(beside(dir.path()), wrong).unwrap();
        assert_eq!(adopt().await, None, "{wrong}");
        assert_eq!(fs::read_to_string(beside(dir.path())).unwrap(), *wrong);
    }
    fs::remove_file(beside(dir.path())).unwrap();
    assert_eq!(adopt().await, None);
    assert_eq!(publish(&store, &body(5000)).await.unwrap(), stored);
    assert_eq!(adopt().await, Some(found_again(&stored)));

    let mut flipped = bytes.clone();
    flipped[4999] ^= 1;
    for wrong in [&flipped[..], &bytes[..4999], &[]] {
        fs::write(media(dir.path()), wrong).unwrap();
        assert_eq!(adopt().await, None);
        assert_eq!(fs::read(media(dir.path())).unwrap(), wrong);
    }
}

#[tokio::test]
async fn sidecars_are_kept_replaced_or_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = publish(&store, &body(10)).await.unwrap();
    let text = fs::read_to_string(beside(dir.path())).unwrap();
    let older = text.replace("2026-03-01T12", "2025-01-01T12");
    let of_another = text.replace(&first.sha256.to_string(), &sha256(b"another").to_string());
    assert!(older != text && of_another != text);

    // One that describes the body is kept, whether the body is there or not, and tells when it was archived.
    fs::write(beside(dir.path()), &older).unwrap();
    for body_is_there in [true, false] {
        if !body_is_there {
            fs::remove_file(media(dir.path())).unwrap();
        }
        let again = publish(&store, &body(10)).await.unwrap();
        assert_eq!(again.archived_at.to_string(), "2025-01-01T12:00:00Z");
        assert_eq!(fs::read_to_string(beside(dir.path())).unwrap(), older);
    }
    // Orphans of another body, or without meaning, are replaced.
    for orphan in [&*of_another, "", "{}"] {
        fs::remove_file(media(dir.path())).unwrap();
        fs::write(beside(dir.path()), orphan).unwrap();
        assert_eq!(publish(&store, &body(10)).await.unwrap(), first);
        assert_eq!(fs::read_to_string(beside(dir.path())).unwrap(), text);
    }
    // With the body there: what means nothing is replaced, what speaks of another body is not ours to judge.
    fs::write(beside(dir.path()), "{}").unwrap();
    assert_eq!(publish(&store, &body(10)).await.unwrap(), first);
    fs::write(beside(dir.path()), &of_another).unwrap();
    assert_eq!(
        publish(&store, &body(10)).await.unwrap_err().kind,
        StoreErrorKind::Conflict
    );
    assert_eq!(fs::read_to_string(beside(dir.path())).unwrap(), of_another);
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn many_bodies_at_once_share_new_folders() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let publishing = (0..32_u8).map(|at| {
        let store = store.clone();
        async move {
            let id = birdkeep::domain::ids::RecordingId::from_bytes([at; 16]);
            let recording = RecordingRef { id, ..recording() };
            let created_at = format!("2023-{:02}-01T00:00:00Z", at % 3 + 1).parse().unwrap();
            let key = StoreKey::new(&recording, created_at, Format::Mp3);
            let mut staged = store.begin(PLAN);
            staged.write(vec![at; 5000].into()).await.unwrap();
            let note = SidecarNote {
                recording,
                metadata: format!("{{\"id\":\"{id}\"}}"),
                ..note()
            };
            staged.seal().await.unwrap().publish(&key, note).await.unwrap()
        }
    });
    for stored in futures::future::join_all(publishing).await {
        let bytes = fs::read(dir.path().join(stored.key.to_string())).unwrap();
        assert_eq!(sha256(&bytes), stored.sha256);
    }
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn the_reserve_is_never_taken() {
    let dir = tempfile::tempdir().unwrap();
    let free = Store::look(dir.path()).unwrap().free_bytes;
    let keeping = |min_free_bytes| StoreOptions {
        min_free_bytes,
        ..options(dir.path())
    };
    let store = Store::open(&keeping(free / 2)).unwrap();
    store.ready().await.unwrap();
    store.reserve(1).await.unwrap();
    assert!(store.reserve(free).await.unwrap_err().is_local());
    assert!(store.reserve(u64::MAX).await.unwrap_err().is_local());
    drop(store);
    let store = Store::open(&keeping(free.saturating_mul(2))).unwrap();
    assert!(store.ready().await.unwrap_err().is_local());
    let mut staged = store.begin(PLAN);
    let error = staged.write(body(300_000).into()).await.unwrap_err();
    assert!(error.is_local());
    assert!(
        error.source().unwrap().to_string().contains("archive.min_free"),
        "{error:?}"
    );
    nothing_is_staged(dir.path());
}

/// A mount that is undone when this is dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// `None`, loudly, where this machine does not let us.
    fn new(arguments: &[&str], at: &'a Path) -> Option<Self> {
        let mounted = is_root()
            && Command::new("mount")
                .args(arguments)
                .arg(at)
                .status()
                .is_ok_and(|s| s.success());
        if !mounted {
            eprintln!("SKIPPED: mounting {arguments:?} needs root and the right to mount");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_local_fault_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"], dir.path()) else {
        return;
    };
    let store = open(dir.path());
    let hog = dir.path().join("staging/hog");
    fs::write(&hog, vec![0; 1_500_000]).unwrap();
    let error = publish(&store, &body(1_000_000)).await.unwrap_err();
    assert!(error.is_local());
    assert_eq!(os_error(&error), Some(rustix::io::Errno::NOSPC.raw_os_error()));
    assert_eq!(entries(&dir.path().join("staging")), ["hog"]);
    assert!(store.reserve(1_000_000).await.is_err());

    let rest = dir.path().join("staging/rest");
    let mut filling = fs::File::create(&rest).unwrap();
    // Each processor may keep a few free pages to itself, so that the last of them is not had at the first try.
    let mut tries = 0..1000;
    let error = loop {
        while io::Write::write_all(&mut filling, &[0; 4096]).is_ok() {}
        match store.ready().await {
            Ok(()) => assert!(tries.next().is_some(), "it is never full"),
            Err(error) => break error,
        }
    };
    assert!(error.is_local());
    fs::remove_file(rest).unwrap();
    fs::remove_file(hog).unwrap();
    store.ready().await.unwrap();
    publish(&store, &body(1_000_000)).await.unwrap();
    nothing_is_staged(dir.path());
}

#[tokio::test]
async fn a_read_only_disk_is_named_and_can_still_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"], dir.path()) else {
        return;
    };
    let remount = |how: &str| {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(dir.path())
            .status();
        assert!(status.unwrap().success());
    };
    drop(open(dir.path()));
    remount("ro");
    let error = refusal(&options(dir.path()));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    assert!(Store::look(dir.path()).unwrap().id.is_some());
    remount("rw");
    open(dir.path()).ready().await.unwrap();
}

#[test]
fn staging_on_another_mount_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let staging = dir.path().join("staging");
    {
        let Some(_other) = Mounted::new(&["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"], &staging) else {
            return;
        };
        assert!(matches!(
            refusal(&options(dir.path())),
            OpenError::TwoFileSystems { .. }
        ));
    }
    let same = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
    {
        let source = same.path().to_str().unwrap();
        let Some(_bound) = Mounted::new(&["--bind", source], &staging) else {
            return;
        };
        assert!(matches!(
            refusal(&options(dir.path())),
            OpenError::TwoFileSystems { .. }
        ));
    }
    open(dir.path());
}

/// Runs the child that publishes with one of its system calls changed, and gives its trace: whether it got through,
/// and what it called. `None`, loudly, without strace.
fn run_traced(dir: &Path, inject: &str) -> Option<(bool, Vec<String>)> {
    let calls = "trace=fsync,renameat2,linkat,mkdirat,unlinkat,fchmod,write,pwrite64";
    let before = format!("exec strace -f -y -s 99 -o trace -e {calls} -e inject={inject}");
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("SKIPPED: changing system calls needs strace");
        return None;
    }
    let output = run_child("child_publishes", dir, &before);
    let trace = fs::read_to_string(dir.join("trace")).unwrap();
    let calls: Vec<_> = trace
        .lines()
        .filter(|line| !line.contains(" write(1"))
        .map(str::to_owned)
        .collect();
    let traced = |call: &String| call.contains("archive") || call.contains("INJECTED") || call.contains("SIGKILL");
    assert!(calls.iter().any(traced), "not traced: {output:?}");
    Some((output.status.success(), calls))
}

/// After whatever happened to a child: nothing visible is half-done, and the next process gets there without a hand.
async fn all_is_well_again(archive: &Path, what: &str) {
    if media(archive).exists() {
        assert_eq!(fs::read(media(archive)).unwrap(), body(10), "{what}");
    }
    let whole = media(archive).exists() && beside(archive).exists();
    let store = open(archive);
    nothing_is_staged(archive);
    let adopted = store.adopt(&key(), &recording()).await.unwrap();
    assert_eq!(adopted.is_some(), whole, "{what}");
    let stored = publish(&store, &body(10)).await.unwrap();
    assert_eq!(stored.sha256, sha256(&body(10)));
    assert!(adopted.is_none_or(|adopted| adopted == stored), "{what}");
    assert_eq!(fs::metadata(media(archive)).unwrap().nlink(), 1);
    for (path, mode) in modes(archive) {
        assert_eq!(
            mode,
            if path.is_dir() { 0o700 } else { 0o600 },
            "{what}: {}",
            path.display()
        );
    }
}

/// What the last of these calls, a sync, was made for. Where calls of several threads ran at once, it stands at their beginning.
fn file_synced(calls: &[String]) -> String {
    let thread = calls.last().unwrap().split(' ').next().unwrap();
    let begun = calls
        .iter()
        .rev()
        .find(|call| call.starts_with(thread) && call.contains("fsync("));
    let path = begun.and_then(|call| call.split_once('<')?.1.split_once('>'));
    path.unwrap_or_else(|| panic!("{begun:?}")).0.to_owned()
}

#[tokio::test]
async fn a_sync_that_fails_is_the_last_thing_done_to_that_file() {
    let mut failed = 0;
    for nth in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let Some((fine, calls)) = run_traced(dir.path(), &format!("fsync:error=EIO:when={nth}")) else {
            return;
        };
        let Some(at) = calls.iter().position(|call| call.contains("INJECTED")) else {
            assert!(fine);
            break;
        };
        assert!(!fine, "{nth}");
        // What else was under way may be synced to its end, and is given no name.
        let synced = file_synced(&calls[..=at]);
        let after = calls[at + 1..]
            .iter()
            .find(|call| call.contains("renameat2(") || call.contains("fsync(") && call.contains(&synced));
        assert_eq!(after, None, "{nth}: {calls:#?}");
        let archive = dir.path().join("archive");
        if archive.join("staging").exists() {
            nothing_is_staged(&archive);
        }
        all_is_well_again(&archive, &format!("sync {nth}")).await;
        failed += 1;
    }
    assert!(failed >= 12, "{failed}");
}

#[tokio::test]
async fn a_process_killed_at_any_step_leaves_what_the_next_one_heals() {
    for call in ["fsync", "renameat2", "mkdirat", "fchmod", "pwrite64"] {
        for nth in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let Some((fine, _)) = run_traced(dir.path(), &format!("{call}:signal=KILL:when={nth}")) else {
                return;
            };
            let archive = dir.path().join("archive");
            if archive.exists() {
                all_is_well_again(&archive, &format!("{call} {nth}")).await;
            }
            if fine {
                assert!(nth > 1, "{call} was never called");
                break;
            }
        }
    }
}

#[tokio::test]
async fn file_systems_without_an_exclusive_rename_get_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let Some((fine, calls)) = run_traced(dir.path(), "renameat2:error=EINVAL") else {
        return;
    };
    assert!(fine, "{calls:#?}");
    assert!(
        calls
            .iter()
            .filter(|call| call.contains("linkat(") && call.ends_with("= 0"))
            .count()
            >= 3
    );
    nothing_is_staged(&dir.path().join("archive"));
    all_is_well_again(&dir.path().join("archive"), "linked").await;
}
