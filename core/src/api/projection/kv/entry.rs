//! A value as it is stored in the bucket: JSON that says itself which events are in it.

use crate::format::EventPlace;
use crate::id::{Partition, Sequence};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the format that this program writes and reads.
const FORMAT_VERSION: u64 = 1;

/// One value with its mark. For readers of a key that is gone there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The user's; null: the key is gone.
    pub(super) value: Value,
    /// The version of the format.
    v: u64,
    /// The life of the projection that it is of.
    pub(super) life: u64,
    /// The last event of each stream that is in it: stream, sequence, place in the commit.
    at: Vec<(u16, u64, u32)>,
    /// Fields of a newer writer.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Entry {
    /// What a key has before the first event of a life.
    pub(super) fn none(life: u64) -> Self {
        Self {
            value: Value::Null,
            v: FORMAT_VERSION,
            life,
            at: Vec::new(),
            unknown: Map::new(),
        }
    }

    /// Reads one; `None`: somebody else wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let entry: Self = serde_json::from_slice(bytes).ok()?;
        (entry.v == FORMAT_VERSION).then_some(entry)
    }

    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).map_or_else(|_| Bytes::new(), Bytes::from)
    }

    /// The same events, and what was made of them.
    pub(super) fn with(self, value: Value) -> Self {
        Self { value, ..self }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.value.is_null()
    }

    /// Whether an event is in it.
    pub(super) fn has(&self, place: EventPlace) -> bool {
        let last = self.at.iter().find(|it| Partition(it.0) == place.partition);
        last.is_some_and(|it| (Sequence(it.1), it.2) >= (place.sequence, place.index))
    }

    /// An event is in it, the last of its stream.
    pub(super) fn take_in(&mut self, place: EventPlace) {
        self.at.retain(|it| Partition(it.0) != place.partition);
        let EventPlace {
            partition,
            sequence,
            index,
        } = place;
        self.at.push((partition.0, sequence.0, index));
        self.at.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::Entry;
    use crate::format::EventPlace;
    use crate::id::{Partition, Sequence};

    fn place(partition: u16, sequence: u64, index: u32) -> EventPlace {
        EventPlace {
            partition: Partition(partition),
            sequence: Sequence(sequence),
            index,
        }
    }

    /// The golden bytes: other programs read them.
    #[test]
    fn it_is_written_as_it_always_was() {
        let mut entry = Entry::none(2);
        entry.value = serde_json::json!({ "cents": 5 });
        entry.take_in(place(3, 9, 0));
        entry.take_in(place(0, 17, 1));
        let text = r#"{"value":{"cents":5},"v":1,"life":2,"at":[[0,17,1],[3,9,0]]}"#;
        assert_eq!(entry.encode(), text);
        assert_eq!(Entry::decode(text.as_bytes()), Some(entry));
    }

    #[test]
    fn what_a_newer_writer_adds_is_kept() {
        let text = r#"{"value":null,"v":1,"life":1,"at":[],"more":[1]}"#;
        let entry = Entry::decode(text.as_bytes()).unwrap();
        assert!(entry.is_gone());
        assert_eq!(entry.encode(), text);
    }

    #[test]
    fn what_somebody_else_wrote_is_none() {
        for text in [
            "",
            "hello",
            "5",
            r#"{"cents":5}"#,
            r#"{"value":5,"v":2,"life":1,"at":[]}"#,
        ] {
            assert_eq!(Entry::decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn it_has_what_came_up_to_its_last_event_of_each_stream() {
        let mut entry = Entry::none(1);
        entry.take_in(place(0, 17, 1));
        assert!(entry.has(place(0, 17, 0)) && entry.has(place(0, 17, 1)));
        assert!(entry.has(place(0, 16, 9)) && !entry.has(place(0, 17, 2)));
        assert!(!entry.has(place(1, 1, 0)));
    }
}
