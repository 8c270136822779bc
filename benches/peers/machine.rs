//! What the kernel says: of processes, of the disk, and of all that went on meanwhile.
//!
//! Must not know: what is measured.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

/// Jiffies a second, on every Linux that there is.
const JIFFIES: f64 = 100.0;

/// CPU seconds of one process, all its threads and the children it has waited for. 0 where it is gone.
pub fn cpu_seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |fields| {
        [11, 12, 13, 14]
            .iter()
            .filter_map(|at| fields.get(*at)?.parse::<f64>().ok())
            .sum::<f64>()
            / JIFFIES
    })
}

/// CPU seconds of a process and of all that descend from it and live.
pub fn tree_cpu_seconds(root: u32) -> f64 {
    let mut sum = cpu_seconds(root);
    for child in children(root) {
        sum += tree_cpu_seconds(child);
    }
    sum
}

/// The processes that a process has started and that live.
pub fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found
}

/// Nanoseconds on a CPU of all live threads of a process: finer than jiffies, for small costs over many polls.
pub fn fine_cpu_seconds(pid: u32) -> f64 {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    }
    nanoseconds / 1e9
}

/// The most memory that a live process has had resident, in bytes (`VmHWM`), or has now (`VmRSS`).
pub fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes of files that a live process has caused to be written so far. 0 where it is gone.
pub fn written_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}

/// Busy CPU seconds of the whole machine so far.
///
/// # Errors
/// `/proc/stat` cannot be read.
pub fn busy_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user, nice, system, irq, softirq
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum::<f64>();
    Ok(busy / JIFFIES)
}

/// How many cores share that.
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| u32::try_from(cores.get()).map_or(1.0, f64::from))
}

/// How often the disk below a path was told to flush its cache, by anybody. `None` where it does not count.
pub fn disk_flushes(path: &Path) -> Option<u64> {
    let device = rustix::fs::stat(path).ok()?.st_dev;
    let (major, minor) = (
        rustix::fs::major(device).to_string(),
        rustix::fs::minor(device).to_string(),
    );
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.first() == Some(&major.as_str()) && fields.get(1) == Some(&minor.as_str());
        is_it.then(|| fields.get(18)?.parse().ok()).flatten()
    })
}

/// The fields of `/proc/PID/stat` behind the name, the state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(") ")?;
    Some(behind.split_whitespace().map(str::to_owned).collect())
}
