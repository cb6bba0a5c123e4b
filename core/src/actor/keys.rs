//! Finds the activation of a key in constant time.

use crate::index::Index;
use crate::log::KindIndex;
use crate::name::EntityId;
use alloc::collections::BTreeMap;
use siphasher::sip::SipHasher13;

/// Which activation each key has. Nothing iterates over it.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// Drawn once for each run, so that nobody outside can choose keys that are slow to find.
    secret: u128,
    /// By a hash of the key.
    index: Index,
    /// Those whose hash another one has.
    others: BTreeMap<(KindIndex, EntityId), u32>,
}

impl Keys {
    /// Before the first key is added.
    pub(super) fn keep_secret(&mut self, secret: u128) {
        debug_assert_eq!(self.index.len(), 0);
        self.secret = secret;
    }

    /// Whether no key is there, nor was.
    pub(super) fn is_new(&self) -> bool {
        self.secret == 0
    }

    /// The activation of a key; `has` tells whether one has it.
    pub(super) fn find(
        &self,
        kind: KindIndex,
        key: &EntityId,
        has: impl FnOnce(u32) -> bool,
    ) -> Option<u32> {
        let found = self.index.find(self.hash(kind, key));
        let found = found.filter(|index| has(*index));
        if found.is_some() || self.others.is_empty() {
            return found;
        }
        self.others.get(&(kind, key.clone())).copied()
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, kind: KindIndex, key: EntityId, index: u32) {
        if !self.index.insert(self.hash(kind, &key), index) {
            self.others.insert((kind, key), index);
        }
    }

    /// Removes a key with its activation.
    pub(super) fn remove(&mut self, kind: KindIndex, key: EntityId, index: u32) {
        let hash = self.hash(kind, &key);
        if self.index.find(hash) == Some(index) {
            self.index.remove(hash);
        } else {
            self.others.remove(&(kind, key));
        }
    }

    fn hash(&self, kind: KindIndex, key: &EntityId) -> u64 {
        let secret = self.secret ^ u128::from(kind.0);
        SipHasher13::new_with_key(&secret.to_le_bytes()).hash(key.as_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::log::KindIndex;
    use crate::name::EntityId;
    use alloc::format;

    const KIND: KindIndex = KindIndex(0);

    fn key(n: u32) -> EntityId {
        EntityId::new(&format!("key-{n}")).unwrap()
    }

    #[test]
    fn each_key_has_its_own_also_when_two_have_one_hash() {
        let mut keys = Keys::default();
        for n in 0..3 {
            keys.insert(KIND, key(n), n);
        }
        // As if the hashes of the first two were the same.
        let hash = keys.hash(KIND, &key(1));
        keys.index.remove(hash);
        keys.others.insert((KIND, key(1)), 1);
        let find = |keys: &Keys, n: u32, has: u32| keys.find(KIND, &key(n), |one| one == has);
        assert_eq!(find(&keys, 0, 0), Some(0));
        assert_eq!(find(&keys, 1, 1), Some(1));
        assert_eq!(
            keys.find(KIND, &key(1), |_| false),
            Some(1),
            "another has its hash"
        );
        assert_eq!(
            keys.find(KindIndex(1), &key(0), |_| true),
            None,
            "of another kind"
        );
        keys.remove(KIND, key(1), 1);
        assert_eq!(find(&keys, 1, 1), None);
        keys.remove(KIND, key(0), 0);
        assert_eq!((find(&keys, 0, 0), find(&keys, 2, 2)), (None, Some(2)));
    }
}
