//! Which turns of a node wait for which actors: so that two chains of requests that cross, each of
//! which waits for what the other one holds, are found and not waited out.

use super::{Hop, Trail};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The requests that turns of this node's actors wait for at this moment.
///
/// A trail tells who waits along one chain. Where turns of two chains wait for each other neither trail
/// has the other one's; but of all their requests one comes last to the actor that it is for, and
/// whatever turn that actor is in has sent its own by then. So it is looked at as each request comes:
/// from the actor that it is for, along what turns of this node wait for, to one of those that wait for
/// the request.
///
/// ```
/// use tenure_core::actor::{Hop, Trail, Waits};
/// use tenure_core::name::{EntityId, KindName};
///
/// let cart = |key: &str| Hop { kind: KindName::new("cart").unwrap(), key: EntityId::new(key).unwrap() };
/// let mut waits = Waits::default();
/// let wait = waits.begin(cart("a"), cart("b"));
/// // A turn of b asks a, whose turn waits for b.
/// assert!(waits.closes(&cart("a"), &Trail::default().and(cart("b")), 32));
/// waits.end(&cart("a"), wait);
/// assert!(!waits.closes(&cart("a"), &Trail::default().and(cart("b")), 32));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Waits {
    by: BTreeMap<Hop, Vec<(WaitId, Hop)>>,
    begun: u64,
}

/// One request that a turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitId(u64);

impl Waits {
    /// A turn of an actor sends a request to another one.
    pub fn begin(&mut self, who: Hop, whom: Hop) -> WaitId {
        self.begun += 1;
        let id = WaitId(self.begun);
        self.by.entry(who).or_default().push((id, whom));
        id
    }

    /// It has its answer, or waits no more.
    pub fn end(&mut self, who: &Hop, wait: WaitId) {
        if let Some(waits) = self.by.get_mut(who) {
            waits.retain(|(id, _)| *id != wait);
            if waits.is_empty() {
                self.by.remove(who);
            }
        }
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// Whether an actor that a message is for waits itself for one of those that wait for the message,
    /// be it through other actors; the turns of at most so many are looked at.
    pub fn closes(&self, whom: &Hop, trail: &Trail, turns_max: usize) -> bool {
        let mut seen = Vec::from([whom]);
        let mut next = 0;
        while let Some(who) = seen.get(next) {
            next += 1;
            for (_, on) in self.by.get(who).into_iter().flatten() {
                if trail.has(&on.kind, &on.key) {
                    return true;
                }
                if seen.len() < turns_max && !seen.contains(&on) {
                    seen.push(on);
                }
            }
        }
        false
    }
}
