//! What the links of nodes give those who listen to the bus there.

use std::collections::BTreeMap;
use tenure_core::port::Heard;

/// What a node's link gives those who listen to the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hears {
    /// What came.
    Event(Heard),
    /// Nobody knows what came before, as the link was gone.
    Missed,
    /// The node's program ended: what follows is given to the next one.
    Ended,
}

/// The same of all nodes, each in its order.
#[derive(Debug, Default)]
pub(crate) struct Given(BTreeMap<usize, Vec<Hears>>);

impl Given {
    pub(crate) fn gives(&mut self, node: usize, what: Hears) {
        self.0.entry(node).or_default().push(what);
    }

    /// What a node was given, from the given one on.
    pub(crate) fn to(&self, node: usize, from: usize) -> Vec<Hears> {
        let all = self.0.get(&node);
        let rest = all.and_then(|all| all.get(from..));
        rest.unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::{Given, Hears};
    use bytes::Bytes;
    use std::sync::{Arc, Mutex};
    use tenure_core::driver::Ear;
    use tenure_core::id::Sequence;
    use tenure_core::port::Heard;

    fn heard() -> Heard {
        Heard {
            subject: "sim.cast.news.1".into(),
            sequence: Sequence::NONE,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn a_tapped_ear_takes_in_what_it_tells() {
        let (ear, mut taken) = Ear::of_all(1);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tap = Arc::clone(&told);
        let ear = ear.tapped(move |heard| tap.lock().unwrap().push(heard.cloned()));
        assert!(ear.take(heard()));
        ear.missed();
        assert!(!ear.take(heard()), "there is no room");
        assert_eq!(*told.lock().unwrap(), [Some(heard()), None, Some(heard())]);
        assert_eq!(taken.try_recv(), Ok(heard()));
        assert!(!ear.is_closed());
        drop(taken);
        assert!(ear.is_closed());
    }

    #[test]
    fn each_node_is_given_its_own_in_its_order() {
        let mut given = Given::default();
        given.gives(0, Hears::Event(heard()));
        given.gives(1, Hears::Ended);
        given.gives(0, Hears::Missed);
        assert_eq!(given.to(0, 0), [Hears::Event(heard()), Hears::Missed]);
        assert_eq!(given.to(0, 1), [Hears::Missed]);
        assert_eq!(given.to(0, 3), []);
        assert_eq!(given.to(2, 0), []);
    }
}
