//! What an entity's next commit lists of the earlier ones (S12, L5).

use crate::format::Steps;
use crate::id::Sequence;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

/// Acknowledged commits since the snapshot, newest first, with the bytes that a commit has of them.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Chain {
    /// Shared with the commit that lists them, while it is on its way.
    sequences: Arc<Vec<Sequence>>,
    /// `None` until a commit with exactly these is written.
    steps: Option<Steps>,
}

impl Chain {
    pub(super) fn as_slice(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The first so many of them, as a commit lists them.
    pub(super) fn first(&self, listed_max: usize) -> Arc<Vec<Sequence>> {
        match self.sequences.get(..listed_max) {
            Some(first) if first.len() < self.sequences.len() => Arc::new(first.to_vec()),
            Some(_) | None => Arc::clone(&self.sequences),
        }
    }

    /// The chain after a commit that was read, with what that lists.
    pub(super) fn follow(&mut self, sequence: Sequence, listed: &[Sequence], chain_max: usize) {
        self.steps = None;
        let listed_max = chain_max.saturating_sub(1);
        let sequences = Arc::make_mut(&mut self.sequences);
        sequences.clear();
        sequences.push(sequence);
        sequences.extend(listed.iter().take(listed_max));
    }

    /// The chain after a commit that this node made, with what that listed.
    pub(super) fn extend(
        &mut self,
        sequence: Sequence,
        listed: Arc<Vec<Sequence>>,
        chain_max: usize,
    ) {
        if is_same(&self.sequences, &listed) {
            // Nobody else has it any more, so it is changed where it is.
            drop(listed);
        } else {
            // It named a snapshot, and listed what came after that.
            self.sequences = listed;
            self.steps = None;
        }
        let sequences = Arc::make_mut(&mut self.sequences);
        while sequences.len() >= chain_max
            && let Some(last) = sequences.pop()
        {
            if let (Some(steps), Some(before)) = (&mut self.steps, sequences.last()) {
                steps.pop_back(before.0 - last.0);
            }
        }
        match (&mut self.steps, sequences.first()) {
            (Some(steps), Some(first)) if *first < sequence => {
                steps.push_front(sequence.0 - first.0);
            }
            // Without steps they are made when they are wanted.
            (_, _) => self.steps = None,
        }
        sequences.insert(0, sequence);
    }

    /// What a list looks like in a commit, if it is this one.
    pub(super) fn steps_of(&mut self, listed: &Arc<Vec<Sequence>>) -> Option<&Steps> {
        if !is_same(&self.sequences, listed) {
            return None;
        }
        let steps = self.steps.get_or_insert_with(|| Steps::of(listed));
        Some(steps)
    }

    /// What it keeps, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let steps = self
            .steps
            .as_ref()
            .map_or(0, |steps| steps.as_bytes().len());
        mem::size_of_val(self.as_slice()) + steps
    }
}

/// Whether two lists are the same; they mostly share their memory.
fn is_same(a: &Arc<Vec<Sequence>>, b: &Arc<Vec<Sequence>>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

#[cfg(test)]
mod tests {
    use super::Chain;
    use crate::format::Steps;
    use crate::id::Sequence;
    use crate::step::{Dice, Purpose};
    use alloc::vec::Vec;

    #[test]
    fn what_is_kept_of_a_list_is_what_would_be_written() {
        let dice = Dice::new(5);
        for chain_max in [1, 2, 5, 64] {
            let (mut chain, mut at) = (Chain::default(), 0);
            for n in 0..400 {
                let listed = chain.first(chain_max);
                let steps = chain.steps_of(&listed).expect("this list").clone();
                assert_eq!(steps.as_bytes(), Steps::of(&listed).as_bytes());
                let kept = size_of_val(listed.as_slice()) + steps.as_bytes().len();
                assert_eq!(chain.bytes(), kept);
                // Steps of each length that one can have.
                at += 1 + (dice.roll(Purpose::World, n) >> (8 * (1 + n % 7)));
                let cut = if n % 50 == 49 {
                    listed.len() / 2
                } else {
                    listed.len()
                };
                let expected = [Sequence(at)]
                    .into_iter()
                    .chain(listed[..cut].iter().copied());
                let expected: Vec<_> = expected.take(chain_max).collect();
                drop(listed);
                let listed = chain.first(cut);
                chain.extend(Sequence(at), listed, chain_max);
                assert_eq!(chain.as_slice(), expected);
            }
            let other = [Sequence(1)].to_vec().into();
            assert!(chain.steps_of(&other).is_none(), "another list");
        }
    }
}
