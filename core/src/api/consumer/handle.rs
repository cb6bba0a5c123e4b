//! A running consumer.

use super::running::Runs;
use super::{ConsumerError, DeadLetters, RewindError, SeenError};
use crate::api::{Aggregate, Tenure};
use crate::consumer::{Answer, Command, Definition, Pace, Start, State, Status};
use crate::driver::consumer::{ConsumerHost, Ended, Told};
use crate::driver::{ConsumeFailure, NotSent};
use crate::format::Position;
use crate::id::{Partition, Sequence, Ticket};
use crate::name::{ConsumerName, EntityId};
use crate::step::{Span, Time};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A running consumer. Clones are handles of the same one; it runs on without any, until it is stopped or
/// its node is.
#[derive(Clone)]
pub struct ConsumerHandle {
    pub(super) tenure: Tenure,
    pub(super) name: ConsumerName,
    pub(super) lane: usize,
    pub(super) number: u64,
    pub(super) told: watch::Receiver<Told>,
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ConsumerHandle {
    pub(in crate::api) async fn start(
        tenure: Tenure,
        (definition, pace, reset): (Definition, Pace, Option<Start>),
        host: Arc<dyn ConsumerHost>,
        timeout: Span,
    ) -> Result<Self, ConsumerError> {
        let name = definition.name.clone();
        let handle = &tenure.inner.handle;
        let deadline = handle.now() + timeout;
        let consuming = handle.consume((definition, pace, reset), host, deadline);
        let (lane, number, told) = match consuming.await {
            Ok(begun) => begun,
            Err(ConsumeFailure::Fault(fault)) => return Err(ConsumerError::Fault(*fault)),
            Err(ConsumeFailure::NotSent(not_sent)) => return Err(not_sent.into()),
        };
        tenure
            .inner
            .running
            .begun(&name, Runs::Consumer(told.clone()));
        let this = Self {
            tenure,
            name,
            lane,
            number,
            told,
        };
        let started = |status: &Status| status.state != State::Starting;
        match this.until(Some(deadline), started).await {
            Ok(true) => Ok(this),
            Ok(false) => {
                let Some(waits_for) = this.status().waits_for else {
                    // It began at the last moment.
                    return Ok(this);
                };
                let (name, until) = (this.name.to_string(), deadline);
                this.order(move |_| Command::Stop { until }).await?;
                Err(ConsumerError::Timeout { name, waits_for })
            }
            Err(error) => Err(error),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How it stands: what it does, up to where it is, its lag, and why there is no progress.
    pub fn status(&self) -> Status {
        self.told.borrow().status.clone()
    }

    /// Whether all is handled that was in the log when it looked last.
    pub fn caught_up(&self) -> bool {
        self.told.borrow().status.state == State::Live
    }

    /// Waits until all is handled that was in the log; returns at once when it is so already. It may fall
    /// behind again.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the consumer ends before.
    pub async fn live(&self) -> Result<(), ConsumerError> {
        let live = |status: &Status| status.state == State::Live;
        self.until(None, live).await.map(drop)
    }

    /// Waits until it is not live any more: the turn back.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the consumer ends before.
    pub async fn behind(&self) -> Result<(), ConsumerError> {
        let behind = |status: &Status| status.state != State::Live;
        self.until(None, behind).await.map(drop)
    }

    /// Waits until its status is as is wished.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the consumer ends before.
    pub async fn until_status(
        &self,
        wished: impl Fn(&Status) -> bool,
    ) -> Result<(), ConsumerError> {
        self.until(None, wished).await.map(drop)
    }

    /// Waits until it ends.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended it, when it was not [`stop`](Self::stop).
    pub async fn ended(&self) -> Result<(), ConsumerError> {
        let mut told = self.told.clone();
        // Without a sender the lane is gone, and so is the consumer.
        let ended = told.wait_for(|told| told.ended.is_some()).await;
        let ended = ended.ok().and_then(|told| told.ended.clone());
        match ended {
            Some(Ended::Stopped { .. }) => Ok(()),
            other => Err(error_of(other)),
        }
    }

    /// Reads after writes: waits until the consumer has seen a commit of an entity, by the sequence that
    /// a [receipt](crate::api::Receipt::sequence) tells. Seen: handled, or passed over as the filter or
    /// the policy says.
    ///
    /// Where the consumer's filter does not let the commit through, it has seen it with the next one that
    /// it does, and on an unreplicated stream some seconds after the last.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`SeenError::Deadline`] when it has not in time.
    pub async fn seen<A: Aggregate>(
        &self,
        id: impl AsRef<str>,
        sequence: Sequence,
        within: Duration,
    ) -> Result<(), SeenError> {
        let id = EntityId::new(id.as_ref())?;
        let shard = self.tenure.place_of::<A>(&id).shard;
        let partition = self.tenure.inner.handle.layout().stream_of(shard);
        self.seen_at(partition, sequence, within).await
    }

    /// The same of a place in an event stream.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`SeenError::Deadline`] when it has not seen it in time.
    pub async fn seen_at(
        &self,
        partition: Partition,
        sequence: Sequence,
        within: Duration,
    ) -> Result<(), SeenError> {
        let handle = &self.tenure.inner.handle;
        let streams = handle.layout().streams;
        if partition.0 >= streams {
            let partition = partition.0;
            return Err(SeenError::NoStream { partition, streams });
        }
        let wanted = Position::whole(sequence);
        let place = usize::from(partition.0);
        let seen = move |status: &Status| {
            let position = status.seen.get(place);
            position.is_some_and(|position| *position >= wanted)
        };
        let deadline = handle.now() + Span::from(within);
        match self.until(Some(deadline), seen).await? {
            true => Ok(()),
            false => Err(SeenError::Deadline),
        }
    }

    /// Hands nothing over until it is [resumed](Self::resume); what the handler has it ends. `by` says who
    /// wants it, for people.
    ///
    /// # Errors
    ///
    /// When the consumer has ended.
    pub async fn pause(&self, by: impl Into<String>) -> Result<(), ConsumerError> {
        let by = by.into();
        self.obeyed(move |ticket| Command::Pause { ticket, by })
            .await
    }

    /// Goes on.
    ///
    /// # Errors
    ///
    /// When the consumer has ended.
    pub async fn resume(&self) -> Result<(), ConsumerError> {
        self.obeyed(|ticket| Command::Resume { ticket }).await
    }

    /// Goes on from another place, as soon as the handler is done with what it has; where it stands then.
    /// Events between the two places come again, or never.
    ///
    /// # Errors
    ///
    /// When the place is past the end of the log, or the handler does not end what it has for as long as
    /// [`Pace::stall_after`] says; the consumer goes on as before. When it has ended.
    pub async fn rewind(&self, to: Start) -> Result<Vec<Position>, RewindError> {
        match self
            .ask(move |ticket| Command::Rewind { ticket, to })
            .await?
        {
            Answer::Rewound(rewound) => Ok(rewound?),
            Answer::Obeyed(_) | Answer::Letters(_) | Answer::Looked(_) | Answer::Removed(_) => {
                Err(self.error_now().into())
            }
        }
    }

    /// Goes back to the first event. The next life of the consumer begins
    /// ([`EventBatch::generation`](super::EventBatch::generation)).
    ///
    /// # Errors
    ///
    /// When it has ended, or is being rewound already.
    pub async fn rebuild(&self) -> Result<(), RewindError> {
        self.rewind(Start::Beginning).await.map(drop)
    }

    /// Lets the handler end what it has, at most for the node's `stop_timeout`, stores the checkpoint,
    /// and ends. How many batches were still with the handler then; their events come again.
    ///
    /// Cancel safe: it stops all the same.
    ///
    /// # Errors
    ///
    /// When it had ended with an error before, or does so now.
    pub async fn stop(&self) -> Result<u32, ConsumerError> {
        let inner = &self.tenure.inner;
        let until = inner.handle.now() + inner.stop_timeout;
        self.order(move |_| Command::Stop { until }).await?;
        let mut told = self.told.clone();
        let ended = told.wait_for(|told| told.ended.is_some()).await;
        match ended.ok().and_then(|told| told.ended.clone()) {
            Some(Ended::Stopped { running }) => Ok(running),
            other => Err(error_of(other)),
        }
    }

    /// The events that it put aside.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters { consumer: self }
    }

    /// What it says of itself.
    pub(in crate::api) fn told(&self) -> watch::Receiver<Told> {
        self.told.clone()
    }

    /// Its lane, and its number there.
    pub(in crate::api) fn seat(&self) -> (usize, u64) {
        (self.lane, self.number)
    }

    /// Why it does not run, if it does not.
    pub(super) fn error_now(&self) -> ConsumerError {
        error_of(self.told.borrow().ended.clone())
    }

    /// Asks for what is answered at once; the status may say otherwise again when this ends.
    async fn obeyed(
        &self,
        command: impl FnOnce(Ticket) -> Command + Send + 'static,
    ) -> Result<(), ConsumerError> {
        match self.ask(command).await? {
            Answer::Obeyed(Ok(())) => Ok(()),
            Answer::Obeyed(Err(_))
            | Answer::Rewound(_)
            | Answer::Letters(_)
            | Answer::Looked(_)
            | Answer::Removed(_) => Err(self.error_now()),
        }
    }

    async fn order(
        &self,
        command: impl FnOnce(Ticket) -> Command + Send + 'static,
    ) -> Result<(), ConsumerError> {
        let handle = &self.tenure.inner.handle;
        let deadline = handle.now() + self.tenure.inner.timeout;
        let told = handle.tell_consumer((self.lane, self.number), command, None, deadline);
        Ok(told.await?)
    }

    pub(super) async fn ask(
        &self,
        command: impl FnOnce(Ticket) -> Command + Send + 'static,
    ) -> Result<Answer, ConsumerError> {
        let handle = &self.tenure.inner.handle;
        let deadline = handle.now() + self.tenure.inner.timeout;
        let (done, answer) = tokio::sync::oneshot::channel();
        let told = handle.tell_consumer((self.lane, self.number), command, Some(done), deadline);
        told.await?;
        // Without an answer it has ended, and says so.
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                let mut told = self.told.clone();
                let _ = told.wait_for(|told| told.ended.is_some()).await;
                Err(self.error_now())
            }
        }
    }

    /// Waits until the status is as wished; `false` when the deadline was first.
    async fn until(
        &self,
        deadline: Option<Time>,
        wished: impl Fn(&Status) -> bool,
    ) -> Result<bool, ConsumerError> {
        let mut told = self.told.clone();
        let changed = told.wait_for(|told| told.ended.is_some() || wished(&told.status));
        let late = async {
            match deadline {
                Some(at) => self.tenure.inner.handle.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            changed = changed => match changed {
                Ok(told) => told.ended.clone(),
                Err(_) => Some(Ended::Cut),
            },
            () = late => return Ok(false),
        };
        match ended {
            None => Ok(true),
            ended => Err(error_of(ended)),
        }
    }
}

pub(super) fn error_of(ended: Option<Ended>) -> ConsumerError {
    match ended {
        Some(Ended::Stopped { .. }) => ConsumerError::Stopped,
        Some(Ended::Fault(fault)) => ConsumerError::Fault(*fault),
        Some(Ended::Halted(reason)) => ConsumerError::Halted { reason },
        Some(Ended::Cut) | None => ConsumerError::NodeStopped,
    }
}

impl From<NotSent> for ConsumerError {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Overloaded => Self::Overloaded,
            NotSent::Stopped => Self::NodeStopped,
        }
    }
}
