//! A projection whose values are in a bucket: of each entity the places of its last events, and nothing where
//! there are none left. Its runs take it over from each other; in the end one of them is let, and each value is
//! that of a replay from nothing (P6, J5, J6).

mod judge;

use super::super::super::sim::{Sim, Turn};
use super::super::counter::Counter;
use super::super::purse::Purse;
use super::fails::Fails;
use super::life::lasts;
use super::run::{START, has_reason, of_store, tries};
use super::tally::{Place, Tally};
use crate::oracle::{Class, Violation};
use crate::stage::Record;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::api::consumer::{Consumed, EventPlace, HandlerError};
use tenure_core::api::projection::{Kv, KvEntries, Projection, ProjectionError, StoreError};
use tenure_core::step::{Span, Time};
use tenure_core::{Probe as _, reached};
use tokio::sync::watch;

/// The client that says what it is like.
const CLIENT: u64 = 37;

/// Its name.
const NAME: &str = "values";

/// With so many events in it a value is gone, and the next one begins anew.
const GONE_AT: usize = 4;

/// What is kept of an entity.
type Recent = Vec<Place>;

/// The projection of a run.
#[derive(Clone)]
pub(super) struct Values {
    sim: Sim,
    fails: Arc<Fails>,
    known: Arc<Mutex<Known>>,
}

/// What is known of it.
#[derive(Default)]
struct Known {
    /// The first thing that was wrong.
    wrong: Option<Violation>,
    /// The nodes on which it runs, or is being started.
    running: BTreeSet<usize>,
    /// The nodes that are well in the end.
    core: Option<BTreeSet<usize>>,
}

impl Values {
    pub(super) fn draw(sim: &Sim) -> Self {
        let turn = sim.turn(CLIENT, 0);
        let rates = [0, 10, 60];
        let rate = usize::try_from(turn.random(3)).expect("one of three");
        Self {
            sim: sim.clone(),
            fails: Arc::new(Fails::new(rates[rate], turn.random(u64::MAX))),
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs it on a node again and again until the run is at its end.
    pub(super) async fn serves(self, node: usize, until: Time, mut over: watch::Receiver<bool>) {
        let sim = self.sim.clone();
        let client = CLIENT * 100 + node as u64;
        let mut number = 0;
        while !*over.borrow() {
            number += 1;
            let turn = sim.turn(client, number);
            let wait = Duration::from_millis(20 + turn.random(600));
            sim.sleep(wait).await;
            let well = sim.now() >= until;
            let wanted = match well {
                true => self.is_to_run(node),
                // Now and then it is taken over from one that runs.
                false => turn.is_asked() && (turn.random(4) == 0 || self.is_to_run(node)),
            };
            let Some(tenure) = sim.node(node).filter(|_| wanted) else {
                continue;
            };
            self.known().running.insert(node);
            let ended = match self.starts(&tenure).await {
                Ok(projection) => {
                    let reads = self.is_read(&turn, &projection);
                    lasts(&sim, (&turn, well), &projection, reads, &mut over).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                self.ends(&error);
            }
            self.known().running.remove(&node);
        }
    }

    /// Whether it is for this node to run it: no other one that is well does.
    fn is_to_run(&self, node: usize) -> bool {
        let known = self.known();
        let is_well = |node: &usize| known.core.as_ref().is_none_or(|core| core.contains(node));
        is_well(&node) && !known.running.iter().any(is_well)
    }

    async fn starts(&self, tenure: &Tenure) -> Result<Projection<Kv<Recent>>, ProjectionError> {
        let projection = tenure.projection(NAME, Kv::new()).failing(tries());
        let projection = projection.fold::<Counter>(self.fold());
        let projection = projection.fold::<Purse>(self.fold());
        projection.start_timeout(START).start().await
    }

    /// The fold of a kind: each time that an event is folded may fail, half way.
    fn fold<E>(
        &self,
    ) -> impl Fn(&mut KvEntries<Recent>, &Consumed<E>) -> Result<(), HandlerError> + use<E> {
        let fails = Arc::clone(&self.fails);
        move |values, event| {
            let place = event.place();
            let key = format!("{}.{}", event.kind(), event.id());
            values.change(key, |value| {
                let EventPlace {
                    partition,
                    sequence,
                    index,
                } = place;
                let recent = value.get_or_insert_default();
                recent.push((partition.0, sequence.0, index));
                if recent.len() == GONE_AT {
                    *value = None;
                }
                fails.befall(place)
            })
        }
    }

    /// Reads values again and again: each is one of those that it comes to.
    async fn is_read(&self, turn: &Turn, projection: &Projection<Kv<Recent>>) {
        loop {
            let wait = Duration::from_millis(50 + turn.random(600));
            self.sim.sleep(wait).await;
            // What is wrong with the log is told by those who judge it.
            let Ok(log) = self.sim.log() else { return };
            let log = Tally::of(&log);
            let nth = usize::try_from(turn.random(log.entities())).unwrap_or(0);
            let Some(entity) = log.places().nth(nth).map(|(entity, _)| entity.to_owned()) else {
                continue;
            };
            let Ok(Some(recent)) = projection.store().get(key_of(&entity)).await else {
                continue;
            };
            let Ok(log) = self.sim.log() else { return };
            let log = Tally::of(&log);
            let all = log.only(&entity);
            let all = all.places().next().map_or(&[][..], |(_, places)| places);
            let last = recent.last();
            if last.is_none_or(|last| judge::count_of(all, &recent, *last).is_none()) {
                let what = format!("{NAME} has {recent:?} of {entity}, which has {all:?} (P6)");
                self.is_wrong("shows", what);
            }
        }
    }

    fn is_wrong(&self, oracle: &'static str, what: String) {
        self.known().wrong.get_or_insert(Violation {
            class: Class::Safety,
            oracle,
            what,
        });
    }

    /// It ends with its node, over what the store says, or when another run takes it over.
    fn ends(&self, error: &ProjectionError) {
        let taken = matches!(of_store(error), Some(StoreError::Superseded { .. }));
        if taken {
            reached!(
                self.sim.probe(),
                "world: values in a bucket were taken over"
            );
        }
        if !taken && !has_reason(error) {
            self.is_wrong("ended", format!("{NAME} ended without a reason: {error}"));
        }
    }

    /// Waits until each value is that of a replay from nothing (P8).
    pub(super) async fn catch_up(&self, core: &[usize]) -> Result<(), Violation> {
        let sim = &self.sim;
        self.known().core = Some(core.iter().copied().collect());
        let until = sim.now() + Span::from(sim.convergence()) + sim.later();
        // What was under way may be stored meanwhile: they are looked at until nothing was since the last look.
        let mut before = None;
        loop {
            self.told()?;
            let (ends, log) = (sim.stage.ends(), Tally::of(&sim.log()?));
            let judged = judge::stored(&log, &sim.stage.values());
            if judged.is_ok() && before.as_ref() == Some(&ends) {
                break;
            }
            before = Some(ends);
            if let Err(what) = judged
                && sim.now() >= until
            {
                return Err(Violation {
                    class: Class::Liveness,
                    oracle: "shown",
                    what: format!("{NAME}: {what} (P8)"),
                });
            }
            sim.sleep(Duration::from_millis(100)).await;
        }
        reached!(sim.probe(), "world: values in a bucket caught up");
        Ok(())
    }

    fn told(&self) -> Result<(), Violation> {
        self.known().wrong.take().map_or(Ok(()), Err)
    }

    /// Judges it when it has ended.
    pub(super) fn finish(&self, log: &Tally, records: &[Record]) -> Result<(), Violation> {
        self.told()?;
        judge::judge(log, records)
    }
}

/// The key of an entity, of which a tally says `kind id`.
fn key_of(entity: &str) -> String {
    entity.replacen(' ', ".", 1)
}
