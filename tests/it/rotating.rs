//! Keys that change while birdkeep runs: the new one is read from its file, and nothing stops for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use crate::listing::scene::KEY;
use crate::listing::scene::NAME;
use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::listing::scene::rows;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::Throttle;
use crate::support::harness::Finished;
use crate::support::harness::Running;

const NEW_KEY: &str = "new-key-of-the-support-workspace-9876543210";
const SALES: &str = "1f0e6f52-0c55-4b3b-9a52-7a44d1fb7b6e";
const TAKEN: &str = "a new one was read from its file";
const NOT_READ: &str = "no new one can be read";
const PATIENCE: Duration = Duration::from_secs(30);

/// What a rotation is made of.
#[derive(Clone, Copy)]
enum Way {
    /// The old key is known no more: 401.
    Unknown,
    /// The old key opens another workspace now: 403.
    Forbidden,
    /// The credential is a bearer token.
    Bearer,
    /// The file lies behind two symbolic links, the second of which is swapped, as Kubernetes does.
    Swapped,
}

/// A scene whose credential is in a file.
struct Place {
    scene: Scene,
    way: Way,
}

impl Place {
    async fn new(way: Way) -> Self {
        let mut scene = Scene::with(BirdOptions::default()).await;
        scene.archive.set_text("sync.interval", "1s");
        let key = match way {
            Way::Bearer => "bearer_token_file",
            _ => "access_key_file",
        };
        let archive = &mut scene.archive;
        archive.unset(&format!("workspaces.{NAME}.access_key"));
        archive.set_text(&format!("workspaces.{NAME}.{key}"), "support.key");
        if matches!(way, Way::Bearer) {
            scene.workspace.set_bearer_token(KEY);
            scene.workspace.set_key("a-key-that-nobody-uses-here");
        }
        let place = Self { scene, way };
        place.put(KEY.as_bytes());
        place
    }

    fn file(&self) -> PathBuf {
        self.scene.archive.root().join("support.key")
    }

    /// Puts a new file in place of the old one, whole at once.
    fn put(&self, bytes: &[u8]) {
        let root = self.scene.archive.root();
        if matches!(self.way, Way::Swapped) {
            let folder = root.join(format!("..{}", bytes.len()));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("support.key"), bytes).unwrap();
            symlink(&folder, root.join("..next")).unwrap();
            fs::rename(root.join("..next"), root.join("..data")).unwrap();
            if !self.file().exists() {
                symlink("..data/support.key", self.file()).unwrap();
            }
        } else {
            fs::write(root.join("next.key"), bytes).unwrap();
            fs::rename(root.join("next.key"), self.file()).unwrap();
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.file(), private).unwrap();
    }

    /// The key changes upstream.
    fn rotate_upstream(&self) {
        match self.way {
            Way::Bearer => self.scene.workspace.set_bearer_token(NEW_KEY),
            Way::Forbidden => {
                self.scene.workspace.set_key(NEW_KEY);
                self.scene.bird.add_workspace(SALES, KEY);
            }
            _ => self.scene.workspace.set_key(NEW_KEY),
        }
    }

    /// One line tells of the new key, nothing of trouble.
    async fn expect_smooth(&self, finished: &Finished) {
        let told = &finished.stderr;
        assert_eq!(told.matches(TAKEN).count(), 1, "{told}");
        assert!(told.contains(&self.file().display().to_string()), "{told}");
        for trouble in [" WARN ", " ERROR ", "paused"] {
            assert!(!told.contains(trouble), "{told}");
        }
        for row in rows(&self.scene.archive, &[]).await {
            assert_eq!((&row["attempts"], &row["last_error"]), (&0.into(), &().into()), "{row}");
        }
    }

    async fn stopped(&self, mut daemon: Running) -> Finished {
        daemon.sigterm();
        let finished = daemon.exit_within(PATIENCE).await.expect("it ends");
        self.scene.expect_no_secrets();
        finished.expect_code(0)
    }
}

fn refused(bird: &Bird) -> usize {
    let requests = bird.requests();
    let refused = requests.iter().filter(|seen| matches!(seen.status, Some(401 | 403)));
    refused.count()
}

#[tokio::test]
async fn a_daemon_goes_on_with_the_new_key_as_if_nothing_had_happened() {
    let cases = vec![
        ("unknown", Way::Unknown),
        ("forbidden", Way::Forbidden),
        ("bearer", Way::Bearer),
        ("swapped", Way::Swapped),
    ];
    each_case(cases, |_, way| async move {
        let place = Place::new(way).await;
        let bird = &place.scene.bird;
        let mut ids = place.scene.add(3);
        let daemon = place.scene.archive.spawn(&[]);
        bird.wait_until(|bird| bird.media_requests() >= 3).await;
        place.put(NEW_KEY.as_bytes());
        ids.extend(place.scene.add(12));
        place.rotate_upstream();
        assert!(
            bird.wait_until_within(PATIENCE, |bird| bird.media_requests() >= 15)
                .await
        );
        let finished = place.stopped(daemon).await;
        place.scene.expect_archived(&ids);
        assert!(refused(bird) >= 1);
        place.expect_smooth(&finished).await;
    })
    .await;
}

#[tokio::test]
async fn of_many_requests_refused_at_once_one_reads_the_file() {
    let mut place = Place::new(Way::Unknown).await;
    place.scene.archive.set_text("sync.interval", "1h");
    place.scene.archive.set("download.concurrency", "4");
    place.scene.archive.set_text("download.stall_timeout", "20s");
    let bird = &place.scene.bird;
    let held = bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let ids = place.scene.add(12);
    let daemon = place.scene.archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 4).await;
    // Nothing is asked of the API until the links that are at hand turn out to be old.
    bird.advance(Duration::from_mins(11));
    place.put(NEW_KEY.as_bytes());
    place.rotate_upstream();
    bird.clear_fault(held);
    bird.release_held();
    let good = |bird: &Bird| bird.media_requests() - bird.expired_media_requests();
    assert!(bird.wait_until_within(PATIENCE, |bird| good(bird) >= 12).await);
    let finished = place.stopped(daemon).await;
    place.scene.expect_archived(&ids);
    assert!(refused(bird) >= 2, "{}", finished.stderr);
    place.expect_smooth(&finished).await;
}

#[tokio::test]
async fn a_single_pass_goes_on_with_the_new_key() {
    let mut place = Place::new(Way::Unknown).await;
    place.scene.archive.set("api.page_size", "2");
    let ids = place.scene.add(12);
    let bird = &place.scene.bird;
    bird.set_throttle(Throttle {
        api_delay: Duration::from_millis(200),
        ..Throttle::default()
    });
    let mut pass = place.scene.archive.spawn(&["--once"]);
    bird.wait_until(|bird| bird.list_requests() >= 1).await;
    place.put(NEW_KEY.as_bytes());
    place.rotate_upstream();
    let finished = pass.exit_within(PATIENCE).await.expect("it ends").expect_code(0);
    place.scene.expect_archived(&ids);
    place.scene.expect_no_secrets();
    assert_eq!(refused(bird), 1);
    assert_eq!(finished.stderr.matches(TAKEN).count(), 1, "{}", finished.stderr);
}

#[tokio::test]
async fn what_is_no_key_is_told_once_and_not_taken() {
    let cases: Vec<(&'static str, Option<Vec<u8>>)> = vec![
        ("empty", Some(Vec::new())),
        ("two lines", Some(format!("{NEW_KEY}\n{NEW_KEY}\n").into_bytes())),
        ("with its scheme", Some(format!("AccessKey {NEW_KEY}").into_bytes())),
        ("not text", Some(vec![0xff; 40])),
        ("too long", Some(vec![b'k'; 5000])),
        ("missing", None),
    ];
    each_case(cases, |_, bytes| async move {
        let place = Place::new(Way::Unknown).await;
        let bird = &place.scene.bird;
        let mut ids = place.scene.add(2);
        let mut daemon = place.scene.archive.spawn(&[]);
        bird.wait_until(|bird| bird.media_requests() >= 2).await;
        match &bytes {
            Some(bytes) => place.put(bytes),
            None => fs::remove_file(place.file()).unwrap(),
        }
        place.rotate_upstream();
        assert!(daemon.stderr_holds("workspace paused", PATIENCE).await);
        let finished = place.stopped(daemon).await;
        assert_eq!(finished.stderr.matches(NOT_READ).count(), 1, "{}", finished.stderr);
        assert_eq!(finished.stderr.matches(TAKEN).count(), 0, "{}", finished.stderr);
        assert_eq!(refused(bird), 1, "it is not tried again with the same key");
        place.put(NEW_KEY.as_bytes());
        ids.extend(place.scene.add(2));
        place.scene.once(0).await;
        place.scene.expect_archived(&ids);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_did_not_change_is_refused_as_ever() {
    let place = Place::new(Way::Unknown).await;
    place.scene.add(1);
    place.rotate_upstream();
    let finished = place.scene.once(3).await;
    assert_eq!(refused(&place.scene.bird), 1);
    assert_eq!(finished.stderr.matches("workspace paused").count(), 1);
    for told in [TAKEN, NOT_READ] {
        assert!(!finished.stderr.contains(told), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_new_key_that_is_refused_too_ends_the_request() {
    let place = Place::new(Way::Unknown).await;
    let bird = &place.scene.bird;
    place.scene.add(2);
    let mut daemon = place.scene.archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() >= 2).await;
    place.put(b"another-key-that-nobody-knows-at-all");
    place.rotate_upstream();
    assert!(daemon.stderr_holds("workspace paused", PATIENCE).await);
    let finished = place.stopped(daemon).await;
    assert_eq!(finished.stderr.matches(TAKEN).count(), 1, "{}", finished.stderr);
    assert_eq!(refused(bird), 2);
    assert!(!finished.stderr.contains("that-nobody-knows"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_pipe_is_read_once_and_never_waited_for() {
    let place = Place::new(Way::Unknown).await;
    fs::remove_file(place.file()).unwrap();
    let made = tokio::process::Command::new("mkfifo").arg(place.file()).status().await;
    assert!(made.unwrap().success());
    place.scene.add(1);
    let pipe = place.file();
    let written = tokio::task::spawn_blocking(move || fs::write(pipe, KEY));
    let mut daemon = place.scene.archive.spawn(&[]);
    place.scene.bird.wait_until(|bird| bird.media_requests() >= 1).await;
    written.await.unwrap().unwrap();
    place.rotate_upstream();
    assert!(daemon.stderr_holds("workspace paused", PATIENCE).await);
    place.stopped(daemon).await;
}
