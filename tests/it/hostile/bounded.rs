//! Runs under a limit on memory that the kernel holds: a control group where one can be made.
//!
//! Must not know: what is run, or why it would want more.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::bird::Bird;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Finished;
use crate::support::harness::Running;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::wrapper;

const GROUPS: &str = "/sys/fs/cgroup/memory";
/// Longer than any of these runs takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(100);

/// What birdkeep may take whatever the input: 128 MiB, and 4 MiB for each download at once.
pub const fn allowance_bytes(downloads: u64) -> u64 {
    (128 + 4 * downloads) << 20
}

/// Says aloud that something cannot be tested here.
///
/// # Panics
/// Where `BIRDKEEP_MUST_WALK` is set: there it must be.
#[expect(clippy::disallowed_methods, reason = "a word to the tests, not to birdkeep")]
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("BIRDKEEP_MUST_WALK").is_none(),
        "BIRDKEEP_MUST_WALK is set, and {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// A control group with a limit, gone when dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where this user may not make one, or this kernel has none.
    fn with_limit(limit_bytes: u64) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "birdkeep-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let group = Self(Path::new(GROUPS).join(name));
        fs::create_dir(&group.0).ok()?;
        // Without swapping, what is over the limit cannot hide; the limit makes no sense to a kernel that ignores it.
        let limited = group.write("memory.limit_in_bytes", limit_bytes) && group.write("memory.swappiness", 0);
        limited.then_some(group)
    }

    fn write(&self, file: &str, value: u64) -> bool {
        fs::write(self.0.join(file), value.to_string()).is_ok()
    }

    fn number(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {file}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes a moment to let go of what has just ended.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An archive whose runs get no more memory than this.
pub struct Bounded {
    pub archive: Archive,
    /// Holds the script that enters the group.
    _wrapper: Option<Archive>,
    group: Option<Group>,
    limit_bytes: u64,
}

/// How a run under a limit went.
pub struct Bound {
    pub finished: Finished,
    /// The most memory of its own that it held at once, as far as was seen.
    pub peak_bytes: u64,
}

impl Bounded {
    /// # Panics
    /// Where the limit must be held by a control group and none can be made.
    pub fn new(bird: &Bird, workspaces: &[(&str, &WorkspaceHandle)], limit_bytes: u64) -> Self {
        let plain = Archive::new(BINARY, bird, workspaces);
        let group = Group::with_limit(limit_bytes);
        let Some(group) = group else {
            skipped(&format!(
                "no control group below {GROUPS}: memory is only watched, not limited"
            ));
            return Self {
                archive: plain,
                _wrapper: None,
                group: None,
                limit_bytes,
            };
        };
        let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$B\" \"$@\"", group.0.display());
        let program = wrapper(&plain, &enter);
        let archive = Archive::new(program, bird, workspaces);
        Self {
            archive,
            _wrapper: Some(plain),
            group: Some(group),
            limit_bytes,
        }
    }

    /// Runs birdkeep to its end.
    ///
    /// # Panics
    /// If it was killed for want of memory, took more than it may, panicked, or did not end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> impl Future<Output = Bound> {
        let at = std::panic::Location::caller();
        let mut running = self.archive.spawn(args);
        async move {
            let begun = std::time::Instant::now();
            let mut peak_bytes = 0;
            let finished = loop {
                peak_bytes = peak_of(&running).max(peak_bytes);
                if let Some(finished) = running.exit_within(Duration::from_millis(10)).await {
                    break finished;
                }
                assert!(begun.elapsed() < PATIENCE, "{at}: still running: {}", running.stderr());
            };
            if let Some(group) = &self.group {
                let killed = group.number("memory.oom_control", "oom_kill ");
                assert_eq!(killed, 0, "{at}: killed for want of memory: {}", finished.stderr);
            }
            assert!(
                peak_bytes <= self.limit_bytes,
                "{at}: took {} KiB of {}",
                peak_bytes >> 10,
                self.limit_bytes >> 10
            );
            assert!(!finished.stderr.contains("panicked at"), "{at}: {}", finished.stderr);
            Bound { finished, peak_bytes }
        }
    }
}

/// The most memory that a process has held so far, in bytes; 0 once it has ended.
fn peak_of(running: &Running) -> u64 {
    let Some(pid) = running.pid() else { return 0 };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) << 10
}
