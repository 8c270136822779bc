//! One measured run of one command: wall, flush, CPU, memory, and what others did meanwhile.
//!
//! Must not know: what the command is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::machine;

/// What was measured, by name. The unit is part of the name.
pub type Figures = BTreeMap<String, f64>;

/// Wall clock of the run itself.
pub const WALL: &str = "wall s";
/// The same and the syncfs after it, which is what a program that does not sync owes.
pub const DURABLE: &str = "durable s";
/// User and system time of the run and its children.
pub const CPU: &str = "CPU s";
/// The most memory that it had resident.
pub const RSS: &str = "RSS MiB";
/// How often the disk was told to flush, the syncfs included; what others did meanwhile counts too.
pub const FLUSHES: &str = "disk flushes";
/// Requests to the API.
pub const REQUESTS: &str = "API requests";
/// CPU that neither the run nor our servers used, of the whole machine.
pub const OTHER: &str = "other %";

/// A command that has ended.
pub struct Run {
    pub figures: Figures,
    pub status: ExitStatus,
    /// What it printed, the end of both streams.
    pub said: String,
}

/// Writes back what earlier runs have left, then runs `command`, and measures it. `dir` is where it writes.
///
/// # Errors
/// It cannot be run.
pub fn measure(command: &Command, dir: &Path) -> Result<Run> {
    rustix::fs::sync();
    let place = fs::File::open(dir)?;
    let meanwhile = Meanwhile::begin(dir)?;
    let begun = Instant::now();
    let (mut run, own_seconds) = timed(command, dir)?;
    let wall = begun.elapsed().as_secs_f64();
    rustix::fs::syncfs(&place)?;
    let durable = begun.elapsed().as_secs_f64();
    run.figures.insert(WALL.to_owned(), wall);
    run.figures.insert(DURABLE.to_owned(), durable);
    run.figures.insert(CPU.to_owned(), own_seconds);
    meanwhile.end(dir, &mut run.figures)?;
    Ok(run)
}

/// What is read before and after, of the machine.
pub struct Meanwhile {
    busy: f64,
    ours: f64,
    flushes: Option<u64>,
    begun: Instant,
}

impl Meanwhile {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn begin(dir: &Path) -> Result<Self> {
        Ok(Self {
            busy: machine::busy_seconds()?,
            ours: machine::tree_cpu_seconds(std::process::id()),
            flushes: machine::disk_flushes(dir),
            begun: Instant::now(),
        })
    }

    /// Reads it again, and enters what there was between.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn end(self, dir: &Path, figures: &mut Figures) -> Result<()> {
        let passed = self.begun.elapsed().as_secs_f64();
        let others = machine::busy_seconds()? - self.busy;
        let ours = machine::tree_cpu_seconds(std::process::id()) - self.ours;
        let percent = 100.0 * (others - ours).max(0.0) / (passed * machine::cores());
        figures.insert(OTHER.to_owned(), percent);
        if let (Some(before), Some(after)) = (self.flushes, machine::disk_flushes(dir)) {
            let count = u32::try_from(after - before).unwrap_or(u32::MAX);
            figures.insert(FLUSHES.to_owned(), f64::from(count));
        }
        Ok(())
    }
}

/// Runs a command below Debian's `time`; returns its CPU seconds too.
fn timed(command: &Command, dir: &Path) -> Result<(Run, f64)> {
    let notes = dir.with_extension("time");
    let printed = dir.with_extension("said");
    let out = fs::File::create(&printed)?;
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["--quiet", "-f", "%U %S %M", "-o"])
        .arg(&notes)
        .arg(command.get_program());
    timed.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    timed.current_dir(command.get_current_dir().unwrap_or(dir));
    let status = timed
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .status()
        .context("/usr/bin/time (the Debian package time)")?;
    let text = fs::read_to_string(&notes)?;
    let line = text.lines().last().context("time wrote nothing")?;
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [user, system, kib] = numbers[..] else {
        bail!("time wrote {line:?}");
    };
    let said = fs::read(&printed)?;
    let tail = said.len().saturating_sub(2_000);
    let run = Run {
        figures: Figures::from([(RSS.to_owned(), kib / 1024.0)]),
        status,
        said: String::from_utf8_lossy(&said[tail..]).into_owned(),
    };
    Ok((run, user + system))
}

impl Run {
    /// Fails where the command did not end well.
    ///
    /// # Errors
    /// It did not; says what it printed.
    pub fn well(self) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let signal = self.status.signal().map(|signal| format!(" (signal {signal})"));
        bail!(
            "ended with {}{}: {}",
            self.status,
            signal.unwrap_or_default(),
            self.said.trim()
        );
    }
}

/// Files up to this size keep what they take of the disk: to empty them takes longer than it is worth.
const SMALL_BYTES: u64 = 8 * 1024;

/// Makes every file below a folder empty that is not small: what it took of the disk is free again, and its inode is not: a file system
/// such as ext4 walks past inodes that were freed of late, and whoever came next would pay for it.
///
/// # Errors
/// It cannot be read or written.
pub fn empty_files(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            empty_files(&entry.path())?;
        } else if entry.metadata()?.len() > SMALL_BYTES {
            fs::OpenOptions::new().write(true).open(entry.path())?.set_len(0)?;
        }
    }
    Ok(())
}
