//! The server's stamps: RFC 3339 text to milliseconds since the Unix epoch.

use tenure_core::id::WallTime;

/// Reads a stamp such as `2026-11-21T13:36:15.531092016Z`; servers write UTC only.
pub(crate) fn parse(text: &str) -> Option<WallTime> {
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
    use super::parse;
    use tenure_core::id::WallTime;

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
