//! Ids in subjects: any UTF-8 becomes one token, and back, with exactly one form for each id.

use super::FormatError;
use crate::name::EntityId;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest escaped id: each byte as `%XX`.
pub const ESCAPED_BYTES_MAX: usize = 3 * EntityId::BYTES_MAX;

/// Appends an id as one subject token: `A-Z`, `a-z`, `0-9`, `-` and `_` as they are, every other
/// byte of its UTF-8 as `%XX` in upper case. So a token has none of NATS' own characters, and `~`
/// and the rest of ASCII stay free for the framework.
pub(super) fn escape_into(id: &EntityId, token: &mut String) {
    for byte in id.as_str().bytes() {
        if plain(byte) {
            token.push(char::from(byte));
        } else {
            token.push('%');
            token.push(digit(byte >> 4));
            token.push(digit(byte & 0xF));
        }
    }
}

/// The id that a subject token stands for; the exact inverse of escaping.
///
/// # Errors
///
/// When the token is not what escaping makes: a character that must be escaped, an escape of one
/// that must not be, lower case or missing digits, bytes that are no UTF-8, or a wrong length.
pub fn unescape_id(token: &str) -> Result<EntityId, FormatError> {
    let wrong = |problem| FormatError::Subject {
        subject: token.to_owned(),
        problem,
    };
    if token.len() > ESCAPED_BYTES_MAX {
        return Err(wrong("its id is too long"));
    }
    let mut id = Vec::with_capacity(token.len());
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let high = bytes.next().and_then(value);
                let low = bytes.next().and_then(value);
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(wrong("'%' is not followed by two digits of 0-9 and A-F"));
                };
                match high << 4 | low {
                    escaped if plain(escaped) => {
                        return Err(wrong("it escapes a character that stands for itself"));
                    }
                    escaped => escaped,
                }
            }
            byte if plain(byte) => byte,
            _ => return Err(wrong("its id has a character that must be escaped")),
        };
        id.push(byte);
    }
    let id = String::from_utf8(id).map_err(|_| wrong("its id is not UTF-8"))?;
    EntityId::new(&id).map_err(|_| wrong("its id is empty or longer than 1,024 bytes"))
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn digit(half: u8) -> char {
    char::from_digit(u32::from(half), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{ESCAPED_BYTES_MAX, escape_into, unescape_id};
    use crate::name::EntityId;
    use alloc::string::{String, ToString};

    fn escape(id: &str) -> String {
        let mut token = String::new();
        escape_into(&EntityId::new(id).unwrap(), &mut token);
        token
    }

    #[test]
    fn an_id_has_one_form() {
        for (id, token) in [
            ("alice", "alice"),
            ("Order-7_b", "Order-7_b"),
            ("user.1", "user%2E1"),
            ("a b*>", "a%20b%2A%3E"),
            (
                "~%$",
                "~%$".replace('~', "%7E").replace("%$", "%25%24").as_str(),
            ),
            ("\u{1f980}", "%F0%9F%A6%80"),
            ("\u{0}", "%00"),
        ] {
            assert_eq!(escape(id), token);
            assert_eq!(unescape_id(token).unwrap().as_str(), id);
        }
        assert_eq!(escape(&"\u{ff}".repeat(512)).len(), ESCAPED_BYTES_MAX);
    }

    #[test]
    fn other_forms_are_refused() {
        for token in [
            "", "a.b", "a b", "~", "%", "%4", "%2e", "%41", "%FF", "%G0", "\u{e9}",
        ] {
            assert!(unescape_id(token).is_err(), "{token:?} was taken");
        }
        let error = unescape_id("%41").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the subject \"%41\" is none of Tenure's: it escapes a character that stands for itself"
        );
        assert!(unescape_id(&"a".repeat(1_025)).is_err());
    }
}
