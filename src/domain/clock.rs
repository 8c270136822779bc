//! Time: one type for points in UTC, and the only place that reads the wall clock.
//!
//! Must not know: what is timed, or time zones other than UTC.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, UTC, in whole microseconds since 1970, within the years 1 to 9999.
///
/// Prints as RFC 3339 with `Z` and only the digits of the fraction that are needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Text or number that is not a point in time within the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time within the years 1 to 9999")]
pub struct InvalidTimestamp;

/// `0001-01-01T00:00:00Z`, Go's zero time, which upstream sends for "unset" (seen in Bird's published examples).
const YEAR_1_MICROS: i64 = -62_135_596_800_000_000;
/// `9999-12-31T00:00:00Z`, so that any time of any offset still prints with four digits of year.
const YEAR_9999_MICROS: i64 = 253_402_214_400_000_000;

impl Timestamp {
    /// The point this many microseconds after 1970.
    ///
    /// # Errors
    /// Outside the years 1 to 9999.
    pub const fn from_microseconds(micros: i64) -> Result<Self, InvalidTimestamp> {
        if micros >= YEAR_1_MICROS && micros <= YEAR_9999_MICROS {
            Ok(Self(micros))
        } else {
            Err(InvalidTimestamp)
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_microseconds(self) -> i64 {
        self.0
    }

    /// Whether this is Go's zero time, which stands for "unset".
    #[must_use]
    pub const fn is_unset(self) -> bool {
        self.0 == YEAR_1_MICROS
    }

    /// This much later; stops at the end of the range.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(YEAR_9999_MICROS))
    }

    /// This much earlier; stops at the beginning of the range.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(YEAR_1_MICROS))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Year, month, day, hour, minute, second in UTC.
    #[must_use]
    pub fn civil(self) -> (i16, i8, i8, i8, i8, i8) {
        let at = self.to_jiff().to_zoned_datetime(jiff::tz::TimeZone::UTC).datetime();
        (at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second())
    }

    /// Reads the `Date` header of HTTP (RFC 9110, section 5.6.7; whole seconds).
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
        Self::from_microseconds(zoned.timestamp().as_microsecond()).ok()
    }

    /// Reads the basic ISO 8601 form of AWS signatures, `20231024T192759Z`.
    #[must_use]
    pub fn from_amz_date(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('Z')?;
        let shaped = |(at, byte): (usize, u8)| if at == 8 { byte == b'T' } else { byte.is_ascii_digit() };
        if digits.len() != 15 || !digits.bytes().enumerate().all(shaped) {
            return None;
        }
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", digits).ok()?;
        let zoned = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?;
        Self::from_microseconds(zoned.timestamp().as_microsecond()).ok()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Self::from_microseconds(at.as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tells the time. The daemon's own clock may be wrong: nothing that decides whether a URL is alive may ask it.
pub trait Clock: Send + Sync {
    /// The wall clock's time now.
    fn now(&self) -> Timestamp;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp(micros.clamp(YEAR_1_MICROS, YEAR_9999_MICROS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_three_spellings_of_time() {
        let iso: Timestamp = "2023-10-24T19:27:59Z".parse().unwrap();
        assert_eq!(Timestamp::from_amz_date("20231024T192759Z"), Some(iso));
        assert_eq!(Timestamp::from_http_date("Tue, 24 Oct 2023 19:27:59 GMT"), Some(iso));
        assert_eq!("2023-10-24T21:27:59+02:00".parse(), Ok(iso));
        assert_eq!(iso.to_string(), "2023-10-24T19:27:59Z");
    }

    #[test]
    fn odd_times_are_refused_or_known_as_unset() {
        assert!("0001-01-01T00:00:00Z".parse::<Timestamp>().unwrap().is_unset());
        for bad in [
            "",
            "yesterday",
            "2023-13-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "2023-10-24",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
        for bad in [
            "",
            "20231024T192759",
            "20231324T192759Z",
            "2023-10-24T19:27:59Z",
            "+0231024T192759Z",
        ] {
            assert_eq!(Timestamp::from_amz_date(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(micros in YEAR_1_MICROS..=YEAR_9999_MICROS) {
            let at = Timestamp::from_microseconds(micros).unwrap();
            prop_assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Timestamp>();
            let _ = Timestamp::from_amz_date(&text);
            let _ = Timestamp::from_http_date(&text);
        }
    }
}
