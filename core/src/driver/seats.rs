//! The seats of a lane, found by their keys' parts: each command looks its seat up several times.

use super::seat::{Seat, ShardKey};

/// Seats in tables of their own for each mode, class and kind of log, each by the shard's number.
#[derive(Default)]
pub(crate) struct Seats {
    tables: [Vec<Option<Box<Seat>>>; ShardKey::TABLES],
}

impl Seats {
    #[inline]
    pub(crate) fn get(&self, key: &ShardKey) -> Option<&Seat> {
        let (table, place) = key.place();
        self.tables[table].get(place)?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: &ShardKey) -> Option<&mut Seat> {
        let (table, place) = key.place();
        self.tables[table].get_mut(place)?.as_deref_mut()
    }

    /// Adds a seat, in the place of the one that was there.
    pub(crate) fn insert(&mut self, key: ShardKey, seat: Seat) {
        let (table, place) = key.place();
        let table = &mut self.tables[table];
        if table.len() <= place {
            table.resize_with(place + 1, || None);
        }
        table[place] = Some(Box::new(seat));
    }

    /// All seats by rising keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Seat> {
        self.tables.iter().flatten().filter_map(Option::as_deref)
    }

    /// All seats by rising keys.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        let all = self.tables.iter_mut().flatten();
        all.filter_map(Option::as_deref_mut)
    }

    /// The keys of all seats, rising.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ShardKey> {
        self.values().map(Seat::key)
    }
}
