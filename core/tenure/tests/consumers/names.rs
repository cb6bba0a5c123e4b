//! Consumers by their names: told with what is stored of each, and forgotten, whoever runs them.

use super::groups::node as member;
use super::{Notes, brief, moved, noting, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::bus::Published;
use tenure::consumer::{
    Consumed, ConsumerError, ConsumerForm, ConsumersError, Fault, Group, LetterRefusal,
    NamedLetterError, Then,
};
use tenure::prelude::*;
use tenure::projection::{Kv, KvEntries, Memory};

on_both_shells!(
    each_name_is_told_with_what_is_stored_of_it,
    a_name_that_nobody_has_is_an_error_by_its_name,
    letters_are_told_looked_into_and_removed_without_a_handler,
    what_is_forgotten_begins_anew,
    what_runs_here_is_not_forgotten,
    a_consumer_that_was_forgotten_elsewhere_ends,
    a_group_is_forgotten_when_nobody_owns_a_partition,
    a_projection_is_forgotten_with_its_state,
    values_in_a_bucket_are_forgotten,
);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "paid", version = 1)]
struct Paid {
    cents: u64,
}

/// A consumer of accounts whose handler fails for good.
async fn failing(node: &Tenure, name: &str) -> tenure::consumer::ConsumerHandle {
    let consumer = node
        .consumer(name)
        .failing(brief(0, Then::DeadLetter))
        .kind::<Account>(|_: Consumed<AccountEvent>| async { Err("never") });
    consumer.start().await.unwrap()
}

async fn each_name_is_told_with_what_is_stored_of_it(world: &World) {
    let node = member(world, "ada").await;
    assert_eq!(node.consumers().all().await.unwrap(), []);
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;

    let failing = failing(&node, "failing").await;
    soon(failing.live()).await.unwrap();
    failing.pause("an operator").await.unwrap();
    let notes = Notes::default();
    let group = noting(&node, "mailer", &notes).grouped(Group::partitions(2));
    let group = group.start().await.unwrap();
    soon(group.live()).await.unwrap();
    group.pause("a test").await.unwrap();
    let durable = node.bus().durable("billing", "orders.*");
    let durable = durable.start(|_: Published| async {}).await.unwrap();
    let projection = node
        .projection("balances", Memory::<Vec<i64>>::default())
        .fold::<Account>(|_: &mut Vec<i64>, _: &Consumed<AccountEvent>| ())
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    durable.stop().await.unwrap();

    let all = node.consumers().all().await.unwrap();
    let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["balances", "billing", "failing", "mailer"]);
    let [balances, billing, failed, mailer] = &all[..] else {
        unreachable!("there are four");
    };
    assert_eq!(balances.form, ConsumerForm::Projection);
    assert_eq!(balances.reads, "events of account");
    assert_eq!(balances.positions, projection.status().mark.positions);
    assert_eq!((balances.here, balances.life), (false, 1));
    assert_eq!(billing.form, ConsumerForm::Consumer);
    assert_eq!(billing.reads, "topics orders.*");
    assert!(!billing.here);
    assert_eq!(failed.reads, "events of account");
    assert_eq!((failed.here, failed.dead_letters), (true, 3));
    assert_eq!(failed.paused.as_deref(), Some("an operator"));
    assert_eq!(failed.node.as_deref(), Some("ada"));
    let ConsumerForm::Group { partitions } = &mailer.form else {
        panic!("{mailer:?}");
    };
    let owners: Vec<_> = partitions.iter().map(|it| it.owner.as_deref()).collect();
    assert_eq!(owners, [Some("ada"), Some("ada")]);
    assert_eq!(mailer.paused.as_deref(), Some("a test"));

    // Another node tells the same, but for what is not stored.
    let other = member(world, "bob").await;
    let told = other.consumers().get("failing").await.unwrap();
    assert_eq!((told.here, told.paused.as_deref()), (false, None));
    assert_eq!((told.dead_letters, told.life), (3, 1));
    failing.stop().await.unwrap();
    let stopped = other.consumers().get("failing").await.unwrap();
    assert_eq!(stopped.positions, failing.status().positions);
    group.stop().await.unwrap();
    let stopped = other.consumers().get("mailer").await.unwrap();
    let ConsumerForm::Group { partitions } = stopped.form else {
        panic!("{stopped:?}");
    };
    assert!(partitions.iter().all(|it| it.owner.is_none()));
}

async fn a_name_that_nobody_has_is_an_error_by_its_name(world: &World) {
    let node = world.node().await;
    let consumers = node.consumers();
    // There is no stream of consumers yet.
    let unknown = consumers.get("mails").await.unwrap_err();
    assert!(
        matches!(unknown, ConsumersError::Unknown { .. }),
        "{unknown:?}"
    );
    assert!(unknown.to_string().contains("the name \"mails\""));
    noting(&node, "others", &Notes::default())
        .start()
        .await
        .unwrap();
    for unknown in [
        consumers.get("mails").await.unwrap_err(),
        consumers.forget("mails").await.unwrap_err(),
        consumers.forget_running("mails").await.unwrap_err(),
        consumers.dead_letters("mails").await.unwrap_err(),
    ] {
        assert!(
            matches!(unknown, ConsumersError::Unknown { .. }),
            "{unknown:?}"
        );
    }
    let wrong = consumers.get("Not a name").await.unwrap_err();
    assert!(matches!(wrong, ConsumersError::Name(_)), "{wrong:?}");
}

async fn letters_are_told_looked_into_and_removed_without_a_handler(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let consumer = failing(&node, "mails").await;
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();

    let letters = node.consumers().dead_letters("mails").await.unwrap();
    let all = letters.all().await.unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|it| (it.version.0, it.text.as_str()))
        .collect();
    assert_eq!(told, [(1, "never"), (2, "never"), (3, "never")]);
    assert_eq!(letters.unreadable().await.unwrap(), []);
    let place = all[1].place;
    let event = letters.look(place).await.unwrap();
    assert_eq!(
        (event.event.name.as_str(), event.version),
        ("moved", Version(2))
    );
    letters.remove(place).await.unwrap();
    for gone in [
        letters.remove(place).await.unwrap_err(),
        letters.look(place).await.unwrap_err(),
    ] {
        let none = NamedLetterError::Refused(LetterRefusal::None { place });
        assert_eq!(gone, none);
    }
    assert_eq!(letters.remove_all().await.unwrap(), 2);
    assert_eq!(node.consumers().get("mails").await.unwrap().dead_letters, 0);

    // A letter of the bus has its event in another stream.
    let bus = node.bus();
    let paid = Paid { cents: 9 };
    bus.publish("orders.eu", &paid).durable().await.unwrap();
    let durable = bus.durable("billing", "orders.*");
    let durable = durable.failing(brief(0, Then::DeadLetter));
    let durable = durable.start(|_: Published| async { Err("never") });
    let durable = durable.await.unwrap();
    soon(durable.until_status(|status| status.dead_lettered == 1))
        .await
        .unwrap();
    let letters = node.consumers().dead_letters("billing").await.unwrap();
    let place = letters.all().await.unwrap()[0].place;
    assert_eq!(letters.look(place).await.unwrap().event.name, "paid");
    durable.stop().await.unwrap();
}

async fn what_is_forgotten_begins_anew(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let consumer = failing(&node, "mails").await;
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    // The checkpoint and three letters.
    assert_eq!(node.consumers().forget("mails").await.unwrap(), 4);
    let unknown = node.consumers().get("mails").await.unwrap_err();
    assert!(
        matches!(unknown, ConsumersError::Unknown { .. }),
        "{unknown:?}"
    );
    assert_eq!(node.consumers().all().await.unwrap(), []);

    // Another definition may have the name, and it begins with the first event.
    let notes = Notes::default();
    let again = noting(&node, "mails", &notes).named("moved");
    let again = again.start().await.unwrap();
    soon(again.live()).await.unwrap();
    assert_eq!(notes.of("alice"), [1, 2, 3]);
    assert_eq!(again.dead_letters().all().await.unwrap(), []);
    let told = node.consumers().get("mails").await.unwrap();
    assert_eq!(told.reads, "events named moved of account");
    again.stop().await.unwrap();
}

async fn what_runs_here_is_not_forgotten(world: &World) {
    let node = world.node().await;
    let notes = Notes::default();
    let consumer = noting(&node, "mails", &notes).start().await.unwrap();
    let refused = node.consumers().forget("mails").await.unwrap_err();
    assert!(
        matches!(refused, ConsumersError::Runs { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("stop it there"), "{refused}");
    consumer.stop().await.unwrap();
    node.consumers().forget("mails").await.unwrap();
}

async fn a_consumer_that_was_forgotten_elsewhere_ends(world: &World) {
    let (here, there) = (world.node().await, world.node().await);
    let accounts = here.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&there, "mails", &notes)
        .pace(|pace| pace.checkpoint_every = 1)
        .start()
        .await
        .unwrap();
    here.consumers().forget_running("mails").await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let ended = soon(consumer.ended()).await.unwrap_err();
    let gone = matches!(ended, ConsumerError::Fault(Fault::CheckpointGone { .. }));
    assert!(gone, "{ended:?}");
    assert!(ended.to_string().contains("forgotten"), "{ended}");
}

async fn a_group_is_forgotten_when_nobody_owns_a_partition(world: &World) {
    let (ada, bob) = (member(world, "ada").await, member(world, "bob").await);
    let accounts = ada.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let mailer = |node: &Tenure| noting(node, "mailer", &notes).grouped(Group::partitions(3));
    let group = mailer(&ada).start().await.unwrap();
    soon(group.live()).await.unwrap();
    let refused = bob.consumers().forget("mailer").await.unwrap_err();
    let runs = ConsumersError::Runs {
        name: "mailer".to_owned(),
        node: Some("ada".to_owned()),
    };
    assert_eq!(refused, runs);
    group.stop().await.unwrap();
    bob.consumers().forget("mailer").await.unwrap();
    let group = mailer(&ada).start().await.unwrap();
    soon(group.live()).await.unwrap();
    assert_eq!(notes.of("alice"), [1, 2, 3, 1, 2, 3]);
    group.stop().await.unwrap();
}

async fn a_projection_is_forgotten_with_its_state(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let balances = || {
        let memory = Memory::<Vec<i64>>::default();
        let projection = node.projection("balances", memory);
        projection.fold::<Account>(|all: &mut Vec<i64>, event: &Consumed<AccountEvent>| {
            if let AccountEvent::Moved { cents } = event.event {
                all.push(cents);
            }
        })
    };
    let projection = balances().start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    // Its name and its mark.
    assert_eq!(node.consumers().forget("balances").await.unwrap(), 2);
    let projection = balances().start().await.unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(projection.read(Clone::clone), [1, 2, 3]);
    assert_eq!(projection.status().mark.generation, 1);
    projection.stop().await.unwrap();
}

async fn values_in_a_bucket_are_forgotten(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    moved(&accounts, "bob", 4..=5).await;
    let balances = || {
        let projection = node.projection("balances", Kv::<i64>::new());
        projection.fold::<Account>(|all: &mut KvEntries<i64>, event: &Consumed<AccountEvent>| {
            let AccountEvent::Moved { cents } = event.event else {
                return Ok(());
            };
            all.change(event.id().as_str(), |value| {
                *value.get_or_insert(0) += cents
            })
        })
    };
    let projection = balances().start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    // Its name, its mark and two values.
    assert_eq!(node.consumers().forget("balances").await.unwrap(), 4);
    assert_eq!(projection.store().get("alice").await.unwrap(), None);
    let projection = balances().start().await.unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(projection.store().get("alice").await.unwrap(), Some(6));
    assert_eq!(projection.store().get("bob").await.unwrap(), Some(9));
    projection.stop().await.unwrap();
}
