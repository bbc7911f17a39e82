//! Points of time as documents write them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// A point of time in RFC 3339 form, in UTC with nanoseconds: `2026-11-22T00:09:31.000000042Z`.
///
/// A time before 1970 is written as 1970-01-01: no clock that counts is set there.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos()
    )
}

/// The variable that says which time nothing is to be newer than (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The end of the year 9999, the last that documents can write.
const LAST: u64 = 253_402_300_799;

/// Parses a value of [`SOURCE_DATE_EPOCH`]: seconds after 1970.
///
/// # Errors
/// [`crate::Kind::Invalid`], with the text.
pub fn epoch(text: &str) -> Result<u64> {
    let seconds = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    seconds.filter(|seconds| *seconds <= LAST).ok_or_else(|| {
        Error::invalid(format!("use {SOURCE_DATE_EPOCH}=`{}`", text.escape_debug()))
            .hint("seconds since 1970")
    })
}

/// What [`SOURCE_DATE_EPOCH`] says in the environment; `None` if it is not set, or empty.
///
/// # Errors
/// As [`epoch`].
pub fn epoch_of_environment() -> Result<Option<u64>> {
    let text = std::env::var_os(SOURCE_DATE_EPOCH).filter(|text| !text.is_empty());
    text.map(|text| epoch(&text.to_string_lossy())).transpose()
}

/// Year, month and day of the day `days` after 1970-01-01, in the Gregorian calendar.
///
/// Counted in years that begin in March, the leap day is a year's last: the 400-year cycle then
/// divides without exceptions.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (cycle, of_cycle) = (days / 146_097, days % 146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_epoch_is_seconds_of_years_that_can_be_written() {
        for (text, seconds) in [("0", 0), ("1700000000", 1_700_000_000), ("253402300799", LAST)] {
            assert_eq!(epoch(text).unwrap(), seconds);
        }
        for bad in ["", "-1", "+1", "1.5", " 1", "now", "253402300800", "99999999999999999999"] {
            assert_eq!(epoch(bad).unwrap_err().kind(), crate::Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn days_of_leap_and_common_years() {
        // Seconds from `date -u -d ... +%s`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000000007Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::new(seconds, 7)), text);
        }
    }
}
