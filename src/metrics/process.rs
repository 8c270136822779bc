//! What the kernel says of this process, under the names that every client library of Prometheus gives it.
//!
//! What cannot be read is left out. Must not know: anything of birdkeep.

use super::text::Kind;
use super::text::Text;

/// Adds the families of the process.
pub(super) fn write(text: &mut Text) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in brackets, and may hold spaces and brackets itself.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    // Numbered from 3 on in proc_pid_stat(5).
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let ticks = rustix::param::clock_ticks_per_second();
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        text.family(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Processor time, of the user and of the system together.",
        )
        .measure(&[], seconds(user + system, ticks));
    }
    if let Some(pages) = field(24) {
        text.family("process_resident_memory_bytes", Kind::Gauge, "Memory that is resident.")
            .count(&[], pages * rustix::param::page_size() as u64);
    }
    if let Some(bytes) = field(23) {
        text.family("process_virtual_memory_bytes", Kind::Gauge, "Memory that is mapped.")
            .count(&[], bytes);
    }
    if let Some(threads) = field(20) {
        text.family("process_threads", Kind::Gauge, "Threads.")
            .count(&[], threads);
    }
    if let (Some(started), Some(booted)) = (field(22), boot_time()) {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let booted = booted as f64;
        text.family(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process began, in seconds since 1970.",
        )
        .measure(&[], booted + seconds(started, ticks));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        text.family("process_open_fds", Kind::Gauge, "File descriptors that are open.")
            // The one by which they are counted is not counted.
            .count(&[], open.count().saturating_sub(1) as u64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        text.family("process_max_fds", Kind::Gauge, "File descriptors that may be open.")
            .count(&[], most);
    }
}

#[expect(clippy::cast_precision_loss, reason = "clock ticks of a process")]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second.max(1) as f64
}

fn boot_time() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told_of() {
        let mut text = Text::default();
        write(&mut text);
        let text = text.finish();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") < value("process_max_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_start_time_seconds") > 1.6e9);
    }
}
