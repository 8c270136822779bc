//! Room: how long it lasts at the rate of the last thirty days.
//!
//! Must not know: where the figures come from.

use bytesize::ByteSize;

use super::Finding;
use super::Tell;
use crate::config::Config;
use crate::store::FileSystem;

/// What is looked back on, and the least that room should last.
pub(super) const DAYS: u32 = 30;

/// Files that a recording takes: its body and its sidecar.
const FILES_PER_RECORDING: f64 = 2.0;

/// How fast the archive grew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Days looked back on: fewer than [`DAYS`] where the first call is younger.
    pub days: f64,
    /// Bytes archived of the calls of these days.
    pub bytes: u64,
    /// Recordings of these days.
    pub recordings: u64,
}

pub(super) fn look(config: &Config, found: &FileSystem, rate: Option<Rate>, tell: Tell<'_>) {
    tell(bytes(config.archive.min_free_bytes, found.free_bytes, rate));
    if let Some(finding) = files(found.free_files, rate) {
        tell(finding);
    }
}

fn bytes(reserve: u64, free: u64, rate: Option<Rate>) -> Finding {
    let measured = format!("{}, the reserve is {}", ByteSize(free), ByteSize(reserve));
    if free <= reserve {
        return Finding::fail("free space", measured, "make room or lower archive.min_free");
    }
    let Some(rate) = rate else {
        return Finding::ok("free space", measured);
    };
    let Some(days_left) = days_left(free - reserve, rate.bytes, rate.days) else {
        return Finding::ok(
            "free space",
            format!("{measured}; no call of the last {DAYS} days is archived"),
        );
    };
    let measured = format!(
        "{measured}; the calls of the last {} take {}: at that rate it is reached in {}",
        in_days(rate.days),
        ByteSize(rate.bytes),
        in_days(days_left)
    );
    if days_left < f64::from(DAYS) {
        let remedy = "make room before then: a larger volume, or another archive.min_free";
        return Finding::warn("free space", measured, remedy);
    }
    Finding::ok("free space", measured)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate in days")]
fn files(free: Option<u64>, rate: Option<Rate>) -> Option<Finding> {
    let free = free?;
    if free == 0 {
        let remedy = "remove small files, or make the file system anew with more inodes";
        return Some(Finding::fail("free inodes", "none: no file can be made", remedy));
    }
    let rate = rate.filter(|rate| rate.recordings > 0)?;
    let days_left = free as f64 / (rate.recordings as f64 * FILES_PER_RECORDING / rate.days);
    let measured = format!(
        "{free}, enough for {} at the rate of the last 30 days",
        in_days(days_left)
    );
    Some(if days_left < f64::from(DAYS) {
        let remedy = "move to a file system with more inodes before then";
        Finding::warn("free inodes", measured, remedy)
    } else {
        Finding::ok("free inodes", measured)
    })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate in days")]
fn days_left(room: u64, grown: u64, days: f64) -> Option<f64> {
    (grown > 0).then(|| room as f64 / (grown as f64 / days))
}

fn in_days(days: f64) -> String {
    match days {
        days if days < 1.0 => "less than a day".to_owned(),
        days if days < 1.5 => "1 day".to_owned(),
        days if days < 3650.0 => format!("{days:.0} days"),
        _ => "more than 10 years".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const GIB: u64 = 1 << 30;

    const fn rate(bytes: u64, recordings: u64) -> Rate {
        Rate {
            days: 30.0,
            bytes,
            recordings,
        }
    }

    #[test]
    fn room_is_held_against_the_reserve_and_the_last_thirty_days() {
        assert_eq!(bytes(GIB, GIB, None).level, Level::Fail);
        assert_eq!(bytes(GIB, 2 * GIB, None).level, Level::Ok);
        assert_eq!(bytes(GIB, 2 * GIB, Some(rate(0, 0))).level, Level::Ok);
        let soon = bytes(GIB, 30 * GIB, Some(rate(30 * GIB, 9)));
        assert_eq!(soon.level, Level::Warn);
        assert!(soon.found.contains("in 29 days"), "{}", soon.found);
        assert_eq!(bytes(GIB, 31 * GIB, Some(rate(30 * GIB, 9))).level, Level::Ok);
    }

    #[test]
    fn inodes_run_out_too() {
        assert!(files(None, Some(rate(1, 1))).is_none());
        assert_eq!(files(Some(0), None).unwrap().level, Level::Fail);
        assert_eq!(files(Some(1_999), Some(rate(1, 1_000))).unwrap().level, Level::Warn);
        assert_eq!(files(Some(2_001), Some(rate(1, 1_000))).unwrap().level, Level::Ok);
    }
}
