//! Who waits for whom: the keys whose turns wait for a message, so that a cycle is found.

use crate::name::{EntityId, KindName};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One activation that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Hop {
    /// Its kind.
    pub kind: KindName,
    /// Its key.
    pub key: EntityId,
}

/// The activations whose turns wait for the answer to a message, outermost first. What nobody waits
/// for (a `tell`, a task's request) has an empty one.
///
/// ```
/// use tenure_core::actor::{Hop, Trail};
/// use tenure_core::name::{EntityId, KindName};
///
/// let (kind, key) = (KindName::new("cart")?, EntityId::new("7")?);
/// let trail = Trail::default().and(Hop { kind: kind.clone(), key: key.clone() });
/// assert!(trail.has(&kind, &key));
/// # Ok::<_, tenure_core::name::NameError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Trail(Option<Arc<[Hop]>>);

impl Trail {
    /// The hops, outermost first.
    pub fn hops(&self) -> &[Hop] {
        self.0.as_deref().unwrap_or_default()
    }

    /// This trail and one more that waits.
    #[must_use]
    pub fn and(&self, hop: Hop) -> Self {
        self.hops().iter().cloned().chain([hop]).collect()
    }

    /// Whether this key waits for the message.
    pub fn has(&self, kind: &KindName, key: &EntityId) -> bool {
        let hops = self.hops().iter();
        hops.rev().any(|hop| hop.key == *key && hop.kind == *kind)
    }
}

impl FromIterator<Hop> for Trail {
    fn from_iter<I: IntoIterator<Item = Hop>>(hops: I) -> Self {
        let hops: Vec<Hop> = hops.into_iter().collect();
        Self((!hops.is_empty()).then(|| hops.into()))
    }
}
