//! Panics of users' code: the node goes on, and writes what its flight recorder held.

use crate::cluster::nodes;
use crate::common::{Account, AccountEvent, Move};
use crate::effects::calls::{Charge, Order, Place};
use crate::faults::{Add, Clumsy};
use crate::flight::Folder;
use std::time::Duration;
use tenure::consumer::{Consumed, Policy, Then};
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::{Cluster, FlightFault, Tenure};

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

async fn node(folder: &Folder) -> Tenure {
    Tenure::builder()
        .namespace("bank")
        .flights(folder.flights())
        .start("mem:")
        .await
        .unwrap()
}

/// The code whose panic the only flight of a node is about, and the panic's text.
async fn told(node: &Tenure, folder: &Folder) -> (String, String) {
    let written = async {
        while node.counters().await.flights_written == 0 {
            tokio::task::yield_now().await;
        }
    };
    let written = tokio::time::timeout(SOON, written).await;
    assert!(written.is_ok(), "no flight comes");
    let names = folder.names();
    assert!(
        names.len() == 1 && names[0].ends_with("-panic.flight"),
        "{names:?}"
    );
    let flight = folder.read(&names[0]);
    assert!(flight.lanes.iter().any(|lane| !lane.entries.is_empty()));
    let FlightFault::Panicked { machine, reason } = flight.fault else {
        panic!("{:?}", flight.fault);
    };
    (machine, reason)
}

#[tokio::test]
async fn a_panic_in_decide_is_written_down() {
    let folder = Folder::new("decide");
    let node = node(&folder).await;
    let clumsy = node.repository::<Clumsy>().await.unwrap();
    clumsy.execute("c", Add(1)).await.unwrap();
    clumsy.execute("c", Add(7)).await.unwrap_err();
    let (code, text) = told(&node, &folder).await;
    assert_eq!((&*code, &*text), ("decide of clumsy", "seven"));
    clumsy.execute("c", Add(2)).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_evolve_is_written_down() {
    let folder = Folder::new("evolve");
    let node = node(&folder).await;
    let clumsy = node.repository::<Clumsy>().await.unwrap();
    clumsy.execute("c", Add(13)).await.unwrap_err();
    let (code, text) = told(&node, &folder).await;
    assert_eq!((&*code, &*text), ("evolve of clumsy", "thirteen"));
}

#[tokio::test]
async fn a_panic_of_a_consumers_handler_is_written_down() {
    let folder = Folder::new("handler");
    let node = node(&folder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let skips = Policy {
        retries_max: 0,
        then: Then::Skip,
        ..Policy::stop()
    };
    let consumer = node
        .consumer("brittle")
        .failing(skips)
        .kind::<Account>(|event: Consumed<AccountEvent>| async move {
            assert_ne!(event.version, Version(1), "it is torn");
        })
        .start()
        .await
        .unwrap();
    let (code, text) = told(&node, &folder).await;
    assert_eq!(&*code, "the handler of brittle");
    assert!(text.contains("it is torn"), "{text}");
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_of_an_effect_is_written_down() {
    let folder = Folder::new("effect");
    let policy = EffectPolicy::default().tries_max(1);
    let node = nodes::node(Cluster::named("a"))
        .serve::<Order>()
        .effect(policy, |call: EffectCall<Charge>| async move {
            assert_ne!(call.effect.cents, 1, "the card is torn");
        })
        .flights(folder.flights())
        .start("mem:")
        .await
        .unwrap();
    let order = node.entity::<Order>("17");
    order.ask(Place { cents: 1 }).timeout(SOON).await.unwrap();
    let (code, text) = told(&node, &folder).await;
    assert_eq!(&*code, "the handler of effect charge");
    assert!(text.contains("the card is torn"), "{text}");
}
