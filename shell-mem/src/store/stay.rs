//! How long a message stays by its own wish: the header `Nats-TTL`.

/// What a message wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// That its time is never over, whatever its stream says.
    Always,
    /// So many seconds. 0 is what is refused: less than a second, and what is none of both.
    Seconds(u32),
}

impl Stay {
    /// Reads a header's value: `never`, a number of seconds, or a duration as Go writes it. A part of a second
    /// does not count.
    pub(crate) fn read(value: &str) -> Self {
        match value {
            "never" => Self::Always,
            value => Self::Seconds(seconds(value).unwrap_or(0)),
        }
    }
}

fn seconds(value: &str) -> Option<u32> {
    if let Ok(seconds) = value.parse() {
        return Some(seconds);
    }
    let (mut nanos, mut rest) = (0_u64, value);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let scale = match rest.get(..unit)? {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(number.checked_mul(scale)?)?;
        rest = rest.get(unit..)?;
    }
    u32::try_from(nanos / 1_000_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::Stay;

    #[test]
    fn a_time_to_live_is_in_whole_seconds() {
        for (text, seconds) in [
            ("5", 5),
            ("5s", 5),
            ("1m30s", 90),
            ("1500ms", 1),
            ("500ms", 0),
            ("-1", 0),
            ("5x", 0),
            ("s", 0),
            ("99999999999h", 0),
        ] {
            assert_eq!(Stay::read(text), Stay::Seconds(seconds), "{text}");
        }
        assert_eq!(Stay::read("never"), Stay::Always);
    }
}
