//! The bus at work: from every node something is published, live or durably and the latter sometimes again
//! under its id; on every node somebody listens, as fast or as slow as is drawn. What is stored is read by a
//! durable subscription, which is one of the consumers (`consume`).

mod ledger;
mod listen;
mod publish;

use super::super::sim::{Sim, SimTask};
use crate::oracle::{Class, Violation};
use ledger::Ledger;
use tenure_core::step::Time;
use tokio::sync::watch;

/// The clients: those who publish, and the first of those who listen.
const PUBLISHERS: [u64; 2] = [45, 46];
const LISTENERS: u64 = 4_700;

/// All topics of a run, as a pattern.
pub(super) const PATTERN: &str = "news.*";

/// Those who publish and listen in a run.
pub(super) struct Bus {
    sim: Sim,
    ledger: Ledger,
    publishers: Vec<SimTask<()>>,
    listeners: Vec<SimTask<()>>,
    /// Whether the run is at its end.
    over: watch::Sender<bool>,
}

impl Bus {
    /// Those of a run, who publish until a time; nobody where there is to be no bus.
    pub(super) fn at_work(sim: &Sim, until: Time) -> Self {
        let (ledger, over) = (Ledger::default(), watch::Sender::new(false));
        let (mut publishers, mut listeners) = (Vec::new(), Vec::new());
        if sim.stage.readers().bus {
            for client in PUBLISHERS {
                let ledger = ledger.clone();
                let publishes = publish::publishes((sim.clone(), client), until, ledger);
                publishers.push(sim.spawn(publishes));
            }
            for node in 0..sim.nodes() {
                let (sim, ledger, over) = (sim.clone(), ledger.clone(), over.subscribe());
                let listens = listen::listens(sim.clone(), node, ledger, over);
                listeners.push(sim.spawn(listens));
            }
        }
        Self {
            sim: sim.clone(),
            ledger,
            publishers,
            listeners,
            over,
        }
    }

    /// Waits until nobody publishes any more: what a durable subscriber is to be given is there then.
    pub(super) async fn is_quiet(&mut self) {
        for publisher in self.publishers.drain(..) {
            publisher.await;
        }
    }

    /// Has them end, and judges what they were told.
    pub(super) async fn finish(self) -> Result<(), Violation> {
        self.over.send_replace(true);
        for listener in self.listeners {
            listener.await;
        }
        let judged = self.ledger.judge(&self.sim.stage.on_bus());
        judged.map_err(|(oracle, what)| Violation {
            class: Class::Safety,
            oracle,
            what,
        })
    }
}
