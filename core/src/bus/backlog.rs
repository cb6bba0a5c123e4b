//! What waits for one subscriber: bounded, with a stated rule for what has no room, and with the places
//! where something is missing.

use alloc::collections::VecDeque;

/// What becomes of an event that finds no room with a subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest one that waits goes: who reads has the latest.
    #[default]
    DropOldest,
    /// It goes itself: who reads has all up to a gap.
    DropNewest,
    /// The subscription ends when what waits was read.
    Disconnect,
}

/// Something is missing between two events of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// How many events had no room.
    pub dropped: u64,
    /// The connection was gone for a while, or the way to it overflowed: nobody knows what was missed.
    pub unheard: bool,
}

/// What a subscriber finds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// An event.
    Event(T),
    /// Something is missing here.
    Gap(Gap),
}

/// Events that wait for one subscriber.
///
/// - E1: at most `room` events wait, and at most one gap beside each of them.
/// - E2: what is read is in the order in which it came, and each event is read, or counted in the gap
///   that stands where it would have been.
/// - E3: after an overflow under [`Overflow::Disconnect`] nothing is taken in any more.
#[derive(Clone, Debug)]
pub struct Backlog<T> {
    /// Each event with what is missing before it.
    waiting: VecDeque<(Gap, T)>,
    /// What is missing after the last one.
    after: Gap,
    room: usize,
    overflow: Overflow,
    dropped: u64,
    closed: bool,
}

impl Gap {
    /// Whether nothing is missing.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    fn and(self, later: Self) -> Self {
        Self {
            dropped: self.dropped.saturating_add(later.dropped),
            unheard: self.unheard || later.unheard,
        }
    }
}

impl<T> Backlog<T> {
    /// Room for so many events, at least one.
    pub fn new(room: usize, overflow: Overflow) -> Self {
        Self {
            waiting: VecDeque::new(),
            after: Gap::default(),
            room: room.max(1),
            overflow,
            dropped: 0,
            closed: false,
        }
    }

    /// Takes in an event, or what the rule says.
    pub fn push(&mut self, event: T) {
        if self.closed {
            return;
        }
        if self.waiting.len() < self.room {
            let before = core::mem::take(&mut self.after);
            return self.waiting.push_back((before, event));
        }
        self.dropped = self.dropped.saturating_add(1);
        let one = Gap {
            dropped: 1,
            unheard: false,
        };
        match self.overflow {
            Overflow::DropOldest => {
                let gone = self.waiting.pop_front();
                let gone = gone.map_or(Gap::default(), |(gap, _)| gap).and(one);
                let before = core::mem::take(&mut self.after);
                self.waiting.push_back((before, event));
                if let Some((gap, _)) = self.waiting.front_mut() {
                    *gap = gone.and(*gap);
                }
            }
            Overflow::DropNewest => self.after = self.after.and(one),
            Overflow::Disconnect => {
                self.after = self.after.and(one);
                self.closed = true;
            }
        }
    }

    /// Events may have been missed here.
    pub fn missed(&mut self) {
        if !self.closed {
            self.after.unheard = true;
        }
    }

    /// What is next; `None` while nothing waits.
    pub fn pop(&mut self) -> Option<Next<T>> {
        let gap = match self.waiting.front_mut() {
            Some((gap, _)) => gap,
            None => &mut self.after,
        };
        if !gap.is_none() {
            return Some(Next::Gap(core::mem::take(gap)));
        }
        self.waiting
            .pop_front()
            .map(|(_, event)| Next::Event(event))
    }

    /// Whether nothing comes any more and everything was read.
    pub fn is_over(&self) -> bool {
        self.closed && self.waiting.is_empty() && self.after.is_none()
    }

    /// Whether it was ended by an overflow.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many events had no room so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
