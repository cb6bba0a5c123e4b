//! What the subject for a message's acknowledgement says of the message.

/// What the subject for a message's acknowledgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) number: u64,
    pub(super) stored_ns: u64,
    pub(super) pending: u64,
}

impl Place {
    /// Reads `$JS.ACK.<stream>.<consumer>.<times delivered>.<sequence>.<number>.<stamp>.<pending>`, or
    /// the form with `<domain>.<account>` after `ACK`, which may have more tokens at its end (ADR-15).
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        // No more tokens are looked at than the longer form has.
        let tokens = rest.split('.').take(9).count();
        let before = match tokens {
            7 => 3,
            9 => 5,
            _ => return None,
        };
        let mut numbers = rest.split('.').skip(before).map(number);
        Some(Self {
            sequence: numbers.next()??,
            number: numbers.next()??,
            stored_ns: numbers.next()??,
            pending: numbers.next()??,
        })
    }
}

/// A number in decimal digits and nothing else.
fn number(token: &str) -> Option<u64> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    if digits { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn both_forms_are_read() {
        let place = Place {
            sequence: 4,
            number: 3,
            stored_ns: 1_795_348_724_263_397_667,
            pending: 11,
        };
        for reply in [
            "$JS.ACK.S.one.1.4.3.1795348724263397667.11",
            "$JS.ACK._.hash.S.one.1.4.3.1795348724263397667.11",
            "$JS.ACK.hub.hash.S.one.1.4.3.1795348724263397667.11.rnd",
            "$JS.ACK.hub.hash.S.one.1.4.3.1795348724263397667.11.more.of.them",
        ] {
            assert_eq!(Place::parse(reply), Some(place), "{reply}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for reply in [
            "",
            "$JS.ACK.",
            "_INBOX.x.1",
            "$JS.ACK.S.one.1.4.3.1795348724263397667",
            "$JS.ACK.S.one.1.4.3.1795348724263397667.11.x",
            "$JS.ACK.S.one.1.-4.3.1795348724263397667.11",
            "$JS.ACK.S.one.1.+4.3.1795348724263397667.11",
            "$JS.ACK.S.one.1.4.3.1795348724263397667.18446744073709551616",
            "$JS.ACK.S.one.1..3.1795348724263397667.11",
        ] {
            assert_eq!(Place::parse(reply), None, "{reply}");
        }
    }
}
