//! Consumers: how much of a stream is read in order, from a point on and then as it grows.
//!
//! A consumer is a cursor at the store that belongs to nobody else, is kept in memory and is not
//! acknowledged: a fetch moves it on for good, so what is lost on its way is not sent again. Who reads
//! finds that by a gap in [`Delivered::number`] and opens another consumer after the last message that
//! it has. Consumers are of no weight for the protocol: a store may lose each of them at any time.

use super::{Message, StreamName, Subject};
use crate::id::{Sequence, WallTime};
use crate::step::Span;
use alloc::string::String;
use alloc::vec::Vec;

pub use super::name::ConsumerName;

/// How many messages a fetch may ask for.
pub const FETCH_MESSAGES_MAX: u32 = 16_384;

/// A consumer that is to be opened: ephemeral, in memory, without acknowledgements, on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ConsumerSettings {
    /// The stream that it reads.
    pub stream: StreamName,
    /// Its name, fresh for each attempt: of two attempts under one name nobody knows which moved it.
    pub name: ConsumerName,
    /// 1 to 1,000 subject filters of which no two overlap; wildcards are allowed. One that no subject
    /// of the stream matches finds nothing.
    pub filters: Vec<Subject>,
    /// Where it begins.
    pub from: Start,
    /// When it was not fetched from for so long, at least a millisecond, the store may remove it. A
    /// fetch that waits counts until it is answered.
    pub idle: Span,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Start {
    /// With the first message at this sequence or after it, and so with nothing that is below it even
    /// where it is beyond the stream's end. [`Sequence::NONE`] is the stream's beginning.
    Sequence(Sequence),
    /// With the first message that was stored then or later, on the server's wall clock.
    Time(WallTime),
    /// With the next message that is stored.
    New,
}

/// Where a consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ConsumerInfo {
    /// What comes first comes after this sequence. Nothing of the filters lies between here and where
    /// the consumer was asked to begin.
    pub after: Sequence,
    /// How many messages of the filters follow it.
    pub pending: u64,
}

/// What a fetch brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Fetched {
    /// In the stream's order; none when nothing came while the fetch waited.
    pub messages: Vec<Delivered>,
    /// How many messages of the filters followed the last of these when it was sent; where there is none,
    /// 0 as long as the store says that it has no more, and else 1, which is no count. A hint: a store may not have heard of
    /// the latest, and NATS miscounts at times.
    pub pending: u64,
}

/// A message that a consumer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Delivered {
    /// The message.
    pub message: Message,
    /// The how manieth of its consumer it is, from 1 without a gap. One that does not follow the one
    /// before says that some were lost on the way, or that the store began its consumer anew.
    pub number: u64,
}

/// Whether a text can be a consumer's name: one token of a subject, at most 255 bytes.
pub fn is_consumer_name(name: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "./\\*>".contains(c);
    !name.is_empty() && name.len() <= 255 && !name.contains(wrong)
}

/// Why the form of a request about a consumer is wrong, in words; `None` when it is right. Every shell
/// refuses it so, before anything is sent.
pub fn wrong_settings(settings: &ConsumerSettings) -> Option<String> {
    wrong_name(&settings.name).or_else(|| {
        let filters = &settings.filters;
        if filters.is_empty() || filters.len() > FILTERS_MAX {
            let count = filters.len();
            return Some(alloc::format!(
                "{count} filters: a consumer has 1 to {FILTERS_MAX}"
            ));
        }
        if let Some(wrong) = filters.iter().find(|filter| !is_filter(filter)) {
            return Some(alloc::format!("{wrong:?} is not a subject filter"));
        }
        (settings.idle < IDLE_MIN)
            .then(|| String::from("a consumer is idle for a millisecond at least"))
    })
}

/// The same of a consumer's name.
pub fn wrong_name(name: &str) -> Option<String> {
    (!is_consumer_name(name)).then(|| alloc::format!("{name:?} is not the name of a consumer"))
}

/// The same of how much a fetch asks for.
pub fn wrong_fetch(messages_max: u32) -> Option<String> {
    (!(1..=FETCH_MESSAGES_MAX).contains(&messages_max)).then(|| {
        alloc::format!("{messages_max} messages: 1 to {FETCH_MESSAGES_MAX} can be fetched at once")
    })
}

const FILTERS_MAX: usize = 1_000;
const IDLE_MIN: Span = Span::from_millis(1);

/// No empty token, no space, `>` only at the end.
fn is_filter(filter: &str) -> bool {
    let mut tokens = filter.split('.').peekable();
    while let Some(token) = tokens.next() {
        let odd = |byte: u8| byte <= b' ' || byte == 0x7f;
        if token.is_empty() || token.bytes().any(odd) || (token == ">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{ConsumerSettings, Start, wrong_fetch, wrong_name, wrong_settings};
    use crate::port::FETCH_MESSAGES_MAX;
    use crate::step::Span;
    use alloc::string::String;
    use alloc::vec;

    fn settings(filters: &[&str], idle: Span) -> ConsumerSettings {
        ConsumerSettings {
            stream: "S".into(),
            name: "c1".into(),
            filters: filters.iter().map(|filter| (*filter).into()).collect(),
            from: Start::New,
            idle,
        }
    }

    #[test]
    fn a_wrong_form_is_told_in_words() {
        let idle = Span::from_secs(1);
        assert_eq!(wrong_settings(&settings(&["a.*", "b.>"], idle)), None);
        for filters in [&[][..], &["a..b"], &["a.>.b"], &["a b"], &["", "a"]] {
            assert!(
                wrong_settings(&settings(filters, idle)).is_some(),
                "{filters:?}"
            );
        }
        let brief = Span::from_micros(999);
        assert!(wrong_settings(&settings(&["a"], brief)).is_some());
        for name in ["", "a.b", "a b", "*", ">", "a/b", "a\\b", "a\u{7f}"] {
            assert!(wrong_name(name).is_some(), "{name:?}");
        }
        let long = String::from_utf8(vec![b'x'; 256]).unwrap();
        assert!(wrong_name(&long).is_some() && wrong_name(&long[1..]).is_none());
        assert!(wrong_fetch(0).is_some() && wrong_fetch(FETCH_MESSAGES_MAX + 1).is_some());
        assert!(wrong_fetch(1).is_none() && wrong_fetch(FETCH_MESSAGES_MAX).is_none());
    }
}
