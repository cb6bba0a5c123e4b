//! What a node knows of its program, as it is started with it and uses it.

use super::{AggregateModel, EffectModel, EventRef, Model, PolicyModel, ReadModel};
use crate::api::effect::Aside;
use crate::api::saga::Stuck;
use crate::api::{Aggregate as _, Tenure};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// What a node knows of its program, each part by its name.
#[derive(Debug, Default)]
pub(in crate::api) struct Known {
    kinds: BTreeMap<String, AggregateModel>,
    /// What consumers read.
    policies: BTreeMap<String, PolicyModel>,
    /// What projections are made of.
    read_models: BTreeMap<String, ReadModel>,
    effects: BTreeMap<String, EffectModel>,
}

impl Tenure {
    /// What this node was started with and used so far, as a model of the namespace: its kinds with the events
    /// of former builds that they read, its sagas, and its effects; the projections as read models; and the
    /// consumers that have handlers of kinds, as policies.
    pub fn model(&self) -> Model {
        let known = self.known();
        let own = |kind: &&AggregateModel| ![Aside::KIND, Stuck::KIND].contains(&&*kind.kind);
        let kinds = known.kinds.values().filter(own).cloned();
        let mut model = kinds.fold(Model::new(self.namespace().as_str()), Model::with);
        model.policies = known.policies.values().cloned().collect();
        model.read_models = known.read_models.values().cloned().collect();
        model.effects = known.effects.values().cloned().collect();
        model
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        let known = self.inner.known.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// A kind that says which commands and queries it takes replaces what was remembered of it without them.
    pub(in crate::api) fn remember(&self, model: AggregateModel) {
        let told = !model.commands.is_empty() || !model.queries.is_empty();
        let kinds = &mut self.known().kinds;
        if told || !kinds.contains_key(&model.kind) {
            kinds.insert(model.kind.clone(), model);
        }
    }

    /// A consumer reads these.
    pub(in crate::api) fn remember_consumer(&self, name: &str, on: Vec<EventRef>) {
        let policy = PolicyModel {
            on,
            ..PolicyModel::new(name)
        };
        self.known().policies.insert(name.to_owned(), policy);
    }

    /// A projection is made of these.
    pub(in crate::api) fn remember_projection(&self, name: &str, of: Vec<EventRef>) {
        let read_model = ReadModel {
            of,
            ..ReadModel::new(name)
        };
        self.known().read_models.insert(name.to_owned(), read_model);
    }

    /// An effect has a handler.
    pub(in crate::api) fn remember_effect(&self, effect: EffectModel) {
        self.known().effects.insert(effect.name.clone(), effect);
    }
}
