//! The parts of a model, in event storming's terms, as serde types.

use crate::api::{Aggregate, Event as _, Message};
use crate::format::{Codec, TakeOver, WriteMode};
use serde::{Deserialize, Serialize};

/// A message's or event's stable name, and the version of its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageModel {
    /// Its stable name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
}

/// An event type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventModel {
    /// Its stable name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
    /// What its fields are (JSON Schema, draft 2020-12), where the program says so: see
    /// `EventSchemas`, with the feature `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
}

/// An event type that only the log has: this build reads it as others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EarlierEvent {
    /// Its stable name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
    /// What one step makes of it; nothing, when it means nothing any more.
    pub becomes: Vec<MessageModel>,
}

/// What a kind is that carries out a saga.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SagaModel {
    /// What its steps and undos ask for, as far as the saga says so.
    pub issues: Vec<CommandRef>,
}

/// Where what keeps the rules has its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kept {
    /// In the log, as events.
    Log,
    /// In the memory of one node at a time: a kind of in-memory actor.
    Memory,
}

/// What keeps the rules: it takes commands, and events come of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AggregateModel {
    /// The stable name of its kind.
    pub kind: String,
    /// Where its state is.
    pub kept: Kept,
    /// Who may write it.
    pub mode: WriteMode,
    /// When its shards may change hands.
    pub class: TakeOver,
    /// How its values are encoded.
    pub codec: Codec,
    /// What can be asked for; a kind in memory has all of its messages here.
    pub commands: Vec<MessageModel>,
    /// What can be asked.
    pub queries: Vec<MessageModel>,
    /// What can happen. None of a kind in memory.
    pub events: Vec<EventModel>,
    /// What happened in former builds, and is read as events of today.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierEvent>,
    /// That it carries out a saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaModel>,
}

/// An event of a kind, of whatever version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventRef {
    /// The kind.
    pub kind: String,
    /// The event's stable name.
    pub event: String,
}

/// A command of a kind, of whatever version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandRef {
    /// The kind.
    pub kind: String,
    /// The command's stable name.
    pub command: String,
}

/// Whenever this happened, that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyModel {
    /// Its name.
    pub name: String,
    /// What it reacts to.
    pub on: Vec<EventRef>,
    /// What it asks for.
    pub issues: Vec<CommandRef>,
    /// Systems that it calls, by their names.
    pub calls: Vec<String>,
}

/// What is done outside, once it is decided: an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EffectModel {
    /// Its stable name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
    /// The kinds whose decisions want it, by name. No type says so.
    pub wanted_by: Vec<String>,
    /// Systems that its handler calls, by their names.
    pub calls: Vec<String>,
}

/// What is made of events to be read: a projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadModel {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub of: Vec<EventRef>,
}

/// Somebody who decides: a role of people, whom event storming calls actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorModel {
    /// The role's name.
    pub name: String,
    /// What they ask for.
    pub issues: Vec<CommandRef>,
    /// The read models that they look at, by their names.
    pub reads: Vec<String>,
}

/// A system of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExternalModel {
    /// Its name.
    pub name: String,
    /// What it asks for by itself.
    pub issues: Vec<CommandRef>,
}

macro_rules! named {
    ($($model:ident { $($list:ident),* },)*) => {
        $(impl $model {
            /// One of a name, with nothing to it.
            pub fn new(name: impl Into<String>) -> Self {
                Self { name: name.into(), $($list: Vec::new()),* }
            }
        })*
    };
}

named! {
    PolicyModel { on, issues, calls },
    ReadModel { of },
    ActorModel { issues, reads },
    ExternalModel { issues },
}

impl EventRef {
    /// An event of a kind.
    pub fn new(kind: impl Into<String>, event: impl Into<String>) -> Self {
        let (kind, event) = (kind.into(), event.into());
        Self { kind, event }
    }
}

impl CommandRef {
    /// A command of a kind.
    pub fn new(kind: impl Into<String>, command: impl Into<String>) -> Self {
        let (kind, command) = (kind.into(), command.into());
        Self { kind, command }
    }
}

/// The events of a kind, each once whatever its versions.
pub(in crate::api) fn events_of<A: Aggregate>() -> Vec<EventRef> {
    let types = A::Event::TYPES.iter();
    let mut events: Vec<_> = types
        .map(|(name, _)| EventRef::new(A::KIND, *name))
        .collect();
    events.dedup();
    events
}

impl PolicyModel {
    /// It reacts to an event.
    #[must_use]
    pub fn on(mut self, kind: impl Into<String>, event: impl Into<String>) -> Self {
        self.on.push(EventRef::new(kind, event));
        self
    }

    /// It asks for something.
    #[must_use]
    pub fn issues(mut self, kind: impl Into<String>, command: impl Into<String>) -> Self {
        self.issues.push(CommandRef::new(kind, command));
        self
    }

    /// It calls a system of somebody else.
    #[must_use]
    pub fn calls(mut self, external: impl Into<String>) -> Self {
        self.calls.push(external.into());
        self
    }
}

impl EffectModel {
    /// An effect of a stable name and a version, with nothing to it.
    pub fn new(name: impl Into<String>, version: u16) -> Self {
        Self {
            name: name.into(),
            version,
            wanted_by: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// That of a type.
    pub fn of<M: Message>() -> Self {
        Self::new(M::NAME, M::VERSION)
    }

    /// Decisions of a kind want it.
    #[must_use]
    pub fn wanted_by(mut self, kind: impl Into<String>) -> Self {
        self.wanted_by.push(kind.into());
        self
    }

    /// Its handler calls a system of somebody else.
    #[must_use]
    pub fn calls(mut self, external: impl Into<String>) -> Self {
        self.calls.push(external.into());
        self
    }
}

impl ReadModel {
    /// It is made of all events of a kind, as they are today.
    #[must_use]
    pub fn of_kind<A: Aggregate>(mut self) -> Self {
        self.of.extend(events_of::<A>());
        self
    }

    /// It is made of an event, among others.
    #[must_use]
    pub fn of(mut self, kind: impl Into<String>, event: impl Into<String>) -> Self {
        self.of.push(EventRef::new(kind, event));
        self
    }
}

impl ActorModel {
    /// They ask for something.
    #[must_use]
    pub fn issues(mut self, kind: impl Into<String>, command: impl Into<String>) -> Self {
        self.issues.push(CommandRef::new(kind, command));
        self
    }

    /// They look at a read model.
    #[must_use]
    pub fn reads(mut self, read_model: impl Into<String>) -> Self {
        self.reads.push(read_model.into());
        self
    }
}

impl ExternalModel {
    /// It asks for something by itself.
    #[must_use]
    pub fn issues(mut self, kind: impl Into<String>, command: impl Into<String>) -> Self {
        self.issues.push(CommandRef::new(kind, command));
        self
    }
}
