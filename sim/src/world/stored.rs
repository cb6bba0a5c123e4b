//! The store, and whether it may be another than when it was looked at last: most events leave it as it
//! is, and then nothing of it is to be judged.

use std::ops::{Deref, DerefMut};
use tenure_core::id::WallTime;
use tenure_mem::store::Store;

/// The store of a world. Whoever can change it marks it as changed.
#[derive(Debug)]
pub(super) struct Stored {
    store: Store,
    changed: bool,
    expires_at: Option<WallTime>,
}

impl Stored {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            changed: true,
            expires_at: None,
        }
    }

    /// Whether it may have changed since [`Stored::seen`].
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// What it has become was looked at.
    pub(super) fn seen(&mut self) {
        self.changed = false;
        self.expires_at = self.store.next_expiry();
    }

    /// When a message expires next.
    pub(super) fn expires_at(&self) -> Option<WallTime> {
        if self.changed {
            self.store.next_expiry()
        } else {
            self.expires_at
        }
    }
}

impl Deref for Stored {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl DerefMut for Stored {
    fn deref_mut(&mut self) -> &mut Store {
        self.changed = true;
        &mut self.store
    }
}
