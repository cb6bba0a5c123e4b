//! The effects of one type that failed for the last time: an entity of the framework's own, with the name
//! of the effect as its id, so that what is put aside is stored, owned and found as everything else.

use super::intent;
use crate::api::{
    Aggregate, Answer, AnswerCx, CodecError, Decide, DecideCx, Decision, Entity, Event,
    KindSettings, Message, Messages, Never,
};
use crate::format::{Codec, Metadata, TraceContext};
use crate::id::WallTime;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many effects of one type are put aside at most; further ones are tried on.
const ASIDE_MAX: usize = 1_000;

/// An effect that failed for the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadEffect {
    /// Its [key](super::EffectCall::key).
    pub key: String,
    /// Its stable name.
    pub effect: String,
    /// The version of its type.
    pub version: u16,
    /// Its value, as CBOR.
    pub data: Bytes,
    /// The kind of the entity whose decision wanted it.
    pub kind: String,
    /// That entity.
    pub id: String,
    /// How often its last owner tried it.
    pub tries: u32,
    /// What the last try came to.
    pub text: String,
    /// When it was put aside, on its node's wall clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it said of itself.
    #[serde(default)]
    pub(super) said: Box<Said>,
}

/// What an effect says of itself, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "String::is_empty")]
    correlation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    causation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    traceparent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tracestate: String,
}

impl Said {
    pub(super) fn new(metadata: &Metadata) -> Self {
        let trace = metadata.trace();
        Self {
            correlation: metadata.correlation_id().unwrap_or_default().to_owned(),
            causation: metadata.causation_id().unwrap_or_default().to_owned(),
            traceparent: trace.map(ToString::to_string).unwrap_or_default(),
            tracestate: trace.map_or_else(String::new, |trace| trace.state().to_owned()),
        }
    }

    /// A trace that cannot be read is left out: it is for people, and keeps no effect from being done.
    fn metadata(&self) -> Metadata {
        let metadata = Metadata::new().correlation(&self.correlation);
        let metadata = metadata.causation(&self.causation);
        let trace = TraceContext::parse(&self.traceparent);
        match trace.and_then(|trace| trace.with_state(&self.tracestate)) {
            Ok(trace) => metadata.trace_context(trace),
            Err(_) => metadata,
        }
    }
}

impl DeadEffect {
    /// The command that wanted it as its cause, the piece of work that it belongs to, and its trace
    /// context. A replay has the same.
    pub fn metadata(&self) -> Metadata {
        self.said.metadata()
    }

    /// When it was put aside, on its node's wall clock.
    pub fn time(&self) -> WallTime {
        WallTime(self.time_ms)
    }

    /// What was to be done.
    ///
    /// # Errors
    ///
    /// When it is of another type, or of another version of it.
    pub fn decode<M: Message>(&self) -> Result<M, crate::api::bus::DecodeError> {
        crate::api::bus::decode(&self.effect, self.version, &self.data)
    }
}

/// Effects of one type that are put aside, by their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aside {
    letters: BTreeMap<String, DeadEffect>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum AsideEvent {
    PutAside(DeadEffect),
    /// It was sent once more.
    Replayed(String),
    Removed(String),
}

impl Event for AsideEvent {
    const TYPES: &'static [(&'static str, u16)] =
        &[("put-aside", 1), ("replayed", 1), ("removed", 1)];

    fn name(&self) -> &'static str {
        match self {
            Self::PutAside(_) => "put-aside",
            Self::Replayed(_) => "replayed",
            Self::Removed(_) => "removed",
        }
    }

    fn schema(&self) -> u16 {
        1
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        match self {
            Self::PutAside(letter) => codec.encode(letter),
            Self::Replayed(key) | Self::Removed(key) => codec.encode(key),
        }
    }

    fn decode(
        name: &str,
        schema: u16,
        codec: Codec,
        data: &[u8],
    ) -> Result<Option<Self>, CodecError> {
        Ok(match (name, schema) {
            ("put-aside", 1) => Some(Self::PutAside(codec.decode(data)?)),
            ("replayed", 1) => Some(Self::Replayed(codec.decode(data)?)),
            ("removed", 1) => Some(Self::Removed(codec.decode(data)?)),
            (_, _) => None,
        })
    }
}

impl Aggregate for Aside {
    type Event = AsideEvent;
    const KIND: &'static str = "effects-aside";

    fn evolve(&mut self, event: &AsideEvent) {
        match event {
            AsideEvent::PutAside(letter) => {
                self.letters.insert(letter.key.clone(), letter.clone());
            }
            AsideEvent::Replayed(key) | AsideEvent::Removed(key) => {
                self.letters.remove(key);
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

macro_rules! message {
    ($name:ident, $wire:literal) => {
        impl Message for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;
        }
    };
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PutAside {
    pub(crate) letter: DeadEffect,
}
message!(PutAside, "put-aside");

#[derive(Serialize, Deserialize)]
pub(crate) struct Replay {
    pub(crate) key: String,
}
message!(Replay, "replay");

#[derive(Serialize, Deserialize)]
pub(crate) struct Remove {
    pub(crate) key: String,
}
message!(Remove, "remove");

/// Some of them, after a key.
#[derive(Serialize, Deserialize)]
pub(crate) struct List {
    pub(crate) after: Option<String>,
}
message!(List, "list");

/// The one of a key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) key: String,
}
message!(Look, "look");

/// No more fit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Full;

impl Decide<PutAside> for Aside {
    type Reply = ();
    type Error = Full;

    fn decide(&self, put: &PutAside, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Full> {
        match self.letters.get(&put.letter.key) {
            // Two owners, or two attempts, put the same aside.
            Some(_) => Ok(Decision::nothing(())),
            None if self.letters.len() >= ASIDE_MAX => Err(Full),
            None => Ok(Decision::event(AsideEvent::PutAside(put.letter.clone()))),
        }
    }
}

impl Decide<Replay> for Aside {
    /// Whether it was there.
    type Reply = bool;
    type Error = String;

    fn decide(&self, replay: &Replay, _: &DecideCx<'_>) -> Result<Decision<Self, bool>, String> {
        let Some(letter) = self.letters.get(&replay.key) else {
            return Ok(Decision::nothing(false));
        };
        let intent = intent(&letter.effect, letter.version, letter.data.clone())?;
        let replayed = Decision::event(AsideEvent::Replayed(replay.key.clone()));
        Ok(replayed.replayed_effect(intent, letter).reply(true))
    }
}

impl Decide<Remove> for Aside {
    /// Whether it was there.
    type Reply = bool;
    type Error = Never;

    fn decide(&self, remove: &Remove, _: &DecideCx<'_>) -> Result<Decision<Self, bool>, Never> {
        Ok(match self.letters.contains_key(&remove.key) {
            true => Decision::event(AsideEvent::Removed(remove.key.clone())).reply(true),
            false => Decision::nothing(false),
        })
    }
}

/// How many bytes one answer has room for; the first comes however large it is.
const LIST_BYTES: usize = 256 * 1_024;

impl Answer<List> for Aside {
    type Reply = Vec<DeadEffect>;

    fn answer(&self, list: &List, _: &AnswerCx<'_>) -> Vec<DeadEffect> {
        let after = list.after.as_ref();
        let letters = self.letters.values();
        let letters = letters.filter(|letter| after.is_none_or(|after| letter.key > *after));
        let mut bytes = 0;
        let fits = |letter: &&DeadEffect| {
            let more = letter.data.len() + letter.text.len() + letter.id.len() + 256;
            let first = bytes == 0;
            bytes += more;
            first || bytes <= LIST_BYTES
        };
        letters.take_while(fits).cloned().collect()
    }
}

impl Answer<Look> for Aside {
    type Reply = Option<DeadEffect>;

    fn answer(&self, look: &Look, _: &AnswerCx<'_>) -> Option<DeadEffect> {
        self.letters.get(&look.key).cloned()
    }
}

impl Entity for Aside {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<PutAside>().command::<Replay>();
        let commands = commands.command::<Remove>().query::<List>();
        commands.query::<Look>()
    }
}
