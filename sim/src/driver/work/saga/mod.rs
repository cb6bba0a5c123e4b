//! Sagas at work: each moves money from one vault to another, past a guard, wherever they are. A step is
//! refused, told late or not at all; an undo is put off. In the end each saga is at one of its ends, whole or
//! wholly undone, and the sum is what it was (Z1 to Z3).

mod entity;
mod judge;

use super::super::cluster::SimCluster;
use super::super::sim::{Sim, SimTask, Turn};
use super::round::ENTITIES;
use crate::oracle::{Class, Violation};
use entity::{Guard, Manner, Move, Order, Vault};
use judge::Past;
use std::time::Duration;
use tenure_core::api::saga::{Saga, Start};
use tenure_core::step::Time;
use tenure_core::{Probe as _, reached};

/// The clients that start them.
const MOVERS: [u64; 2] = [54, 55];

/// How often a start is asked again under its id.
const TRIES_MAX: u32 = 3;

/// How long one question waits.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Those who start sagas; none where there are none.
pub(super) struct Movers(Vec<SimTask<()>>);

/// What sagas take.
pub(super) fn served(cluster: SimCluster) -> SimCluster {
    let cluster = cluster.serve::<Vault>().serve::<Guard>();
    cluster.serve::<Saga<Move>>()
}

impl Movers {
    /// Those of a run that has sagas, until a time.
    pub(super) fn at_work(sim: &Sim, are_there: bool, until: Time) -> Self {
        let movers = MOVERS.iter().filter(|_| are_there);
        Self(
            movers
                .map(|client| sim.spawn(moves((sim.clone(), *client), until)))
                .collect(),
        )
    }

    /// Each that began comes to one of its ends.
    pub(super) async fn finish(self, sim: &Sim) -> Result<(), Violation> {
        if self.0.is_empty() {
            return Ok(());
        }
        for mover in self.0 {
            mover.await;
        }
        // What was sent, and what was to remind, may be lost there.
        if sim.may_be_damaged() {
            return Ok(());
        }
        // Undoing all steps of one takes as many messages and time-outs.
        let until = sim.now() + sim.later() + sim.later();
        loop {
            let past = Past::of(&sim.stage.stored());
            let past = past.map_err(|what| judge::broken("format", what))?;
            judge::judge(&past)?;
            let Some(open) = past.open() else {
                if past.has_compensated() {
                    reached!(sim.probe(), "world: a saga was undone");
                }
                return judge::judge_ended(&past);
            };
            if sim.now() >= until {
                return Err(Violation {
                    class: Class::Liveness,
                    oracle: "ended-sagas",
                    what: format!("{open} has come to no end"),
                });
            }
            sim.sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Starts sagas until a time.
async fn moves((sim, client): (Sim, u64), until: Time) {
    let mut number = 0;
    while sim.now() < until {
        number += 1;
        let turn = sim.turn(client, number);
        let pace = Duration::from_millis(50 + turn.random(400));
        sim.sleep(pace).await;
        let (name, order) = (format!("move-{client}-{number}"), order(&turn));
        if !turn.is_asked() {
            continue;
        }
        let id = turn.tenure().await.command_id();
        for attempt in 0..TRIES_MAX {
            let saga = turn.tenure().await.entity::<Saga<Move>>(&name);
            let ask = saga.ask(Start(order.clone())).id(id);
            // Whether it began or not, one that began comes to its end.
            if ask.timeout(PATIENCE).await.is_ok() {
                break;
            }
            sim.sleep(Duration::from_millis(40 << attempt)).await;
        }
    }
}

fn order(turn: &Turn) -> Order {
    let of = |bound: u64| turn.random(bound);
    let (from, to, past) = (of(ENTITIES), of(ENTITIES), of(2));
    let manner = || match of(12) {
        0 => Manner::Refuses,
        1 => Manner::Silent,
        2 | 3 => Manner::Late {
            after_ms: of(2_500),
        },
        _ => Manner::Prompt,
    };
    Order {
        from: format!("vault-{from}"),
        past: format!("guard-{past}"),
        to: format!("vault-{to}"),
        amount: i64::try_from(1 + of(60)).expect("a small number"),
        manners: [manner(), manner(), manner()],
        put_off: of(4) == 0,
        stays: of(4) == 0,
        timeout_ms: [400, 1_500, 5_000][usize::try_from(of(3)).expect("one of three")],
    }
}
