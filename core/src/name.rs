//! Names that become parts of subjects and streams: checked once, where they come in.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// A namespace: one log, one layout, isolated from others by name.
///
/// 1 to 32 characters of `a-z`, `0-9`, `-` and `_`, the first a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespace(Arc<str>);

/// The stable name of a kind of entity.
///
/// 1 to 64 characters of `a-z`, `0-9`, `-` and `_`, the first a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindName(Arc<str>);

/// The name of a node, unique among those of its namespace that live.
///
/// 1 to 64 characters of `a-z`, `A-Z`, `0-9`, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeName(Arc<str>);

/// The identity of an entity among those of its kind: 1 to 1,024 bytes of any UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct EntityId(Arc<str>);

/// The name of a consumer, which belongs to one definition in its namespace.
///
/// 1 to 64 characters of `a-z`, `0-9`, `-` and `_`, the first a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ConsumerName(Arc<str>);

/// The name of a timer of an entity: 1 to 128 bytes of any UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct TimerName(Arc<str>);

/// A name that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters.
    #[error("the {what} is empty; give it at least one character")]
    Empty {
        /// What was to be named.
        what: &'static str,
    },
    /// It is too long.
    #[error("the {what} has {bytes} bytes; shorten it to {bytes_max}")]
    TooLong {
        /// What was to be named.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// It has a character that is not allowed there.
    #[error("the {what} {name:?} has {character:?}; use {allowed}")]
    Character {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// The first character that is not allowed.
        character: char,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// The framework keeps it for itself.
    #[error("the {what} {name:?} is reserved for the framework; choose another one")]
    Reserved {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
    },
}

const RESERVED: [&str; 4] = ["tenure", "ctl", "js", "sys"];

impl Namespace {
    /// The longest namespace, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// A checked namespace.
    ///
    /// # Errors
    ///
    /// When the name is empty, too long, reserved or has a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let first = (first, "a letter or digit (a-z, 0-9) in the first place");
        plain("namespace", name, Self::BYTES_MAX, first).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KindName {
    /// The longest kind name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A checked kind name.
    ///
    /// # Errors
    ///
    /// When the name is empty, too long, reserved or has a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_lowercase();
        let first = (first, "a letter (a-z) in the first place");
        plain("kind", name, Self::BYTES_MAX, first).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It is found by its text.
impl Borrow<str> for KindName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl NodeName {
    /// The longest node name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A checked node name.
    ///
    /// # Errors
    ///
    /// When the name is empty, too long or has a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        length("node name", name, Self::BYTES_MAX)?;
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match name.chars().find(|c| !plain(c)) {
            None => Ok(Self(name.into())),
            Some(character) => Err(NameError::Character {
                what: "node name",
                name: name.to_owned(),
                character,
                allowed: "a-z, A-Z, 0-9, - and _",
            }),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EntityId {
    /// The longest id, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 1_024;

    /// A checked id.
    ///
    /// # Errors
    ///
    /// When the id is empty or longer than 1,024 bytes.
    pub fn new(id: &str) -> Result<Self, NameError> {
        length("entity id", id, Self::BYTES_MAX)?;
        Ok(Self(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ConsumerName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A checked name.
    ///
    /// # Errors
    ///
    /// When the name is empty, too long, reserved or has a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_lowercase();
        let first = (first, "a letter (a-z) in the first place");
        plain("consumer", name, Self::BYTES_MAX, first).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TimerName {
    /// The longest name, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 128;

    /// A checked name.
    ///
    /// # Errors
    ///
    /// When the name is empty or longer than 128 bytes.
    pub fn new(name: &str) -> Result<Self, NameError> {
        length("timer name", name, Self::BYTES_MAX)?;
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn length(what: &'static str, name: &str, bytes_max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > bytes_max {
        return Err(NameError::TooLong {
            what,
            bytes: name.len(),
            bytes_max,
        });
    }
    Ok(())
}

fn plain(
    what: &'static str,
    name: &str,
    bytes_max: usize,
    (first, allowed_first): (impl Fn(char) -> bool, &'static str),
) -> Result<Arc<str>, NameError> {
    const ALLOWED: &str = "a-z, 0-9, '-' and '_'";
    length(what, name, bytes_max)?;
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let wrong = name
        .chars()
        .enumerate()
        .find(|(n, c)| if *n == 0 { !first(*c) } else { !rest(*c) });
    if let Some((place, character)) = wrong {
        let allowed = if place == 0 && rest(character) {
            allowed_first
        } else {
            ALLOWED
        };
        return Err(NameError::Character {
            what,
            name: name.to_owned(),
            character,
            allowed,
        });
    }
    if RESERVED.contains(&name) {
        return Err(NameError::Reserved {
            what,
            name: name.to_owned(),
        });
    }
    Ok(name.into())
}

macro_rules! text {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl core::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    )* };
}
text!(
    Namespace,
    KindName,
    NodeName,
    EntityId,
    ConsumerName,
    TimerName
);

#[cfg(test)]
mod tests {
    use super::{EntityId, KindName, NameError, Namespace};
    use alloc::string::ToString;

    #[test]
    fn plain_names_are_checked() {
        assert!(Namespace::new("orders-2_eu").is_ok());
        assert!(Namespace::new("2024").is_ok());
        assert!(KindName::new("account").is_ok());
        assert!(matches!(Namespace::new(""), Err(NameError::Empty { .. })));
        assert!(matches!(
            KindName::new("2nd"),
            Err(NameError::Character { character: '2', .. })
        ));
        assert!(matches!(
            Namespace::new("a.b"),
            Err(NameError::Character { character: '.', .. })
        ));
        assert!(matches!(
            Namespace::new("tenure"),
            Err(NameError::Reserved { .. })
        ));
        assert!(matches!(
            Namespace::new(&"a".repeat(33)),
            Err(NameError::TooLong { bytes: 33, .. })
        ));
        assert!(KindName::new(&"k".repeat(64)).is_ok());
    }

    #[test]
    fn an_id_is_any_text_of_up_to_a_kilobyte() {
        for id in ["user.1", "a b", "*", ">", "\u{1f980}", "tab\t", "\u{0}"] {
            assert_eq!(EntityId::new(id).unwrap().as_str(), id);
        }
        assert!(EntityId::new(&"\u{1f980}".repeat(256)).is_ok());
        let error = EntityId::new(&"x".repeat(1_025)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the entity id has 1025 bytes; shorten it to 1024"
        );
    }
}
