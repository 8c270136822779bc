//! The server's clock, which need not agree with the machine's, and the spellings of time that HTTP, S3 and Bird use.
//!
//! Must not know: what is timed.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::clock::Timestamp;

/// The machine's clock plus an offset that can be moved.
#[derive(Debug)]
pub struct ServerClock {
    offset_microseconds: AtomicI64,
    latest: Mutex<Option<Arc<Stamp>>>,
}

/// One second of the server's clock in the spellings that replies need.
#[derive(Debug)]
pub struct Stamp {
    second: i64,
    /// The second itself.
    pub at: Timestamp,
    /// As in a `Date` header.
    pub http: String,
    /// As in `X-Amz-Date`; its first eight characters are the day.
    pub amz: String,
}

impl ServerClock {
    /// A clock this many seconds ahead of the machine's (behind it, if negative).
    pub fn ahead_by(seconds: i64) -> Self {
        Self {
            offset_microseconds: AtomicI64::new(seconds.saturating_mul(1_000_000)),
            latest: Mutex::new(None),
        }
    }

    /// The server's time now.
    pub fn now(&self) -> Timestamp {
        let micros = SystemClock.now().as_microseconds() + self.offset_microseconds.load(Ordering::Relaxed);
        Timestamp::from_microseconds(micros).expect("the server's clock stays within the years 1 to 9999")
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.offset_microseconds.fetch_add(micros, Ordering::Relaxed);
    }

    /// Moves the clock forward, or back if negative.
    pub fn shift_seconds(&self, seconds: i64) {
        self.offset_microseconds
            .fetch_add(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
    }

    /// The current second, spelled.
    pub fn stamp(&self) -> Arc<Stamp> {
        let second = self.now().as_microseconds().div_euclid(1_000_000);
        let mut latest = self.latest.lock().unwrap();
        match latest.as_ref() {
            Some(stamp) if stamp.second == second => Arc::clone(stamp),
            _ => {
                let stamp = Arc::new(Stamp::of_second(second));
                *latest = Some(Arc::clone(&stamp));
                stamp
            }
        }
    }
}

impl Stamp {
    /// The stamp of a second since 1970.
    pub fn of_second(second: i64) -> Self {
        let at = Timestamp::from_microseconds(second * 1_000_000).expect("a second within the years 1 to 9999");
        let (year, month, day, hour, minute, sec) = at.civil();
        Self {
            second,
            at,
            http: http_date(at),
            amz: format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{sec:02}Z"),
        }
    }

    /// The stamp this many seconds later (earlier, if negative).
    pub fn shifted(&self, seconds: i64) -> Self {
        Self::of_second(self.second + seconds)
    }
}

/// `Tue, 24 Oct 2023 19:27:59 GMT`.
pub fn http_date(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let since_1970 = at.as_microseconds().div_euclid(86_400_000_000);
    let weekday = DAYS[usize::try_from(since_1970.rem_euclid(7)).unwrap_or(0)];
    let (year, month, day, hour, minute, second) = at.civil();
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `2023-10-24T19:27:59.120Z`, as Bird writes times.
pub fn iso_milliseconds(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = at.civil();
    let millis = at.as_microseconds().rem_euclid(1_000_000) / 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// `2023-10-24T19:27:59Z`, as S3 writes times in its errors.
pub fn iso_seconds(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = at.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
