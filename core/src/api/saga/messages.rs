//! What a saga is told and asked, and whom its steps' entities answer.

use crate::api::Message;
use crate::format::{Codec, Intent, MessageRecord};
use crate::name::{EntityId, KindName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Begins a saga. One that has begun goes on as it is, whatever the input; the answer is how it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start<I>(pub I);

impl<I: Serialize + DeserializeOwned + Send + 'static> Message for Start<I> {
    const NAME: &'static str = "saga-start";
    const VERSION: u16 = 1;
}

/// What came of a step; an entity sends it by [`Decision::report`](crate::api::Decision::report).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaReport {
    pub(super) step: u32,
    pub(super) undo: bool,
    pub(super) outcome: Result<(), String>,
}

impl Message for SagaReport {
    const NAME: &'static str = "saga-report";
    const VERSION: u16 = 1;
}

/// A step was not reported in time; the saga's reminder to itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    pub(super) step: u32,
    pub(super) undo: bool,
}

impl Message for Late {
    const NAME: &'static str = "saga-late";
    const VERSION: u16 = 1;
}

/// Has a saga that is stuck send its undo again, as often as its step says; whether it was stuck for this
/// time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RetryUndo {
    /// The how manieth time it is stuck, as its list and its status say: so of each step that is not undone
    /// somebody is asked.
    pub times: u32,
}

impl Message for RetryUndo {
    const NAME: &'static str = "saga-retry-undo";
    const VERSION: u16 = 1;
}

/// Has a saga that is stuck go on as if its undo had been reported: somebody has undone the step, or leaves it as
/// it is; whether it was stuck for this time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SkipUndo {
    /// The how manieth time it is stuck.
    pub times: u32,
}

impl Message for SkipUndo {
    const NAME: &'static str = "saga-skip-undo";
    const VERSION: u16 = 1;
}

/// Asks how a saga stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Status;

impl Message for Status {
    const NAME: &'static str = "saga-status";
    const VERSION: u16 = 1;
}

/// Whom to tell what came of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplyTo {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) step: u32,
    pub(super) undo: bool,
}

impl ReplyTo {
    /// The saga.
    pub fn saga(&self) -> &str {
        &self.id
    }

    /// Names the step among all sagas: the same for each time that it comes, and for its undo.
    pub fn key(&self) -> String {
        let Self { kind, id, step, .. } = self;
        format!("{kind}/{id}/{step}")
    }

    /// The message that tells it.
    pub(crate) fn report(&self, outcome: Result<(), String>) -> Result<Intent, String> {
        let report = SagaReport {
            step: self.step,
            undo: self.undo,
            outcome,
        };
        let data = Codec::Cbor.encode(&report);
        Ok(Intent {
            kind: KindName::new(&self.kind).map_err(|error| error.to_string())?,
            entity: EntityId::new(&self.id).map_err(|error| error.to_string())?,
            codec: Codec::Cbor,
            message: MessageRecord {
                name: SagaReport::NAME.into(),
                schema: SagaReport::VERSION,
                data: data.map_err(|cause| format!("the report cannot be encoded: {cause}"))?,
            },
            metadata: None,
        })
    }
}
