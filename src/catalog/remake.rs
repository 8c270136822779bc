//! A catalog that is made again beside its place, and gets its name only when it is whole.
//!
//! Never replaces and never removes what is not its own: what stands in the way is moved aside under a name that says so.
//! Must not know: what the rows are made of.

use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::error::CatalogError;
use super::error::Refusal;
use super::open::Catalog;
use super::open::CatalogOptions;
use super::open::absolute;
use super::preflight::Found;
use super::preflight::beside;
use super::preflight::examine;
use super::preflight::refused;
use crate::domain::clock::SharedClock;

/// What SQLite lays beside a database. It would take any of them for a part of one that has the name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A catalog that is being made again.
pub struct Remake {
    catalog: Catalog,
    path: PathBuf,
    building: PathBuf,
    clock: SharedClock,
}

impl Remake {
    /// Refuses a place where a catalog stands, or anything else that has content.
    ///
    /// # Errors
    /// [`CatalogError::Refused`], with the way out.
    pub async fn check_place(path: &Path) -> Result<(), CatalogError> {
        let path = absolute(path)?;
        match examine(&path, false).await? {
            Found::Nothing | Found::Empty => Ok(()),
            Found::Catalog { archive_id, .. } => Err(refused(&path, Refusal::Occupied { archive_id })),
        }
    }

    /// Begins a catalog beside the place in `options`, under another name. What an earlier attempt left there is removed.
    ///
    /// # Errors
    /// As [`Remake::check_place`] and [`Catalog::open`].
    pub async fn begin(options: CatalogOptions) -> Result<Self, CatalogError> {
        let path = absolute(&options.path)?;
        Self::check_place(&path).await?;
        let building = beside(&path, ".rebuild");
        clear(&building)?;
        let clock = options.clock.clone();
        let options = CatalogOptions {
            path: building.clone(),
            recordings_exist: false,
            ..options
        };
        Ok(Self {
            catalog: Catalog::open(options).await?,
            path,
            building,
            clock,
        })
    }

    /// The catalog, to be filled.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Checks the catalog, folds its log in, makes it durable and gives it its name. Returns what stood in the way and
    /// where it lies now.
    ///
    /// Not cancel-safe, and need not be: until the very end there is no catalog, and the next attempt begins anew.
    ///
    /// # Errors
    /// It is not sound, something has been put in its place meanwhile, or what the system or SQLite says.
    pub async fn finish(self) -> Result<Vec<(PathBuf, PathBuf)>, CatalogError> {
        self.catalog.check_whole().await?;
        self.catalog.close().await?;
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| CatalogError::File {
                operation,
                path,
                source,
            }
        };
        let log = beside(&self.building, COMPANIONS[0]);
        if fs::symlink_metadata(&log).is_ok() {
            let left = io::Error::other("its log is still there: another process has it open");
            return Err(failed("fold in the log of", &self.building)(left));
        }
        File::open(&self.building)
            .and_then(|file| file.sync_all())
            .map_err(failed("sync", &self.building))?;
        Self::check_place(&self.path).await?;
        let moved = make_way(&self.path, &self.clock)?;
        rename(&self.building, &self.path).map_err(failed("name", &self.path))?;
        sync_folder(&self.path)?;
        Ok(moved)
    }

    /// Gives up, and removes what was made. Best effort: what stays is removed by the next attempt.
    pub async fn abandon(self) {
        if let Err(error) = self.catalog.close().await {
            tracing::debug!(%error, "an unfinished catalog did not close cleanly");
        }
        if let Err(error) = clear(&self.building) {
            tracing::debug!(%error, "an unfinished catalog could not be removed");
        }
    }
}

/// Removes an unfinished catalog.
fn clear(building: &Path) -> Result<(), CatalogError> {
    for suffix in ["", COMPANIONS[0], COMPANIONS[1], COMPANIONS[2]] {
        let path = beside(building, suffix);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => fs::remove_file(&path),
            Ok(_) => return Err(refused(&path, Refusal::NotRegularFile)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(other) => Err(other),
        };
        removed.map_err(|source| CatalogError::File {
            operation: "remove what an earlier rebuild left of",
            path,
            source,
        })?;
    }
    Ok(())
}

/// Moves aside what would be taken for a part of the catalog, and an empty file in its place.
fn make_way(path: &Path, clock: &SharedClock) -> Result<Vec<(PathBuf, PathBuf)>, CatalogError> {
    let mut moved = Vec::new();
    for suffix in [COMPANIONS[0], COMPANIONS[1], COMPANIONS[2], ""] {
        let stray = beside(path, suffix);
        if let Some(aside) = move_aside(&stray, clock).map_err(|source| CatalogError::File {
            operation: "move aside what stands in the way of",
            path: stray.clone(),
            source,
        })? {
            moved.push((stray, aside));
        }
    }
    if !moved.is_empty() {
        sync_folder(path)?;
    }
    Ok(moved)
}

/// Moves a file aside, if there is one, and says where to.
fn move_aside(stray: &Path, clock: &SharedClock) -> io::Result<Option<PathBuf>> {
    let (year, month, day, hour, minute, second) = clock.now().civil();
    let stamp = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
    for attempt in 0_u32.. {
        let number = if attempt == 0 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let aside = beside(stray, &format!(".set-aside-{stamp}{number}"));
        match rename(stray, &aside) {
            Ok(()) => return Ok(Some(aside)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
            Err(refused) => return Err(refused),
        }
    }
    Ok(None)
}

/// Gives a file another name in one step, or fails with `EEXIST` where that name is taken.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows this flag; a second link is as strict about names.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

fn sync_folder(path: &Path) -> Result<(), CatalogError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| CatalogError::File {
            operation: "sync the folder of",
            path: path.to_owned(),
            source,
        })
}
