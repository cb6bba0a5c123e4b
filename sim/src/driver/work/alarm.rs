//! Alarms: an entity reminds itself, and each reminder rings once, whatever befalls its owners.

use super::super::log::Log;
use super::super::sim::Sim;
use crate::voids::Voids;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure_core::api::{
    Aggregate, Decide, DecideCx, Decision, Entity, Event, KindSettings, Messages, Never,
};
use tenure_core::format::Codec;
use tenure_core::step::Time;

/// What happens to an alarm.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(crate = "tenure_core::api")]
pub(super) enum AlarmEvent {
    #[event(name = "set", version = 1)]
    Set { number: u64 },
    #[event(name = "rang", version = 1)]
    Rang { number: u64 },
}

/// Sets it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "set", version = 1, crate = "tenure_core::api")]
pub(super) struct Set {
    after_ms: u64,
}

/// It rings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "ring", version = 1, crate = "tenure_core::api")]
pub(super) struct Ring {
    number: u64,
}

/// An alarm.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm {
    numbers: u64,
}

impl Aggregate for Alarm {
    type Event = AlarmEvent;
    const KIND: &'static str = "alarm";

    fn evolve(&mut self, event: &AlarmEvent) {
        match event {
            AlarmEvent::Set { .. } => self.numbers += 1,
            AlarmEvent::Rang { .. } => {}
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Set> for Alarm {
    type Reply = u64;
    type Error = Never;

    fn decide(&self, set: &Set, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Never> {
        let number = self.numbers;
        let after = Duration::from_millis(set.after_ms);
        let decision = Decision::event(AlarmEvent::Set { number }).reply(number);
        Ok(decision.remind(format!("ring-{number}"), after, Ring { number }))
    }
}

impl Decide<Ring> for Alarm {
    type Reply = ();
    type Error = Never;

    fn decide(&self, ring: &Ring, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let number = ring.number;
        Ok(Decision::event(AlarmEvent::Rang { number }))
    }
}

impl Entity for Alarm {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Set>().command::<Ring>()
    }
}

/// Sets alarms until a time.
pub(super) async fn setter((sim, client): (Sim, u64), until: Time, alarms: u64) {
    let mut number = 0;
    while sim.now() < until {
        number += 1;
        let turn = sim.turn(client, number);
        sim.sleep(Duration::from_millis(100 + turn.random(500)))
            .await;
        let alarm = format!("alarm-{}", turn.random(alarms));
        let after_ms = turn.random(2_000);
        if !turn.is_asked() {
            continue;
        }
        let tenure = turn.tenure().await;
        let ask = tenure.entity::<Alarm>(alarm).ask(Set { after_ms });
        // Whether it was set or not, what was set rings.
        let _ = ask.timeout(Duration::from_millis(1_500)).await;
    }
}

/// Which alarms rang twice, and how many have not rung, by the log; but for those of which nothing is
/// promised.
pub(super) fn rung(log: &Log, voids: &Voids) -> (Vec<String>, usize) {
    let (mut twice, mut silent) = (Vec::new(), 0);
    for (subject, commits) in &log.entities {
        let shard = subject.split('.').nth(2).unwrap_or_default();
        if subject.split('.').nth(3) != Some(Alarm::KIND) || voids.is_unfenced(shard) {
            continue;
        }
        let mut open: BTreeMap<u64, bool> = BTreeMap::new();
        for event in commits.iter().flat_map(|(_, commit)| &commit.events) {
            match AlarmEvent::decode(&event.name, event.schema, Codec::Cbor, &event.data) {
                Ok(Some(AlarmEvent::Set { number })) => {
                    open.insert(number, false);
                }
                Ok(Some(AlarmEvent::Rang { number })) => {
                    if open.insert(number, true) != Some(false) {
                        twice.push(format!(
                            "{subject}: {number} rang twice, or before it was set"
                        ));
                    }
                }
                Ok(None) | Err(_) => {}
            }
        }
        silent += open.values().filter(|rang| !**rang).count();
    }
    (twice, silent)
}
