//! A running node, and how it is started.

use super::actor::{Actor, ActorHandle, ActorKindError};
use super::entities::{Entities, KindFacts};
use super::raw::RawEntities;
use super::repository::KindHandle;
use super::upcast::{Steps, UpcastersError};
use super::{
    Aggregate, Cluster, ClusterHandle, Entity, EntityRef, KindSettings, Log, Messages, NodeRef,
    Repository, Serves, UnknownEvents,
};
use crate::driver::host::{Host, KindEntry, caught};
use crate::driver::{
    Counters, Handle, KindFailure, Launch, LaunchFailure, NotSent, Recording, Shell,
};
use crate::format::{Codec, KindRecord, LayoutKey, WriteMode};
use crate::id::{CommandId, ShardId, Ticket, WallTime};
use crate::lease::TermsError;
use crate::log::{KindConfig, SnapshotPolicy, SnapshotPolicyError};
use crate::name::{EntityId, KindName, NameError, Namespace};
use crate::node::JoinError;
use crate::shard::Place;
use crate::space::{KindWish, SpaceError, SpaceWish};
use crate::step::{Limits, Span};
use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// What a node is started with. Unset fields take the namespace as it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StartOptions {
    /// The namespace.
    pub namespace: String,
    /// The node's name, for people.
    pub node: String,
    /// How many shards a new namespace gets; 256 when it is not set.
    pub shards: Option<u16>,
    /// How many event streams a new namespace gets; 1 on a single server and 8 on a cluster when
    /// it is not set.
    pub streams: Option<u16>,
    /// How many servers hold each stream at least; 1 on a single server and 3 on a cluster when it
    /// is not set.
    pub replicas: Option<u32>,
    /// The hash key of a new namespace; drawn when it is not set.
    pub layout_key: Option<u128>,
    /// Whether streams that are absent may be created.
    pub create: bool,
    /// How many loops step the machines.
    pub lanes: NonZeroUsize,
    /// How many requests wait for one lane before a caller has to.
    pub queue_max: NonZeroUsize,
    /// How long a command or question waits for its answer, unless it says otherwise.
    pub timeout: Duration,
    /// How long opening the namespace may take.
    pub start_timeout: Duration,
    /// How long `stop` lets what is under way end.
    pub stop_timeout: Duration,
    /// How many entities the node keeps in memory, over all kinds, shards and lanes; 0 keeps none.
    /// When it is not set the limits' `entities_max` holds.
    pub cache: Option<usize>,
    /// How the node is part of its namespace's cluster; without it the node is a lone process that
    /// becomes the owner of each shard that it uses.
    pub cluster: Option<Cluster>,
    /// What the node serves in its cluster.
    pub serves: Vec<Serves>,
    /// The machines' limits; `start_timeout` takes the place of its `open_timeout`, and `cache` of
    /// its `entities_max`.
    pub limits: Limits,
}

impl StartOptions {
    /// The defaults for a namespace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            node: "node".to_owned(),
            shards: None,
            streams: None,
            replicas: None,
            layout_key: None,
            create: true,
            lanes: NonZeroUsize::MIN,
            queue_max: const { NonZeroUsize::new(1_024).expect("more than zero") },
            timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(15),
            stop_timeout: Duration::from_secs(5),
            cache: None,
            cluster: None,
            serves: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Why a node did not start. Nothing runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The namespace's name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The namespace cannot be opened.
    #[error(transparent)]
    Space(SpaceError),
    /// The store was not reachable, or did not answer, in time.
    #[error("the namespace was not open after {0:?}; is the store reachable?")]
    Timeout(Duration),
    /// A kind that the node is to serve cannot be used.
    #[error("the node cannot serve a kind: {0}")]
    Kind(#[from] KindError),
    /// The node is no member of the cluster.
    #[error(transparent)]
    Join(JoinError),
    /// The terms of leases cannot work.
    #[error(transparent)]
    Terms(TermsError),
    /// The node was not a member in time.
    #[error("the node was no member of the cluster after {0:?}; is the store reachable?")]
    JoinTimeout(Duration),
    /// The machine found its own state wrong.
    #[error("the node halted while it opened the namespace: {reason}")]
    Halted {
        /// Why.
        reason: String,
    },
}

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

/// A running node. Clones are handles of the same node.
///
/// The node runs until [`stop`](Self::stop), or until its last handle is dropped; what was under
/// way then still ends.
#[derive(Clone)]
pub struct Tenure {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) handle: Handle,
    pub(crate) timeout: Span,
    pub(crate) stop_timeout: Span,
    skipped: Arc<AtomicU64>,
    /// The kinds whose entities were asked, by their type.
    owned: RwLock<BTreeMap<TypeId, OwnedKind>>,
    /// Which type is which kind.
    types: Mutex<BTreeMap<KindName, (TypeId, &'static str)>>,
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure")
            .field("namespace", self.namespace())
            .finish_non_exhaustive()
    }
}

/// Starts a node in a world.
///
/// # Errors
///
/// When the namespace cannot be opened.
pub async fn start_with<S: Shell>(shell: S, options: StartOptions) -> Result<Tenure, StartError> {
    let StartOptions {
        cluster, serves, ..
    } = &options;
    let (cluster, serves) = (cluster.clone(), serves.clone());
    let wish = SpaceWish {
        namespace: Namespace::new(&options.namespace)?,
        shards: options.shards,
        streams: options.streams,
        replicas: options.replicas,
        key: options.layout_key.map(LayoutKey),
        create: options.create,
        cluster: options.cluster.is_some(),
    };
    let mut limits = options.limits;
    limits.open_timeout = options.start_timeout.into();
    limits.entities_max = options.cache.unwrap_or(limits.entities_max);
    if let Some(cluster) = &cluster {
        limits.settle = cluster.settle.unwrap_or(limits.settle);
    }
    let name = match &cluster {
        Some(cluster) => Some(cluster.name(shell.seed())?),
        None => None,
    };
    let node = name.as_ref().map(ToString::to_string);
    let launch = Launch {
        wish,
        node: node.unwrap_or(options.node),
        lanes: options.lanes.get(),
        queue_max: options.queue_max.get(),
        limits,
    };
    let launched = Handle::launch(shell, launch).await;
    let handle = launched.map_err(|failure| match failure {
        LaunchFailure::Space(error) => StartError::Space(error),
        LaunchFailure::Halted(reason) => StartError::Halted { reason },
        LaunchFailure::Timeout => StartError::Timeout(options.start_timeout),
    })?;
    let tenure = Tenure {
        inner: Arc::new(Inner {
            handle,
            timeout: options.timeout.into(),
            stop_timeout: options.stop_timeout.into(),
            skipped: Arc::default(),
            owned: RwLock::default(),
            types: Mutex::default(),
        }),
    };
    let patience = options.start_timeout;
    // A node that does not get so far ends with its last handle.
    let (registry, classes) = tenure.serve(serves, patience).await?;
    if let (Some(cluster), Some(name)) = (cluster, name) {
        let about = cluster.about(tenure.inner.handle.lanes(), classes);
        tenure
            .join((name, about), &cluster, registry, patience)
            .await?;
    } else {
        let handle = &tenure.inner.handle;
        let deadline = handle.now() + Span::from(patience);
        handle.serve_alone(registry, deadline).await;
    }
    Ok(tenure)
}

/// A kind whose entities are asked, and what they have in common.
type OwnedKind = (Arc<KindEntry>, Arc<KindFacts>);

impl Tenure {
    /// The entities of a kind. Its record is made at first use in the namespace, and compared
    /// after that.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When there are mistakes in the kind's upcasters, it is recorded otherwise, another type of
    /// this process is it, its policy for snapshots cannot be one, or it is to take snapshots that
    /// its type does not make.
    pub async fn repository<A: Aggregate>(&self) -> Result<Repository<A>, KindError> {
        let (entry, facts) = self.kind::<A>(None).await?;
        Ok(Repository {
            kind: KindHandle {
                tenure: self.clone(),
                entry,
                facts,
                aggregate: PhantomData,
            },
        })
    }

    /// A kind, and the commands that its entities' reminders come as, where they are known.
    async fn kind<A: Aggregate>(
        &self,
        messages: Option<fn() -> Messages<A>>,
    ) -> Result<OwnedKind, KindError> {
        let name = KindName::new(A::KIND)?;
        let steps = Steps::of::<A>()?;
        self.claim_type::<A>(&name)?;
        let settings = A::settings();
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

    /// One entity, wherever its owner is: this node, or another of its cluster. A node without a
    /// cluster becomes the owner of each shard that it uses.
    pub fn entity<A: Entity>(&self, id: impl AsRef<str>) -> EntityRef<A> {
        EntityRef::new(self.clone(), id.as_ref())
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

    /// The cluster as this node sees it; `None` when it was started without one.
    pub fn cluster(&self) -> Option<ClusterHandle> {
        let membership = self.inner.handle.cluster()?.clone();
        Some(ClusterHandle::new(self.clone(), membership))
    }

    /// A node of the cluster, by its name.
    pub fn node(&self, name: impl Into<String>) -> NodeRef {
        NodeRef::new(self.clone(), name.into())
    }

    /// One actor, wherever it is: on this node, or on another of its cluster. Its kind was named to
    /// the builder; one of another kind refuses everything.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> ActorHandle<A> {
        let handle = &self.inner.handle;
        let (port, world) = (Arc::clone(handle.port()), Arc::clone(handle.world()));
        ActorHandle::new(port, world, key.as_ref(), self.inner.timeout)
    }

    /// The actor of a shard, of a kind that is [`per_shard`](super::actor::ActorSettings::per_shard):
    /// on the shard's owner, wherever that is.
    pub fn shard<A: Actor>(&self, shard: ShardId) -> ActorHandle<A> {
        self.actor("-").of_shard(shard)
    }

    /// The log of a kind below aggregates, in direct mode, encoded as CBOR.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the kind is recorded otherwise.
    pub async fn log(&self, kind: &str) -> Result<Log, KindError> {
        self.log_with(kind, KindSettings::default()).await
    }

    /// The log of a kind whose settings are not the default ones. What concerns an aggregate's state
    /// means nothing here: events are told as they are stored, and a log takes no snapshots.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the kind is recorded otherwise, or is owned.
    pub async fn log_with(&self, kind: &str, settings: KindSettings) -> Result<Log, KindError> {
        let name = KindName::new(kind)?;
        match settings.mode {
            WriteMode::Direct => {}
            WriteMode::Owned => return Err(KindError::Owned { kind: name }),
        }
        let record = self.record(name, settings).await?;
        let entry = KindEntry {
            config: KindConfig {
                record,
                snapshots: SnapshotPolicy::never(),
                snapshot_schema: 0,
                cached: settings.cached,
                local_replies: false,
            },
            raw: true,
            host: Box::new(|_| -> Box<dyn Host> { Box::new(RawEntities::default()) }),
        };
        Ok(Log {
            tenure: self.clone(),
            entry: Arc::new(entry),
        })
    }

    /// A fresh command id, of this node's wall clock.
    pub fn command_id(&self) -> CommandId {
        self.inner.handle.command_id(WallTime(0))
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        self.inner.handle.namespace()
    }

    /// Whether the store is connected and verified at this moment.
    pub fn is_connected(&self) -> bool {
        self.inner.handle.is_connected()
    }

    /// What the node has counted since its start.
    pub async fn counters(&self) -> Counters {
        let mut counters = self.inner.handle.counters().await;
        counters.events_skipped += self.inner.skipped.load(Ordering::Relaxed);
        counters
    }

    /// The flight recorder: what each lane's machines were fed lately.
    pub async fn recordings(&self) -> Vec<Recording> {
        self.inner.handle.recordings().await
    }

    /// Takes in nothing more, lets what is under way end within `stop_timeout`, and returns when
    /// nothing runs any more. Everyone who waits gets an answer.
    ///
    /// In a cluster the node hands over what it owns within three quarters of that time, serving the
    /// other nodes until it has, and leaves. A node whose handles are dropped without a stop does
    /// not leave: the others take over from it as from one that crashed.
    ///
    /// Cancel safe: the node stops all the same.
    pub async fn stop(&self) {
        self.inner.handle.stop(self.inner.stop_timeout).await;
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
