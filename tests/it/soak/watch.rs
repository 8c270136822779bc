//! What one life of the daemon takes of the machine, from /proc and from the archive's folder.
//!
//! Must not know: what the daemon does with it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// The most that is allowed at any moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rss_kib: u64,
    pub(super) files: u64,
    pub(super) threads: u64,
    pub(super) log_bytes: u64,
    pub(super) staged_files: u64,
    pub(super) staged_bytes: u64,
}

/// What is taken at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Since the life began.
    pub(super) age: Duration,
    pub(super) rss_kib: u64,
    pub(super) peak_kib: u64,
    pub(super) files: u64,
    pub(super) threads: u64,
    pub(super) log_bytes: u64,
    pub(super) staged_files: u64,
    pub(super) staged_bytes: u64,
}

impl Sample {
    /// `None` where the process is gone.
    fn take(pid: u32, archive: &Path, born: Instant) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let sizes = |entries: fs::ReadDir| entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
        let staged: Vec<u64> =
            fs::read_dir(archive.join("staging")).map_or_else(|_| Vec::new(), |dir| sizes(dir).collect());
        Some(Self {
            age: born.elapsed(),
            rss_kib: number("VmRSS:")?,
            peak_kib: number("VmHWM:")?,
            files: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
            threads: number("Threads:")?,
            log_bytes: fs::metadata(archive.join("catalog.sqlite-wal")).map_or(0, |log| log.len()),
            staged_files: staged.len() as u64,
            staged_bytes: staged.iter().sum(),
        })
    }

    fn within(&self, bounds: &Bounds) -> bool {
        self.peak_kib <= bounds.rss_kib
            && self.files <= bounds.files
            && self.threads <= bounds.threads
            && self.log_bytes <= bounds.log_bytes
            && self.staged_files <= bounds.staged_files
            && self.staged_bytes <= bounds.staged_bytes
    }
}

/// One life of the daemon.
#[derive(Debug)]
pub(super) struct Life {
    pid: u32,
    born: Instant,
    samples: Vec<Sample>,
}

impl Life {
    pub(super) const fn new(pid: u32, born: Instant) -> Self {
        Self {
            pid,
            born,
            samples: Vec::new(),
        }
    }

    /// Looks once, and holds the bounds.
    ///
    /// # Panics
    /// Where one is broken.
    #[track_caller]
    pub(super) fn look(&mut self, archive: &Path, bounds: &Bounds) {
        if let Some(sample) = Sample::take(self.pid, archive, self.born) {
            assert!(sample.within(bounds), "{sample:?} is beyond {bounds:?}");
            self.samples.push(sample);
        }
    }

    /// The middle value of a measure between two ages.
    pub(super) fn middle(&self, from: Duration, to: Duration, of: impl Fn(&Sample) -> u64) -> u64 {
        let within = self.samples.iter().filter(|sample| (from..to).contains(&sample.age));
        middle(within.map(of).collect())
    }

    /// How long it has been looked at.
    pub(super) fn age(&self) -> Duration {
        self.samples.last().map_or(Duration::ZERO, |sample| sample.age)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = |of: fn(&Sample) -> u64| self.samples.iter().map(of).max().unwrap_or(0);
        let last = self.samples.last().copied().unwrap_or_default();
        write!(
            f,
            "{:>5.1} s: {} KiB in memory at its end (most {}), at most {} descriptors, {} threads, a log of {} KiB, {} staged of {} KiB",
            last.age.as_secs_f64(),
            last.rss_kib,
            most(|sample| sample.peak_kib),
            most(|sample| sample.files),
            most(|sample| sample.threads),
            most(|sample| sample.log_bytes) / 1024,
            most(|sample| sample.staged_files),
            most(|sample| sample.staged_bytes) / 1024,
        )
    }
}

/// The value in the middle; 0 of none.
pub(super) fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
