//! The sagas of a kind that are stuck: an entity of the framework's own, with the kind as its id, and what is
//! done about them by hand.

use super::{Process, RetryUndo, Saga, SkipUndo};
use crate::api::{
    Aggregate, Answer, AnswerCx, AskError, CodecError, Decide, DecideCx, Decision, Entity, Event,
    Freshness, KindSettings, Message, Messages, Never, ReadError, Tenure,
};
use crate::format::Codec;
use crate::id::WallTime;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

/// How many are told at once.
const LIST_MAX: usize = 256;

/// A saga that waits for somebody: a step of it was not undone, for the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StuckSaga {
    /// The saga's id.
    pub id: String,
    /// The step that is not undone; those after it are.
    pub step: u32,
    /// What its entity said last, or that nothing was reported.
    pub why: String,
    /// The how manieth time it is stuck.
    pub times: u32,
    /// Since when, on its node's wall clock, in milliseconds since 1970.
    pub time_ms: u64,
}

impl StuckSaga {
    /// Since when, on its node's wall clock.
    pub fn time(&self) -> WallTime {
        WallTime(self.time_ms)
    }
}

/// The sagas of a kind that are stuck. That one is freed may come before that it is stuck, so each time that one is
/// has its number, by which the two cancel each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stuck {
    stuck: BTreeMap<(String, u32), StuckSaga>,
    /// Those that were freed before they were known to be stuck.
    early: BTreeSet<(String, u32)>,
}

/// A saga is stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PutStuck {
    pub(crate) saga: String,
    pub(crate) step: u32,
    pub(crate) why: String,
    pub(crate) times: u32,
    pub(crate) time_ms: u64,
}

/// A saga is not stuck any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Freed {
    pub(crate) saga: String,
    pub(crate) times: u32,
}

/// Some of them, after one.
#[derive(Serialize, Deserialize)]
pub(crate) struct List {
    after: Option<(String, u32)>,
}

macro_rules! message {
    ($name:ident, $wire:literal) => {
        impl Message for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;
        }
    };
}
message!(PutStuck, "put-stuck");
message!(Freed, "freed");
message!(List, "list");

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StuckEvent {
    Stuck(PutStuck),
    Freed(Freed),
}

impl Event for StuckEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("stuck", 1), ("freed", 1)];

    fn name(&self) -> &'static str {
        match self {
            Self::Stuck(_) => "stuck",
            Self::Freed(_) => "freed",
        }
    }

    fn schema(&self) -> u16 {
        1
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        match self {
            Self::Stuck(stuck) => codec.encode(stuck),
            Self::Freed(freed) => codec.encode(freed),
        }
    }

    fn decode(
        name: &str,
        schema: u16,
        codec: Codec,
        data: &[u8],
    ) -> Result<Option<Self>, CodecError> {
        Ok(match (name, schema) {
            ("stuck", 1) => Some(Self::Stuck(codec.decode(data)?)),
            ("freed", 1) => Some(Self::Freed(codec.decode(data)?)),
            (_, _) => None,
        })
    }
}

impl Aggregate for Stuck {
    type Event = StuckEvent;
    const KIND: &'static str = "sagas-stuck";

    fn evolve(&mut self, event: &StuckEvent) {
        match event {
            StuckEvent::Stuck(it) => {
                let key = (it.saga.clone(), it.times);
                if self.early.remove(&key) {
                    return;
                }
                let stuck = StuckSaga {
                    id: it.saga.clone(),
                    step: it.step,
                    why: it.why.clone(),
                    times: it.times,
                    time_ms: it.time_ms,
                };
                self.stuck.insert(key, stuck);
            }
            StuckEvent::Freed(it) => {
                let key = (it.saga.clone(), it.times);
                if self.stuck.remove(&key).is_none() {
                    self.early.insert(key);
                }
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<PutStuck> for Stuck {
    type Reply = ();
    type Error = Never;

    fn decide(&self, put: &PutStuck, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(StuckEvent::Stuck(put.clone())))
    }
}

impl Decide<Freed> for Stuck {
    type Reply = ();
    type Error = Never;

    fn decide(&self, freed: &Freed, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(StuckEvent::Freed(freed.clone())))
    }
}

impl Answer<List> for Stuck {
    type Reply = Vec<StuckSaga>;

    fn answer(&self, list: &List, _: &AnswerCx<'_>) -> Vec<StuckSaga> {
        let after = list.after.as_ref();
        let stuck = self.stuck.iter();
        let stuck = stuck.filter(|(key, _)| after.is_none_or(|after| key > &after));
        stuck.take(LIST_MAX).map(|(_, it)| it.clone()).collect()
    }
}

impl Entity for Stuck {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<PutStuck>().command::<Freed>();
        commands.query::<List>()
    }
}

/// The sagas of a kind that are stuck. They stay so until they are retried or skipped, or the undo is reported
/// after all. What is told lags behind the sagas by a message.
///
/// ```
/// # use tenure_core::api::Tenure;
/// # use tenure_core::api::saga::{Process, Step, StuckSagaError};
/// # struct Trip;
/// # impl Process for Trip {
/// #     const KIND: &'static str = "trip";
/// #     type Input = ();
/// #     fn steps(_: &str, _: &()) -> Vec<Step> { Vec::new() }
/// # }
/// # async fn example(tenure: Tenure) -> Result<(), StuckSagaError> {
/// let trips = tenure.stuck_sagas::<Trip>();
/// for trip in trips.all().await? {
///     println!("step {} of {} is not undone: {}", trip.step, trip.id, trip.why);
///     trips.retry(&trip).await?;
/// }
/// # Ok(()) }
/// ```
pub struct StuckSagas<P> {
    tenure: Tenure,
    process: PhantomData<fn() -> P>,
}

impl<P> Clone for StuckSagas<P> {
    fn clone(&self) -> Self {
        Self {
            tenure: self.tenure.clone(),
            process: PhantomData,
        }
    }
}

impl<P: Process> fmt::Debug for StuckSagas<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StuckSagas").field(&P::KIND).finish()
    }
}

/// Why sagas that are stuck are not told, or one is not retried or skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StuckSagaError {
    /// They cannot be told.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was not told, or nobody knows.
    #[error(transparent)]
    Ask(#[from] AskError<Never>),
}

impl Tenure {
    /// The sagas of a kind that are stuck.
    pub fn stuck_sagas<P: Process>(&self) -> StuckSagas<P> {
        StuckSagas {
            tenure: self.clone(),
            process: PhantomData,
        }
    }
}

impl<P: Process> StuckSagas<P> {
    /// All of them, by their ids.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn all(&self) -> Result<Vec<StuckSaga>, StuckSagaError> {
        let stuck = self.tenure.entity::<Stuck>(P::KIND);
        let mut all: Vec<StuckSaga> = Vec::new();
        loop {
            let after = all.last().map(|last| (last.id.clone(), last.times));
            let read = stuck.read(List { after });
            let page = read.freshness(Freshness::Linearizable).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Has one send its undo again, as often as its step says; whether it was stuck as it was told, and this
    /// build has that undo.
    ///
    /// # Errors
    ///
    /// When it was not told, or nobody knows; it may be asked again then.
    pub async fn retry(&self, stuck: &StuckSaga) -> Result<bool, StuckSagaError> {
        let retry = RetryUndo { times: stuck.times };
        Ok(self.tenure.entity::<Saga<P>>(&stuck.id).ask(retry).await?)
    }

    /// Retries all that are there now; how many were stuck.
    ///
    /// # Errors
    ///
    /// As [`retry`](Self::retry); those before are retried.
    pub async fn retry_all(&self) -> Result<u64, StuckSagaError> {
        let mut retried = 0;
        for saga in self.all().await? {
            retried += u64::from(self.retry(&saga).await?);
        }
        Ok(retried)
    }

    /// Has one go on with the undo of the step before: somebody has undone the step, or leaves it as it is.
    /// Whether it was stuck as it was told: one that is stuck at another step since then is left alone.
    ///
    /// # Errors
    ///
    /// When it was not told, or nobody knows; it may be asked again then.
    pub async fn skip(&self, stuck: &StuckSaga) -> Result<bool, StuckSagaError> {
        let skip = SkipUndo { times: stuck.times };
        Ok(self.tenure.entity::<Saga<P>>(&stuck.id).ask(skip).await?)
    }
}
