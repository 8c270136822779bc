//! This process: its user, its limits, and how far it is confined where systemd started it.
//!
//! Must not know: the archive.

use std::path::Path;

use super::Finding;
use super::Tell;
use crate::config::Config;
use crate::lifecycle::Confinement;

/// Files that are open besides downloads: the catalog, the API, the archive's folders.
const OPEN_FILES: u64 = 64;

/// Files that one download has open at most: its connection, its body, its sidecar, a folder.
const OPEN_FILES_PER_DOWNLOAD: u64 = 4;

/// Where systemd keeps units, those that an administrator made before those of packages.
const UNIT_FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

pub(super) fn look(config: &Config, tell: Tell<'_>) {
    let process = Confinement::of_this_process();
    tell(user(process.user_id));
    tell(limits(&process, config.download.concurrency.most()));
    if process.is_service {
        tell(sandbox(&process));
    } else if Path::new("/run/systemd/system").is_dir() && is_unit_installed() {
        tell(Finding::ok(
            "systemd",
            "birdkeep.service is installed; this check was not started by systemd and says nothing of its sandbox: see \
             `systemd-analyze security birdkeep.service`",
        ));
    }
}

fn user(id: u32) -> Finding {
    if id == 0 {
        return Finding::warn(
            "user",
            "this runs as root, who may do what birdkeep's own user may not",
            "run check as the user that the daemon runs as (docs/bird-access.md says how), and the daemon never as root",
        );
    }
    Finding::ok("user", format!("id {id}, not root"))
}

fn limits(process: &Confinement, concurrency: usize) -> Finding {
    let downloads = u64::try_from(concurrency).unwrap_or(u64::MAX);
    let needed = downloads
        .saturating_mul(OPEN_FILES_PER_DOWNLOAD)
        .saturating_add(OPEN_FILES);
    match process.open_files {
        Some(limit) if limit < needed => Finding::warn(
            "open files",
            format!("at most {limit}; {concurrency} downloads at once may need {needed}"),
            format!("set LimitNOFILE={needed} in the unit (`ulimit -n` in a shell), or lower download.concurrency"),
        ),
        Some(limit) => Finding::ok("open files", format!("at most {limit}, {needed} are enough")),
        None => Finding::ok("open files", "no limit"),
    }
}

fn sandbox(process: &Confinement) -> Finding {
    let mut loose = Vec::new();
    if process.no_new_privileges == Some(false) {
        loose.push("it can gain rights (NoNewPrivileges=yes)");
    }
    if process.has_capabilities == Some(true) {
        loose.push("it has capabilities (CapabilityBoundingSet= and AmbientCapabilities=, both empty)");
    }
    if loose.is_empty() {
        return Finding::ok(
            "systemd",
            "started by systemd, without capabilities, and can gain no rights",
        );
    }
    Finding::warn(
        "systemd",
        format!("started by systemd, and {}", loose.join("; ")),
        "set in the unit what stands in parentheses, or take systemd/birdkeep.service as it is",
    )
}

fn is_unit_installed() -> bool {
    UNIT_FOLDERS
        .iter()
        .any(|folder| Path::new(folder).join("birdkeep.service").exists())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn what_a_service_may_do_beyond_its_work_is_told() {
        let tight = Confinement {
            user_id: 998,
            no_new_privileges: Some(true),
            has_capabilities: Some(false),
            open_files: Some(1024),
            is_service: true,
        };
        assert_eq!(sandbox(&tight).level, Level::Ok);
        let loose = Confinement {
            no_new_privileges: Some(false),
            has_capabilities: Some(true),
            ..tight.clone()
        };
        let found = sandbox(&loose);
        assert_eq!(found.level, Level::Warn);
        assert!(found.found.contains("NoNewPrivileges=yes") && found.found.contains("CapabilityBoundingSet="));
        assert_eq!(limits(&tight, 16).level, Level::Ok);
        let many = limits(&tight, 256);
        assert_eq!(many.level, Level::Warn);
        assert!(many.remedy.unwrap().contains("LimitNOFILE=1088"));
        assert_eq!((user(0).level, user(998).level), (Level::Warn, Level::Ok));
    }
}
