//! Groups: which node runs which partition, and what a hand-over and a death do to it.

use super::{SOON, brief, moved, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::{
    Consumed, ConsumerBuilder, ConsumerError, Fault, Group, GroupHandle, GroupOrderError,
    GroupOrderRefusal, GroupPart, GroupStatus, LetterError, Position, Start, Then,
};
use tenure::prelude::*;
use tenure::{MemShell, Sequence, Span, Terms, WallTime};
use tokio::sync::Semaphore;

on_both_shells!(
    every_event_is_handled_by_the_node_that_runs_its_partition,
    a_node_that_joins_takes_its_share_and_nothing_else_moves,
    a_node_that_stops_hands_over_and_the_others_go_on_behind_the_checkpoint,
    a_group_that_stops_on_one_node_goes_on_at_the_others,
    what_a_killed_node_had_goes_on_elsewhere_behind_the_checkpoint,
    one_node_leads_at_a_time,
    what_stands_over_an_event_stands_alone,
    a_group_that_is_paused_on_one_node_rests_on_all_and_who_joins_rests_too,
    a_group_is_rebuilt_as_a_whole_and_one_that_stands_begins_anew,
    a_group_goes_on_from_a_place_that_is_there,
    a_new_group_begins_with_what_is_new_on_whichever_node,
    letters_of_a_group_are_replayed_where_their_entity_is,
    a_name_belongs_to_one_definition,
);

/// A group of accounts that many partitions are spread by.
const PARTITIONS: u16 = 12;

/// By which node, of which entity, and by how much.
type Entry = (&'static str, String, i64);

/// Who was handed what, in order.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<Vec<Entry>>>);

impl Book {
    fn note(&self, node: &'static str, event: &Consumed<AccountEvent>) {
        let AccountEvent::Moved { cents } = event.event else {
            return;
        };
        let id = event.id().as_str().to_owned();
        self.0.lock().unwrap().push((node, id, cents));
    }

    fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// What came of each entity.
    fn by_entity(&self) -> BTreeMap<String, Vec<i64>> {
        let mut by: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (_, id, cents) in self.all() {
            by.entry(id).or_default().push(cents);
        }
        by
    }

    /// Waits until so many were handed over.
    async fn has(&self, count: usize) {
        let wait = async {
            while self.len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(SOON, wait).await.is_err() {
            panic!("{count} do not come: {:?}", self.all());
        }
    }
}

pub(super) async fn node(world: &World, name: &str) -> Tenure {
    world.start(builder(name)).await
}

fn builder(name: &str) -> tenure::Builder {
    let terms = Terms::of_ttl(Span::from_millis(1_500));
    let cluster = Cluster::named(name).terms(terms);
    Tenure::builder()
        .namespace("bank")
        .shards(48)
        .cluster(cluster.settle(Duration::from_millis(50)))
}

/// A group that notes what it gets.
fn noting(node: &Tenure, name: &'static str, book: &Book) -> ConsumerBuilder {
    let book = book.clone();
    node.consumer("mailer")
        .pace(|pace| pace.checkpoint_within = Span::from_millis(20))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            book.note(name, &event);
            async {}
        })
}

async fn mailer(node: &Tenure, name: &'static str, book: &Book) -> GroupHandle {
    let group = noting(node, name, book).grouped(Group::partitions(PARTITIONS));
    group.start().await.unwrap()
}

/// Waits until these nodes have all partitions between them, and each has some.
async fn shared(groups: &[&GroupHandle]) -> Vec<BTreeSet<GroupPart>> {
    for group in groups {
        let all = |status: &GroupStatus| status.members.len() == groups.len();
        soon(group.until_status(all)).await.unwrap();
    }
    let whole = async {
        loop {
            let held: Vec<BTreeSet<_>> = groups
                .iter()
                .map(|group| group.held().into_iter().collect())
                .collect();
            let sum: usize = held.iter().map(BTreeSet::len).sum();
            let settled = groups.iter().all(|group| {
                let status = group.status();
                let mut parts = status.partitions.iter();
                parts.all(|part| part.mine == part.here.is_some())
            });
            if settled && sum == groups[0].status().partitions.len() {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = soon(whole).await;
    let all: BTreeSet<_> = held.iter().flatten().collect();
    assert_eq!(all.len(), groups[0].status().partitions.len(), "{held:?}");
    held
}

async fn every_event_is_handled_by_the_node_that_runs_its_partition(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    let held = shared(&[&one, &two]).await;
    assert!(held.iter().all(|held| !held.is_empty()), "{held:?}");
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), 1..=3).await;
    }
    book.has(90).await;
    for (id, cents) in book.by_entity() {
        assert_eq!(cents, [1, 2, 3], "{id}");
    }
    // An entity is on one node, and both have some.
    let by: BTreeSet<_> = book.all().into_iter().map(|(by, id, _)| (by, id)).collect();
    assert_eq!(by.len(), 30);
    let nodes: BTreeSet<_> = by.iter().map(|(by, _)| *by).collect();
    assert_eq!(nodes, BTreeSet::from(["a", "b"]));
    soon(one.live()).await.unwrap();
    assert!(one.status().lag.is_none());
    let owners = |group: &GroupHandle| group.status().partitions.len();
    assert_eq!(owners(&one), usize::from(PARTITIONS));
    a.stop().await;
    b.stop().await;
}

async fn a_node_that_joins_takes_its_share_and_nothing_else_moves(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    let before = shared(&[&one, &two]).await;
    let c = node(world, "c").await;
    let three = mailer(&c, "c", &book).await;
    let after = shared(&[&one, &two, &three]).await;
    assert!(!after[2].is_empty(), "{after:?}");
    for (before, after) in before.iter().zip(&after) {
        assert!(after.is_subset(before), "{before:?} became {after:?}");
    }
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    book.has(30).await;
    for node in [a, b, c] {
        node.stop().await;
    }
    assert_eq!(book.len(), 30, "nothing came twice, as nobody died");
}

async fn a_node_that_stops_hands_over_and_the_others_go_on_behind_the_checkpoint(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    shared(&[&one, &two]).await;
    let accounts = b.repository::<Account>().await.unwrap();
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), 1..=2).await;
    }
    book.has(60).await;
    a.stop().await;
    shared(&[&two]).await;
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), [3]).await;
    }
    book.has(90).await;
    for (id, cents) in book.by_entity() {
        assert_eq!(cents, [1, 2, 3], "{id}");
    }
    b.stop().await;
}

async fn a_group_that_stops_on_one_node_goes_on_at_the_others(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    shared(&[&one, &two]).await;
    soon(one.stop()).await.unwrap();
    assert!(one.held().is_empty());
    assert!(matches!(one.live().await, Err(ConsumerError::Stopped)));
    shared(&[&two]).await;
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..10 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    book.has(10).await;
    assert!(book.all().iter().all(|(by, ..)| *by == "b"));
    // It may come back.
    let again = mailer(&a, "a", &book).await;
    shared(&[&again, &two]).await;
    a.stop().await;
    b.stop().await;
}

/// A node on a runtime of its own, which ends as by a crash.
struct Doomed {
    node: Tenure,
    group: GroupHandle,
    runtime: tokio::runtime::Runtime,
}

impl Doomed {
    async fn start(world: &World, name: &'static str, book: &Book) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (place, book) = (world.place().to_owned(), book.clone());
        let started = runtime.spawn(async move {
            let node = builder(name).start(&place).await.unwrap();
            let group = mailer(&node, name, &book).await;
            (node, group)
        });
        let (node, group) = started.await.unwrap();
        Self {
            node,
            group,
            runtime,
        }
    }

    fn kill(self) {
        self.runtime.shutdown_background();
        drop((self.node, self.group));
    }
}

async fn what_a_killed_node_had_goes_on_elsewhere_behind_the_checkpoint(world: &World) {
    let book = Book::default();
    let a = node(world, "a").await;
    let one = mailer(&a, "a", &book).await;
    let doomed = Doomed::start(world, "b", &book).await;
    let held = shared(&[&one, &doomed.group]).await;
    let lost = held[1].clone();
    assert!(!lost.is_empty());
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), 1..=2).await;
    }
    book.has(60).await;
    // Its checkpoints are where it stands.
    let saved = |status: &GroupStatus| {
        let here = status
            .partitions
            .iter()
            .filter_map(|part| part.here.as_ref());
        let mut here = here.filter(|status| status.handled > 0);
        here.all(|status| status.saved == status.positions)
    };
    soon(doomed.group.until_status(saved)).await.unwrap();
    doomed.kill();
    shared(&[&one]).await;
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), [3]).await;
    }
    book.has(90).await;
    soon(one.live()).await.unwrap();
    for (id, cents) in book.by_entity() {
        assert_eq!(cents, [1, 2, 3], "{id}: it began behind the checkpoint");
    }
    assert!(lost.iter().all(|part| one.held().contains(part)));
    a.stop().await;
}

async fn one_node_leads_at_a_time(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let lead = |node, name| noting(node, name, &book).single_leader().start();
    let (one, two) = (lead(&a, "a").await.unwrap(), lead(&b, "b").await.unwrap());
    let held = shared(&[&one, &two]).await;
    assert_eq!(held.iter().map(BTreeSet::len).sum::<usize>(), 1);
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..10 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    book.has(10).await;
    let by: BTreeSet<_> = book.all().into_iter().map(|(by, ..)| by).collect();
    assert_eq!(by.len(), 1);
    let (leader, other) = match held[0].is_empty() {
        true => (&two, &one),
        false => (&one, &two),
    };
    soon(leader.stop()).await.unwrap();
    shared(&[other]).await;
    moved(&accounts, "account-0", [2]).await;
    book.has(11).await;
    let by: BTreeSet<_> = book.all().into_iter().map(|(by, ..)| by).collect();
    assert_eq!(by.len(), 2);
    a.stop().await;
    b.stop().await;
}

/// The policy is to stop: the partition stands where it is, and the others go on.
async fn what_stands_over_an_event_stands_alone(world: &World) {
    let a = node(world, "a").await;
    let done = Book::default();
    let book = done.clone();
    let group = a
        .consumer("mailer")
        .failing(brief(0, Then::Stop))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            let poison = event.id().as_str() == "poison";
            if !poison {
                book.note("a", &event);
            }
            async move { if poison { Err("no") } else { Ok(()) } }
        })
        .grouped(Group::partitions(PARTITIONS))
        .start()
        .await
        .unwrap();
    shared(&[&group]).await;
    let accounts = a.repository::<Account>().await.unwrap();
    moved(&accounts, "poison", [1]).await;
    let stands = |status: &GroupStatus| {
        let ended = status
            .partitions
            .iter()
            .filter_map(|part| part.ended.as_ref());
        ended.into_iter().any(|why| why.contains("poison"))
    };
    soon(group.until_status(stands)).await.unwrap();
    let status = group.status();
    let ended = status.partitions.iter().filter(|part| part.ended.is_some());
    let stood: Vec<_> = ended.map(|part| part.part).collect();
    assert_eq!(stood.len(), 1);
    // It will not be live: who waits is told why.
    let error = soon(group.live()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ConsumerError::GroupPart { name, part, why }
                if name == "mailer" && *part == stood[0] && why.contains("poison")
        ),
        "{error}"
    );
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    done.has(15).await;
    soon(group.stop()).await.unwrap();
    a.stop().await;
}

/// Waits until a group is as its nodes were told, on each of them.
async fn all_are(groups: &[&GroupHandle], so: impl Fn(&GroupStatus) -> bool) {
    for group in groups {
        soon(group.until_status(&so)).await.unwrap();
    }
}

/// Whether what a node runs of a group is paused, all of it or nothing.
fn rests(status: &GroupStatus, rests: bool) -> bool {
    let here = status
        .partitions
        .iter()
        .filter_map(|part| part.here.as_ref());
    status.paused.is_some() == rests && here.into_iter().all(|here| here.paused.is_some() == rests)
}

async fn a_group_that_is_paused_on_one_node_rests_on_all_and_who_joins_rests_too(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    shared(&[&one, &two]).await;
    one.pause("the tests").await.unwrap();
    // Of two who want it the first one stands.
    two.pause("somebody else").await.unwrap();
    all_are(&[&one, &two], |status| rests(status, true)).await;
    assert_eq!(two.status().paused.as_deref(), Some("the tests"));
    let c = node(world, "c").await;
    let three = mailer(&c, "c", &book).await;
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..30 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    shared(&[&one, &two, &three]).await;
    all_are(&[&one, &two, &three], |status| rests(status, true)).await;
    assert_eq!(book.all(), []);
    three.resume().await.unwrap();
    book.has(30).await;
    all_are(&[&one, &two, &three], |status| rests(status, false)).await;
    let mut counted = Vec::new();
    for node in [&a, &b, &c] {
        counted.push(node.counters().await);
    }
    let held: u64 = counted.iter().map(|it| it.partitions_held).sum();
    assert_eq!(held, u64::from(PARTITIONS));
    let moved: u64 = counted.iter().map(|it| it.partitions_handed_over).sum();
    let claimed: u64 = counted.iter().map(|it| it.partitions_claimed).sum();
    assert_eq!(claimed, held + moved);
    assert_eq!(counted[0].group_orders, 1);
    for node in [a, b, c] {
        node.stop().await;
    }
    assert_eq!(book.len(), 30);
}

async fn a_group_is_rebuilt_as_a_whole_and_one_that_stands_begins_anew(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let healed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let start = |node: &Tenure, name: &'static str| {
        let (book, healed) = (book.clone(), Arc::clone(&healed));
        let builder = node.consumer("mailer").failing(brief(0, Then::Stop));
        let builder = builder.kind::<Account>(move |event: Consumed<AccountEvent>| {
            let poison = event.id().as_str() == "poison";
            let fails = poison && !healed.load(std::sync::atomic::Ordering::Relaxed);
            if !fails {
                book.note(name, &event);
            }
            async move { if fails { Err("no") } else { Ok(()) } }
        });
        builder.grouped(Group::partitions(PARTITIONS)).start()
    };
    let (one, two) = (start(&a, "a").await.unwrap(), start(&b, "b").await.unwrap());
    shared(&[&one, &two]).await;
    let accounts = a.repository::<Account>().await.unwrap();
    let ids: Vec<String> = (0..20).map(|n| format!("account-{n}")).collect();
    for id in &ids {
        moved(&accounts, id, 1..=2).await;
    }
    book.has(40).await;
    moved(&accounts, "poison", [7]).await;
    let stands = |status: &GroupStatus| status.partitions.iter().any(|part| part.ended.is_some());
    let told = async {
        tokio::select! {
            told = one.until_status(stands) => told,
            told = two.until_status(stands) => told,
        }
    };
    soon(told).await.unwrap();
    healed.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(two.rebuild().await.unwrap(), 2);
    // All of it comes once more, and what nobody could handle comes now.
    book.has(40 + 41).await;
    let again = |status: &GroupStatus| status.life == 2;
    all_are(&[&one, &two], again).await;
    for (id, cents) in book.by_entity() {
        match id.as_str() {
            "poison" => assert_eq!(cents, [7]),
            _ => assert_eq!(cents, [1, 2, 1, 2], "{id}"),
        }
    }
    soon(one.live()).await.unwrap();
    soon(two.live()).await.unwrap();
    a.stop().await;
    b.stop().await;
    assert_eq!(book.len(), 81);
}

async fn a_group_goes_on_from_a_place_that_is_there(world: &World) {
    let a = node(world, "a").await;
    let book = Book::default();
    let group = mailer(&a, "a", &book).await;
    shared(&[&group]).await;
    let accounts = a.repository::<Account>().await.unwrap();
    moved(&accounts, "ann", [1, 2]).await;
    book.has(2).await;
    let past = vec![Position::whole(Sequence(1_000_000))];
    let error = group.rewind(Start::After(past)).await.unwrap_err();
    assert!(
        matches!(
            &error,
            GroupOrderError::Refused(GroupOrderRefusal::PastEnd(_))
        ),
        "{error}"
    );
    let error = group.rewind(Start::After(Vec::new())).await.unwrap_err();
    assert!(
        error.to_string().contains("1 event streams, and 0"),
        "{error}"
    );
    assert_eq!(group.status().life, 1);
    // With what is new: nothing comes twice.
    assert_eq!(group.rewind(Start::New).await.unwrap(), 2);
    moved(&accounts, "ann", [3]).await;
    book.has(3).await;
    assert_eq!(group.rewind(Start::At(WallTime(1_000))).await.unwrap(), 3);
    book.has(6).await;
    assert_eq!(book.by_entity()["ann"], [1, 2, 3, 1, 2, 3]);
    soon(group.stop()).await.unwrap();
    let error = group.pause("too late").await.unwrap_err();
    assert!(
        matches!(&error, GroupOrderError::Consumer(ConsumerError::Stopped)),
        "{error}"
    );
    a.stop().await;
}

async fn a_new_group_begins_with_what_is_new_on_whichever_node(world: &World) {
    let a = node(world, "a").await;
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    let book = Book::default();
    let start = |node: &Tenure, name: &'static str| {
        let builder = noting(node, name, &book).from(Start::New);
        builder.grouped(Group::partitions(PARTITIONS)).start()
    };
    let one = start(&a, "a").await.unwrap();
    // Partitions are claimed only later, and nothing of what is new is passed over.
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [2]).await;
    }
    let b = node(world, "b").await;
    let two = start(&b, "b").await.unwrap();
    shared(&[&one, &two]).await;
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [3]).await;
    }
    book.has(40).await;
    for (id, cents) in book.by_entity() {
        assert_eq!(cents, [2, 3], "{id}");
    }
    a.stop().await;
    b.stop().await;
    assert_eq!(book.len(), 40);
}

async fn letters_of_a_group_are_replayed_where_their_entity_is(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let start = |node: &Tenure| {
        let first = |event: Consumed<AccountEvent>| async move {
            if event.attempt() == 1 {
                Err("no")
            } else {
                Ok(())
            }
        };
        node.consumer("mailer")
            .failing(brief(0, Then::DeadLetter))
            .kind::<Account>(first)
            .grouped(Group::partitions(PARTITIONS))
            .start()
    };
    let (one, two) = (start(&a).await.unwrap(), start(&b).await.unwrap());
    shared(&[&one, &two]).await;
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..12 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    let put_aside = |group: &GroupHandle| {
        let status = group.status();
        let here = status
            .partitions
            .iter()
            .filter_map(|part| part.here.clone());
        here.map(|status| status.dead_lettered).sum::<u64>()
    };
    let all = async {
        while put_aside(&one) + put_aside(&two) < 12 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(all).await;
    let all = one.dead_letters().all().await.unwrap();
    assert_eq!(all.len(), 12);
    let (handled, left) = one.dead_letters().replay_all().await.unwrap();
    assert_eq!(handled as usize + left.len(), 12);
    assert!(handled > 0 && !left.is_empty(), "{handled}");
    let elsewhere = one.dead_letters().replay(left[0].place).await.unwrap_err();
    let LetterError::Elsewhere { node, .. } = &elsewhere else {
        panic!("{elsewhere}");
    };
    assert_eq!(node.as_deref(), Some("b"), "{elsewhere}");
    let (rest, left) = two.dead_letters().replay_all().await.unwrap();
    assert_eq!((handled + rest, left.len()), (12, 0));
    assert!(two.dead_letters().all().await.unwrap().is_empty());
    a.stop().await;
    b.stop().await;
}

/// What a group does not become.
async fn refused(
    group: impl IntoFuture<Output = Result<GroupHandle, ConsumerError>>,
) -> ConsumerError {
    soon(group.into_future()).await.unwrap_err()
}

async fn a_name_belongs_to_one_definition(world: &World) {
    let (a, b) = (node(world, "a").await, node(world, "b").await);
    let book = Book::default();
    let one = mailer(&a, "a", &book).await;
    let group = |node: &Tenure, partitions| {
        noting(node, "b", &book)
            .grouped(Group::partitions(partitions))
            .start()
    };

    let error = refused(group(&b, 8)).await;
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::OtherPartitions { .. })),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("12 partitions") && text.contains('8'),
        "{text}"
    );
    let filtered = noting(&b, "b", &book).of_id("alice");
    let filtered = filtered.grouped(Group::partitions(PARTITIONS)).start();
    let error = refused(filtered).await;
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::OtherGroup { .. })),
        "{error}"
    );
    let error = refused(group(&a, PARTITIONS)).await;
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::RunsHere { .. })),
        "{error}"
    );
    for partitions in [0, 49] {
        let error = refused(group(&b, partitions)).await;
        assert!(error.to_string().contains("at most 48"), "{error}");
    }

    // A name is a consumer's or a group's.
    let consumer = soon(noting(&b, "b", &book).start()).await.unwrap_err();
    assert!(
        matches!(
            &consumer,
            ConsumerError::Fault(Fault::IsGroup { partitions: 12, .. })
        ),
        "{consumer}"
    );
    let plain = |node: &Tenure| {
        node.consumer("plain")
            .kind::<Account>(|_: Consumed<AccountEvent>| async {})
    };
    let alone = plain(&b).start().await.unwrap();
    let error = refused(plain(&a).single_leader().start()).await;
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::IsConsumer { .. })),
        "{error}"
    );
    alone.stop().await.unwrap();

    let reset = noting(&b, "b", &book).reset(Start::Beginning);
    let error = refused(reset.single_leader().start()).await;
    assert!(
        matches!(&error, ConsumerError::GroupReset { .. }),
        "{error}"
    );
    let own = b.consumer("own").batches(
        None::<Vec<Position>>,
        |_: tenure::consumer::EventBatch| async {},
    );
    let error = refused(own.single_leader().start()).await;
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::GroupExternal { .. })),
        "{error}"
    );
    soon(one.stop()).await.unwrap();
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_group_needs_a_cluster() {
    let node = World::mem().node().await;
    let group = noting(&node, "a", &Book::default()).single_leader();
    let error = group.start().await.unwrap_err();
    assert!(
        matches!(&error, ConsumerError::NoCluster { name } if name == "mailer"),
        "{error}"
    );
    node.stop().await;
}

/// A handler that does not end holds its partition for `hand_over_patience` alone, and its event comes
/// again at the node that takes it.
#[tokio::test]
async fn a_handler_that_does_not_end_is_dropped_at_a_hand_over() {
    let world = World::mem();
    let a = node(&world, "a").await;
    let (book, gate) = (Book::default(), Arc::new(Semaphore::new(0)));
    let hanging = |book: &Book, name: &'static str, gate: &Arc<Semaphore>| {
        let (book, gate) = (book.clone(), Arc::clone(gate));
        move |event: Consumed<AccountEvent>| {
            book.note(name, &event);
            let gate = Arc::clone(&gate);
            async move {
                let _ = gate.acquire().await;
            }
        }
    };
    let one = a
        .consumer("mailer")
        .kind::<Account>(hanging(&book, "a", &gate))
        .single_leader()
        .start()
        .await
        .unwrap();
    let accounts = a.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    book.has(1).await;
    let b = node(&world, "b").await;
    let open = Arc::new(Semaphore::new(9));
    let two = b
        .consumer("mailer")
        .kind::<Account>(hanging(&book, "b", &open))
        .single_leader()
        .start()
        .await
        .unwrap();
    let stop = tokio::spawn(async move { one.stop().await });
    book.has(2).await;
    let by: Vec<_> = book.all().into_iter().map(|(by, ..)| by).collect();
    assert_eq!(by, ["a", "b"]);
    soon(stop).await.unwrap().unwrap();
    soon(two.live()).await.unwrap();
    a.stop().await;
    b.stop().await;
}

/// A node that is cut off stops by its own clock before another one takes what it had (P3); when it is back
/// it is another run, and takes its share again.
#[tokio::test]
async fn a_node_that_is_cut_off_stops_first_and_comes_back() {
    let shell = MemShell::fresh();
    let (near, far) = (shell.beside(), shell.beside());
    let a = builder("a").start_with(near).await.unwrap();
    let b = builder("b").start_with(far.clone()).await.unwrap();
    let book = Book::default();
    let (one, two) = (mailer(&a, "a", &book).await, mailer(&b, "b", &book).await);
    shared(&[&one, &two]).await;
    far.cut(true);
    let all = |status: &GroupStatus| status.partitions.iter().all(|part| part.here.is_some());
    soon(one.until_status(all)).await.unwrap();
    assert!(two.held().is_empty(), "{:?}", two.held());
    let accounts = a.repository::<Account>().await.unwrap();
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [1]).await;
    }
    book.has(20).await;
    assert!(book.all().iter().all(|(by, ..)| *by == "a"));
    far.cut(false);
    shared(&[&one, &two]).await;
    for n in 0..20 {
        moved(&accounts, &format!("account-{n}"), [2]).await;
    }
    book.has(40).await;
    for (id, cents) in book.by_entity() {
        assert_eq!(cents, [1, 2], "{id}");
    }
    a.stop().await;
    b.stop().await;
}

/// A node that owns no shards may run partitions; one of weight 0 runs none.
#[tokio::test]
async fn a_client_runs_partitions_and_a_node_without_weight_none() {
    let world = World::mem();
    let cluster = |name: &str| Cluster::named(name).settle(Duration::from_millis(50));
    let builder = |cluster| {
        let builder = Tenure::builder().namespace("bank").shards(48);
        builder.cluster(cluster)
    };
    let client = world.start(builder(cluster("client").client())).await;
    let idle = world.start(builder(cluster("idle").weight(0))).await;
    let book = Book::default();
    let (one, two) = (
        mailer(&client, "client", &book).await,
        mailer(&idle, "idle", &book).await,
    );
    let all = |status: &GroupStatus| status.partitions.iter().all(|part| part.here.is_some());
    soon(one.until_status(all)).await.unwrap();
    assert!(two.held().is_empty());
    client.stop().await;
    idle.stop().await;
}
