//! What is kept by ticket: a constant-time map for what comes and goes with each request.

use crate::id::Ticket;
use crate::rising::Rising;
use alloc::vec::Vec;
use slab::Slab;

/// With more room than this for nothing, the room is given back.
const ROOM_KEPT: usize = 4_096;

/// A map by ticket. What iterates over it passes the entries in the order of their places, which is
/// the same for the same calls; [`take_all`](Self::take_all) in the order of the tickets.
#[derive(Clone, Debug)]
pub(crate) struct Tickets<V> {
    index: Rising,
    entries: Slab<(Ticket, V)>,
}

impl<V> Default for Tickets<V> {
    fn default() -> Self {
        Self {
            index: Rising::default(),
            entries: Slab::new(),
        }
    }
}

impl<V> Tickets<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.index.find(ticket.0).is_some()
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&V> {
        let place = self.index.find(ticket.0)?;
        self.entries.get(place as usize).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut V> {
        let place = self.index.find(ticket.0)?;
        self.entries.get_mut(place as usize).map(|(_, value)| value)
    }

    /// Adds an entry; what was under its ticket before.
    pub(crate) fn insert(&mut self, ticket: Ticket, value: V) -> Option<V> {
        let place = self.entries.vacant_key();
        let at = u32::try_from(place).expect("fewer entries than 2^32");
        // Nearly every ticket is a new one: it is looked for once.
        if self.index.insert(ticket.0, at) {
            self.entries.insert((ticket, value));
            return None;
        }
        let before = self.get_mut(ticket)?;
        Some(core::mem::replace(before, value))
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<V> {
        let place = self.index.remove(ticket.0)?;
        let (_, value) = self.entries.remove(place as usize);
        if self.entries.is_empty() && self.entries.capacity() > ROOM_KEPT {
            *self = Self::default();
        }
        Some(value)
    }

    /// All entries, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ticket, &V)> {
        let entries = self.entries.iter();
        entries.map(|(_, (ticket, value))| (*ticket, value))
    }

    /// Takes all entries out, in the order of their tickets.
    pub(crate) fn take_all(&mut self) -> Vec<(Ticket, V)> {
        let entries = core::mem::take(self).entries.into_iter();
        let mut all: Vec<_> = entries.map(|(_, entry)| entry).collect();
        all.sort_unstable_by_key(|(ticket, _)| *ticket);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOM_KEPT, Tickets};
    use crate::id::Ticket;
    use crate::step::{Dice, Purpose};
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        let dice = Dice::new(13);
        let (mut tickets, mut map) = (Tickets::default(), BTreeMap::new());
        for n in 0..20_000_u64 {
            let roll = |what| dice.below(Purpose::World, 4 * n + what, 64);
            let ticket = Ticket(roll(0));
            if ((n / 500) % 2 == 0) == (roll(1) < 48) {
                assert_eq!(tickets.insert(ticket, n), map.insert(ticket, n));
            } else {
                assert_eq!(tickets.remove(ticket), map.remove(&ticket));
            }
            assert_eq!(tickets.get(ticket), map.get(&ticket));
            assert_eq!(tickets.get_mut(ticket), map.get_mut(&ticket));
            assert_eq!(tickets.contains(ticket), map.contains_key(&ticket));
            let sizes = (tickets.len(), tickets.is_empty());
            assert_eq!(sizes, (map.len(), map.is_empty()));
            let mut all: Vec<_> = tickets.iter().map(|(ticket, n)| (ticket, *n)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(map.iter().map(|(t, n)| (*t, *n))));
        }
        let left: Vec<_> = map.into_iter().collect();
        assert_eq!(tickets.take_all(), left);
        assert!(tickets.is_empty());
    }

    #[test]
    fn room_for_many_is_given_back() {
        let mut tickets = Tickets::default();
        for n in 0..=ROOM_KEPT as u64 {
            tickets.insert(Ticket(n), ());
        }
        for n in 0..=ROOM_KEPT as u64 {
            assert_eq!(tickets.remove(Ticket(n)), Some(()));
        }
        assert_eq!(tickets.entries.capacity(), 0);
    }
}
