//! Keys of the bucket: any text, as NATS KV can name it.

use crate::name::EntityId;

/// The longest text of a key, in bytes.
const BYTES_MAX: usize = EntityId::BYTES_MAX;

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It has no characters.
    #[error("the key is empty; give it at least one character")]
    Empty,
    /// It is too long.
    #[error("the key has {bytes} bytes; shorten it to {bytes_max}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
}

/// A text as a key of NATS KV: `A-Z`, `a-z`, `0-9`, `-`, `_` and `/` stand for themselves, as does a `.` that is
/// neither first nor last nor beside another one, and every other byte of its UTF-8 is `=XX`. So no two texts
/// have the same key.
///
/// ```
/// use tenure_core::api::projection::kv_key;
///
/// assert_eq!(kv_key("eu.alice")?, "eu.alice");
/// assert_eq!(kv_key("alice@example.org")?, "alice=40example.org");
/// # Ok::<(), tenure_core::api::projection::KeyError>(())
/// ```
///
/// # Errors
///
/// When it is empty, or longer than 1,024 bytes.
pub fn kv_key(text: &str) -> Result<String, KeyError> {
    let bytes = text.len();
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if bytes > BYTES_MAX {
        let bytes_max = BYTES_MAX;
        return Err(KeyError::TooLong { bytes, bytes_max });
    }
    let mut key = String::with_capacity(bytes);
    let mut rest = text.bytes().peekable();
    let mut before = b'.';
    while let Some(byte) = rest.next() {
        let after = rest.peek().copied().unwrap_or(b'.');
        let divides = byte == b'.' && before != b'.' && after != b'.';
        before = byte;
        match plain(byte) || divides {
            true => key.push(char::from(byte)),
            false => key.push_str(&format!("={byte:02X}")),
        }
    }
    Ok(key)
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/')
}

#[cfg(test)]
mod tests {
    use super::{KeyError, kv_key};

    #[test]
    fn a_key_has_nothing_that_nats_refuses() {
        for (text, key) in [
            ("alice", "alice"),
            ("a.b", "a.b"),
            (".a", "=2Ea"),
            ("a.", "a=2E"),
            ("a..b", "a=2E=2Eb"),
            ("a b*>", "a=20b=2A=3E"),
            ("=41", "=3D41"),
            ("ü", "=C3=BC"),
        ] {
            assert_eq!(kv_key(text).as_deref(), Ok(key), "{text}");
        }
        assert_eq!(kv_key(""), Err(KeyError::Empty));
        let long = kv_key(&"x".repeat(1_025));
        assert_eq!(
            long.unwrap_err().to_string(),
            "the key has 1025 bytes; shorten it to 1024"
        );
    }
}
