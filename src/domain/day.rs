//! A day in UTC: what recordings are filed and counted under.
//!
//! Must not know: what is counted.

use std::fmt;

use super::clock::InvalidTimestamp;
use super::clock::Timestamp;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// 1 January of the year 1, the first there is: days are counted from here, so that none is below zero.
const DAY_ZERO_MICROS: i64 = -62_135_596_800_000_000;

/// A day in UTC, within the years 1 to 9999: its first moment. Prints as `2026-01-31`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(Timestamp);

impl Day {
    /// The day that a time lies in.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        let number = (at.as_microseconds() - DAY_ZERO_MICROS).div_euclid(MICROS_A_DAY);
        // A time of the range lies in a day of the range.
        Self::from_number(number).unwrap_or(Self(at))
    }

    /// The day with this number, counted from 1 January of the year 1, which is 0.
    ///
    /// # Errors
    /// Outside the years 1 to 9999.
    pub fn from_number(number: i64) -> Result<Self, InvalidTimestamp> {
        let micros = number
            .checked_mul(MICROS_A_DAY)
            .and_then(|micros| micros.checked_add(DAY_ZERO_MICROS))
            .ok_or(InvalidTimestamp)?;
        Timestamp::from_microseconds(micros).map(Self)
    }

    /// Its first moment.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, ..) = self.start().civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc_also_before_1970() {
        for (time, day) in [
            ("2026-03-01T00:00:00Z", "2026-03-01"),
            ("2026-03-01T23:59:59.999999Z", "2026-03-01"),
            ("2026-03-01T00:30:00+01:00", "2026-02-28"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31"),
            ("0001-01-01T00:00:00Z", "0001-01-01"),
        ] {
            assert_eq!(Day::of(time.parse().unwrap()).to_string(), day, "{time}");
        }
        assert_eq!(Day::from_number(719_162).unwrap().to_string(), "1970-01-01");
        assert!(Day::from_number(-1).is_err() && Day::from_number(i64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn a_time_lies_within_its_day(micros in DAY_ZERO_MICROS..=253_402_214_400_000_000) {
            let at = Timestamp::from_microseconds(micros).unwrap();
            let start = Day::of(at).start();
            prop_assert!(start <= at && micros - start.as_microseconds() < MICROS_A_DAY);
            prop_assert_eq!(Day::of(start), Day::of(at));
        }
    }
}
