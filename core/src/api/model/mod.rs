//! What a program consists of, in event storming's terms, as data: made from its kinds, written as JSON,
//! drawn with Mermaid.

mod error;
mod known;
mod mermaid;
mod part;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;

pub use error::ModelError;
pub(in crate::api) use known::Known;
pub(in crate::api) use part::events_of;
pub use part::{
    ActorModel, AggregateModel, CommandRef, EarlierEvent, EffectModel, EventModel, EventRef,
    ExternalModel, Kept, MessageModel, PolicyModel, ReadModel, SagaModel,
};
#[cfg(feature = "schema")]
pub use schema::{EventSchema, EventSchemas, schema_of};

use super::actor::{Actor, Handlers};
use super::{Aggregate, Entity, Event, Messages};
use crate::format::{TakeOver, WriteMode};
use serde::{Deserialize, Serialize};

/// The version of [`Model`]'s JSON.
pub const MODEL_VERSION: u16 = 1;

/// What a program consists of, in event storming's terms.
///
/// The kinds come from their types, or from a [running node](super::Tenure::model). What no type says, such as
/// who reacts to what, is said here.
///
/// ```
/// # use tenure_core::api::{Aggregate, KindSettings, model::{ActorModel, Model, ReadModel}};
/// # #[derive(Clone, Default)]
/// # struct Account;
/// # #[derive(tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: i64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, _: &AccountEvent) {}
/// # }
/// let model = Model::new("bank")
///     .aggregate::<Account>()
///     .read_model(ReadModel::new("balances").of("account", "deposited"))
///     .actor(ActorModel::new("clerk").reads("balances"));
/// model.check()?;
/// assert!(model.to_mermaid().starts_with("flowchart LR"));
/// assert_eq!(Model::from_json(&model.to_json())?, model);
/// # Ok::<_, tenure_core::api::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Model {
    /// The version of this format.
    pub version: u16,
    /// What it is a model of.
    pub name: String,
    /// What keeps the rules, by kind.
    pub aggregates: Vec<AggregateModel>,
    /// What reacts.
    #[serde(default)]
    pub policies: Vec<PolicyModel>,
    /// What is read.
    #[serde(default)]
    pub read_models: Vec<ReadModel>,
    /// What is done outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<EffectModel>,
    /// Who decides.
    #[serde(default)]
    pub actors: Vec<ActorModel>,
    /// What belongs to others.
    #[serde(default)]
    pub externals: Vec<ExternalModel>,
}

impl Model {
    /// A model of nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            version: MODEL_VERSION,
            name: name.into(),
            aggregates: Vec::new(),
            policies: Vec::new(),
            read_models: Vec::new(),
            effects: Vec::new(),
            actors: Vec::new(),
            externals: Vec::new(),
        }
    }

    /// And a kind, of which it is known what can happen; its commands are those of its
    /// [entities](Self::entity).
    #[must_use]
    pub fn aggregate<A: Aggregate>(self) -> Self {
        self.with(AggregateModel::of::<A>(None))
    }

    /// And a kind whose entities are asked.
    #[must_use]
    pub fn entity<A: Entity>(self) -> Self {
        self.with(AggregateModel::of::<A>(Some(&A::messages())))
    }

    /// And a kind of in-memory actor.
    #[must_use]
    pub fn in_memory<A: Actor>(self) -> Self {
        self.with(AggregateModel::of_actor::<A>())
    }

    /// And a kind that is a model already, in the place of one of the same name.
    #[must_use]
    pub fn with(mut self, aggregate: AggregateModel) -> Self {
        self.aggregates.retain(|one| one.kind != aggregate.kind);
        self.aggregates.push(aggregate);
        self.aggregates
            .sort_by(|one, other| one.kind.cmp(&other.kind));
        self
    }

    /// The schemas of a kind's events, which is there already.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schemas<A: Aggregate<Event: EventSchemas>>(mut self) -> Self {
        let schemas = A::Event::schemas();
        let kind = self.aggregates.iter_mut().find(|one| one.kind == A::KIND);
        let events = kind.into_iter().flat_map(|kind| &mut kind.events);
        for event in events {
            let of = |one: &&EventSchema| one.name == event.name && one.version == event.version;
            event.schema = schemas.iter().find(of).map(|one| one.schema.clone());
        }
        self
    }

    /// And what reacts.
    #[must_use]
    pub fn policy(mut self, policy: PolicyModel) -> Self {
        self.policies.push(policy);
        self
    }

    /// And what is read.
    #[must_use]
    pub fn read_model(mut self, read_model: ReadModel) -> Self {
        self.read_models.push(read_model);
        self
    }

    /// And what is done outside.
    #[must_use]
    pub fn effect(mut self, effect: EffectModel) -> Self {
        self.effects.push(effect);
        self
    }

    /// And who decides.
    #[must_use]
    pub fn actor(mut self, actor: ActorModel) -> Self {
        self.actors.push(actor);
        self
    }

    /// And what belongs to others.
    #[must_use]
    pub fn external(mut self, external: ExternalModel) -> Self {
        self.externals.push(external);
        self
    }

    /// The model as JSON, with line breaks.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a model has nothing that JSON has not")
    }

    /// A model out of its JSON.
    ///
    /// # Errors
    ///
    /// When it is no model, or one of another version.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u16,
        }
        let Versioned { version } = serde_json::from_str(text).map_err(ModelError::Json)?;
        if version != MODEL_VERSION {
            return Err(ModelError::Version { version });
        }
        serde_json::from_str(text).map_err(ModelError::Json)
    }

    /// Whether everything that is named is there, and once.
    ///
    /// # Errors
    ///
    /// The first name that is not.
    pub fn check(&self) -> Result<(), ModelError> {
        error::check(self)
    }

    /// The model as a [Mermaid](https://mermaid.js.org) flow chart.
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(self)
    }
}

impl AggregateModel {
    pub(super) fn of<A: Aggregate>(messages: Option<&Messages<A>>) -> Self {
        let settings = A::settings();
        let events = A::Event::TYPES.iter().map(|(name, version)| EventModel {
            name: (*name).to_owned(),
            version: *version,
            schema: None,
        });
        Self {
            kind: A::KIND.to_owned(),
            kept: Kept::Log,
            mode: settings.mode,
            class: settings.class,
            codec: settings.codec,
            commands: messages.map_or_else(Vec::new, |all| named(all.commands.keys())),
            queries: messages.map_or_else(Vec::new, |all| named(all.queries.keys())),
            events: events.collect(),
            earlier: A::upcasters().earlier(),
            saga: messages.and_then(|all| all.saga.clone()),
        }
    }

    pub(super) fn of_actor<A: Actor>() -> Self {
        let handlers = A::handlers(Handlers::new());
        Self {
            kind: A::KIND.to_owned(),
            kept: Kept::Memory,
            mode: WriteMode::Owned,
            class: TakeOver::Leased,
            codec: A::settings().codec,
            commands: named(handlers.types()),
            queries: Vec::new(),
            events: Vec::new(),
            earlier: Vec::new(),
            saga: None,
        }
    }
}

fn named<'a>(messages: impl Iterator<Item = &'a (&'static str, u16)>) -> Vec<MessageModel> {
    let model = |(name, version): &(&'static str, u16)| MessageModel {
        name: (*name).to_owned(),
        version: *version,
    };
    messages.map(model).collect()
}
