//! The projection on one node, again and again, as of a program that starts it whenever it is started itself;
//! and those who read it there.

use super::super::super::sim::Turn;
use super::super::counter::Counter;
use super::super::purse::Purse;
use super::life::lasts;
use super::tally::Tally;
use super::{NAME, View};
use crate::oracle::Class;
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::api::consumer::{ConsumerError, Fault, Policy};
use tenure_core::api::projection::{Memory, Projection, ProjectionError, StateFault, StoreError};
use tenure_core::step::{Span, Time};
use tokio::sync::watch;

/// How long a start may take, how long somebody waits for an end, and for what they wrote to be there.
pub(super) const START: Duration = Duration::from_secs(5);
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
const SEEN: Duration = Duration::from_secs(1);

impl View {
    /// Runs it on a node until the run is at its end.
    pub(super) async fn serves(self, node: usize, until: Time, mut over: watch::Receiver<bool>) {
        let sim = self.sim.clone();
        // Each node has rows of its own.
        let client = super::CLIENT * 100 + node as u64;
        let mut number = 0;
        while !*over.borrow() {
            number += 1;
            let turn = sim.turn(client, number);
            let wait = Duration::from_millis(20 + turn.random(300));
            sim.sleep(wait).await;
            // Once everything is well every program does what it is there for.
            let well = sim.now() >= until;
            if !well && !turn.is_asked() {
                continue;
            }
            let Some(tenure) = sim.node(node) else {
                continue;
            };
            match self.starts(&tenure).await {
                Ok(projection) => {
                    self.known().running.insert(node, projection.clone());
                    let reads = self.is_read(&turn, &projection);
                    let ended = lasts(&sim, (&turn, well), &projection, reads, &mut over).await;
                    if let Err(error) = ended {
                        self.ends(&error);
                    }
                    self.known().running.remove(&node);
                }
                Err(error) => self.ends(&error),
            }
        }
    }

    async fn starts(&self, tenure: &Tenure) -> Result<Projection<Memory<Tally>>, ProjectionError> {
        let store = Memory::with(self.shape.snapshots);
        let projection = tenure.projection(NAME, store).failing(tries());
        let projection = projection.fold::<Counter>(self.fold());
        let projection = projection.fold::<Purse>(self.fold());
        projection.start_timeout(START).start().await
    }

    /// Reads it again and again: what is in it stays there, and each event is in it once.
    async fn is_read(&self, turn: &Turn, projection: &Projection<Memory<Tally>>) {
        let mut before = Tally::default();
        loop {
            let wait = Duration::from_millis(50 + turn.random(600));
            self.sim.sleep(wait).await;
            let now = projection.read(Tally::clone);
            if let Err(what) = before.is_begin_of(&now) {
                let what = format!("{NAME} goes back: {what} (P6)");
                self.is_wrong(Class::Safety, "shows", what);
            }
            before = now;
            if turn.random(3) == 0 {
                self.is_waited_for(turn, projection).await;
            }
        }
    }

    /// Reads after a write: what was seen is in the state.
    async fn is_waited_for(&self, turn: &Turn, projection: &Projection<Memory<Tally>>) {
        // What is wrong with the log is told by those who judge it.
        let Ok(log) = self.sim.log() else { return };
        let log = Tally::of(&log);
        let nth = turn.random(log.entities());
        let Some((key, partition, sequence)) = log.last_of(nth) else {
            return;
        };
        if projection.seen_at(partition, sequence, SEEN).await.is_err() {
            return;
        }
        let state = projection.read(|state| state.only(key));
        if let Err(what) = log.only(key).is_begin_of(&state) {
            let what = format!("{NAME} has seen {sequence} of stream {partition}: {what} (P6)");
            self.is_wrong(Class::Safety, "seen", what);
        }
    }

    /// It ends with its node, or over what the store says.
    fn ends(&self, error: &ProjectionError) {
        if !has_reason(error) {
            let what = format!("{NAME} ended without a reason: {error}");
            self.is_wrong(Class::Safety, "ended", what);
        }
    }
}

/// For as long as folds fail.
pub(super) fn tries() -> Policy {
    Policy {
        retries_max: 1_000,
        delay_min: Span::from_millis(1),
        delay_max: Span::from_millis(20),
        ..Policy::stop()
    }
}

/// Whether a run ends so when its node or the store does.
pub(super) fn has_reason(error: &ProjectionError) -> bool {
    let of_store = matches!(
        of_store(error),
        Some(
            StoreError::Away(_)
                | StoreError::NodeStopped
                | StoreError::State(StateFault::Store { .. })
        )
    );
    let of_node = matches!(
        error,
        ProjectionError::Unsettled { .. } | ProjectionError::Kind(_)
    );
    let of_consumer = matches!(error, ProjectionError::Consumer(error) if is_reason(error));
    of_store || of_node || of_consumer
}

/// What its store said at the end.
pub(super) fn of_store(error: &ProjectionError) -> Option<&StoreError> {
    let (ProjectionError::Store { error, .. } | ProjectionError::NotSettled { error, .. }) = error
    else {
        return None;
    };
    Some(error)
}

fn is_reason(error: &ConsumerError) -> bool {
    matches!(
        error,
        ConsumerError::Stopped
            | ConsumerError::NodeStopped
            | ConsumerError::Overloaded
            | ConsumerError::Timeout { .. }
            | ConsumerError::Kind(_)
            | ConsumerError::Fault(Fault::Store { .. } | Fault::Space(_))
    )
}
