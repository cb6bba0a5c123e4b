//! What is published on, and what is subscribed to: subjects of NATS' tokens, and patterns of them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// Where something is published: tokens with dots between them, `orders.eu.paid`.
///
/// ```
/// use tenure_core::bus::{Pattern, Topic};
///
/// let paid = Topic::new("orders.eu.paid").unwrap();
/// assert!(Pattern::new("orders.*.paid").unwrap().matches(&paid));
/// assert!(Pattern::new("orders.>").unwrap().matches(&paid));
/// assert!(!Pattern::new("orders.*").unwrap().matches(&paid));
/// assert!(Topic::new("orders.*").is_err() && Topic::new("orders..paid").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Topic(Arc<str>);

/// Which topics are meant: tokens as in a [`Topic`], of which `*` stands for any one, and `>` in the last
/// place for one or more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Pattern(Arc<str>);

/// A text is no topic, or no pattern of topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TopicError {
    /// It is empty, or has two dots beside each other or one at an end.
    #[error(
        "{text:?} has an empty token: write tokens with one dot between them, such as orders.eu.paid"
    )]
    EmptyToken {
        /// The text.
        text: String,
    },
    /// It is too long.
    #[error("a topic of {bytes} bytes is too long: shorten it to {bytes_max}")]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// How many it may have.
        bytes_max: usize,
    },
    /// It has a character that no token may have.
    #[error(
        "{text:?} has the character {character:?}: a token has letters, digits and signs of ASCII, but no space"
    )]
    Character {
        /// The text.
        text: String,
        /// The character.
        character: char,
    },
    /// Something is published on one topic, and this is a pattern of several.
    #[error("{text:?} is a pattern: publish on one topic, without * and >")]
    Wildcard {
        /// The text.
        text: String,
    },
    /// A wildcard is a whole token, and `>` is the last one.
    #[error(
        "{text:?} has a wildcard in a wrong place: * and > are tokens of their own, and > is the last one"
    )]
    MisplacedWildcard {
        /// The text.
        text: String,
    },
}

impl Topic {
    /// The longest topic, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// A checked topic.
    ///
    /// # Errors
    ///
    /// When the text is none.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        tokens(text)?;
        match text.contains(['*', '>']) {
            true => Err(TopicError::Wildcard {
                text: text.to_owned(),
            }),
            false => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// A checked pattern.
    ///
    /// # Errors
    ///
    /// When the text is none.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        tokens(text)?;
        let last = text.split('.').count() - 1;
        let misplaced = |(place, token): (usize, &str)| match token {
            "*" => false,
            ">" => place != last,
            token => token.contains(['*', '>']),
        };
        match text.split('.').enumerate().any(misplaced) {
            true => Err(TopicError::MisplacedWildcard {
                text: text.to_owned(),
            }),
            false => Ok(Self(text.into())),
        }
    }

    /// Whether a topic is meant.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut tokens = topic.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                (_, Some(_) | None) => return false,
            }
        }
        tokens.next().is_none()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What topics and patterns have in common.
fn tokens(text: &str) -> Result<(), TopicError> {
    if text.len() > Topic::BYTES_MAX {
        return Err(TopicError::TooLong {
            bytes: text.len(),
            bytes_max: Topic::BYTES_MAX,
        });
    }
    if text.split('.').any(str::is_empty) {
        let text = text.to_owned();
        return Err(TopicError::EmptyToken { text });
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        None => Ok(()),
        Some(character) => Err(TopicError::Character {
            text: text.to_owned(),
            character,
        }),
    }
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
        impl TryFrom<&str> for $name {
            type Error = TopicError;
            fn try_from(text: &str) -> Result<Self, TopicError> {
                Self::new(text)
            }
        }
    )* };
}
text!(Topic, Pattern);

#[cfg(test)]
mod tests {
    use super::{Pattern, Topic, TopicError};

    #[test]
    fn what_is_no_topic_says_why() {
        for empty in ["", ".", "a.", ".a", "a..b"] {
            let error = Topic::new(empty).unwrap_err();
            assert!(matches!(error, TopicError::EmptyToken { .. }), "{empty:?}");
        }
        for (text, wrong) in [("a b", ' '), ("a.b\n", '\n'), ("preis.€", '€')] {
            let Err(TopicError::Character { character, .. }) = Topic::new(text) else {
                panic!("{text:?} was taken");
            };
            assert_eq!(character, wrong);
        }
        let error = Topic::new(&"t".repeat(513)).unwrap_err();
        assert!(matches!(error, TopicError::TooLong { bytes: 513, .. }));
        for wild in ["a.*", ">", "a*"] {
            let error = Topic::new(wild).unwrap_err();
            assert!(matches!(error, TopicError::Wildcard { .. }), "{wild:?}");
        }
        for wild in ["a*", "a.>.b", "*a.b", ">."] {
            assert!(Pattern::new(wild).is_err(), "{wild:?}");
        }
    }

    #[test]
    fn a_pattern_means_what_nats_means_by_it() {
        let matches = |pattern, topic| {
            let topic = Topic::new(topic).unwrap();
            Pattern::new(pattern).unwrap().matches(&topic)
        };
        assert!(matches("a.b", "a.b"));
        assert!(!matches("a.b", "a.b.c") && !matches("a.b.c", "a.b"));
        assert!(matches("*.b", "a.b") && !matches("*", "a.b"));
        assert!(matches(">", "a") && matches(">", "a.b.c"));
        assert!(matches("a.>", "a.b.c") && !matches("a.>", "a"));
        assert!(!matches("a.>", "b.c"));
    }
}
