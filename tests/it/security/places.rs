//! Whose the archive's place is, and who else could change it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::surviving::kit::assert_complete;
use crate::surviving::kit::place;

const NOBODY: u32 = 65534;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_place_that_others_could_change_is_refused_or_told_of() {
    let (_bird, workspace, mut archive) = place().await;
    let above = archive.root().join("above");
    let dir = above.join("archive");
    fs::create_dir(&above).unwrap();
    archive.set_text("archive.dir", &dir.to_string_lossy());
    archive.run(&["--once"]).await.expect_code(0);

    for (what, at, mode, good, words) in [
        ("the archive for all", dir.clone(), 0o707, 0o700, "everybody"),
        ("staging for all", dir.join("staging"), 0o777, 0o700, "everybody"),
        ("recordings for all", dir.join("recordings"), 0o702, 0o700, "everybody"),
        ("the parent for all", above.clone(), 0o777, 0o755, "in the place of"),
    ] {
        chmod(&at, mode);
        let run = archive.run(&["--once"]).await.expect_code(1);
        assert!(
            run.stderr.contains(words) && run.stderr.contains("chmod"),
            "{what}: {}",
            run.stderr
        );
        if at == dir || at == above {
            let run = archive.run(&["check"]).await.expect_code(1);
            assert!(
                run.stdout.contains("FAIL") && run.stdout.contains(words),
                "{what}: {}",
                run.stdout
            );
        }
        chmod(&at, good);
    }
    // With the sticky bit, as on /tmp, nobody may rename what is another's.
    chmod(&above, 0o1777);
    archive.run(&["--once"]).await.expect_code(0);
    chmod(&above, 0o755);

    chmod(&dir, 0o770);
    let run = archive.run(&["--once"]).await.expect_code(0);
    assert!(
        run.stderr.contains("WARN") && run.stderr.contains("by its group"),
        "{}",
        run.stderr
    );
    let run = archive.run(&["check"]).await;
    assert!(run.stdout.contains("by its group"), "{}", run.stdout);
    chmod(&dir, 0o700);

    // Only root can give it away.
    if rustix::process::geteuid().is_root() && chown(&dir, Some(NOBODY), None).is_ok() {
        for command in [["--once"], ["check"]] {
            let run = archive.run(&command).await.expect_code(1);
            let said = run.stdout + &run.stderr;
            assert!(
                said.contains(&format!("belongs to the user with id {NOBODY}")),
                "{said}"
            );
        }
        chown(&dir, Some(0), None).unwrap();
    }

    // The operator may point at a link: it is resolved once.
    let link = archive.root().join("link");
    symlink(&dir, &link).unwrap();
    archive.set_text("archive.dir", &link.to_string_lossy());
    workspace.add_many(1, "2026-03-01T10:00:00Z", std::time::Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    symlink(&dir, archive.dir()).unwrap();
    assert_complete(&archive, &workspace).await;
}
