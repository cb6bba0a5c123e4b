//! The messages of a stream by their sequences, which are given one by one: they stand in rows, and a
//! row goes with its last message.

use super::stream::Stored;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How many sequences a row is for.
const ROW_LEN: u64 = 128;

/// The messages that a stream holds, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    rows: BTreeMap<u64, Row>,
    len: usize,
}

/// Messages whose sequences stand next to each other, each at its place.
#[derive(Clone, Debug)]
struct Row {
    places: Vec<Option<Stored>>,
    len: usize,
}

fn place(sequence: u64) -> (u64, usize) {
    // Less than the length of a row, so it fits.
    (sequence / ROW_LEN, (sequence % ROW_LEN) as usize)
}

impl Row {
    /// An empty row whose first message is at a place. One that is begun at its start will be filled.
    fn at(place: usize) -> Self {
        let room = if place == 0 { ROW_LEN as usize } else { 0 };
        Self {
            places: Vec::with_capacity(room),
            len: 0,
        }
    }
}

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Stored> {
        let (row, place) = place(sequence);
        self.rows.get(&row)?.places.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut Stored> {
        let (row, place) = place(sequence);
        self.rows.get_mut(&row)?.places.get_mut(place)?.as_mut()
    }

    pub(super) fn insert(&mut self, sequence: u64, stored: Stored) {
        let (number, place) = place(sequence);
        // Mostly the last one, which is found without a look at the others.
        let row = match self.rows.last_entry() {
            Some(last) if *last.key() == number => last.into_mut(),
            Some(_) | None => {
                let row = self.rows.entry(number);
                row.or_insert_with(|| Row::at(place))
            }
        };
        if row.places.len() <= place {
            row.places.resize_with(place, || None);
            row.places.push(Some(stored));
        } else {
            let before = row.places[place].replace(stored);
            assert!(before.is_none(), "a sequence is of one message");
        }
        row.len += 1;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Stored> {
        let (number, place) = place(sequence);
        let row = self.rows.get_mut(&number)?;
        let stored = row.places.get_mut(place)?.take()?;
        row.len -= 1;
        self.len -= 1;
        if row.len == 0 {
            self.rows.remove(&number);
        }
        Some(stored)
    }

    /// All messages in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Stored> {
        let places = self.rows.values().flat_map(|row| &row.places);
        places.filter_map(Option::as_ref)
    }

    /// The sequences from one on, in order.
    pub(super) fn sequences_from(&self, from: u64) -> impl Iterator<Item = u64> {
        let (first, skipped) = place(from);
        let rows = self.rows.range(first..);
        rows.flat_map(move |(number, row)| {
            let skipped = if *number == first { skipped } else { 0 };
            let places = row.places.iter().skip(skipped).flatten();
            places.map(|stored| stored.message.sequence.0)
        })
    }

    /// Takes out the messages from a sequence on.
    pub(super) fn split_off(&mut self, from: u64) -> Vec<(u64, Stored)> {
        let sequences: Vec<u64> = self.sequences_from(from).collect();
        let removed = sequences.into_iter();
        removed
            .filter_map(|sequence| Some((sequence, self.remove(sequence)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Messages, ROW_LEN};
    use crate::store::stream::Stored;
    use alloc::vec::Vec;
    use bytes::Bytes;
    use tenure_core::id::{Sequence, WallTime};
    use tenure_core::port::Message;

    fn stored(sequence: u64) -> Stored {
        Stored {
            message: Message {
                subject: "a".into(),
                sequence: Sequence(sequence),
                stored: WallTime(0),
                expired_marker: false,
                payload: Bytes::new(),
            },
            bytes: 1,
            expires: None,
            says_gone: false,
            #[cfg(feature = "nats")]
            headers: None,
        }
    }

    #[test]
    fn messages_come_in_order_and_rows_go_with_their_last_one() {
        let mut messages = Messages::default();
        let last = 3 * ROW_LEN + 5;
        for sequence in 1..=last {
            messages.insert(sequence, stored(sequence));
        }
        for sequence in ROW_LEN..2 * ROW_LEN {
            assert!(messages.remove(sequence).is_some());
            assert!(messages.remove(sequence).is_none());
        }
        assert_eq!(messages.rows.len(), 3);
        assert_eq!(messages.len() as u64, last - ROW_LEN);
        let from = ROW_LEN - 2;
        let found: Vec<u64> = messages.sequences_from(from).take(3).collect();
        assert_eq!(found, [from, from + 1, 2 * ROW_LEN]);
        assert!(messages.iter().map(|s| s.message.sequence.0).is_sorted());
        let newest = messages.iter().next_back().map(|s| s.message.sequence.0);
        assert_eq!(newest, Some(last));
        let lost = messages.split_off(3 * ROW_LEN);
        assert_eq!(lost.len(), 6);
        messages.insert(ROW_LEN + 7, stored(ROW_LEN + 7));
        assert!(messages.get(ROW_LEN + 7).is_some() && messages.get(ROW_LEN + 6).is_none());
        assert!(messages.get(3 * ROW_LEN).is_none());
    }
}
