//! Where a copy of the catalog may lie, and making it.
//!
//! Must not know: how a catalog is copied, or how it is reported.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use tokio_util::sync::CancellationToken;

use super::ArchiveView;
use crate::catalog::CopyReport;
use crate::config::Config;
use crate::domain::clock::Timestamp;

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it lies.
    pub path: PathBuf,
    /// What it holds.
    pub report: CopyReport,
}

/// Copies the catalog to `destination`, a new file or an existing directory, as it is at `now`. Takes no lock of the
/// archive and writes nothing to it. A cancelled `stop` breaks it off; no file is left then.
///
/// # Errors
/// The archive cannot be read, the destination exists, belongs to the archive or cannot be written, or the copy does
/// not pass its test.
pub async fn backup(config: &Config, destination: &Path, now: Timestamp, stop: &CancellationToken) -> Result<Backup> {
    let view = ArchiveView::open(config).await?;
    let known = view.reader.archive().await?.archive_id;
    if let Some(marked) = &view.glance.id
        && *marked != known
    {
        bail!("the catalog belongs to archive {known}, and the directory is archive {marked}");
    }
    let path = place(destination, &known, now)?;
    refuse_own(&path, &view.dir, &config.catalog_path(&view.dir))?;
    refuse_taken(&path)?;
    let copied = view
        .reader
        .copy_to(&path, config.archive.group_readable, now, stop)
        .await;
    view.reader.close().await;
    match copied {
        Ok(report) => Ok(Backup { path, report }),
        Err(_) if stop.is_cancelled() => Err(anyhow!("stopped before the copy was whole; nothing was left behind")),
        Err(error) => Err(error).with_context(|| format!("no backup was made at {}", path.display())),
    }
}

/// The file that a copy becomes, in a folder without links.
fn place(destination: &Path, archive_id: &str, now: Timestamp) -> Result<PathBuf> {
    let given = std::path::absolute(destination).context("the destination")?;
    if given.is_dir() {
        if !archive_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            bail!("the archive's id makes no file name; name the file");
        }
        let (year, month, day, hour, minute, second) = now.civil();
        let name = format!("catalog-{archive_id}-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z.sqlite");
        return Ok(resolved(&given)?.join(name));
    }
    let (Some(folder), Some(name)) = (given.parent(), given.file_name()) else {
        bail!("{} names no file", given.display());
    };
    Ok(resolved(folder)?.join(name))
}

fn resolved(folder: &Path) -> Result<PathBuf> {
    fs::canonicalize(folder).with_context(|| format!("the destination's directory {}", folder.display()))
}

fn refuse_taken(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
        Ok(_) => Err(anyhow!(
            "{} exists, and a backup never replaces a file; name another one",
            path.display()
        )),
    }
}

/// Refuses what is the archive's own, or may become it.
fn refuse_own(path: &Path, archive: &Path, catalog: &Path) -> Result<()> {
    if path.starts_with(resolved(archive)?) {
        bail!(
            "{} lies in the archive itself; a backup belongs elsewhere",
            path.display()
        );
    }
    let (Some(folder), Some(name)) = (catalog.parent(), catalog.file_name()) else {
        return Ok(());
    };
    let catalog = resolved(folder)?.join(name);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut own = catalog.clone().into_os_string();
        own.push(suffix);
        if path.as_os_str() == own {
            bail!("{} is the live catalog's own name", path.display());
        }
    }
    Ok(())
}
