//! The story of a run, and the number that stands for it.

use super::Keep;
use crate::world::{Bar, Kept, Kind, Lane, Line, Sort};

/// Where the story goes.
#[derive(Debug, Default)]
pub(crate) enum Story {
    #[default]
    None,
    Kept(Box<Kept>),
    Printed,
}

impl From<Keep> for Story {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Nothing => Self::None,
            Keep::Story => Self::Kept(Default::default()),
            Keep::Printed => Self::Printed,
        }
    }
}

/// The story of a run, and the number that stands for it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) story: Story,
    hash: u64,
    events: u64,
    /// What happens now, and what led to it; 0: the beginning.
    event: u64,
    cause: u64,
    last: u64,
}

/// FNV-1a, 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl Trace {
    pub(crate) fn new(story: Story) -> Self {
        Self {
            story,
            hash: BASIS,
            events: 0,
            event: 0,
            cause: 0,
            last: 0,
        }
    }

    /// Something begins that another event led to; its number.
    pub(crate) fn begins(&mut self, cause: u64) -> u64 {
        self.last += 1;
        self.event = self.last;
        self.cause = cause;
        if let Story::Kept(story) = &mut self.story {
            story.causes.insert(self.event, cause);
        }
        self.event
    }

    /// Whoever tests goes on.
    pub(super) fn tests(&mut self) {
        if let Story::Kept(story) = &mut self.story {
            story.tested.insert(self.event);
        }
    }

    /// What happens now.
    pub(super) fn event(&self) -> u64 {
        self.event
    }

    /// A fault begins, and lasts until it [ends](Self::ends) or until then.
    pub(super) fn lasts(&mut self, lane: Lane, label: &str, from: u64, until: u64) {
        if let Story::Kept(story) = &mut self.story {
            let label = label.to_owned();
            story.bars.push(Bar {
                lane,
                sort: Sort::Fault,
                label,
                from,
                until,
            });
        }
    }

    /// Whether the story is kept.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.story, Story::Kept(_))
    }

    /// How many shards each of the two classes has.
    pub(super) fn has_shards(&mut self, per_class: u16) {
        if let Story::Kept(story) = &mut self.story {
            story.per_class = per_class.into();
        }
    }

    /// Something lasts until then.
    pub(super) fn bar(&mut self, lane: Lane, sort: Sort, label: String, from: u64, until: u64) {
        if let Story::Kept(story) = &mut self.story {
            story.bars.push(Bar {
                lane,
                sort,
                label,
                from,
                until,
            });
        }
    }

    /// It ends now, unless it has ended before.
    pub(super) fn bar_ends(&mut self, lane: Lane, sort: Sort, now: u64) {
        if let Story::Kept(story) = &mut self.story {
            let bars = story.bars.iter_mut();
            for bar in bars.filter(|bar| bar.lane == lane && bar.sort == sort) {
                bar.until = bar.until.min(now);
            }
        }
    }

    /// A lease lasts until then, be it the one that lasts or another.
    pub(super) fn lease(&mut self, lane: Lane, shard: usize, now: u64, until: u64) {
        let sort = Sort::Lease(shard);
        if let Story::Kept(story) = &mut self.story
            && let Some(bar) = story
                .bars
                .iter_mut()
                .rfind(|bar| bar.lane == lane && bar.sort == sort)
            && bar.until > now
        {
            bar.until = bar.until.max(until);
            return;
        }
        self.bar(lane, sort, format!("lease of s{shard}"), now, until);
    }

    /// How a state changed at the line that was told last.
    pub(super) fn changed(&mut self, changes: String) {
        if let Story::Kept(story) = &mut self.story
            && let Some(line) = story.lines.len().checked_sub(1)
        {
            story.changes.insert(line, changes);
        }
    }

    /// How many such faults there were.
    pub(super) fn lasted(&self) -> usize {
        match &self.story {
            Story::Kept(story) => story.bars.len(),
            Story::None | Story::Printed => 0,
        }
    }

    /// Only the first so many were faults.
    pub(super) fn forget(&mut self, after: usize) {
        if let Story::Kept(story) = &mut self.story {
            story.bars.truncate(after);
        }
    }

    /// A fault that lasts ends.
    pub(super) fn ends(&mut self, lane: Lane, label: &str, now: u64) {
        if let Story::Kept(story) = &mut self.story {
            let bars = story.bars.iter_mut();
            for bar in bars.filter(|bar| bar.lane == lane && bar.label == label) {
                bar.until = bar.until.min(now);
            }
        }
    }

    /// Takes in what happened by its numbers.
    pub(crate) fn note(&mut self, code: u64, numbers: &[u64]) {
        self.events += 1;
        self.word(code);
        for number in numbers {
            self.word(*number);
        }
    }

    /// Takes in bytes that went somewhere.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }

    /// Tells what happened, where somebody reads it.
    pub(crate) fn tell(&mut self, at: u64, lane: Lane, kind: Kind, text: impl FnOnce() -> String) {
        if let Story::None = self.story {
            return;
        }
        let line = Line {
            at,
            event: self.event,
            cause: self.cause,
            lane,
            kind,
            text: text(),
        };
        match &mut self.story {
            Story::None => {}
            Story::Kept(story) => story.lines.push(line),
            Story::Printed => println!("{line}"),
        }
    }

    /// The story, where it was kept.
    pub(crate) fn take_story(&mut self) -> Kept {
        match std::mem::take(&mut self.story) {
            Story::Kept(story) => *story,
            Story::None | Story::Printed => Kept::default(),
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    fn word(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(PRIME).rotate_left(23);
    }
}

#[cfg(test)]
mod tests {
    use super::{Story, Trace};

    #[test]
    fn what_happened_in_another_order_is_another_number() {
        let mut one = Trace::new(Story::None);
        let mut two = Trace::new(Story::None);
        one.note(1, &[2, 3]);
        two.note(1, &[3, 2]);
        assert_ne!(one.hash(), two.hash());
        let mut again = Trace::new(Story::None);
        again.note(1, &[2, 3]);
        assert_eq!(one.hash(), again.hash());
    }
}
