//! Where each row of draws stands. A run looks rows up more often than anything else, and has thousands:
//! a table with open addressing, which nobody walks through.

use super::What;
use tenure_core::Dice;

/// Rows of a table at first; always a power of two.
const ROWS_MIN: usize = 256;

/// Rows of draws.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    dice: Dice,
    /// The dice of each `What`, by its number.
    of: Vec<Option<Dice>>,
    table: Vec<Option<Row>>,
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    what: What,
    part: u64,
    dice: Dice,
    /// Draws so far.
    drawn: u64,
}

impl Rows {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            of: Vec::new(),
            table: vec![None; ROWS_MIN],
            taken: 0,
        }
    }

    /// The dice of a row and the number of its next draw, from 1 on.
    pub(super) fn next(&mut self, what: What, part: u64) -> (Dice, u64) {
        let place = self.place(what, part);
        if let Some(row) = &mut self.table[place] {
            row.drawn += 1;
            return (row.dice, row.drawn);
        }
        let dice = self.dice_of(what).fork(part);
        let drawn = 1;
        self.table[place] = Some(Row {
            what,
            part,
            dice,
            drawn,
        });
        self.taken += 1;
        if self.taken * 2 > self.table.len() {
            self.grow();
        }
        (dice, drawn)
    }

    fn dice_of(&mut self, what: What) -> Dice {
        let number = usize::try_from(what as u64).expect("a small number");
        if self.of.len() <= number {
            self.of.resize(number + 1, None);
        }
        *self.of[number].get_or_insert_with(|| self.dice.fork(what as u64))
    }

    /// Where a row is, or is to be.
    fn place(&self, what: What, part: u64) -> usize {
        let mask = self.table.len() - 1;
        // Fibonacci hashing: the upper bits of a product with 2^64 / phi depend on all bits.
        let mixed = (part ^ (part >> 31) ^ (what as u64) << 56 ^ what as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut place = usize::try_from(mixed >> 32).expect("32 bits fit") & mask;
        while let Some(row) = &self.table[place] {
            if row.part == part && row.what == what {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        let larger = vec![None; self.table.len() * 2];
        for row in std::mem::replace(&mut self.table, larger) {
            if let Some(Row { what, part, .. }) = row {
                let place = self.place(what, part);
                self.table[place] = row;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS_MIN, Rows};
    use crate::draw::What;
    use std::collections::BTreeMap;
    use tenure_core::Dice;

    #[test]
    fn each_row_has_dice_and_numbers_of_its_own_however_many_there_are() {
        let dice = Dice::new(7);
        let mut rows = Rows::new(dice);
        let mut model = BTreeMap::new();
        let many = 4 * ROWS_MIN as u64;
        for round in 0..3 {
            for part in (0..many).map(|n| n << (8 * (n % 5))) {
                for what in [What::Ask, What::Fate] {
                    if (part + round) % 3 == 0 {
                        continue;
                    }
                    let number: &mut u64 = model.entry((what, part)).or_default();
                    *number += 1;
                    let own = dice.fork(what as u64).fork(part);
                    assert_eq!(rows.next(what, part), (own, *number), "{what:?} {part}");
                }
            }
        }
    }
}
