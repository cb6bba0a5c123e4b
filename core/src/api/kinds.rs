//! The kinds that a node uses: looked up in the namespace once, and held against their types.

use super::actor::ActorKindError;
use super::entities::{Entities, KindFacts};
use super::model::AggregateModel;
use super::upcast::{Steps, UpcastersError};
use super::{Aggregate, Entity, KindSettings, Messages, Tenure, UnknownEvents};
use crate::driver::host::{Host, KindEntry, caught};
use crate::driver::{KindFailure, NotSent};
use crate::format::{Codec, KindRecord, Placement, WriteMode};
use crate::id::Ticket;
use crate::log::{KindConfig, SnapshotPolicyError};
use crate::name::{EntityId, KindName, NameError};
use crate::shard::Place;
use crate::space::{KindWish, SpaceError};
use std::any::{TypeId, type_name};
use std::sync::{Arc, PoisonError};

/// Why a kind cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KindError {
    /// Its name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Another type of this process is the kind.
    #[error("kind {kind} is {other} in this process already; give one of the two another KIND")]
    Taken {
        /// The kind.
        kind: KindName,
        /// The type that is it.
        other: &'static str,
    },
    /// Entities that are asked have owners, and this kind's have none.
    #[error(
        "kind {kind} is written by whoever has a repository of it: let its settings say `owned()` or `leased()`, or use a repository"
    )]
    Direct {
        /// The kind.
        kind: KindName,
    },
    /// Entities belong to shards, and its settings say that they belong to nodes.
    #[error(
        "kind {kind} is placed on each node, as only actors are; place its entities by their ids"
    )]
    OnNodes {
        /// The kind.
        kind: KindName,
    },
    /// Its messages cannot be what its type says.
    #[error(transparent)]
    Actor(#[from] ActorKindError),
    /// The log below aggregates writes in direct mode only.
    #[error("kind {kind} is written by the owners of its shards; use a repository")]
    Owned {
        /// The kind.
        kind: KindName,
    },
    /// Its policy for snapshots cannot be one.
    #[error("the snapshot policy of kind {kind} cannot be one: {cause}")]
    SnapshotPolicy {
        /// The kind.
        kind: KindName,
        /// What is wrong with it, and what to write instead.
        cause: SnapshotPolicyError,
    },
    /// Snapshots are asked for that the type does not make.
    #[error(
        "kind {kind} is to take snapshots, but {aggregate} makes none: implement Aggregate::snapshot and Aggregate::restore, or leave out the policy"
    )]
    NoSnapshots {
        /// The kind.
        kind: KindName,
        /// The type.
        aggregate: &'static str,
    },
    /// There are mistakes in its upcasters.
    #[error(transparent)]
    Upcasters(#[from] UpcastersError),
    /// Its record is not as the settings say, or cannot be read or made.
    #[error(transparent)]
    Space(SpaceError),
    /// The store did not answer in time.
    #[error("the store did not answer in time; ask again")]
    Deadline,
    /// Too many requests wait.
    #[error("too many requests wait; ask again later")]
    Overloaded,
    /// The node's machine found its own state wrong.
    #[error("the node halted ({reason}); restart it and report the recording")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The node has stopped.
    #[error("this node has stopped; start another")]
    Stopped,
}

impl From<NotSent> for KindError {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Overloaded => Self::Overloaded,
            NotSent::Stopped => Self::Stopped,
        }
    }
}

/// A kind whose entities are asked, and what they have in common.
pub(super) type OwnedKind = (Arc<KindEntry>, Arc<KindFacts>);

impl Tenure {
    /// A kind, and the commands that its entities' reminders come as, where they are known.
    pub(super) async fn kind<A: Aggregate>(
        &self,
        messages: Option<fn() -> Messages<A>>,
    ) -> Result<OwnedKind, KindError> {
        let name = KindName::new(A::KIND)?;
        let steps = Steps::of::<A>()?;
        self.claim_type::<A>(&name)?;
        let settings = A::settings();
        if settings.placement == Placement::Node {
            return Err(KindError::OnNodes { kind: name });
        }
        let policy = settings.snapshots;
        if let Err(cause) = policy.check() {
            return Err(KindError::SnapshotPolicy { kind: name, cause });
        }
        if !policy.is_never() && !makes_snapshots::<A>(settings.codec) {
            return Err(KindError::NoSnapshots {
                kind: name,
                aggregate: type_name::<A>(),
            });
        }
        let record = self.record(name, settings).await?;
        self.remember(AggregateModel::of::<A>(messages.map(|of| of()).as_ref()));
        let facts = self.facts(&record, settings.unknown_events, steps);
        let host_facts = facts.clone();
        let entry = KindEntry {
            config: KindConfig {
                record,
                snapshots: policy,
                snapshot_schema: A::SNAPSHOT_SCHEMA,
                cached: settings.cached,
                local_replies: settings.local_replies,
            },
            raw: false,
            cipher: facts.cipher.clone(),
            host: Box::new(move |shard| -> Box<dyn Host> {
                let messages = messages.map(|messages| messages());
                Box::new(Entities::<A>::new(host_facts.clone(), shard, messages))
            }),
        };
        Ok((Arc::new(entry), Arc::new(facts)))
    }

    /// A kind whose entities have owners; it is looked up in the namespace once.
    pub(crate) async fn owned_kind<A: Entity>(&self) -> Result<OwnedKind, KindError> {
        let of = TypeId::of::<A>();
        let known = self.inner.owned.read();
        let known = known
            .unwrap_or_else(PoisonError::into_inner)
            .get(&of)
            .cloned();
        if let Some(kind) = known {
            return Ok(kind);
        }
        if A::settings().mode == WriteMode::Direct {
            let kind = KindName::new(A::KIND)?;
            return Err(KindError::Direct { kind });
        }
        let kind = self.kind::<A>(Some(A::messages)).await?;
        let owned = self.inner.owned.write();
        let mut owned = owned.unwrap_or_else(PoisonError::into_inner);
        Ok(owned.entry(of).or_insert(kind).clone())
    }

    /// Where an entity belongs, by what its type says of its kind.
    pub(crate) fn place_of<A: Aggregate>(&self, entity: &EntityId) -> Place {
        let settings = A::settings();
        let layout = self.inner.handle.layout();
        Place {
            class: settings.class,
            shard: layout.shard_of(settings.placement, entity),
        }
    }

    pub(super) async fn record(
        &self,
        name: KindName,
        settings: KindSettings,
    ) -> Result<KindRecord, KindError> {
        let wish = KindWish {
            // The lane gives it a ticket of its own.
            ticket: Ticket(0),
            name,
            mode: settings.mode,
            class: settings.class,
            codec: settings.codec,
            placement: settings.placement,
            timeout: self.inner.timeout,
        };
        let deadline = self.inner.handle.now() + self.inner.timeout;
        match self.inner.handle.kind(wish, deadline).await? {
            Some(Ok(record)) => Ok(record),
            Some(Err(KindFailure::Space(error))) => Err(KindError::Space(error)),
            Some(Err(KindFailure::Halted(reason))) => Err(KindError::Halted { reason }),
            Some(Err(KindFailure::Stopped)) => Err(KindError::Stopped),
            None => Err(KindError::Deadline),
        }
    }

    fn facts(&self, record: &KindRecord, unknown_events: UnknownEvents, steps: Steps) -> KindFacts {
        KindFacts {
            namespace: self.namespace().clone(),
            node: self.inner.handle.node().into(),
            kind: record.name.clone(),
            codec: record.codec,
            cipher: self.inner.ciphers.of(&record.name),
            unknown_events,
            steps,
            skipped: Arc::clone(&self.inner.skipped),
        }
    }

    pub(super) fn claim_type<A: 'static>(&self, name: &KindName) -> Result<(), KindError> {
        let this = (TypeId::of::<A>(), type_name::<A>());
        let mut types = self
            .inner
            .types
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (id, other) = *types.entry(name.clone()).or_insert(this);
        if id == this.0 {
            Ok(())
        } else {
            let kind = name.clone();
            Err(KindError::Taken { kind, other })
        }
    }
}

/// Whether a type makes snapshots and takes them back; tried on the state before the first event.
/// One that panics or cannot be encoded is one that it makes.
fn makes_snapshots<A: Aggregate>(codec: Codec) -> bool {
    match caught(|| A::default().snapshot(codec)) {
        Ok(None) => false,
        Ok(Some(Ok(state))) => !matches!(caught(|| A::restore(&state, codec)), Ok(None)),
        Ok(Some(Err(_))) | Err(_) => true,
    }
}
