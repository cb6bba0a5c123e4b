//! One shard of a namespace with nothing in it: its streams in a model store, and what makes its
//! machine. The benchmarks of the machines begin here, too.

use tenure_core::format::{
    Anchor, Codec, KindRecord, Layout, LayoutKey, Placement, TakeOver, Unknown, WriteMode,
};
use tenure_core::id::{Incarnation, KindId, LayoutId, Partition, Sequence, ShardId, WallTime};
use tenure_core::log::{KindConfig, ShardConfig, SnapshotPolicy};
use tenure_core::name::{KindName, Namespace};
use tenure_core::port::{Expect, Publish, Rollup, StoreRequest, StreamName, StreamSettings};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};

pub(crate) fn namespace() -> Namespace {
    Namespace::new("bank").expect("a namespace")
}

pub(crate) fn event_stream() -> StreamName {
    namespace().event_stream(Partition(0))
}

fn layout() -> Layout {
    Layout::new(LayoutId(1), LayoutKey(1), WallTime(0), 1, 1)
}

/// A store with the shard's streams, and nothing in them but the anchor.
pub(crate) fn store(config: StoreConfig, replicas: u32, at: WallTime) -> Store {
    let mut store = Store::new(config);
    create_streams(&mut store, &layout(), replicas, at);
    store
}

/// The streams of a namespace with one event stream, and its anchor.
pub(crate) fn create_streams(store: &mut Store, layout: &Layout, replicas: u32, at: WallTime) {
    let ns = namespace();
    let subjects = ns.event_stream_subjects(layout, Partition(0));
    let events = StreamSettings::event_log(event_stream(), subjects, replicas);
    let subjects = ns.snapshot_stream_subjects();
    let snapshots = StreamSettings::snapshots(ns.snapshot_stream(), subjects, replicas);
    let anchor = Anchor {
        layout: layout.id,
        stream: Partition(0),
        unknown: Unknown::default(),
    };
    let anchor = Publish {
        stream: event_stream(),
        subject: ns.anchor_subject(Partition(0)),
        expect: Expect::OwnLast(Sequence::NONE),
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: anchor.encode(),
    };
    for request in [
        StoreRequest::CreateStream(events),
        StoreRequest::CreateStream(snapshots),
        StoreRequest::Publish(anchor),
    ] {
        let reply = store.apply(at, &request);
        assert!(matches!(reply, Outcome::Done(_)), "{request:?}: {reply:?}");
    }
}

/// The shard, as one run of a node has it.
pub(crate) fn shard(
    mode: WriteMode,
    class: TakeOver,
    incarnation: Incarnation,
    node: &str,
) -> ShardConfig {
    ShardConfig {
        namespace: namespace(),
        layout: layout().id,
        key: layout().key,
        shard: ShardId(0),
        stream: Partition(0),
        class,
        mode,
        later: false,
        incarnation,
        node: node.to_owned(),
    }
}

/// The kind of its entities, which stay in memory.
pub(crate) fn kind(mode: WriteMode, class: TakeOver, snapshots: SnapshotPolicy) -> KindConfig {
    let record = KindRecord {
        id: KindId(1),
        layout: layout().id,
        name: KindName::new("account").expect("a kind's name"),
        mode,
        class,
        codec: Codec::Cbor,
        placement: Placement::Whole,
        unknown: Unknown::default(),
    };
    KindConfig {
        record,
        snapshots,
        snapshot_schema: 1,
        cached: true,
        local_replies: false,
    }
}
