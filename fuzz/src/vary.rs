//! Inputs from inputs: what a fuzzer without coverage tries.

use tenure_core::{Dice, Purpose};

/// One stream of numbers from a seed.
#[derive(Debug)]
pub struct Numbers {
    dice: Dice,
    next: u64,
}

impl Numbers {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(u128::from(seed)),
            next: 0,
        }
    }

    /// A number below a bound, or 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let drawn = self.draw() % (bound.max(1) as u64);
        usize::try_from(drawn).expect("it is below a usize")
    }

    fn draw(&mut self) -> u64 {
        self.next += 1;
        self.dice.roll(Purpose::World, self.next)
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.draw().to_le_bytes());
        words.take(count).collect()
    }
}

/// Random bytes, or one of some inputs with a few changes; both without their version.
///
/// ```
/// use tenure_fuzz::vary::{Numbers, varied};
///
/// let known = vec![b"one".to_vec()];
/// let again = |seed| varied(&mut Numbers::new(seed), &known, 100);
/// assert_eq!(again(7), again(7));
/// ```
pub fn varied(numbers: &mut Numbers, known: &[Vec<u8>], bytes: usize) -> Vec<u8> {
    let fresh = numbers.below(4) == 0;
    let Some(from) = known.get(numbers.below(known.len())).filter(|_| !fresh) else {
        let count = 1 + numbers.below(bytes);
        return numbers.bytes(count);
    };
    let mut input = from.clone();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        let until = (at + 1 + numbers.below(16)).min(input.len());
        match numbers.below(6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..until)),
            2 => {
                let count = 1 + numbers.below(8);
                let more = numbers.bytes(count);
                input.splice(at..at, more);
            }
            3 => {
                let other = &known[numbers.below(known.len())];
                let from = numbers.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => {
                let again: Vec<u8> = input[at..until].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let bit = numbers.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }
    input
}
