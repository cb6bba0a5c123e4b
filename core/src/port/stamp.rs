//! The server's stamps: RFC 3339 text to milliseconds since the Unix epoch, and back.

use crate::id::WallTime;
use alloc::format;
use alloc::string::String;

/// Reads a stamp such as `2026-11-21T13:36:15.531092016Z`; servers write UTC only.
pub fn parse(text: &str) -> Option<WallTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let stamp = seconds
        .checked_mul(1_000)?
        .checked_add(millis.parse().ok()?)?;
    // Go's zero time, the year 1, stands for "never" in a server's answers.
    Some(WallTime(u64::try_from(stamp).unwrap_or(0)))
}

/// The last millisecond that four digits of a year are enough for.
const LAST: u64 = 253_402_300_799_999;

/// Writes a stamp, no later than the end of the year 9999.
pub fn text(at: WallTime) -> String {
    let at = at.0.min(LAST);
    let (seconds, millis) = (at / 1_000, at % 1_000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    let (days, hour) = (hours / 24, hours % 24);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date so many days after 1 January 1970, as [`days`] counts them.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = match month_from_march {
        0..10 => month_from_march + 3,
        _ => month_from_march - 9,
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1 January 1970 in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::{LAST, parse, text};
    use crate::id::WallTime;

    #[test]
    fn stamps_are_milliseconds_since_1970() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(WallTime(0)));
        assert_eq!(
            parse("2000-02-29T12:30:15.5Z"),
            Some(WallTime(951_827_415_500))
        );
        assert_eq!(
            parse("2026-11-21T13:36:15.531092016Z"),
            Some(WallTime(1_795_268_175_531))
        );
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(WallTime(0)));
    }

    #[test]
    fn a_stamp_that_was_written_is_read() {
        assert_eq!(text(WallTime(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(WallTime(951_827_415_500)), "2000-02-29T12:30:15.500Z");
        assert_eq!(text(WallTime(u64::MAX)), "9999-12-31T23:59:59.999Z");
        for at in (0..LAST).step_by(7_777_777_777_777).chain([LAST]) {
            assert_eq!(parse(&text(WallTime(at))), Some(WallTime(at)));
        }
    }

    #[test]
    fn other_texts_are_no_stamps() {
        for text in [
            "",
            "Z",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2026-11-21T13:36:15+01:00",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
