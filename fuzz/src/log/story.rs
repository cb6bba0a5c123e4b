//! A story as the fuzzer writes it: what happens to a few nodes, one act after another.

use super::cluster::{Cluster, passing};
use arbitrary::{Arbitrary, Unstructured};
use tenure_core::format::WriteMode;
use tenure_core::step::CountingProbe;

/// What happens.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    owned: bool,
    replicated: bool,
    acts: Vec<Act>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Act {
    Submit {
        node: u8,
        entity: u8,
        id: Option<u8>,
        within_ms: u16,
    },
    Read {
        node: u8,
        entity: u8,
        within_ms: u16,
    },
    Claim {
        node: u8,
    },
    Answer {
        node: u8,
        nth: u8,
        lost: bool,
    },
    Lose {
        node: u8,
        nth: u8,
        late: bool,
    },
    Refuse {
        node: u8,
        nth: u8,
        how: u8,
    },
    ArriveLate {
        nth: u8,
    },
    Advance {
        ms: u16,
    },
    Evict {
        node: u8,
    },
}

impl<'a> Arbitrary<'a> for Story {
    /// All the bytes there are become acts, so that a longer input is a longer story.
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (owned, replicated) = (u.arbitrary()?, u.arbitrary()?);
        let mut acts = Vec::new();
        while !u.is_empty() {
            acts.push(u.arbitrary()?);
        }
        Ok(Self {
            owned,
            replicated,
            acts,
        })
    }
}

impl Story {
    /// Plays it, then lets everything end.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub(crate) fn run(self) -> CountingProbe {
        let mode = if self.owned {
            WriteMode::Owned
        } else {
            WriteMode::Direct
        };
        let mut cluster = Cluster::new(2, mode, self.replicated);
        cluster.claim(0);
        for act in self.acts {
            match act {
                Act::Submit {
                    node,
                    entity,
                    id,
                    within_ms,
                } => {
                    cluster.submit(node, entity, id, within_ms);
                }
                Act::Read {
                    node,
                    entity,
                    within_ms,
                } => cluster.read(node, entity, within_ms),
                Act::Claim { node } => cluster.claim(node),
                Act::Answer { node, nth, lost } => cluster.answer(node, nth, lost),
                Act::Lose { node, nth, late } => cluster.lose(node, nth, late),
                Act::Refuse { node, nth, how } => cluster.refuse(node, nth, passing(how)),
                Act::ArriveLate { nth } => cluster.arrive_late(nth),
                Act::Advance { ms } => cluster.advance(ms),
                Act::Evict { node } => cluster.evict(node),
            }
        }
        cluster.settle();
        cluster.audit();
        cluster.probe
    }
}
