//! What an entity's next commit lists of the earlier ones (S12, L5).

use crate::format::Steps;
use crate::id::Sequence;
use alloc::vec::Vec;
use core::mem;

/// Acknowledged commits since the snapshot, newest first, with the bytes that a commit has of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    sequences: Vec<Sequence>,
    /// `None` until a commit with exactly these is written.
    steps: Option<Steps>,
}

impl Chain {
    pub(super) fn as_slice(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The chain after a commit that was read, with what that lists.
    pub(super) fn follow(&mut self, sequence: Sequence, listed: &[Sequence], chain_max: usize) {
        self.steps = None;
        self.sequences.clear();
        self.sequences.push(sequence);
        let listed_max = chain_max.saturating_sub(1);
        self.sequences.extend(listed.iter().take(listed_max));
    }

    /// The chain after a commit that this node made, with what that listed.
    pub(super) fn extend(&mut self, sequence: Sequence, listed: Vec<Sequence>, chain_max: usize) {
        if !is_same(&self.sequences, &listed) {
            // It named a snapshot, and listed what came after that.
            self.sequences = listed;
            self.steps = None;
        }
        while self.sequences.len() >= chain_max
            && let Some(last) = self.sequences.pop()
        {
            if let (Some(steps), Some(before)) = (&mut self.steps, self.sequences.last()) {
                steps.pop_back(before.0 - last.0);
            }
        }
        match (&mut self.steps, self.sequences.first()) {
            (Some(steps), Some(first)) if *first < sequence => {
                steps.push_front(sequence.0 - first.0);
            }
            // Without steps they are made when they are wanted.
            (_, _) => self.steps = None,
        }
        self.sequences.insert(0, sequence);
    }

    /// What a list looks like in a commit, if it is this one.
    pub(super) fn steps_of(&mut self, listed: &[Sequence]) -> Option<&Steps> {
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

/// Whether two lists are the same: looked at to the end without a branch, because they mostly are.
fn is_same(a: &[Sequence], b: &[Sequence]) -> bool {
    let differ = |differ: u64, (a, b): (&Sequence, &Sequence)| differ | (a.0 ^ b.0);
    a.len() == b.len() && a.iter().zip(b).fold(0, differ) == 0
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
                let listed = chain.as_slice().to_vec();
                let steps = chain.steps_of(&listed).expect("this list").clone();
                assert_eq!(steps.as_bytes(), Steps::of(&listed).as_bytes());
                // Steps of each length that one can have.
                at += 1 + (dice.roll(Purpose::World, n) >> (8 * (1 + n % 7)));
                let cut = if n % 50 == 49 {
                    listed.len() / 2
                } else {
                    listed.len()
                };
                chain.extend(Sequence(at), listed[..cut].to_vec(), chain_max);
                let expected = [Sequence(at)]
                    .into_iter()
                    .chain(listed[..cut].iter().copied());
                let expected: Vec<_> = expected.take(chain_max).collect();
                assert_eq!(chain.as_slice(), expected);
            }
            assert!(chain.steps_of(&[Sequence(1)]).is_none(), "another list");
        }
    }
}
