//! What a node serves, and how it joins the cluster of its namespace.

use super::actor::{Actor, entry_of};
use super::effect::{Aside, EffectHandler};
use super::entity::ServedEntity;
use super::model::AggregateModel;
use super::saga::Stuck;
use super::{Cluster, Entity, KindError, KindSettings, Serving, StartError, Tenure};
use crate::driver::NotJoined;
use crate::driver::actors::host::ActorEntry;
use crate::driver::cluster::Registry;
use crate::format::{Placement, TakeOver};
use crate::name::{KindName, NodeName};
use crate::node::{About, NodeConfig};
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A kind that a node serves: [entities](Serves::entity), or [actors](Serves::actor).
#[derive(Clone, Copy)]
pub struct Serves {
    kind: &'static str,
    /// Whether its entities are sagas.
    saga: fn() -> bool,
    /// The class of its shards, unless it belongs to nodes.
    class: fn() -> Option<TakeOver>,
    served: fn(Tenure) -> BoxFuture<'static, Result<Kind, KindError>>,
}

/// What is served under a kind's name.
enum Kind {
    Entities(KindName, Arc<dyn Serving>),
    Actors(KindName, ActorEntry),
}

impl Serves {
    /// The entities of a type.
    pub fn entity<A: Entity>() -> Self {
        Self {
            kind: A::KIND,
            saga: || A::messages().saga.is_some(),
            class: || Some(A::settings().class),
            served: |tenure| {
                Box::pin(async move {
                    let (entry, facts) = tenure.owned_kind::<A>().await?;
                    let served: Arc<dyn Serving> = Arc::new(ServedEntity::<A>::new(entry, facts));
                    Ok(Kind::Entities(KindName::new(A::KIND)?, served))
                })
            },
        }
    }

    /// The actors of a type.
    pub fn actor<A: Actor>() -> Self {
        Self {
            kind: A::KIND,
            saga: || false,
            class: || (A::settings().placement != Placement::Node).then_some(TakeOver::Leased),
            served: |tenure| {
                Box::pin(async move {
                    let entry = entry_of::<A>()?;
                    let name = entry.name().clone();
                    tenure.claim_type::<A>(&name)?;
                    let mut settings = KindSettings::default().leased();
                    settings.codec = entry.codec;
                    settings.placement = entry.placement;
                    tenure.record(name.clone(), settings).await?;
                    tenure.remember(AggregateModel::of_actor::<A>());
                    Ok(Kind::Actors(name, entry))
                })
            },
        }
    }
}

impl fmt::Debug for Serves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Serves").field(&self.kind).finish()
    }
}

impl Tenure {
    /// Makes the kinds known that the node serves, and their classes.
    pub(super) async fn serve(
        &self,
        serves: Vec<Serves>,
        effects: Vec<EffectHandler>,
        patience: Duration,
    ) -> Result<(Registry, BTreeSet<TakeOver>), StartError> {
        let handle = &self.inner.handle;
        let mut registry = Registry::default();
        let mut classes = BTreeSet::new();
        let mut serves = serves;
        if !effects.is_empty() {
            serves.push(Serves::entity::<Aside>());
        }
        if serves.iter().any(|kind| (kind.saga)()) {
            serves.push(Serves::entity::<Stuck>());
        }
        for effect in effects {
            let wrong = |text| StartError::Effect { text };
            let kind = effect.kind().map_err(wrong)?;
            let model = effect.model();
            if registry.effects.insert(kind.clone(), effect.host).is_some() {
                let text = format!("{kind} has two handlers: name one of them to the builder");
                return Err(wrong(text));
            }
            self.remember_effect(model);
        }
        for kind in serves {
            classes.extend((kind.class)());
            match (kind.served)(self.clone()).await? {
                Kind::Entities(name, served) => drop(registry.kinds.insert(name, served)),
                Kind::Actors(name, entry) => drop(registry.actors.insert(name, entry.into())),
            }
        }
        if !registry.actors.is_empty() {
            let deadline = handle.now() + Span::from(patience);
            let (kinds, home) = (registry.actors.clone(), Arc::downgrade(&self.inner));
            let staged = handle
                .stage(kinds, (self.inner.timeout, home), deadline)
                .await;
            staged.map_err(|_| StartError::Timeout(patience))?;
        }
        Ok((registry, classes))
    }

    pub(super) async fn join(
        &self,
        (name, about): (NodeName, About),
        cluster: &Cluster,
        registry: Registry,
        patience: Duration,
    ) -> Result<(), StartError> {
        let handle = &self.inner.handle;
        let deadline = handle.now() + Span::from(patience);
        let replicated = handle.is_replicated();
        let terms = cluster.terms_on(replicated);
        terms.check(replicated).map_err(StartError::Terms)?;
        let config = NodeConfig {
            namespace: self.namespace().clone(),
            name,
            incarnation: handle.incarnation(),
            terms,
            about,
            rejoin: cluster.rejoin,
        };
        let joined = handle.join(config, registry, deadline).await;
        joined.map_err(|failure| match failure {
            NotJoined::Refused(error) => StartError::Join(error),
            NotJoined::Halted(reason) => StartError::Halted { reason },
            NotJoined::Timeout | NotJoined::Stopped => StartError::JoinTimeout(patience),
        })
    }
}
