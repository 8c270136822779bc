//! What `check` finds of its own process, and where the configuration came from.

use std::fs;
use std::time::Duration;

use super::check;
use super::line;
use crate::surviving::kit::KEY;
use crate::surviving::kit::place;
use crate::surviving::kit::wrapper;

#[tokio::test]
async fn each_key_is_told_with_its_origin_and_no_value() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    archive
        .unset("workspaces.support.access_key")
        .env("BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY", KEY)
        .env("BIRDKEEP_DOWNLOAD__CONCURRENCY", "7");
    let printed = check(&archive, 0).await;
    let file = line(&printed, "ok", "birdkeep.toml: sets");
    assert!(
        file.contains("archive.dir") && file.contains("workspaces.support.id"),
        "{file}"
    );
    assert!(!file.contains("access_key") && !file.contains("concurrency"), "{file}");
    line(
        &printed,
        "ok",
        "download.concurrency: set by the variable BIRDKEEP_DOWNLOAD__CONCURRENCY",
    );
    line(&printed, "ok", "workspaces.support.access_key: set by the variable");
    assert!(!printed.contains(KEY), "{printed}");
}

#[tokio::test]
async fn a_configuration_that_is_no_good_is_told_whole_and_ends_with_78() {
    let (_bird, _workspace, mut archive) = place().await;
    archive
        .set("download.concurrency", "0")
        .set_text("archive.colour", "blue");
    let run = archive.run(&["check", "--format", "json"]).await.expect_code(78);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr.contains("2 faults") && run.stderr.contains("archive.colour"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn too_few_open_files_are_told() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    let program = wrapper(&archive, "ulimit -n 100; exec \"$B\" \"$@\"");
    archive.run_as(program);
    assert!(line(&check(&archive, 0).await, "warn", "open files: at most 100").contains("LimitNOFILE=320"));
    archive.set("download.concurrency", "4");
    line(&check(&archive, 0).await, "ok", "open files: at most 100");
}

#[tokio::test]
async fn under_systemd_its_confinement_is_told() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    // systemd says which process it started by its number, which exec keeps.
    let program = wrapper(&archive, "SYSTEMD_EXEC_PID=$$ exec \"$B\" \"$@\"");
    archive.run_as(program);
    let printed = check(&archive, 0).await;
    assert!(
        line(&printed, "warn", "systemd").contains("NoNewPrivileges=yes"),
        "{printed}"
    );
    if rustix::process::geteuid().is_root() {
        let program = wrapper(
            &archive,
            "export SYSTEMD_EXEC_PID=$$\nexec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all \"$B\" \"$@\"",
        );
        archive.run_as(program);
        line(
            &check(&archive, 0).await,
            "ok",
            "systemd: started by systemd, without capabilities",
        );
        line(&check(&archive, 0).await, "warn", "user: this runs as root");
    }
    // A terminal in a session that systemd started is no service.
    let program = wrapper(&archive, "SYSTEMD_EXEC_PID=1 exec \"$B\" \"$@\"");
    archive.run_as(program);
    let printed = check(&archive, 0).await;
    assert!(!printed.contains("started by systemd,"), "{printed}");
    fs::remove_file(archive.root().join("wrapper")).unwrap();
}
