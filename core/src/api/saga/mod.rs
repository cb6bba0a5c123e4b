//! Sagas: work over several entities, wherever they are, that is done as a whole or undone.
//!
//! A saga is an entity (a process manager): its steps are commands to other entities, sent one after
//! another, each when the one before was reported done. When one is refused, or not reported in time, the
//! steps before it are undone, the last one first. All of it is in its log, so it goes on after any
//! crash, on whatever node owns its shard then.
//!
//! ```text
//! Start ─▶ step 0 ─▶ step 1 ─▶ … ─▶ Completed
//!             │ refused   │ refused, or not reported in time
//!             ▼           ▼
//!        Compensated ◀─ undo 0 ◀─ undo 1 …   (each sent again until it is reported undone)
//!                                   │ not reported undone, for the last time
//!                                   ▼
//!                                 Stuck       (listed: it is sent again by hand, or skipped)
//! ```
//!
//! An entity that takes a step gets a [`ReplyTo`] with the command, and says what came of it in its decision
//! ([`Decision::report`](super::Decision::report)). Two things are its part:
//!
//! - An undo may come more than once, and, for a step that was not reported in time, *before* the step
//!   itself or without it. So the entity keeps what each step did, by its [`key`](ReplyTo::key), takes
//!   that back and nothing else, and refuses a step that comes after its undo.
//! - A command that it rejects with an error is counted and not sent again; the saga learns of it by its
//!   time-out alone. So a no is a decision with a report.

mod decide;
mod event;
mod messages;
mod step;
mod stuck;

pub use event::SagaEvent;
pub use messages::{Late, ReplyTo, RetryUndo, SagaReport, SkipUndo, Start, Status};
pub use step::Step;
pub use stuck::{StuckSaga, StuckSagaError, StuckSagas};

pub(crate) use stuck::Stuck;

use super::model::{CommandRef, SagaModel};
use super::{Aggregate, Entity, KindSettings, Messages};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a saga does: its steps.
pub trait Process: Send + Sync + 'static {
    /// The name of its kind.
    const KIND: &'static str;

    /// What it is started with.
    type Input: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// Its steps, in their order. Pure: the same for the same saga in every build that may go on with it.
    fn steps(id: &str, input: &Self::Input) -> Vec<Step>;

    /// What its steps and undos ask for, for [models](super::model) of the program; nothing when it does not say.
    fn issues() -> Vec<CommandRef> {
        Vec::new()
    }
}

/// The entity that carries a [`Process`] out; serve it as any other:
/// `Tenure::builder().serve::<Saga<Transfer>>()`.
pub struct Saga<P: Process> {
    input: Option<P::Input>,
    status: SagaStatus,
}

impl<P: Process> Clone for Saga<P> {
    fn clone(&self) -> Self {
        Self {
            input: self.input.clone(),
            status: self.status.clone(),
        }
    }
}

impl<P: Process> Default for Saga<P> {
    fn default() -> Self {
        Self {
            input: None,
            status: SagaStatus::default(),
        }
    }
}

impl<P: Process> std::fmt::Debug for Saga<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Saga").field(&self.status).finish()
    }
}

/// How a saga stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SagaStatus {
    /// What it does.
    pub phase: SagaPhase,
    /// Why it turned back.
    pub why: Option<String>,
    /// What the entity said last that did not undo a step yet.
    pub undo_refused: Option<String>,
    /// How often the undo that is under way was sent.
    #[serde(default)]
    pub undo_tries: u32,
    /// How often it was stuck.
    #[serde(default)]
    pub stuck_times: u32,
}

/// What a saga does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SagaPhase {
    /// Nothing: it was not started.
    #[default]
    Unstarted,
    /// This step is being done; those before are.
    Forward(u32),
    /// This step is being undone; those after are.
    Back(u32),
    /// This step was not undone, for the last time: the saga waits for somebody ([`StuckSagas`]).
    Stuck(u32),
    /// All steps are done.
    Completed,
    /// All that was done is undone, but for what was skipped.
    Compensated,
}

impl<P: Process> Aggregate for Saga<P> {
    type Event = SagaEvent<P::Input>;
    const KIND: &'static str = P::KIND;

    fn evolve(&mut self, event: &SagaEvent<P::Input>) {
        let status = &mut self.status;
        match event {
            SagaEvent::Started(input) => self.input = Some(input.clone()),
            SagaEvent::Advanced(step) => status.phase = SagaPhase::Forward(*step),
            SagaEvent::TurnedBack { why, .. } => status.why = Some(why.clone()),
            SagaEvent::Undoing(step) => {
                status.phase = SagaPhase::Back(*step);
                status.undo_refused = None;
                status.undo_tries = 1;
            }
            SagaEvent::UndoneAgain(_) => status.undo_tries = status.undo_tries.saturating_add(1),
            SagaEvent::Stuck { step, why } => {
                status.phase = SagaPhase::Stuck(*step);
                status.undo_refused = Some(why.clone());
                status.stuck_times = status.stuck_times.saturating_add(1);
            }
            SagaEvent::UndoSkipped(_) => status.undo_refused = None,
            SagaEvent::UndoRefused { why, .. } => status.undo_refused = Some(why.clone()),
            SagaEvent::Completed => status.phase = SagaPhase::Completed,
            SagaEvent::Compensated => {
                status.phase = SagaPhase::Compensated;
                status.undo_refused = None;
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl<P: Process> Entity for Saga<P> {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Start<P::Input>>();
        let commands = commands.command::<SagaReport>();
        let commands = commands.command::<RetryUndo>().command::<SkipUndo>();
        let commands = commands.command::<Late>().query::<Status>();
        commands.saga(SagaModel {
            issues: P::issues(),
        })
    }
}
