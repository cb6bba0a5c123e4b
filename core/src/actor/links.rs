//! Queues whose members know their neighbours: a member leaves from anywhere at once, and a queue
//! takes no memory of its own.

use alloc::vec::Vec;

/// Stands for no member.
const NONE: u32 = u32::MAX;

/// The neighbours of each member, by its index. A member is in at most one queue at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

const LOOSE: Link = Link {
    before: NONE,
    after: NONE,
};

/// One queue: its ends, and how many are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }
}

impl Links {
    /// Adds a member, which is in no queue, at the end.
    pub(super) fn push(&mut self, queue: &mut Queue, member: u32) {
        let place = member as usize;
        if self.links.len() <= place {
            self.links.resize(place + 1, LOOSE);
        }
        let last = queue.last;
        self.set(member, |link| {
            *link = Link {
                before: last,
                after: NONE,
            }
        });
        if last == NONE {
            queue.first = member;
        } else {
            self.set(last, |link| link.after = member);
        }
        queue.last = member;
        queue.len += 1;
    }

    /// Takes a member of this queue out of it.
    pub(super) fn remove(&mut self, queue: &mut Queue, member: u32) {
        let Link { before, after } = self.link(member);
        if before == NONE {
            queue.first = after;
        } else {
            self.set(before, |link| link.after = after);
        }
        if after == NONE {
            queue.last = before;
        } else {
            self.set(after, |link| link.before = before);
        }
        self.set(member, |link| *link = LOOSE);
        queue.len -= 1;
    }

    /// Takes the first member out.
    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<u32> {
        let first = queue.first()?;
        self.remove(queue, first);
        Some(first)
    }

    /// The member behind this one.
    pub(super) fn after(&self, member: u32) -> Option<u32> {
        let after = self.link(member).after;
        (after != NONE).then_some(after)
    }

    /// The members in order.
    pub(super) fn members(&self, queue: &Queue) -> impl Iterator<Item = u32> {
        core::iter::successors(queue.first(), |member| self.after(*member))
    }

    fn link(&self, member: u32) -> Link {
        self.links.get(member as usize).copied().unwrap_or(LOOSE)
    }

    fn set(&mut self, member: u32, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(member as usize) {
            change(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Links, Queue};
    use crate::step::{Dice, Purpose};
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    #[test]
    fn they_are_the_same_as_plain_queues() {
        let dice = Dice::new(5);
        let mut links = Links::default();
        let mut queues = [Queue::default(), Queue::default()];
        let mut plain: [VecDeque<u32>; 2] = Default::default();
        for n in 0..20_000_u64 {
            let roll = |what, below| dice.below(Purpose::World, 8 * n + what, below);
            let (which, member) = (roll(0, 2) as usize, roll(1, 40) as u32);
            let held = plain.iter().position(|queue| queue.contains(&member));
            match held {
                None => {
                    links.push(&mut queues[which], member);
                    plain[which].push_back(member);
                }
                Some(held) if roll(2, 2) == 0 => {
                    links.remove(&mut queues[held], member);
                    plain[held].retain(|other| *other != member);
                }
                Some(_) => assert_eq!(links.pop(&mut queues[which]), plain[which].pop_front()),
            }
            for (queue, plain) in queues.iter().zip(&plain) {
                assert_eq!(queue.len(), plain.len());
                assert_eq!(queue.is_empty(), plain.is_empty());
                let members: Vec<u32> = links.members(queue).collect();
                assert!(members.iter().eq(plain));
            }
        }
    }
}
