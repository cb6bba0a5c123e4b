//! Namespaces by chance.

use crate::drawn::{Done, ENTITIES, Step, kept};
use proptest::prelude::*;
use tenure_core::format::TakeOver;

/// A namespace: commits in the order of the log, and how far each shard's messages are done.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) commits: Vec<Step>,
    pub(crate) indexes: Vec<Done>,
    /// Its shards and streams.
    pub(crate) from: (u16, u16),
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\xa1\x65cents\x07".to_vec()),
        Just(br#"{"cents":7,"a":[1.5,null,"\u00e9"]}"#.to_vec()),
        Just(br#"{"b":1,"a":2}"#.to_vec()),
        Just(b"\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a".to_vec()),
        Just(b"\xa1\x01\x02".to_vec()),
        Just(b"7".to_vec()),
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let events = proptest::collection::vec((1_u64..4, payload()), 0..3);
    let rest = (
        0_u8..3,
        proptest::option::of(0_u8..3),
        any::<bool>(),
        prop_oneof![3 => Just(0_u8), 1 => 1_u8..3],
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    );
    (0..ENTITIES.len(), 0_usize..3, events, rest).prop_map(|(entity, kind, events, rest)| {
        let (commands, arms, cancels, sends, metadata, snapshot, unknown, tombstone) = rest;
        Step {
            entity,
            kind,
            events,
            commands,
            arms: arms.filter(|_| kind > 0),
            cancels: cancels && kind > 0,
            sends: if kind > 0 { sends } else { 0 },
            metadata,
            snapshot,
            unknown,
            tombstone,
        }
    })
}

fn done() -> impl Strategy<Value = Done> {
    let class = prop_oneof![Just(TakeOver::Fenced), Just(TakeOver::Leased)];
    let how = (any::<bool>(), any::<bool>());
    (class, 0_u8..101, 1_u8..4, how).prop_map(|(class, up_to, undone_every, how)| {
        let (failed, shelved) = how;
        Done {
            class,
            up_to,
            undone_every,
            failed,
            shelved,
        }
    })
}

pub(crate) fn namespaces() -> impl Strategy<Value = Drawn> {
    let shape = (1_u16..9).prop_flat_map(|shards| (Just(shards), 1..=shards.min(3)));
    let commits = proptest::collection::vec(step(), 0..60);
    let indexes = proptest::collection::vec(done(), 0..3);
    (commits, indexes, shape).prop_map(|(commits, indexes, from)| Drawn {
        commits: kept(commits),
        indexes,
        from,
    })
}
