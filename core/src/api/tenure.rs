//! A running node.

use super::actor::{Actor, ActorHandle};
use super::consumer::Running;
use super::kinds::OwnedKind;
use super::model::Known;
use super::raw::RawEntities;
use super::repository::{KindHandle, KindParts};
use super::{
    Aggregate, Ciphered, Ciphers, ClusterHandle, Entity, EntityRef, KindError, KindSettings, Log,
    NodeRef, Repository,
};
use crate::driver::host::{Host, KindEntry};
use crate::driver::{Counters, Flight, FlightWriteError, Handle, Recording};
use crate::format::WriteMode;
use crate::id::{CommandId, ShardId, WallTime};
use crate::log::{KindConfig, SnapshotPolicy};
use crate::name::{KindName, Namespace};
use crate::step::{Limits, Span};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

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
    pub(crate) limits: Limits,
    /// The other namespaces whose buses the node may use; `*` is all.
    pub(crate) bus_namespaces: Vec<String>,
    /// What the data of kinds goes through.
    pub(super) ciphers: Ciphers,
    pub(super) skipped: Arc<AtomicU64>,
    /// The kinds whose entities were asked, by their type.
    pub(super) owned: RwLock<BTreeMap<TypeId, OwnedKind>>,
    /// Which type is which kind.
    pub(super) types: Mutex<BTreeMap<KindName, (TypeId, &'static str)>>,
    /// What is known of the program.
    pub(super) known: Mutex<Known>,
    /// The consumers and parts of groups that this node runs.
    pub(super) running: Running,
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure")
            .field("namespace", self.namespace())
            .finish_non_exhaustive()
    }
}

impl Tenure {
    /// The entities of a kind. Its record is made at first use in the namespace, and compared
    /// after that.
    ///
    /// A repository takes commands of this process alone: reminders fire and messages arrive where the
    /// kind is [served](super::Serves::entity).
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
            kind: KindHandle::new(KindParts {
                tenure: self.clone(),
                entry,
                facts,
            }),
        })
    }

    /// One entity, wherever its owner is: this node, or another of its cluster. A node without a
    /// cluster becomes the owner of each shard that it uses.
    pub fn entity<A: Entity>(&self, id: impl AsRef<str>) -> EntityRef<A> {
        EntityRef::new(self.clone(), id.as_ref())
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
        let port = Arc::clone(self.inner.handle.port());
        ActorHandle::new(port, key.as_ref(), self.inner.timeout)
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
            cipher: Ciphered::default(),
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

    /// What the flight recorder holds now, to be kept or fed to `sim replay`.
    pub async fn flight(&self) -> Flight {
        self.inner.handle.flight().await
    }

    /// Writes what the flight recorder holds into the folder that the node was started with; the file. The
    /// node does so by itself when a machine halts and when an actor's code panics.
    ///
    /// # Errors
    ///
    /// When the node has no folder for flights, or it cannot be written; the node goes on.
    pub async fn write_flight(&self) -> Result<PathBuf, FlightWriteError> {
        self.inner.handle.write_flight().await
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
}
