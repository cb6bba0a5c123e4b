//! Which operations of one asking lane came already: what comes twice is not begun twice.

use crate::id::OpId;
use alloc::boxed::Box;

/// How many operations back it remembers.
const SPAN: u64 = 16_384;

/// The operations of one asking lane that came, of its last `SPAN`. What is older counts as come: it
/// could be a copy.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The highest that came, plus one.
    end: u64,
    /// A bit for each of the last ones, at its number modulo the span.
    bits: Box<[u64; (SPAN / 64) as usize]>,
}

/// The slot in an operation's lower bits, which is no part of its number.
pub(super) const SLOT_BITS: u32 = 20;

impl Window {
    pub(super) fn new() -> Self {
        Self {
            end: 0,
            bits: Box::new([0; (SPAN / 64) as usize]),
        }
    }

    /// Notes an operation; whether it is the first time.
    pub(super) fn first(&mut self, op: OpId) -> bool {
        let number = op.0 >> SLOT_BITS;
        if number.saturating_add(SPAN) < self.end {
            return false;
        }
        if number >= self.end {
            self.forget(number);
            self.end = number + 1;
        }
        let (word, bit) = place(number);
        let fresh = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        fresh
    }

    /// Makes room for the numbers from the end up to one.
    fn forget(&mut self, number: u64) {
        if number - self.end >= SPAN {
            self.bits.fill(0);
            return;
        }
        for n in self.end..=number {
            let (word, bit) = place(n);
            self.bits[word] &= !bit;
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % SPAN;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::{SLOT_BITS, SPAN, Window};
    use crate::id::OpId;
    use crate::step::{Dice, Purpose};
    use alloc::collections::BTreeSet;

    #[test]
    fn each_operation_is_new_once() {
        let dice = Dice::new(3);
        let (mut window, mut came) = (Window::new(), BTreeSet::new());
        let mut at = 0;
        for n in 0..50_000_u64 {
            let roll = |what, bound| dice.below(Purpose::World, 3 * n + what, bound);
            at += [0, 1, 3, 40, SPAN * 2][roll(0, 4) as usize + usize::from(roll(2, 5_000) == 0)];
            let number = at.saturating_sub(roll(1, 400));
            let op = OpId(number << SLOT_BITS | roll(2, 1 << SLOT_BITS));
            assert_eq!(window.first(op), came.insert(number), "{number}");
        }
        assert!(
            !window.first(OpId(0)),
            "what is too old to tell counts as come"
        );
    }
}
