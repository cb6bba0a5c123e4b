//! Requests in flight: what each is for.

use crate::id::{OpId, Sequence};
use crate::name::NodeName;
use crate::step::Time;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Ask {
    /// A write of this node's record.
    Own {
        sent: Time,
        /// It says that the node left.
        left: bool,
        /// What was known of the stream when it was sent: where it is stored is after this.
        mark: Sequence,
    },
    /// The record that stands in the way of a write.
    Rival,
    /// All records.
    List(Proof),
    /// The records of some nodes.
    Look { names: Vec<NodeName> },
    /// A tombstone on another node's record.
    Bury { name: NodeName, revision: Sequence },
    /// Something about the own record, by a former run of this node.
    Former,
}

/// What a list must contain to count: a heartbeat of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Proof {
    pub(super) sent: Time,
    pub(super) revision: Sequence,
}

/// What is in flight.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Asks {
    next_op: u64,
    in_flight: BTreeMap<OpId, Ask>,
}

impl Asks {
    pub(super) fn begin(&mut self, ask: Ask) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.in_flight.insert(op, ask);
        op
    }

    pub(super) fn end(&mut self, op: OpId) -> Option<Ask> {
        self.in_flight.remove(&op)
    }

    /// What is in flight about the own record is of a former run from now on.
    pub(super) fn renew(&mut self) {
        for ask in self.in_flight.values_mut() {
            match ask {
                Ask::Own { .. } | Ask::Rival => *ask = Ask::Former,
                Ask::List(_) | Ask::Look { .. } | Ask::Bury { .. } | Ask::Former => {}
            }
        }
    }

    /// Whether a tombstone of a node is on its way.
    pub(super) fn buries(&self, name: &NodeName) -> bool {
        let mut asks = self.in_flight.values();
        asks.any(|ask| matches!(ask, Ask::Bury { name: other, .. } if other == name))
    }
}
