//! Consumers and projections are told of a deletion by its event, as of any other.

use super::SOON;
use crate::common::{Account, AccountEvent, Move, World, on_both_shells, open};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::Consumed;
use tenure::prelude::*;
use tenure::projection::{Memory, Projection};
use tenure::{DELETED, RawEvent};

on_both_shells!(
    a_projection_folds_the_deletion,
    what_was_deleted_before_is_not_told,
    a_kind_that_does_not_name_it_is_not_told,
    a_raw_consumer_gets_it_as_it_is_stored,
);

/// What can happen to a person; a deletion is among it.
#[derive(Clone, Debug, PartialEq, Event)]
enum PersonEvent {
    #[event(name = "named", version = 1)]
    Named { name: String },
    #[event(name = "tenure-deleted", version = 1)]
    Deleted,
}

#[derive(Clone, Debug, Default)]
struct Person {
    name: String,
}

impl Aggregate for Person {
    type Event = PersonEvent;
    const KIND: &'static str = "person";

    fn evolve(&mut self, event: &PersonEvent) {
        match event {
            PersonEvent::Named { name } => self.name.clone_from(name),
            PersonEvent::Deleted => {}
        }
    }
}

async fn name(people: &Repository<Person>, id: &str, name: &str) -> tenure::Sequence {
    let name = name.to_owned();
    let named = people.transact(id, move |_: &Person| {
        let name = name.clone();
        Ok::<_, Never>(Decision::event(PersonEvent::Named { name }))
    });
    named.receipt().await.unwrap().sequence.unwrap()
}

type Names = BTreeMap<String, String>;

async fn names(node: &Tenure, of: &str) -> Projection<Memory<Names>> {
    let builder = node.projection(of, Memory::<Names>::default());
    let builder = builder.fold::<Person>(|names: &mut Names, event: &Consumed<PersonEvent>| {
        let id = event.id().as_str().to_owned();
        match &event.event {
            PersonEvent::Named { name } => names.insert(id, name.clone()),
            PersonEvent::Deleted => names.remove(&id),
        };
    });
    builder.start().await.unwrap()
}

async fn a_projection_folds_the_deletion(world: &World) {
    let node = world.node().await;
    let people = node.repository::<Person>().await.unwrap();
    name(&people, "alice", "Alice").await;
    let last = name(&people, "bob", "Bob").await;
    let projection = names(&node, "names").await;
    projection.seen::<Person>("bob", last, SOON).await.unwrap();
    assert_eq!(projection.read(Names::len), 2);
    let deleted = people.delete("alice").receipt().await.unwrap();
    let deleted = deleted.sequence.unwrap();
    projection
        .seen::<Person>("alice", deleted, SOON)
        .await
        .unwrap();
    let left: Vec<_> = projection.read(|names| names.keys().cloned().collect());
    assert_eq!(left, ["bob"]);
    let anew = name(&people, "alice", "Alice again").await;
    projection
        .seen::<Person>("alice", anew, SOON)
        .await
        .unwrap();
    assert_eq!(
        projection.read(|names| names["alice"].clone()),
        "Alice again"
    );
    projection.stop().await.unwrap();
}

async fn what_was_deleted_before_is_not_told(world: &World) {
    let node = world.node().await;
    let people = node.repository::<Person>().await.unwrap();
    name(&people, "alice", "Alice").await;
    people.delete("alice").await.unwrap();
    let last = name(&people, "bob", "Bob").await;
    let projection = names(&node, "names").await;
    projection.seen::<Person>("bob", last, SOON).await.unwrap();
    let left: Vec<_> = projection.read(|names| names.keys().cloned().collect());
    assert_eq!(left, ["bob"]);
    projection.stop().await.unwrap();
}

async fn a_kind_that_does_not_name_it_is_not_told(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&noted);
    let consumer = node
        .consumer("noted")
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            let notes = Arc::clone(&notes);
            async move { notes.lock().unwrap().push(event.version) }
        })
        .start()
        .await
        .unwrap();
    accounts.create("alice", open("Alice", 1)).await.unwrap();
    accounts.delete("alice").await.unwrap();
    let moved = accounts.execute("alice", Move { cents: 2 });
    let last = moved.receipt().await.unwrap().sequence.unwrap();
    consumer.seen::<Account>("alice", last, SOON).await.unwrap();
    let noted = noted.lock().unwrap().clone();
    // What came before may have been gone before it was read.
    assert_eq!(noted.last(), Some(&Version(4)));
    assert!(!noted.contains(&Version(3)), "{noted:?}");
    consumer.stop().await.unwrap();
}

async fn a_raw_consumer_gets_it_as_it_is_stored(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let consumer = node
        .consumer("raw")
        .raw(move |event: Consumed<RawEvent>| {
            let told = told.clone();
            async move {
                let _ = told.send((event.event.name.clone(), event.id().clone()));
            }
        })
        .named(DELETED)
        .start()
        .await
        .unwrap();
    accounts.create("alice", open("Alice", 1)).await.unwrap();
    accounts.create("bob", open("Bob", 1)).await.unwrap();
    accounts.delete("bob").await.unwrap();
    let (name, id) = tokio::time::timeout(Duration::from_secs(30), tells.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&*name, id.as_str()), (DELETED, "bob"));
    consumer.stop().await.unwrap();
}
