//! Sentries: actors of which one at a time acts under a key, in its turns, by its timer and in its
//! tasks (P3, leased class), and which handle each caller's messages in order (A3, R4).

use super::super::sim::{Sim, Turn};
use super::witness::Witness;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure_core::api::Never;
use tenure_core::api::actor::{Actor, ActorCx, ActorSettings, Handle, Handlers, InitError};
use tenure_core::step::Time;

/// An actor that says when it acts.
pub(super) struct Sentry {
    life: u64,
    seen: u64,
}

/// A message of a caller.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "hail", version = 1, crate = "tenure_core::api")]
pub(super) struct Hail {
    /// The node by which it is sent.
    node: usize,
    caller: u64,
    number: u64,
    /// For how long it is looked at, in milliseconds.
    long_ms: u64,
}

/// Its own timer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "look", version = 1, crate = "tenure_core::api")]
pub(super) struct Look;

impl Actor for Sentry {
    const KIND: &'static str = "sentry";

    fn settings() -> ActorSettings {
        ActorSettings::default().idle_after(Duration::from_secs(2))
    }

    async fn init(cx: &mut ActorCx<Self>) -> Result<Self, InitError> {
        let life = Witness::life();
        Witness::act(cx.key(), life, "init");
        cx.every("look", Duration::from_millis(150), Look)?;
        let (clock, key) = (cx.clock(), cx.key().to_owned());
        cx.spawn(async move {
            for _ in 0..20 {
                clock.sleep(Duration::from_millis(70)).await;
                Witness::act(&key, life, "task");
            }
        })?;
        Ok(Self { life, seen: 0 })
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Hail>().on::<Look>()
    }
}

impl Handle<Hail> for Sentry {
    type Reply = u64;
    type Error = Never;

    async fn handle(&mut self, hail: Hail, cx: &mut ActorCx<Self>) -> Result<u64, Never> {
        Witness::act(cx.key(), self.life, "turn");
        let here = cx.node().trim_start_matches('n').parse();
        let way = (hail.node, here.unwrap_or(usize::MAX));
        Witness::took(cx.key(), way, hail.caller, hail.number);
        if hail.long_ms > 0 {
            cx.sleep(Duration::from_millis(hail.long_ms)).await;
            Witness::act(cx.key(), self.life, "turn, after its wait");
        }
        self.seen += 1;
        Ok(self.seen)
    }
}

impl Handle<Look> for Sentry {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Look, cx: &mut ActorCx<Self>) -> Result<(), Never> {
        Witness::act(cx.key(), self.life, "timer");
        Ok(())
    }
}

/// Hails sentries until a time: some messages at once, then one with an answer.
pub(super) async fn hailer((sim, client): (Sim, u64), until: Time, sentries: u64) {
    let mut round = 0;
    while sim.now() < until {
        round += 1;
        // Each round goes by one node, and is a caller of its own: order is of one way.
        let caller = client << 32 | round;
        let turn = sim.turn(client, round);
        let mut number = 0;
        sim.sleep(Duration::from_millis(20 + turn.random(200)))
            .await;
        let key = format!("sentry-{}", turn.random(sentries));
        if !turn.is_asked() {
            continue;
        }
        let (node, tenure) = turn.node().await;
        let sentry = tenure.actor::<Sentry>(&key);
        for _ in 0..turn.random(3) {
            number += 1;
            // A tell that is not sent is no message.
            let _ = sentry.tell(hail(&turn, node, caller, number)).await;
        }
        number += 1;
        let ask = sentry.ask(hail(&turn, node, caller, number));
        // Whoever gets no answer hails again.
        let _ = ask.timeout(Duration::from_millis(1_000)).await;
        // What was lost or is late may come still, from another node.
        sim.sleep(Duration::from_millis(turn.random(3) * 500)).await;
    }
}

fn hail(turn: &Turn, node: usize, caller: u64, number: u64) -> Hail {
    let long_ms = match turn.random(3) {
        0 => turn.random(120),
        _ => 0,
    };
    Hail {
        node,
        caller,
        number,
        long_ms,
    }
}

/// Whether a sentry answers.
pub(super) async fn answers(sim: &Sim, key: &str) -> Result<(), String> {
    let (node, tenure) = sim.node_by(0).await;
    let ask = tenure.actor::<Sentry>(key).ask(Hail {
        node,
        caller: u64::MAX - sim.now().as_nanos(),
        number: 1,
        long_ms: 0,
    });
    let answer = ask.timeout(Duration::from_secs(2)).await;
    answer.map(|_| ()).map_err(|error| error.to_string())
}
