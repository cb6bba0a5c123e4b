//! What happened in a saga.

use crate::api::{CodecError, Event};
use crate::format::Codec;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What happened in a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SagaEvent<I> {
    /// It was started with this.
    Started(I),
    /// The steps before this one are done, and it is being done.
    Advanced(u32),
    /// A step was refused, or not reported in time: what was done is undone.
    TurnedBack {
        /// The step.
        step: u32,
        /// Why.
        why: String,
    },
    /// A step is being undone.
    Undoing(u32),
    /// A step was not undone yet; it is tried again.
    UndoRefused {
        /// The step.
        step: u32,
        /// What its entity said.
        why: String,
    },
    /// The undo of a step was sent once more.
    UndoneAgain(u32),
    /// A step was not undone for the last time: the saga waits for somebody.
    Stuck {
        /// The step.
        step: u32,
        /// Why.
        why: String,
    },
    /// Somebody has undone a step, or it is to be left as it is.
    UndoSkipped(u32),
    /// All steps are done.
    Completed,
    /// All that was done is undone.
    Compensated,
}

/// A step with a text, as it is stored.
#[derive(Serialize, Deserialize)]
struct Why {
    step: u32,
    why: String,
}

impl<I: Serialize + DeserializeOwned + Send + 'static> Event for SagaEvent<I> {
    const TYPES: &'static [(&'static str, u16)] = &[
        ("started", 1),
        ("advanced", 1),
        ("turned-back", 1),
        ("undoing", 1),
        ("undo-refused", 1),
        ("undone-again", 1),
        ("stuck", 1),
        ("undo-skipped", 1),
        ("completed", 1),
        ("compensated", 1),
    ];

    fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Advanced(_) => "advanced",
            Self::TurnedBack { .. } => "turned-back",
            Self::Undoing(_) => "undoing",
            Self::UndoRefused { .. } => "undo-refused",
            Self::UndoneAgain(_) => "undone-again",
            Self::Stuck { .. } => "stuck",
            Self::UndoSkipped(_) => "undo-skipped",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }

    fn schema(&self) -> u16 {
        1
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        let why = |step: &u32, why: &String| Why {
            step: *step,
            why: why.clone(),
        };
        match self {
            Self::Started(input) => codec.encode(input),
            Self::Advanced(step)
            | Self::Undoing(step)
            | Self::UndoneAgain(step)
            | Self::UndoSkipped(step) => codec.encode(step),
            Self::TurnedBack { step, why: text }
            | Self::UndoRefused { step, why: text }
            | Self::Stuck { step, why: text } => codec.encode(&why(step, text)),
            Self::Completed | Self::Compensated => codec.encode(&()),
        }
    }

    fn decode(
        name: &str,
        schema: u16,
        codec: Codec,
        data: &[u8],
    ) -> Result<Option<Self>, CodecError> {
        let why = || codec.decode::<Why>(data);
        Ok(match (name, schema) {
            ("started", 1) => Some(Self::Started(codec.decode(data)?)),
            ("advanced", 1) => Some(Self::Advanced(codec.decode(data)?)),
            ("turned-back", 1) => {
                let Why { step, why } = why()?;
                Some(Self::TurnedBack { step, why })
            }
            ("undoing", 1) => Some(Self::Undoing(codec.decode(data)?)),
            ("undo-refused", 1) => {
                let Why { step, why } = why()?;
                Some(Self::UndoRefused { step, why })
            }
            ("undone-again", 1) => Some(Self::UndoneAgain(codec.decode(data)?)),
            ("stuck", 1) => {
                let Why { step, why } = why()?;
                Some(Self::Stuck { step, why })
            }
            ("undo-skipped", 1) => Some(Self::UndoSkipped(codec.decode(data)?)),
            ("completed", 1) => Some(Self::Completed),
            ("compensated", 1) => Some(Self::Compensated),
            (_, _) => None,
        })
    }
}
