//! What is kept of places, found in constant time: each request asks several times for its place's.

use crate::format::TakeOver;
use crate::id::ShardId;
use crate::shard::Place;
use alloc::vec::Vec;

/// A map by place, in the order of places: a list of each class, by the shard's number.
#[derive(Clone, Debug)]
pub(crate) struct Places<V> {
    fenced: Vec<Option<V>>,
    leased: Vec<Option<V>>,
    len: usize,
}

impl<V> Default for Places<V> {
    fn default() -> Self {
        Self {
            fenced: Vec::new(),
            leased: Vec::new(),
            len: 0,
        }
    }
}

impl<V> Places<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn get(&self, place: Place) -> Option<&V> {
        let of_class = match place.class {
            TakeOver::Fenced => &self.fenced,
            TakeOver::Leased => &self.leased,
        };
        of_class.get(usize::from(place.shard.0))?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut V> {
        let of_class = match place.class {
            TakeOver::Fenced => &mut self.fenced,
            TakeOver::Leased => &mut self.leased,
        };
        of_class.get_mut(usize::from(place.shard.0))?.as_mut()
    }

    pub(crate) fn contains(&self, place: Place) -> bool {
        self.get(place).is_some()
    }

    /// What is kept of a place, which is made if nothing was.
    pub(crate) fn get_or_insert_with(&mut self, place: Place, make: impl FnOnce() -> V) -> &mut V {
        let (kept, len) = self.at(place);
        *len += usize::from(kept.is_none());
        kept.get_or_insert_with(make)
    }

    /// Keeps something of a place; what was kept before.
    pub(crate) fn insert(&mut self, place: Place, value: V) -> Option<V> {
        let (kept, len) = self.at(place);
        let before = kept.replace(value);
        *len += usize::from(before.is_none());
        before
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<V> {
        if !self.contains(place) {
            return None;
        }
        let (kept, len) = self.at(place);
        *len -= 1;
        kept.take()
    }

    /// The places of which something is kept.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Place> {
        let fenced = self.fenced.iter().map(|kept| (TakeOver::Fenced, kept));
        let leased = self.leased.iter().map(|kept| (TakeOver::Leased, kept));
        let shards = || (0..=u16::MAX).map(ShardId);
        let all = shards().zip(fenced).chain(shards().zip(leased));
        let kept = all.filter(|(_, (_, kept))| kept.is_some());
        kept.map(|(shard, (class, _))| Place { class, shard })
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.fenced.iter_mut().chain(&mut self.leased).flatten()
    }

    /// Where something is kept of a place, and how many places there are.
    fn at(&mut self, place: Place) -> (&mut Option<V>, &mut usize) {
        let of_class = match place.class {
            TakeOver::Fenced => &mut self.fenced,
            TakeOver::Leased => &mut self.leased,
        };
        let shard = usize::from(place.shard.0);
        if of_class.len() <= shard {
            of_class.resize_with(shard + 1, || None);
        }
        (&mut of_class[shard], &mut self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use crate::format::TakeOver;
    use crate::id::ShardId;
    use crate::shard::Place;
    use crate::step::{Dice, Purpose};
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        let dice = Dice::new(29);
        let (mut places, mut map) = (Places::default(), BTreeMap::new());
        for n in 0..20_000_u64 {
            let roll = |what, below| dice.below(Purpose::World, 4 * n + what, below);
            let class = [TakeOver::Fenced, TakeOver::Leased][roll(0, 2) as usize];
            let shard = ShardId(roll(1, 40) as u16);
            let place = Place { class, shard };
            match roll(2, 4) {
                0 => assert_eq!(places.insert(place, n), map.insert(place, n)),
                1 => {
                    let made = *places.get_or_insert_with(place, || n);
                    assert_eq!(made, *map.entry(place).or_insert(n));
                }
                _ => assert_eq!(places.remove(place), map.remove(&place)),
            }
            assert_eq!(places.get(place), map.get(&place));
            assert_eq!(places.get_mut(place), map.get_mut(&place));
            assert_eq!(places.contains(place), map.contains_key(&place));
            assert_eq!(
                (places.len(), places.is_empty()),
                (map.len(), map.is_empty())
            );
            assert!(places.keys().eq(map.keys().copied()));
            let values: Vec<u64> = places.values_mut().map(|value| *value).collect();
            assert!(values.iter().eq(map.values()));
        }
    }
}
