//! The leased class: what is taken over when a lease is over, and what is read under one.

use crate::cluster::nodes::{PATIENCE, node, wait};
use crate::common::{Add, Tally, World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::prelude::*;
use tenure::{Builder, Span, TakeOver, Tenure, Terms};

on_both_shells!(
    a_leased_read_costs_no_round_trip,
    what_is_leased_is_taken_over_when_the_lease_is_over,
);

/// Lit or not; of the leased class.
#[derive(Clone, Debug, Default)]
struct Lamp {
    lit: bool,
}

#[derive(Debug, Event)]
#[event(name = "switched", version = 1)]
struct Switched {
    lit: bool,
}

impl Aggregate for Lamp {
    type Event = Switched;
    const KIND: &'static str = "lamp";

    fn evolve(&mut self, switched: &Switched) {
        self.lit = switched.lit;
    }

    fn settings() -> KindSettings {
        KindSettings::default().leased()
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "switch", version = 1)]
struct Switch(bool);

impl Decide<Switch> for Lamp {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Switch(lit): &Switch, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(Switched { lit: *lit }))
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "lit", version = 1)]
struct Lit;

impl Answer<Lit> for Lamp {
    type Reply = bool;

    fn answer(&self, _: &Lit, _: &AnswerCx<'_>) -> bool {
        self.lit
    }
}

impl Entity for Lamp {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Switch>().query::<Lit>()
    }
}

fn builder(name: &str) -> Builder {
    let terms = Terms::of_ttl(Span::from_millis(1_500));
    node(Cluster::named(name).terms(terms))
        .serve::<Lamp>()
        .actor::<Tally>()
}

async fn cluster(world: &World, names: &[&str]) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(world.start(builder(name)).await);
    }
    for node in &nodes {
        wait(node, |view| {
            view.is_served(TakeOver::Leased) && view.owned(TakeOver::Leased).len() == names.len()
        })
        .await;
    }
    nodes
}

async fn a_leased_read_costs_no_round_trip(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    let lamp = nodes[0].entity::<Lamp>("hall");
    lamp.ask(Switch(true)).await.unwrap();
    assert!(lamp.read(Lit).freshness(Freshness::Leased).await.unwrap());
    let barriers = |counters: &tenure::Counters| {
        let counts = counters.probes.counts();
        let waited = counts.filter(|(site, ..)| site.name == "owned: a barrier is waited for");
        waited.map(|(_, held, _)| held).sum::<u64>()
    };
    let before = barriers(&nodes[0].counters().await);
    for _ in 0..10 {
        assert!(lamp.read(Lit).freshness(Freshness::Leased).await.unwrap());
    }
    assert_eq!(barriers(&nodes[0].counters().await), before);
    assert!(lamp.read(Lit).await.unwrap());
    assert!(barriers(&nodes[0].counters().await) > before);
}

async fn what_is_leased_is_taken_over_when_the_lease_is_over(world: &World) {
    let mut nodes = cluster(world, &["a", "b"]).await;
    for n in 0..10 {
        let lamp = nodes[0].entity::<Lamp>(format!("lamp-{n}"));
        lamp.ask(Switch(true)).await.unwrap();
        let tally = nodes[0].actor::<Tally>(format!("tally-{n}"));
        tally.ask(Add(1)).await.unwrap();
    }
    // Its lanes end without leaving.
    drop(nodes.pop());
    wait(&nodes[0], |view| {
        view.node("b").is_none() && view.is_served(TakeOver::Leased)
    })
    .await;
    for n in 0..10 {
        let lamp = nodes[0].entity::<Lamp>(format!("lamp-{n}"));
        let lit = lamp
            .read(Lit)
            .freshness(Freshness::Leased)
            .timeout(PATIENCE);
        assert!(lit.await.unwrap(), "what was committed is there");
        let tally = nodes[0].actor::<Tally>(format!("tally-{n}"));
        tally.ask(Add(1)).timeout(PATIENCE).await.unwrap();
    }
}
