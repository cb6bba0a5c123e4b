//! What finds slots by numbers is held against an ordered map.

use crate::step::{Dice, Purpose};
use alloc::collections::BTreeMap;

/// Whatever is added and removed, it finds what an ordered map finds.
pub(crate) fn holds<S: Default>(
    len: impl Fn(&S) -> usize,
    find: impl Fn(&S, u64) -> Option<u32>,
    insert: impl Fn(&mut S, u64, u32) -> bool,
    remove: impl Fn(&mut S, u64) -> Option<u32>,
) {
    let dice = Dice::new(5);
    let (mut slots, mut map) = (S::default(), BTreeMap::new());
    assert_eq!((find(&slots, 0), remove(&mut slots, 0)), (None, None));
    for n in 0..60_000_u64 {
        let roll = |what, bound| dice.below(Purpose::World, 4 * n + what, bound);
        // Some numbers have the same upper bits, some the same lower ones.
        let number = roll(0, 300) << (roll(1, 2) * 40);
        if roll(2, 100) < if (n / 2_000) % 2 == 0 { 60 } else { 40 } {
            let slot = roll(3, 1_000) as u32;
            let free = !map.contains_key(&number);
            assert_eq!(insert(&mut slots, number, slot), free);
            map.entry(number).or_insert(slot);
        } else {
            assert_eq!(remove(&mut slots, number), map.remove(&number));
        }
        assert_eq!(len(&slots), map.len());
        let other = roll(0, 300);
        assert_eq!(find(&slots, other), map.get(&other).copied());
    }
    let mut all = map.iter();
    assert!(all.all(|(number, slot)| find(&slots, *number) == Some(*slot)));
}
