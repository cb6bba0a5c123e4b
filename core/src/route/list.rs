//! Lists of slots, in which a slot is added, removed and passed in constant time: the links stand
//! beside the slab whose slots they link.

use alloc::vec::Vec;

/// The links of one slab's slots: each is in at most one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// One list: its first and last slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    first: u32,
    last: u32,
}

const END: u32 = u32::MAX;

impl Default for List {
    fn default() -> Self {
        Self {
            first: END,
            last: END,
        }
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.first == END
    }

    pub(super) fn first(&self) -> Option<u32> {
        (self.first != END).then_some(self.first)
    }
}

impl Links {
    /// Adds a slot that is in no list at the end of one.
    pub(super) fn push(&mut self, list: &mut List, slot: u32) {
        let free = Link {
            before: END,
            after: END,
        };
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, free);
        }
        self.links[at] = Link {
            before: list.last,
            after: END,
        };
        match list.last {
            END => list.first = slot,
            last => self.links[last as usize].after = slot,
        }
        list.last = slot;
    }

    /// Removes a slot that is in the list.
    pub(super) fn remove(&mut self, list: &mut List, slot: u32) {
        let Link { before, after } = self.links[slot as usize];
        match before {
            END => list.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            END => list.last = before,
            after => self.links[after as usize].before = before,
        }
    }

    /// The slots of a list, the one that was added first first.
    pub(super) fn iter(&self, list: &List) -> impl Iterator<Item = u32> {
        let after = |slot: u32| self.links[slot as usize].after;
        let mut next = list.first;
        core::iter::from_fn(move || {
            let slot = (next != END).then_some(next)?;
            next = after(slot);
            Some(slot)
        })
    }
}
