//! An entity's history: forward and backward, in pages, past snapshots and gaps.

use crate::common::{Account, AccountEvent, Move, World, on_both_shells_and_the_front, open};
use tenure::prelude::*;
use tenure::{Codec, CodecError, RawEvent, SnapshotPolicy};

on_both_shells_and_the_front!(
    a_long_history_is_the_same_forward_and_backward,
    pages_hold_as_many_commits_as_asked_for,
    a_history_ends_where_it_began_to_be_read,
    an_entity_that_does_not_exist_has_no_history,
    an_event_tells_where_it_came_from,
    a_history_reaches_past_its_snapshots,
    a_history_has_the_gaps_of_its_log,
);

async fn moved(accounts: &Repository<Account>, times: i64) {
    for cents in 1..=times {
        accounts.execute("alice", Move { cents }).await.unwrap();
    }
}

/// Longer than the list of one commit (64) and than one page, several times over.
async fn a_long_history_is_the_same_forward_and_backward(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 0)).await.unwrap();
    moved(&accounts, 300).await;
    let elsewhere = world.accounts().await;
    let forward = elsewhere.history("alice").unwrap().collect().await.unwrap();
    assert_eq!(forward.len(), 302);
    let versions: Vec<u64> = forward.iter().map(|past| past.version.0).collect();
    assert_eq!(versions, (1..=302).collect::<Vec<u64>>());
    assert_eq!(forward[301].event, AccountEvent::Moved { cents: 300 });
    let mut backward = elsewhere
        .history("alice")
        .unwrap()
        .backward()
        .collect()
        .await
        .unwrap();
    backward.reverse();
    assert_eq!(backward, forward);
    let one_by_one = elsewhere.history("alice").unwrap().backward().page(1);
    assert_eq!(one_by_one.collect().await.unwrap().len(), 302);
    assert_eq!(
        elsewhere
            .load_at("alice", Version(150))
            .await
            .unwrap()
            .version,
        Version(150)
    );
}

async fn pages_hold_as_many_commits_as_asked_for(world: &World) {
    let accounts = world.accounts().await;
    moved(&accounts, 10).await;
    for backward in [false, true] {
        let mut history = accounts.history("alice").unwrap().page(4);
        if backward {
            history = history.backward();
        }
        let mut sizes = Vec::new();
        while let Some(page) = history.next_page().await.unwrap() {
            sizes.push(page.len());
        }
        assert_eq!(sizes, [4, 4, 2], "backward: {backward}");
        assert!(
            history.next().await.unwrap().is_none(),
            "the end stays the end"
        );
    }
}

async fn a_history_ends_where_it_began_to_be_read(world: &World) {
    let accounts = world.accounts().await;
    moved(&accounts, 3).await;
    let mut history = accounts.history("alice").unwrap().page(1);
    assert_eq!(history.next().await.unwrap().unwrap().version, Version(1));
    moved(&accounts, 3).await;
    assert_eq!(history.collect().await.unwrap().len(), 2);
    assert_eq!(
        accounts
            .history("alice")
            .unwrap()
            .collect()
            .await
            .unwrap()
            .len(),
        6
    );
}

async fn an_entity_that_does_not_exist_has_no_history(world: &World) {
    let accounts = world.accounts().await;
    assert_eq!(
        accounts.history("nobody").unwrap().collect().await.unwrap(),
        []
    );
    let backward = accounts.history("nobody").unwrap().backward();
    assert_eq!(backward.collect().await.unwrap(), []);
}

async fn an_event_tells_where_it_came_from(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let id = node.command_id();
    let receipt = accounts
        .create("alice", open("Alice", 7))
        .id(id)
        .receipt()
        .await
        .unwrap();
    let events = accounts.history("alice").unwrap().collect().await.unwrap();
    let [opened, moved] = events.as_slice() else {
        panic!("{events:?}");
    };
    let owner = "Alice".to_owned();
    assert_eq!(opened.event, AccountEvent::Opened { owner });
    assert_eq!(moved.event, AccountEvent::Moved { cents: 7 });
    assert_eq!((opened.version, moved.version), (Version(1), Version(2)));
    assert_eq!((opened.command, moved.command), (Some(id), Some(id)));
    assert_eq!(Some(opened.sequence), receipt.sequence);
    assert!(opened.time >= id.time());
}

async fn a_history_reaches_past_its_snapshots(world: &World) {
    let node = world.node().await;
    let counters = node.repository::<Counter>().await.unwrap();
    for n in 0..25 {
        let count =
            |counter: &Counter| -> Result<_, ()> { Ok(Decision::event(Counted).reply(counter.0)) };
        assert_eq!(counters.transact("c", count).await.unwrap(), n);
    }
    let elsewhere = world.node().await.repository::<Counter>().await.unwrap();
    assert_eq!(elsewhere.load("c").await.unwrap().state, Counter(25));
    assert_eq!(
        elsewhere.load_at("c", Version(7)).await.unwrap().state,
        Counter(7)
    );
    for page in [1, 2, 3, 64] {
        let backward = elsewhere.history("c").unwrap().backward().page(page);
        let versions = backward
            .collect()
            .await
            .unwrap()
            .into_iter()
            .map(|past| past.version.0);
        assert_eq!(
            versions.collect::<Vec<_>>(),
            (1..=25).rev().collect::<Vec<u64>>()
        );
    }
}

async fn a_history_has_the_gaps_of_its_log(world: &World) {
    let node = world.node().await;
    let log = node.log("account").await.unwrap();
    let moved = |cents: i64| {
        let event = AccountEvent::Moved { cents };
        RawEvent::new("moved", 1, Event::encode(&event, Codec::Cbor).unwrap())
    };
    let events = [
        moved(1).at(Version(10)),
        moved(2),
        moved(3).at(Version(100)),
    ];
    log.append("alice", events).await.unwrap();
    log.append("alice", [moved(4).at(Version(1_000))])
        .await
        .unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let loaded = accounts.load("alice").await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (10, Version(1_000)));
    let backward = accounts
        .history("alice")
        .unwrap()
        .backward()
        .collect()
        .await
        .unwrap();
    let versions: Vec<u64> = backward.iter().map(|past| past.version.0).collect();
    assert_eq!(versions, [1_000, 100, 11, 10]);
    let between = accounts.load_at("alice", Version(99)).await.unwrap();
    assert_eq!((between.state.cents, between.version), (3, Version(11)));
}

/// Counts, with a snapshot every four commits.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Counter(u64);

#[derive(Debug, Event)]
#[event(name = "counted", version = 1)]
struct Counted;

impl Aggregate for Counter {
    type Event = Counted;
    const KIND: &'static str = "counter";

    fn evolve(&mut self, _: &Counted) {
        self.0 += 1;
    }

    fn settings() -> KindSettings {
        KindSettings::default().snapshots(SnapshotPolicy::every(4))
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<tenure::Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}
