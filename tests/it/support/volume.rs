//! File systems of our own on loop devices, whose power can be cut.
//!
//! Devices are set up by hand, since those of `mount -o loop` go with the first unmount. Everything is undone when
//! dropped; what a killed run left behind, [`clear_leftovers`] undoes. Must not know: what is kept on them.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Begins the name of every folder made here; the process id follows.
const PREFIX: &str = "birdkeep-volume-";

/// How long a file system that was cut may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    /// Its name for `mount`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The smallest that its maker takes, and a little more. Sparse.
    const fn image_bytes(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 320 << 20,
        }
    }
}

/// A mounted file system. Unmounted and gone when dropped.
pub struct Volume {
    kind: FileSystem,
    folder: PathBuf,
    device: Option<String>,
}

impl Volume {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// Where this machine or this user cannot: what was refused.
    pub fn make(kind: FileSystem) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = base().join(format!("{PREFIX}{}-{number}", std::process::id()));
        let mut volume = Self {
            kind,
            folder,
            device: None,
        };
        let place = volume.place();
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let image = volume.image();
        File::create_new(&image)
            .and_then(|file| file.set_len(kind.image_bytes()))
            .map_err(|error| format!("{}: {error}", image.display()))?;
        let made = format!("mkfs.{}", kind.name());
        run(Command::new(&made).arg("-q").arg(&image))?;
        let device = run(Command::new("losetup").args(["-f", "--show"]).arg(&image))?;
        volume.device = Some(device.trim().to_owned());
        volume.mount()?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn place(&self) -> PathBuf {
        self.folder.join("mount")
    }

    /// Unmounts it and mounts it again, as after a loss of power.
    ///
    /// # Errors
    /// If it is in use, or cannot be mounted any more.
    pub fn remount(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            run(Command::new("umount").arg(self.place()))?;
            self.mount()?;
            let probe = self.place().join("probe");
            match File::create(&probe).and_then(|_| fs::remove_file(&probe)) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(format!("{}: {error}", probe.display())),
                // A process that another test started in a mount namespace of its own holds a copy of this mount: what was
                // mounted again is the file system that was cut. It comes back when that process ends.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Makes everything on it durable.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> Result<(), String> {
        let place = File::open(self.place()).map_err(|error| error.to_string())?;
        rustix::fs::syncfs(&place).map_err(|error| error.to_string())
    }

    fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    fn mount(&self) -> Result<(), String> {
        let device = self.device.as_deref().unwrap_or_default();
        let mut mount = Command::new("mount");
        mount.args(["-t", self.kind.name(), device]).arg(self.place());
        run(&mut mount).map(drop)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        undo(&self.folder);
    }
}

/// Undoes what processes that are no more have left mounted.
pub fn clear_leftovers() {
    for entry in fs::read_dir(base()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner
            && !Path::new("/proc").join(owner).exists()
        {
            undo(&entry.path());
        }
    }
}

fn undo(folder: &Path) {
    let mount = folder.join("mount");
    drop(Command::new("umount").arg("-l").arg(&mount).output());
    let devices = Command::new("losetup").arg("-j").arg(folder.join("image")).output();
    if let Ok(devices) = devices {
        for line in String::from_utf8_lossy(&devices.stdout).lines() {
            if let Some((device, _)) = line.split_once(':') {
                drop(Command::new("losetup").args(["-d", device]).output());
            }
        }
    }
    // What is still mounted must not be emptied.
    if fs::remove_dir(&mount).is_ok() {
        drop(fs::remove_dir_all(folder));
    }
}

/// Memory, where there is a file system for it: the images then cost no disk.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
