//! Logs in systemd's journal. Each run has a mount namespace of its own, in which a socket of ours is the journal's: only
//! root can make one.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Finished;
use crate::surviving::kit::KEY;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::wrapper;

const FROM: &str = "2026-03-01T10:00:00Z";

type Entries = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

/// A place whose birdkeep finds our socket where the journal's is, after these lines of shell; `None`, said aloud, where
/// this test is not root.
async fn with_journal(before: &str) -> Option<(Bird, WorkspaceHandle, Archive, Entries)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can put a socket in the journal's place");
        return None;
    }
    let (bird, workspace, mut archive) = place().await;
    let folder = archive.root().join("journal");
    fs::create_dir(&folder).unwrap();
    let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
    let entries = Entries::default();
    tokio::spawn(receive(socket, Arc::clone(&entries)));
    let script = format!(
        "[ -n \"$INSIDE\" ] || INSIDE=1 exec unshare --mount \"$0\" \"$@\"\n\
         mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal || exit 90\n\
         mount --bind '{}' /run/systemd/journal || exit 91\n{before}\nexec \"$B\" \"$@\"",
        folder.display()
    );
    let program = wrapper(&archive, &script);
    archive.run_as(program);
    Some((bird, workspace, archive, entries))
}

/// As systemd does for a service whose stderr goes to the journal.
const CONNECTED: &str = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)";

async fn receive(socket: UnixDatagram, entries: Entries) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read) = socket.recv(&mut buffer).await {
        let text = String::from_utf8(buffer[..read].to_vec()).expect("an entry is text");
        let field = |line: &str| {
            let (name, value) = line.split_once('=').expect("a line is a field");
            (name.to_owned(), value.to_owned())
        };
        entries.lock().unwrap().push(text.lines().map(field).collect());
    }
}

/// The entries whose message begins so.
fn of(entries: &Entries, beginning: &str) -> Vec<BTreeMap<String, String>> {
    let mut found = entries.lock().unwrap().clone();
    found.retain(|entry| entry["MESSAGE"].starts_with(beginning));
    found
}

async fn once(archive: &Archive, options: &[&str], code: i32) -> Finished {
    archive.run(&[&["--once"], options].concat()).await.expect_code(code)
}

#[tokio::test]
async fn a_service_logs_to_the_journal_with_priorities_and_fields() {
    let Some((bird, workspace, archive, entries)) = with_journal(CONNECTED).await else {
        return;
    };
    let ids = workspace.add_many(2, FROM, Duration::from_mins(1));
    bird.fault(FaultRule::media(MediaAction::html_as("text/html")).recording(ids[1]));
    let finished = once(&archive, &[], 3).await;
    assert_eq!(finished.stderr, "", "nothing is told twice");
    eventually("all has come", || !of(&entries, "not archived yet").is_empty()).await;
    let archived = &of(&entries, "archived")[0];
    let failed = &of(&entries, "not archived yet")[0];
    for (entry, priority, id) in [(archived, "6", ids[0]), (failed, "4", ids[1])] {
        assert_eq!(entry["PRIORITY"], priority);
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "birdkeep");
        assert_eq!(entry["BIRDKEEP_WORKSPACE_NAME"], "support");
        assert_eq!(entry["BIRDKEEP_RECORDING_ID"], id.to_string());
        assert!(entry["MESSAGE"].contains("workspace.name=support"), "{entry:?}");
    }
    assert!(failed.contains_key("BIRDKEEP_ERROR"), "{failed:?}");
}

#[tokio::test]
async fn no_entry_holds_a_secret_whatever_the_level() {
    let Some((bird, workspace, archive, entries)) = with_journal("").await else {
        return;
    };
    workspace.add_many(3, FROM, Duration::from_mins(1));
    once(
        &archive,
        &[
            "--log-format",
            "journald",
            "--log-level",
            "birdkeep=trace,hyper=trace,reqwest=trace,sqlx=debug,rustls=trace",
        ],
        0,
    )
    .await;
    eventually("all has come", || of(&entries, "archived").len() == 3).await;
    let entries = entries.lock().unwrap();
    assert!(entries.len() > 100, "libraries log at this level: {}", entries.len());
    let all = format!("{entries:?}");
    assert!(!all.contains(KEY));
    for (what, secret) in bird.secrets() {
        assert!(!all.contains(&secret), "{what}");
    }
    for entry in entries.iter() {
        let theirs = |name: &str| ["PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE"].contains(&name);
        assert!(
            entry.keys().all(|name| theirs(name) || name.starts_with("BIRDKEEP_")),
            "{entry:?}"
        );
    }
}

#[tokio::test]
async fn what_is_asked_for_by_name_wins_and_an_inherited_variable_does_not() {
    for (before, options) in [
        (CONNECTED, &["--log-format", "text"][..]),
        (CONNECTED, &["--log-format", "json"]),
        ("export JOURNAL_STREAM=8:12345", &[]),
        ("", &[]),
    ] {
        let Some((_bird, workspace, archive, entries)) = with_journal(before).await else {
            return;
        };
        workspace.add_many(1, FROM, Duration::ZERO);
        let finished = once(&archive, options, 0).await;
        assert!(finished.stderr.contains("archived"), "{}", finished.stderr);
        assert!(entries.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn without_a_journal_it_is_told_on_stderr() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    let listens = std::path::Path::new("/run/systemd/journal/socket").exists();
    let finished = once(&archive, &["--log-format", "journald"], 0).await;
    assert!(
        listens || finished.stderr.contains("INFO archived workspace.name=support"),
        "{}",
        finished.stderr
    );
}
