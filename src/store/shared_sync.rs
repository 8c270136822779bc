//! Syncs of folders that several publications share.
//!
//! A sync covers every name that was given before it began. So whoever needs one waits for the next that begins: the first to
//! come begins it at once, all that come while it runs share the one after it. Nobody waits for company, and the busier
//! the folder, the more names a sync covers. Must not know: what the names are for.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The syncs under way, by the folder's path.
#[derive(Default)]
pub(super) struct SharedSyncs {
    folders: Mutex<HashMap<String, Syncs>>,
    ended: Condvar,
}

/// The syncs of one folder, counted from one.
#[derive(Default)]
struct Syncs {
    /// The one that runs now.
    running: bool,
    /// The last that began.
    begun: u64,
    /// The last that ended.
    ended: u64,
    /// Those that failed, while anybody waits for any.
    failed: BTreeMap<u64, i32>,
    /// How many are in [`SharedSyncs::sync`].
    inside: usize,
}

impl SharedSyncs {
    /// Makes what was done in `folder` before this call durable. Blocks.
    ///
    /// # Errors
    /// What the sync said, to everyone that it was for: another that succeeds later says nothing of their names.
    pub(super) fn sync(&self, path: &str, folder: &File) -> io::Result<()> {
        let mut folders = self.lock();
        let syncs = folders.entry(path.to_owned()).or_default();
        let mine = syncs.begun + 1;
        syncs.inside += 1;
        let result = loop {
            let syncs = folders.entry(path.to_owned()).or_default();
            if syncs.ended >= mine {
                let failed = syncs.failed.get(&mine);
                break failed.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(*errno)));
            }
            if syncs.running {
                folders = self.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            (syncs.running, syncs.begun) = (true, mine);
            drop(folders);
            let synced = folder.sync_all();
            folders = self.lock();
            let syncs = folders.entry(path.to_owned()).or_default();
            (syncs.running, syncs.ended) = (false, mine);
            if let Err(refused) = &synced {
                let errno = refused.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
                syncs.failed.insert(mine, errno);
            }
            self.ended.notify_all();
            break synced;
        };
        if let Some(syncs) = folders.get_mut(path) {
            syncs.inside -= 1;
            if syncs.inside == 0 {
                folders.remove(path);
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Syncs>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_is_answered_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = SharedSyncs::default();
        std::thread::scope(|scope| {
            for at in 0..16 {
                let (syncs, dir) = (&syncs, dir.path());
                scope.spawn(move || {
                    let folder = File::open(dir).unwrap();
                    for _ in 0..50 {
                        syncs.sync(if at % 4 == 0 { "/a" } else { "/b" }, &folder).unwrap();
                    }
                });
            }
        });
        assert!(syncs.lock().is_empty());
    }

    #[test]
    fn a_failure_is_told() {
        // A pipe cannot be synced.
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        let syncs = SharedSyncs::default();
        let error = syncs.sync("/a", &pipe).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
        assert!(syncs.lock().is_empty());
    }
}
