//! `birdkeep.lock`: who writes this archive. The lock is the kernel's and ends with its process, however that ends;
//! the text in the file only says whose it is.
//!
//! Must not know: what the lock protects.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use serde::Deserialize;
use serde::Serialize;

use super::durable;
use super::durable::Modes;
use super::error::OpenError;
use super::marker::LOCK;
use crate::domain::clock::Timestamp;
use crate::domain::redact;

const LONGEST_TEXT_BYTES: u64 = 4096;

/// How often a held lock is tried again, and after how long: one who only looks at it holds it for a moment.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_millis(10);

#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    command: String,
    since: String,
}

/// The lock, held until this is dropped.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough while a child that was just forked still has the descriptor too.
        let _ = self.0.unlock();
    }
}

/// Takes the lock, waiting only for those who look at it, or says who has it. Writes nothing into the file.
pub(super) fn take(folder: &File, dir: &Path, modes: Modes) -> Result<Lock, OpenError> {
    let path = dir.join(LOCK);
    let io = |op| {
        let path = path.clone();
        move |source| OpenError::Io { op, path, source }
    };
    let refuse_planted = |stat: &Stat| match durable::no_file_of_ours(stat) {
        None => Ok(()),
        Some(found) => Err(OpenError::NotOurs {
            path: path.clone(),
            found,
            wanted: "a file",
        }),
    };
    // Looked at before it is opened, since opening alone can do something to a device; and after, since what is signed
    // must be what was looked at.
    if let Some(found) = durable::stat(folder, LOCK).map_err(io("look at"))? {
        refuse_planted(&found)?;
    }
    let file = durable::open_or_create_file(folder, LOCK, modes.file).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable {
            path: dir.to_owned(),
            source,
        },
        _ => OpenError::Io {
            op: "open",
            path: path.clone(),
            source,
        },
    })?;
    let opened = rustix::fs::fstat(&file).map_err(|refused| io("look at")(refused.into()))?;
    refuse_planted(&opened)?;
    let mut locked = file.try_lock();
    for _ in 0..LOOKS {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOOK);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            holder: read_holder(&file),
            path,
        }),
        Err(TryLockError::Error(source)) => Err(io("lock")(source)),
    }
}

/// Whether somebody holds the lock now. Looks for an instant, with a lock that others can share.
pub(super) fn is_taken(dir: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(dir.join(LOCK), flags, Mode::empty())?);
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Says in the file that we hold the lock.
pub(super) fn sign(Lock(file): &Lock, modes: Modes, now: Timestamp) -> io::Result<()> {
    let holder = Holder {
        pid: std::process::id(),
        host: host(),
        command: "birdkeep".to_owned(),
        since: now.to_string(),
    };
    rustix::fs::fchmod(file, modes.file)?;
    file.set_len(0)?;
    file.write_all_at(format!("{}\n", serde_json::to_string(&holder)?).as_bytes(), 0)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "an unnamed host".to_owned(),
        name => name.to_owned(),
    }
}

pub(super) fn read_holder(file: &File) -> String {
    let mut text = Vec::new();
    let read = file.take(LONGEST_TEXT_BYTES).read_to_end(&mut text);
    match read.map(|_| serde_json::from_slice::<Holder>(&text)) {
        Ok(Ok(Holder {
            pid,
            host,
            command,
            since,
        })) => redact::one_line(&format!("{command}, pid {pid} on {host}, since {since}"), 300),
        _ => "a process that has not said who it is".to_owned(),
    }
}
