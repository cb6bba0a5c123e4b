//! Those who listen on a node: whatever its link gives them they read in that order, or find it counted in a
//! gap where it would have been; and where nobody knows what came they find a gap that says so (E2).

use super::super::super::sim::{Sim, Turn};
use super::super::consume::within;
use super::PATTERN;
use super::ledger::Ledger;
use crate::stage::Hears;
use std::num::NonZeroUsize;
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::api::bus::{BusEvent, Gap, Next, Overflow, Subscription};
use tenure_core::format::Publication;
use tenure_core::id::PublicationId;
use tenure_core::step::Span;
use tokio::sync::watch;

/// How long nothing comes to one who has read everything.
const QUIET: Duration = Duration::from_secs(3);

/// One subscription, and how far it was read.
struct Listener {
    subscription: Subscription,
    /// It ends when something finds no room.
    ends: bool,
    reading: Reading,
}

/// What a node's link gave from the beginning of a subscription on, held against what is read.
struct Reading {
    ledger: Ledger,
    given: Vec<Hears>,
    /// So much of it was read.
    read: usize,
}

/// Listens on a node until the run is at its end.
pub(super) async fn listens(
    sim: Sim,
    node: usize,
    ledger: Ledger,
    mut over: watch::Receiver<bool>,
) {
    // Each node has rows of its own.
    let client = super::LISTENERS + node as u64;
    let mut number = 0;
    while !*over.borrow() {
        number += 1;
        let turn = sim.turn(client, number);
        let wait = Duration::from_millis(20 + turn.random(300));
        sim.sleep(wait).await;
        if !turn.is_asked() {
            continue;
        }
        let Some(tenure) = sim.node(node) else {
            continue;
        };
        let from = sim.stage.heard(node, 0).len();
        let reading = Reading {
            ledger: ledger.clone(),
            given: Vec::new(),
            read: 0,
        };
        let mut listener = Listener::draw(&turn, &tenure, reading);
        let read = listener.reads((&sim, node, from), &turn, &mut over).await;
        if let Err(what) = read {
            ledger.is_wrong(format!("who listens on n{node} {what} (E2)"));
        }
    }
}

impl Listener {
    fn draw(turn: &Turn, tenure: &Tenure, reading: Reading) -> Self {
        let room = [1, 4, 1_024][usize::try_from(turn.random(3)).expect("one of three")];
        let overflow = match turn.random(5) {
            0 => Overflow::Disconnect,
            1 | 2 => Overflow::DropNewest,
            _ => Overflow::DropOldest,
        };
        let listen = tenure.bus().subscribe(PATTERN).overflow(overflow);
        let room = NonZeroUsize::new(room).expect("some room");
        Self {
            subscription: listen.room(room).start().expect("a pattern"),
            ends: overflow == Overflow::Disconnect,
            reading,
        }
    }

    /// Reads until it ends, its reader has enough of it, or the run is at its end and nothing comes.
    async fn reads(
        &mut self,
        (sim, node, from): (&Sim, usize, usize),
        turn: &Turn,
        over: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        let slow = turn.random(3) == 0;
        let stays = (turn.random(4) == 0).then(|| sim.now() + Span::from_secs(2));
        loop {
            let patience = match *over.borrow() {
                true => QUIET,
                false => Duration::from_millis(700),
            };
            let next = within(sim, patience, self.subscription.next()).await;
            let given = sim.stage.heard(node, from + self.reading.given.len());
            self.reading.given.extend(given);
            match next {
                Some(Some(next)) => self.reading.takes(&next)?,
                Some(None) => return Ok(()),
                None if *over.borrow() => {
                    let ended = self.subscription.is_disconnected();
                    return match self.ends && ended {
                        true => Ok(()),
                        false => self.reading.ends(),
                    };
                }
                None => {}
            }
            if !*over.borrow() && stays.is_some_and(|until| sim.now() >= until) {
                return Ok(());
            }
            if slow && !*over.borrow() {
                let wait = Duration::from_millis(turn.random(400));
                sim.sleep(wait).await;
            }
        }
    }
}

impl Reading {
    /// What is read next.
    fn takes(&mut self, next: &Next<BusEvent>) -> Result<(), String> {
        match next {
            Next::Event(event) => {
                self.event(event.id())?;
                let (id, topic) = (event.id(), event.topic().as_str());
                self.ledger.hears(id, topic, event.is_durable())
            }
            Next::Gap(gap) => self.gap(*gap),
        }
    }

    fn event(&mut self, id: PublicationId) -> Result<(), String> {
        match self.given.get(self.read) {
            Some(Hears::Event(heard)) => {
                let given = Publication::decode(&heard.payload).map(|it| it.id);
                self.read += 1;
                match given {
                    Ok(given) if given == id => Ok(()),
                    given => Err(format!("reads {id}, and {given:?} came")),
                }
            }
            Some(Hears::Missed) => Err(format!("reads {id}, and no gap before it")),
            Some(Hears::Ended) | None => Err(format!("reads {id}, which has not come")),
        }
    }

    /// So many events are skipped, and each place where nobody knows what came.
    fn gap(&mut self, gap: Gap) -> Result<(), String> {
        let (mut dropped, mut unheard) = (gap.dropped, false);
        loop {
            match self.given.get(self.read) {
                Some(Hears::Missed) => unheard = true,
                Some(Hears::Event(_)) if dropped > 0 => dropped -= 1,
                Some(Hears::Event(_) | Hears::Ended) | None => break,
            }
            self.read += 1;
        }
        match dropped == 0 && unheard == gap.unheard {
            true => Ok(()),
            false => Err(format!(
                "finds {gap:?}, and {dropped} fewer came; unheard: {unheard}"
            )),
        }
    }

    /// Nothing is left to be read.
    fn ends(&self) -> Result<(), String> {
        match self.given.get(self.read) {
            Some(Hears::Ended) | None => Ok(()),
            Some(left) => Err(format!("is never told of {left:?}")),
        }
    }
}
