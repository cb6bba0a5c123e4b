//! Snapshots: what they hold, which one is used, when they go, and that nothing but the length of a
//! load depends on them.

use crate::counter::{ByNothing, Counted, Increment, one};
use crate::world::{World, until};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenure::prelude::*;
use tenure::{Codec, CodecError, Counters, SnapshotPolicy, Span};
use tenure_core::format::{Commit, Snapshot, SnapshotRef};
use tenure_core::port::StreamSettings;

on_both_shells![
    what_is_stored_comes_back_with_version_and_sequence,
    the_first_commit_can_have_one,
    a_load_with_one_equals_a_load_without,
    a_new_process_loads_from_it,
    defect_13_no_two_entities_share_one,
    an_older_one_never_takes_the_place_of_a_newer,
    one_is_taken_after_a_long_load_and_named_by_the_next_commit,
    defect_03_one_that_expires_is_there_until_then,
    defect_15_an_outage_of_their_store_fails_no_command,
    a_broken_one_is_passed_over_for_the_one_before,
    when_all_are_broken_everything_is_replayed,
    a_rollback_finds_its_own,
    hooks_that_fail_cost_nothing_but_the_snapshot,
    old_ones_are_deleted_and_leave_nothing,
    their_sequences_say_nothing_of_the_events,
];

const NEVER: u32 = 0;
const EACH: u32 = 1;
const THIRD: u32 = 3;
const AFTER_LOAD: u32 = 100;
const PASSING: u32 = 101;

/// A kind that hooks fail for: encoding a count of 2, decoding a count of 4.
const FAILING: u16 = 13;

/// How long a passing snapshot lives, in seconds.
const LIFE_S: u64 = 8;

/// Counts; processes differ in their policy and in their build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally<const POLICY: u32, const BUILD: u16 = 1> {
    count: u64,
}

/// The same under another kind, whose name begins with the other's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct TallyItem {
    count: u64,
}

impl<const POLICY: u32, const BUILD: u16> Aggregate for Tally<POLICY, BUILD> {
    type Event = Counted;
    const KIND: &'static str = "tally";
    const SNAPSHOT_SCHEMA: u16 = BUILD;

    fn evolve(&mut self, event: &Counted) {
        let Counted::Incremented { by } = event;
        self.count += by;
    }

    fn settings() -> KindSettings {
        let life = Span::from_secs(LIFE_S);
        KindSettings::default().snapshots(match POLICY {
            NEVER => SnapshotPolicy::never(),
            AFTER_LOAD => SnapshotPolicy::after_load(4),
            PASSING => SnapshotPolicy::every(2).expires_after(life),
            commits => SnapshotPolicy::every(commits),
        })
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        assert!(BUILD != FAILING || self.count != 2, "two cannot be encoded");
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        let restored: Result<Self, CodecError> = codec.decode(state);
        let count = restored.as_ref().map_or(0, |state| state.count);
        assert!(BUILD != FAILING || count != 4, "four cannot be decoded");
        Some(restored)
    }
}

impl Aggregate for TallyItem {
    type Event = Counted;
    const KIND: &'static str = "tally-item";

    fn evolve(&mut self, event: &Counted) {
        let Counted::Incremented { by } = event;
        self.count += by;
    }

    fn settings() -> KindSettings {
        KindSettings::default().snapshots(SnapshotPolicy::every(1))
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

fn counted<A: Aggregate<Event = Counted>>(
    count: u64,
    by: u64,
) -> Result<Decision<A, u64>, ByNothing> {
    Ok(Decision::event(Counted::Incremented { by }).reply(count + by))
}

impl<const POLICY: u32, const BUILD: u16> Decide<Increment> for Tally<POLICY, BUILD> {
    type Reply = u64;
    type Error = ByNothing;

    fn decide(&self, it: &Increment, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, ByNothing> {
        counted(self.count, it.by)
    }
}

impl Decide<Increment> for TallyItem {
    type Reply = u64;
    type Error = ByNothing;

    fn decide(&self, it: &Increment, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, ByNothing> {
        counted(self.count, it.by)
    }
}

/// One process and its tallies.
struct Process<const POLICY: u32, const BUILD: u16 = 1> {
    tenure: Tenure,
    tallies: Repository<Tally<POLICY, BUILD>>,
}

impl<const POLICY: u32, const BUILD: u16> Process<POLICY, BUILD> {
    async fn start(world: &World) -> Self {
        let tenure = world.node().await;
        let tallies = tenure.repository().await.unwrap();
        Self { tenure, tallies }
    }

    /// Counts on by one, so many times.
    async fn count(&self, id: &str, times: u64) {
        for _ in 0..times {
            self.tallies.execute(id, one()).await.unwrap();
        }
    }

    /// An entity's count and version.
    async fn load(&self, id: &str) -> (u64, u64) {
        let loaded = self.tallies.load(id).await.unwrap();
        (loaded.state.count, loaded.version.0)
    }

    /// Waits until it has stored so many bodies.
    async fn stored(&self, bodies: u64) {
        self.until("the bodies are stored", |counted| {
            counted.snapshots_stored >= bodies
        })
        .await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&Counters) -> bool) {
        until(what, || async { holds(&self.tenure.counters().await) }).await;
    }

    /// How many snapshots were used, and how many passed over.
    async fn used_and_ignored(&self) -> (u64, u64) {
        let counted = self.tenure.counters().await;
        (counted.snapshots_used, counted.snapshots_ignored)
    }
}

/// The bodies that are stored, oldest first, with their subjects.
async fn bodies(world: &World) -> Vec<(String, Snapshot)> {
    let filter = format!("{}.snap.>", world.namespace);
    let stored = world.messages("snap", &filter).await;
    let bodies = stored.into_iter().filter(|it| !it.payload.is_empty());
    let decoded = bodies.map(|it| (it.subject, Snapshot::decode(&it.payload).unwrap()));
    decoded.collect()
}

/// The commits of the tallies, oldest first, with their sequences.
async fn commits(world: &World) -> Vec<(u64, Commit)> {
    let stored = world.commits("tally").await.into_iter();
    let decoded = stored.map(|it| (it.sequence, Commit::decode(&it.payload).unwrap()));
    decoded.collect()
}

async fn what_is_stored_comes_back_with_version_and_sequence(world: &World) {
    let process = Process::<THIRD>::start(world).await;
    process.count("a", 3).await;
    process.stored(1).await;
    process.count("a", 1).await;
    let commits = commits(world).await;
    let bodies = bodies(world).await;
    let [(subject, body)] = bodies.as_slice() else {
        panic!("{bodies:?}");
    };
    assert_eq!((body.version.0, body.sequence.0), (3, commits[2].0));
    assert_eq!(
        Codec::Cbor.decode::<Tally<THIRD>>(&body.state).unwrap(),
        Tally { count: 3 }
    );
    let named: Vec<Option<SnapshotRef>> = commits.iter().map(|(_, it)| it.snapshot).collect();
    assert_eq!(&named[..3], [None, None, None]);
    let named = named[3].expect("the fourth commit names it");
    assert_eq!(
        (named.version, named.sequence),
        (body.version, body.sequence)
    );
    assert!(
        subject.ends_with(&format!(".tally.a.3.{}", named.tag)),
        "{subject}"
    );
}

async fn the_first_commit_can_have_one(world: &World) {
    let process = Process::<EACH>::start(world).await;
    process.count("a", 1).await;
    process.stored(1).await;
    process.count("a", 1).await;
    let fresh = Process::<EACH>::start(world).await;
    assert_eq!(fresh.load("a").await, (2, 2));
    assert_eq!(fresh.used_and_ignored().await, (1, 0));
}

async fn a_load_with_one_equals_a_load_without(world: &World) {
    let process = Process::<THIRD>::start(world).await;
    for round in 1..=3 {
        process.count("a", 3).await;
        process.stored(round).await;
    }
    process.count("a", 2).await;
    let with = Process::<NEVER>::start(world).await;
    assert_eq!(with.load("a").await, (11, 11));
    assert_eq!(with.used_and_ignored().await, (1, 0));
    // A build of another schema can use none.
    let without = Process::<NEVER, 2>::start(world).await;
    assert_eq!(without.load("a").await, (11, 11));
    assert_eq!(without.used_and_ignored().await, (0, 2));
    // What happens on top of either is the same.
    with.count("a", 1).await;
    without.count("a", 1).await;
    assert_eq!(with.load("a").await, (13, 13));
    assert_eq!(without.load("a").await, (13, 13));
}

async fn a_new_process_loads_from_it(world: &World) {
    let first = Process::<THIRD>::start(world).await;
    first.count("a", 3).await;
    first.stored(1).await;
    first.count("a", 1).await;
    first.tenure.stop().await;
    let second = Process::<THIRD>::start(world).await;
    second.count("a", 2).await;
    assert_eq!(second.load("a").await, (6, 6));
    assert_eq!(second.used_and_ignored().await, (1, 0));
}

/// In one store a separator was taken for another, and `order:item-99` met `order-item:99`.
async fn defect_13_no_two_entities_share_one(world: &World) {
    const IDS: [&str; 8] = [
        "item-9", "item:9", "item.9", "item", "9", "-9", "ITEM.9", "item 9",
    ];
    let process = Process::<EACH>::start(world).await;
    let items: Repository<TallyItem> = process.tenure.repository().await.unwrap();
    let mut stored = 0;
    for (n, id) in (1..).zip(IDS) {
        for by in [n, 100] {
            process.tallies.execute(id, Increment { by }).await.unwrap();
            items.execute(id, Increment { by: 10 * by }).await.unwrap();
            stored += 2;
            process.stored(stored).await;
        }
    }
    let subjects: BTreeSet<_> = bodies(world).await.into_iter().map(|it| it.0).collect();
    assert_eq!(subjects.len(), 4 * IDS.len());
    let fresh = Process::<EACH>::start(world).await;
    let fresh_items: Repository<TallyItem> = fresh.tenure.repository().await.unwrap();
    for (n, id) in (1..).zip(IDS) {
        assert_eq!(fresh.load(id).await, (100 + n, 2), "{id:?}");
        let item = fresh_items.load(id).await.unwrap();
        assert_eq!(item.state.count, 10 * (100 + n), "{id:?}");
    }
    let all = 2 * IDS.len() as u64;
    assert_eq!(fresh.used_and_ignored().await, (all, 0));
}

async fn an_older_one_never_takes_the_place_of_a_newer(world: &World) {
    let one = Process::<EACH>::start(world).await;
    let two = Process::<EACH>::start(world).await;
    tokio::join!(one.count("a", 30), two.count("a", 30));
    let mut current = None;
    for (sequence, commit) in commits(world).await {
        let named = commit.snapshot.map(|named| (named.version, named.sequence));
        assert!(
            named >= current,
            "{named:?} after {current:?} at {sequence}"
        );
        current = named;
    }
    assert!(current.is_some(), "some are named");
    let fresh = Process::<EACH>::start(world).await;
    assert_eq!(fresh.load("a").await, (60, 60));
}

async fn one_is_taken_after_a_long_load_and_named_by_the_next_commit(world: &World) {
    Process::<NEVER>::start(world).await.count("a", 5).await;
    let process = Process::<AFTER_LOAD>::start(world).await;
    assert_eq!(process.load("a").await, (5, 5));
    process.stored(1).await;
    // It does not count before a commit names it.
    let reader = Process::<NEVER>::start(world).await;
    assert_eq!(reader.load("a").await, (5, 5));
    assert_eq!(reader.used_and_ignored().await, (0, 0));
    process.count("a", 1).await;
    let reader = Process::<AFTER_LOAD>::start(world).await;
    assert_eq!(reader.load("a").await, (6, 6));
    assert_eq!(reader.used_and_ignored().await, (1, 0));
    assert_eq!(reader.tenure.counters().await.snapshots_stored, 0);
}

/// In one store a value with a time to live was deleted as soon as it was written.
async fn defect_03_one_that_expires_is_there_until_then(world: &World) {
    let process = Process::<PASSING>::start(world).await;
    process.count("a", 2).await;
    process.stored(1).await;
    process.count("a", 1).await;
    assert_eq!(bodies(world).await.len(), 1);
    let before = Process::<NEVER>::start(world).await;
    assert_eq!(before.load("a").await, (3, 3));
    assert_eq!(before.used_and_ignored().await, (1, 0));
    until("its time is over", || async {
        // A store in memory lets go of what is over when it is asked something.
        let fresh = Process::<NEVER>::start(world).await;
        assert_eq!(fresh.load("a").await, (3, 3), "no event goes with it");
        bodies(world).await.is_empty()
    })
    .await;
    let after = Process::<PASSING>::start(world).await;
    assert_eq!(after.load("a").await, (3, 3));
    assert_eq!(after.used_and_ignored().await, (0, 1));
    // Taken anew: what was replayed is more than lies between two.
    after.count("a", 1).await;
    after.stored(1).await;
    after.count("a", 1).await;
    let fresh = Process::<NEVER>::start(world).await;
    assert_eq!(fresh.load("a").await, (5, 5));
    assert_eq!(fresh.used_and_ignored().await, (1, 0));
}

/// In one store a command failed after its events were stored, because its snapshot was not.
async fn defect_15_an_outage_of_their_store_fails_no_command(world: &World) {
    let name = format!("{}_snap", world.namespace);
    let subjects = vec![format!("{}.snap.>", world.namespace)];
    let full = StreamSettings {
        bytes_max: 16,
        ..StreamSettings::snapshots(name.into(), subjects, 1)
    };
    world.create_stream(full).await;
    let process = Process::<EACH>::start(world).await;
    for count in 1..=6 {
        assert_eq!(process.tallies.execute("a", one()).await.unwrap(), count);
        process
            .until("the failure is counted", |it| it.snapshots_failed == count)
            .await;
    }
    assert_eq!(process.tenure.counters().await.snapshots_stored, 0);
    let fresh = Process::<EACH>::start(world).await;
    assert_eq!(fresh.load("a").await, (6, 6));
    assert_eq!(fresh.used_and_ignored().await, (0, 0));
}

/// Puts other bytes in the place of some of the bodies, newest first.
async fn spoil(world: &World, count: usize) {
    let bodies = bodies(world).await;
    for (subject, _) in bodies.iter().rev().take(count) {
        world.publish("snap", subject, b"spoilt").await;
    }
}

/// An entity with ten commits, of which snapshots of the sixth and the ninth are kept.
async fn with_two_kept(world: &World) {
    let process = Process::<THIRD>::start(world).await;
    for round in 1..=3 {
        process.count("a", 3).await;
        process.stored(round).await;
    }
    process.count("a", 1).await;
    process
        .until("the first is deleted", |it| it.snapshots_deleted == 1)
        .await;
    let versions: Vec<_> = bodies(world)
        .await
        .iter()
        .map(|it| it.1.version.0)
        .collect();
    assert_eq!(versions, [6, 9]);
}

async fn a_broken_one_is_passed_over_for_the_one_before(world: &World) {
    with_two_kept(world).await;
    spoil(world, 1).await;
    let fresh = Process::<THIRD>::start(world).await;
    assert_eq!(fresh.load("a").await, (10, 10));
    assert_eq!(fresh.used_and_ignored().await, (1, 1));
}

async fn when_all_are_broken_everything_is_replayed(world: &World) {
    with_two_kept(world).await;
    spoil(world, 2).await;
    let fresh = Process::<THIRD>::start(world).await;
    assert_eq!(fresh.load("a").await, (10, 10));
    assert_eq!(fresh.used_and_ignored().await, (0, 2));
    // The next commit is followed by a new one.
    fresh.count("a", 1).await;
    fresh.stored(1).await;
    fresh.count("a", 1).await;
    let later = Process::<THIRD>::start(world).await;
    assert_eq!(later.load("a").await, (12, 12));
    assert_eq!(later.used_and_ignored().await, (1, 0));
}

async fn a_rollback_finds_its_own(world: &World) {
    let old = Process::<THIRD>::start(world).await;
    old.count("a", 3).await;
    old.stored(1).await;
    old.count("a", 1).await;
    let new = Process::<THIRD, 2>::start(world).await;
    new.count("a", 1).await;
    assert_eq!(new.used_and_ignored().await, (0, 1));
    new.stored(1).await;
    new.count("a", 1).await;
    let rolled_back = Process::<THIRD>::start(world).await;
    assert_eq!(rolled_back.load("a").await, (6, 6));
    assert_eq!(rolled_back.used_and_ignored().await, (1, 1));
}

async fn hooks_that_fail_cost_nothing_but_the_snapshot(world: &World) {
    let process = Process::<EACH, FAILING>::start(world).await;
    process.count("a", 1).await;
    process.stored(1).await;
    process.count("a", 1).await;
    process
        .until("it cannot be encoded", |it| it.snapshots_failed == 1)
        .await;
    process.count("a", 1).await;
    process.stored(2).await;
    process.count("a", 1).await;
    process.stored(3).await;
    process.count("a", 1).await;
    // The current one is of a count of 4, which cannot be restored; the one before can.
    let fresh = Process::<EACH, FAILING>::start(world).await;
    assert_eq!(fresh.load("a").await, (5, 5));
    assert_eq!(fresh.used_and_ignored().await, (1, 1));
}

async fn old_ones_are_deleted_and_leave_nothing(world: &World) {
    let process = Process::<EACH>::start(world).await;
    for stored in 1..=7 {
        process.count("a", 1).await;
        process.stored(stored).await;
    }
    // Two are kept, and the last is not named yet; what deleted the others goes by itself.
    process
        .until("four are deleted", |it| it.snapshots_deleted == 4)
        .await;
    until("nothing else is left", || async {
        // A store in memory lets go of what is over when it is asked something.
        process.tallies.version("b").await.unwrap();
        world.extent("snap").await.messages == 3
    })
    .await;
    let versions: Vec<_> = bodies(world)
        .await
        .iter()
        .map(|it| it.1.version.0)
        .collect();
    assert_eq!(versions, [5, 6, 7]);
}

/// Bodies and what deletes them are more messages than the commits that they are of: a node that
/// took their stream's end for the end of the events would find the events' tail lost.
async fn their_sequences_say_nothing_of_the_events(world: &World) {
    let process = Process::<EACH>::start(world).await;
    for stored in 1..=10 {
        process.count("a", 1).await;
        process.stored(stored).await;
    }
    process
        .until("seven are deleted", |it| it.snapshots_deleted == 7)
        .await;
    assert_eq!(process.tallies.version("b").await.unwrap(), Version::ABSENT);
    let third = process.tallies.load_at("a", Version(3)).await.unwrap();
    assert_eq!(third.state.count, 3);
    let history = process.tallies.history("a").unwrap();
    assert_eq!(history.collect().await.unwrap().len(), 10);
    process.count("b", 1).await;
    assert_eq!(process.tenure.counters().await.lost_tails, 0);
}
