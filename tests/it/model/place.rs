//! A small volume of its own for the catalogs under test: it can be filled, and left as a killed process leaves it.
//!
//! Must not know: what lies in it.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use anyhow::Result;
use rustix::fs::FallocateFlags;
use tempfile::TempDir;

/// Where catalogs lie. Gone when dropped.
pub(super) struct Volume {
    dir: TempDir,
    /// Where this user may not mount, the disk is never full.
    mounted: bool,
}

impl Volume {
    #[expect(
        clippy::print_stderr,
        reason = "a test that left something out must not look like one that did not"
    )]
    pub(super) fn new() -> Result<Self> {
        let dir = TempDir::with_prefix("birdkeep-model-")?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64m,mode=700", "birdkeep-test"])
            .arg(dir.path());
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: a full disk needs a mount, and this user may not make one");
        }
        Ok(Self { dir, mounted })
    }

    /// An empty folder, and nothing else on the volume.
    pub(super) fn clear(&self) -> Result<PathBuf> {
        for entry in fs::read_dir(self.dir.path())? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        self.folder(0)
    }

    /// The folder of a process that has died, as the next one finds it: what was written is there, in order, and
    /// nothing was closed.
    pub(super) fn after_a_crash(&self, dead: &Path, life: u32) -> Result<PathBuf> {
        let next = self.folder(life)?;
        for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
            if dead.join(name).exists() {
                fs::copy(dead.join(name), next.join(name))?;
            }
        }
        Ok(next)
    }

    fn folder(&self, life: u32) -> Result<PathBuf> {
        let path = self.dir.path().join(life.to_string());
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Leaves no more than this free. Says whether it can.
    pub(super) fn fill(&self, free_bytes: u64) -> Result<bool> {
        if self.mounted {
            let at = rustix::fs::statvfs(self.dir.path())?;
            let taken = (at.f_bavail * at.f_bsize).saturating_sub(free_bytes);
            let ballast = File::create(self.ballast())?;
            rustix::fs::fallocate(&ballast, FallocateFlags::empty(), 0, taken.max(1)).context("filling the volume")?;
        }
        Ok(self.mounted)
    }

    /// Takes away what [`Volume::fill`] put there.
    pub(super) fn relieve(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("relieving the volume")
    }

    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            let unmounted = Command::new("umount").arg("-l").arg(self.dir.path()).status();
            assert!(
                unmounted.is_ok_and(|status| status.success()),
                "the volume stays mounted"
            );
        }
    }
}
