//! The server's stamps: RFC 3339 text to milliseconds since the Unix epoch, and back.

use crate::id::WallTime;
use alloc::format;
use alloc::string::String;

/// Reads a stamp such as `2026-11-21T13:36:15.531092016Z`. Servers write UTC, clients also other zones
/// (`+01:00`).
pub fn parse(text: &str) -> Option<WallTime> {
    let (text, zone_minutes) = zone(text)?;
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let valid = (1..=12).contains(&month)
        && (1..=month_days(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && is_number(fraction);
    if !valid {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - zone_minutes;
    let stamp = (minutes * 60 + second) * 1_000 + millis.parse::<i64>().ok()?;
    // Go's zero time, the year 1, stands for "never" in a server's answers.
    Some(WallTime(u64::try_from(stamp).unwrap_or(0)))
}

/// What comes before the zone, and how many minutes that is ahead of UTC.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(text) = text.strip_suffix('Z') {
        return Some((text, 0));
    }
    let (text, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (sign, zone) = match zone.strip_prefix('+') {
        Some(zone) => (1, zone),
        None => (-1, zone.strip_prefix('-')?),
    };
    let [hours, minutes] = numbers(zone, ':', [2, 2])?;
    Some((text, sign * (hours * 60 + minutes)))
}

/// Numbers of so many digits each, with something between them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.splitn(N, between);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        *number = part
            .parse()
            .ok()
            .filter(|_| part.len() == digits && is_number(part))?;
    }
    Some(found)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn month_days(year: i64, month: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leaps),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
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
        assert_eq!(
            parse("2000-02-29T13:30:15.5+01:00"),
            parse("2000-02-29T12:30:15.5Z")
        );
        assert_eq!(
            parse("2000-02-28T22:00:15-14:30"),
            parse("2000-02-29T12:30:15Z")
        );
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
            "2026-02-29T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "+026-11-21T13:36:15Z",
            "10000-01-01T00:00:00Z",
            "9223372036854775807-01-01T00:00:00Z",
            "2026-11-21T13:36:15",
            "2026-11-21T13:36:15.Z",
            "2026-11-21T13:36:15+1:00",
            "2026-11-21T13:36:15é00:00",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
