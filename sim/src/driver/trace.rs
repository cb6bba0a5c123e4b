//! The story of a run, and the number that stands for it.

use crate::world::{Kind, Lane, Line};

/// Where the story goes.
#[derive(Debug, Default)]
pub(crate) enum Story {
    #[default]
    None,
    Kept(Vec<Line>),
    Printed,
}

/// The story of a run, and the number that stands for it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) story: Story,
    hash: u64,
    events: u64,
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
            event: self.events,
            cause: 0,
            lane,
            kind,
            text: text(),
        };
        match &mut self.story {
            Story::None => {}
            Story::Kept(lines) => lines.push(line),
            Story::Printed => println!("{line}"),
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
