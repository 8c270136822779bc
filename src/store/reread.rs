//! Bodies read back from the disk: hashed as they pass, at a rate, until told to stop.
//!
//! Must not know: where a body lies, or what it should be.

use std::fs::File;
use std::io;
use std::io::Read;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Advice;
use sha2::Digest;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use crate::domain::digest::Sha256Digest;

/// Read at a time: little enough to lie in a core's own cache while it is hashed.
const READ_BYTES: usize = 64 * 1024;

/// How far the disk is asked to read ahead, in parts of half that. Large parts, since several bodies are read at a time: a
/// disk with heads must not go to and fro for little.
const AHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// How soon a wait for the rate notices that it should stop.
const NAP: Duration = Duration::from_millis(50);

/// Holds reading to a rate, over all who share it, and ends it. Clones share the rate.
#[derive(Clone, Default)]
pub struct ReadPace {
    bytes_per_second: Option<NonZeroU64>,
    stop: CancellationToken,
    next: Arc<Mutex<Option<Instant>>>,
}

impl ReadPace {
    /// Reads at most this many bytes a second, without a number as fast as it goes, until `stop`.
    #[must_use]
    pub fn new(bytes_per_second: Option<NonZeroU64>, stop: CancellationToken) -> Self {
        Self {
            bytes_per_second,
            stop,
            next: Arc::default(),
        }
    }

    /// Waits until so many bytes may be read, on this thread; `false` when it is time to stop.
    fn wait_for(&self, bytes: usize) -> bool {
        if let Some(rate) = self.bytes_per_second {
            let takes = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begin = next.map_or(now, |next| next.max(now));
            *next = Some(begin + takes);
            drop(next);
            while !self.stop.is_cancelled()
                && let Some(rest) = begin
                    .checked_duration_since(Instant::now())
                    .filter(|rest| !rest.is_zero())
            {
                std::thread::sleep(rest.min(NAP));
            }
        }
        !self.stop.is_cancelled()
    }
}

/// SHA-256 and length of what the disk gives back; `None` when it was told to stop before the end.
pub(super) fn hash(mut file: &File, pace: &ReadPace) -> io::Result<Option<(Sha256Digest, u64)>> {
    // What the cache holds is not what the disk holds. Advice only: where it is not taken, the cache is read.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    let (mut sha256, mut size_bytes) = (Sha256::new(), 0_u64);
    let mut asked_until = 0;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if size_bytes + AHEAD_BYTES / 2 >= asked_until {
            read_ahead(file, asked_until, size_bytes + AHEAD_BYTES);
            asked_until = size_bytes + AHEAD_BYTES;
        }
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((Sha256Digest(sha256.finalize().into()), size_bytes))),
            Ok(count) => count,
            Err(again) if again.kind() == io::ErrorKind::Interrupted => continue,
            Err(refused) => return Err(refused),
        };
        sha256.update(&buffer[..count]);
        size_bytes += count as u64;
        if !pace.wait_for(count) {
            return Ok(None);
        }
    }
}

/// Asks the disk for a part of a file before it is read. Advice only.
fn read_ahead(file: &File, from: u64, until: u64) {
    let _ = rustix::fs::fadvise(file, from, NonZeroU64::new(until - from), Advice::WillNeed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(length: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &vec![7; length]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn what_is_shared_is_one_rate() {
        let pace = ReadPace::new(NonZeroU64::new(1_000_000), CancellationToken::new());
        let begun = Instant::now();
        for pace in [&pace, &pace.clone()] {
            assert!(hash(&file_of(100_000), pace).unwrap().is_some());
        }
        // The first bytes pass at once, what follows waits for them.
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn a_stop_ends_a_read_and_its_wait() {
        let stop = CancellationToken::new();
        let pace = ReadPace::new(NonZeroU64::new(1), stop.clone());
        assert!(hash(&file_of(1), &pace).unwrap().is_some());
        stop.cancel();
        assert_eq!(hash(&file_of(1_000_000), &pace).unwrap(), None);
    }
}
