//! The archive's directory and the catalog's: whose they are, what can be done in them, what keeps their bytes, who
//! writes them now.
//!
//! Must not know: what lies in the archive.

use std::path::Path;
use std::path::PathBuf;

use super::Finding;
use super::Tell;
use crate::config::Config;
use crate::domain::explain::chain;
use crate::store::FileSystem;
use crate::store::FileSystemKind;
use crate::store::Holder;
use crate::store::OpenError;
use crate::store::PlaceFacts;
use crate::store::Store;

/// An archive's directory that is there and the right one.
pub(super) struct Place {
    /// The archive's id; `None` where none was made there yet.
    pub id: Option<String>,
    /// What can be seen of it.
    pub facts: PlaceFacts,
}

/// Looks at the archive's directory; `None` where there is nothing to look at, or not what the configuration means.
pub(super) async fn look(config: &Config, tell: Tell<'_>) -> Option<Place> {
    let dir = config.archive.dir.clone();
    if !dir.exists() {
        tell(missing(&dir, config.archive.id.as_deref()));
        return None;
    }
    let seen = tokio::task::spawn_blocking(move || Ok((Store::look(&dir)?, Store::facts(&dir)?))).await;
    let (glance, facts) = match seen {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => {
            tell(refused("archive", &error));
            return None;
        }
        Err(error) => {
            tell(Finding::fail("archive", error.to_string(), "run the check again"));
            return None;
        }
    };
    let dir = &config.archive.dir;
    if let Some(expected) = &config.archive.id
        && glance
            .id
            .as_deref()
            .is_none_or(|found| !found.eq_ignore_ascii_case(expected))
    {
        tell(Finding::fail(
            "archive id",
            format!(
                "{}: expected {expected}, found {}",
                dir.display(),
                glance.id.as_deref().unwrap_or("no marker")
            ),
            "mount the right volume, or correct archive.id",
        ));
        return None;
    }
    if try_writing(dir, tell).await {
        tell_parts(dir, &facts, tell);
    }
    tell(file_system("file system", dir, &facts.file_system));
    tell(match &facts.holder {
        Holder::Nobody => Finding::ok("lock", "no birdkeep is running here"),
        Holder::Process(who) => Finding::ok("lock", format!("held by {who}: the archive is being written")),
        Holder::Unknown(why) => Finding::warn(
            "lock",
            format!("cannot be looked at: {why}"),
            "run check as the user that the daemon runs as",
        ),
    });
    look_elsewhere(config, tell).await;
    Some(Place { id: glance.id, facts })
}

fn missing(dir: &Path, expected: Option<&str>) -> Finding {
    let shown = dir.display();
    if let Some(id) = expected {
        return Finding::fail(
            "archive",
            format!("{shown} does not exist, and the configuration expects archive {id} there"),
            "mount the volume",
        );
    }
    let above = dir.ancestors().skip(1).find(|above| above.exists());
    if above.is_some_and(|above| !Store::may_write(above)) {
        return Finding::fail(
            "archive",
            format!("{shown} does not exist, and this user may not make it"),
            format!("make it and give it to the user birdkeep runs as: install -d -m 0700 -o birdkeep {shown}"),
        );
    }
    Finding::warn(
        "archive",
        format!("{shown} does not exist yet"),
        "it is made at the first run; if there should be an archive, mount its volume",
    )
}

/// Writes in the directory, if it is an archive or empty; says whether that was possible.
async fn try_writing(dir: &Path, tell: Tell<'_>) -> bool {
    let (shown, probe) = (dir.display(), dir.to_owned());
    match tokio::task::spawn_blocking(move || Store::try_place(&probe)).await {
        Ok(Ok(remark)) => {
            tell(Finding::ok(
                "archive",
                format!("{shown}: write, sync, rename and remove work, and a rename replaces nothing"),
            ));
            if let Some(remark) = remark {
                let (found, remedy) = remark.split_once(": ").unwrap_or((&remark, "change its mode"));
                tell(Finding::warn("archive", found, remedy));
            }
            true
        }
        Ok(Err(error)) => {
            tell(refused("archive", &error));
            false
        }
        Err(error) => {
            tell(Finding::fail("archive", error.to_string(), "run the check again"));
            false
        }
    }
}

fn tell_parts(dir: &Path, facts: &PlaceFacts, tell: Tell<'_>) {
    for part in &facts.closed {
        tell(Finding::fail(
            "archive",
            format!("{}/{part} cannot be written by this user", dir.display()),
            "give it to the user birdkeep runs as (chown -R); another user may have run birdkeep here",
        ));
    }
    tell(match &facts.elsewhere[..] {
        [] => Finding::ok("staging", "on the same file system as the recordings"),
        parts => Finding::fail(
            "staging",
            format!("{} lies on another mount than the archive", parts.join(" and ")),
            "mount the whole archive directory, and no part of it by itself",
        ),
    });
}

fn refused(subject: &'static str, error: &OpenError) -> Finding {
    let remedy = match error {
        OpenError::NotADirectory { .. } => "name a directory in archive.dir",
        OpenError::NotMounted { .. } | OpenError::OtherArchive { .. } => "mount the right volume",
        OpenError::MarkerMissing { .. } | OpenError::MarkerGarbled { .. } => {
            "name an empty directory or an archive in archive.dir, or put archive.json back from a backup"
        }
        OpenError::NewerLayout { .. } => "use a newer birdkeep",
        OpenError::OtherOwner { .. } => {
            "run check as the user that the daemon runs as (docs/bird-access.md says how, where only root may read the key), \
             or chown the directory to it"
        }
        OpenError::WorldWritable { .. } | OpenError::ReplaceableByAll { .. } => {
            "take the right to write from the others"
        }
        OpenError::NotOurs { .. } => "move it away, or put the right thing there",
        _ => "give this user the directory, mode 0700, on a file system that is mounted for writing",
    };
    Finding::fail(subject, chain(error), remedy)
}

fn file_system(subject: &'static str, dir: &Path, found: &FileSystem) -> Finding {
    let shown = format!("{}: {}", dir.display(), found.name);
    let of_catalog = subject != "file system";
    if found.read_only {
        return Finding::fail(subject, format!("{shown}, mounted read-only"), "mount it for writing");
    }
    match (found.kind, of_catalog) {
        (FileSystemKind::Local, _) => Finding::ok(subject, shown),
        (FileSystemKind::Network, true) => Finding::fail(
            subject,
            format!("{shown}, over a network: SQLite can be damaged there"),
            "put the catalog on a disk of this machine with catalog.path",
        ),
        (FileSystemKind::Network, false) => Finding::warn(
            subject,
            format!("{shown}, over a network"),
            "make sure that it keeps what it says is synced, and keep the catalog on a disk of this machine (catalog.path)",
        ),
        (FileSystemKind::Program, _) => Finding::warn(
            subject,
            format!("{shown}, served by a program"),
            "make sure that it keeps what it says is synced; for the catalog use a disk of this machine (catalog.path)",
        ),
        (FileSystemKind::Memory, _) => Finding::warn(
            subject,
            format!("{shown}, in memory: a restart of this machine empties it"),
            "name a directory on a disk",
        ),
        (FileSystemKind::Layer, _) => Finding::warn(
            subject,
            format!("{shown}: what is written there goes with the container, if this is one"),
            "mount a volume there",
        ),
    }
}

/// The catalog's folder: the archive's own, or one elsewhere, which is looked at for itself.
async fn look_elsewhere(config: &Config, tell: Tell<'_>) {
    let path = config.catalog_path(&config.archive.dir);
    let Some(folder) = path.parent().map(Path::to_owned) else {
        return;
    };
    if !folder.exists() {
        tell(Finding::fail(
            "catalog's folder",
            format!("{} does not exist", folder.display()),
            "make it and give it to the user birdkeep runs as, or correct catalog.path",
        ));
        return;
    }
    let (at, elsewhere) = (folder.clone(), config.catalog.path.is_some());
    let seen = tokio::task::spawn_blocking(move || {
        if elsewhere {
            Store::try_folder(&at)?;
        }
        Store::facts(&at)
    });
    match seen.await {
        Ok(Ok(facts)) => {
            if elsewhere || facts.file_system.kind == FileSystemKind::Network {
                tell(file_system("catalog's folder", &folder, &facts.file_system));
            }
        }
        Ok(Err(error)) => tell(refused("catalog's folder", &error)),
        Err(error) => tell(Finding::fail(
            "catalog's folder",
            error.to_string(),
            "run the check again",
        )),
    }
    let companions = ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    });
    for file in companions.iter().filter(|file| !Store::may_write(file)) {
        tell(Finding::fail(
            "catalog",
            format!("{} cannot be read and written by this user", file.display()),
            "give it to the user birdkeep runs as; another user may have run birdkeep here",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn each_kind_of_file_system_has_its_level_for_recordings_and_for_the_catalog() {
        let level = |subject, kind, read_only| {
            let found = FileSystem {
                name: "x".to_owned(),
                kind,
                read_only,
                free_bytes: 0,
                free_files: None,
            };
            file_system(subject, Path::new("/a"), &found).level
        };
        for (kind, of_recordings, of_catalog) in [
            (FileSystemKind::Local, Level::Ok, Level::Ok),
            (FileSystemKind::Network, Level::Warn, Level::Fail),
            (FileSystemKind::Program, Level::Warn, Level::Warn),
            (FileSystemKind::Memory, Level::Warn, Level::Warn),
            (FileSystemKind::Layer, Level::Warn, Level::Warn),
        ] {
            assert_eq!(level("file system", kind, false), of_recordings);
            assert_eq!(level("catalog's folder", kind, false), of_catalog);
            assert_eq!(level("file system", kind, true), Level::Fail);
        }
    }
}
