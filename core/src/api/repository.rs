//! The repository: entities of one kind, by id.

use super::call::{Closure, Command};
use super::entities::KindFacts;
use super::execute::{Execute, ExecuteCommand, Transact};
use super::history::{History, Pages, Point};
use super::transfer::RestoreError;
use super::{
    Aggregate, Decide, Decision, Delete, Event as _, LoadError, Loaded, Message, Receipt, Tenure,
    load, travel,
};
use crate::driver::host::KindEntry;
use crate::id::Version;
use crate::name::EntityId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The entities of one kind: execute commands on them, load them, read their history.
///
/// A handle: clones are cheap and share everything. Get one with
/// [`Tenure::repository`](super::Tenure::repository).
///
/// In [direct mode](crate::format::WriteMode::Direct) any number of processes may hold
/// repositories of one kind: each command is decided on the latest state, and decided again when
/// another writer was first.
///
/// What is read was committed, and is never older than what this node itself saw committed. On a
/// replicated stream it may be older than what another node committed a moment ago; a command is
/// safe from that, because its commit is checked by the store.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use std::time::Duration;
/// # use tenure_core::api::*;
/// # #[derive(Clone, Debug, Default)] struct Account { cents: i64 }
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: i64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, event: &AccountEvent) {
/// #         let AccountEvent::Deposited { cents } = event;
/// #         self.cents += cents;
/// #     }
/// # }
/// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
/// # #[message(name = "deposit", version = 1, crate = "tenure_core::api")]
/// # struct Deposit { cents: i64 }
/// # #[derive(Debug, Serialize, Deserialize, thiserror::Error)] #[error("an amount is positive")] struct NotPositive;
/// # impl Decide<Deposit> for Account {
/// #     type Reply = i64;
/// #     type Error = NotPositive;
/// #     fn decide(&self, c: &Deposit, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, NotPositive> {
/// #         if c.cents <= 0 { return Err(NotPositive); }
/// #         Ok(Decision::event(AccountEvent::Deposited { cents: c.cents }).reply(self.cents + c.cents))
/// #     }
/// # }
/// # async fn example(tenure: &Tenure) -> Result<(), Box<dyn std::error::Error>> {
/// let accounts = tenure.repository::<Account>().await?;
///
/// let balance = accounts.execute("alice", Deposit { cents: 100 }).await?;
///
/// // With an id of one's own the command may be sent again, and takes effect once.
/// let id = tenure.command_id();
/// let sent = accounts.execute("alice", Deposit { cents: 50 }).id(id).timeout(Duration::from_secs(1));
/// let receipt = match sent.receipt().await {
///     Err(error) if error.is_unknown() => {
///         accounts.execute("alice", Deposit { cents: 50 }).id(id).receipt().await?
///     }
///     other => other?,
/// };
/// println!("{balance}, then {} at version {}", receipt.reply, receipt.version);
///
/// // A closure decides on the latest state; it may run again.
/// let interest = accounts.transact("alice", |account| -> Result<_, NotPositive> {
///     let cents = account.cents / 100;
///     Ok(Decision::event(AccountEvent::Deposited { cents }).reply(cents))
/// });
/// println!("{} of interest", interest.await?);
///
/// let mut history = accounts.history("alice")?.backward();
/// while let Some(past) = history.next().await? {
///     println!("{} {:?}", past.version, past.event);
/// }
/// # Ok(()) }
/// ```
pub struct Repository<A: Aggregate> {
    pub(crate) kind: KindHandle<A>,
}

/// A kind of this node, and its type. Each command has a clone, so there is one thing to share.
pub(crate) struct KindHandle<A> {
    parts: Arc<KindParts>,
    aggregate: PhantomData<fn() -> A>,
}

/// What a kind of this node is.
pub(crate) struct KindParts {
    pub(crate) tenure: Tenure,
    pub(crate) entry: Arc<KindEntry>,
    pub(crate) facts: Arc<KindFacts>,
}

impl<A> KindHandle<A> {
    pub(crate) fn new(parts: KindParts) -> Self {
        Self {
            parts: Arc::new(parts),
            aggregate: PhantomData,
        }
    }
}

impl<A> Deref for KindHandle<A> {
    type Target = KindParts;

    fn deref(&self) -> &KindParts {
        &self.parts
    }
}

impl<A> Clone for KindHandle<A> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind.clone(),
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("kind", &A::KIND)
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate> Repository<A> {
    /// Executes a command on an entity, whether it exists or not.
    ///
    /// Await it for the reply; before that it takes an [id](Execute::id), a
    /// [timeout](Execute::timeout), an [expected version](Execute::expected), and can give a
    /// [receipt](Execute::receipt).
    ///
    /// # Errors
    ///
    /// [`ExecuteError`](super::ExecuteError), when it is awaited.
    pub fn execute<C: Message>(&self, id: impl AsRef<str>, command: C) -> ExecuteCommand<A, C>
    where
        A: Decide<C>,
    {
        Execute::new(self.clone(), id.as_ref(), Command(command))
    }

    /// Executes a command on an entity that must not exist yet.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute), and
    /// [`AlreadyExists`](super::ExecuteError::AlreadyExists).
    pub fn create<C: Message>(&self, id: impl AsRef<str>, command: C) -> ExecuteCommand<A, C>
    where
        A: Decide<C>,
    {
        self.execute(id, command).creating()
    }

    /// Deletes an entity: what was stored of it goes, but for a tombstone; see
    /// [`Decision::delete`](super::Decision::delete). One that does not exist stays so, and nothing is
    /// stored.
    ///
    /// Await it; before that it takes what [`execute`](Self::execute) takes.
    ///
    /// ```
    /// # use tenure_core::api::{Aggregate, Repository};
    /// # async fn example<A: Aggregate>(people: Repository<A>) -> Result<(), Box<dyn std::error::Error>> {
    /// people.delete("alice").await?;
    /// assert!(!people.exists("alice").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute). [`Undelivered`](super::ExecuteError::Undelivered) when messages of
    /// the entity could not be delivered until the deadline.
    pub fn delete(&self, id: impl AsRef<str>) -> ExecuteCommand<A, Delete> {
        self.execute(id, Delete)
    }

    /// Stores the events that an export has of an entity, which must not exist: the entity is as it was when
    /// it was exported, and goes on. `file` is a whole export of this namespace or of another one, of the
    /// entity or of more ([`transfer`](super::transfer)); it is read in this task.
    ///
    /// The events are stored as this build reads them, in one commit of now: their times, command ids and
    /// metadata are in the file. Reminders and messages are not stored. Where they are more than one message has
    /// room for, they are several commits: others see a part of them meanwhile, and when it ends in between
    /// ([`RestoreError::Partly`], or the process dies) the entity is to be deleted and restored again.
    ///
    /// Dropping the future gives up the answer, not the command; what would follow it is not stored.
    ///
    /// # Errors
    ///
    /// When the file is not whole or has no event of the entity, the entity exists
    /// ([`AlreadyExists`](super::ExecuteError::AlreadyExists)), an event cannot be read by this build
    /// ([`Rejected`](super::ExecuteError::Rejected)), or it ends in between ([`RestoreError::Partly`]).
    pub async fn restore(
        &self,
        id: impl AsRef<str>,
        file: impl AsRef<Path>,
    ) -> Result<Receipt<u64>, RestoreError> {
        let entity = EntityId::new(id.as_ref())?;
        super::transfer::restore(&self.kind, entity, file.as_ref()).await
    }

    /// Decides by a closure. It may run again, on a newer state, when another writer was first, a
    /// bounded number of times; then the error is
    /// [`Contended`](super::ExecuteError::Contended).
    ///
    /// A transaction has a command id like every command: its reply is stored, and after an
    /// [`Unknown`](super::ExecuteError::Unknown) the same transaction is sent again with that id.
    /// So the reply is a serde type; the error need not be one.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute); what the closure returns is
    /// [`Rejected`](super::ExecuteError::Rejected).
    pub fn transact<F, R, E>(&self, id: impl AsRef<str>, decide: F) -> Transact<A, F, R, E>
    where
        F: FnMut(&A) -> Result<Decision<A, R>, E> + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Send + 'static,
    {
        let closure = Closure {
            decide,
            types: PhantomData,
        };
        Execute::new(self.clone(), id.as_ref(), closure)
    }

    /// Loads an entity's state: the latest that this node can see (see [`Repository`]).
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotFound`] when it does not exist.
    pub async fn load(&self, id: impl AsRef<str>) -> Result<Loaded<A>, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        let loaded = self.read(&entity).await?;
        if loaded.version == Version::ABSENT {
            return Err(self.not_found(entity));
        }
        Ok(loaded)
    }

    /// Loads an entity's latest state; of one that does not exist the state before its first
    /// event, at version 0. Nothing is stored: an entity begins with its first event.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn load_or_create(&self, id: impl AsRef<str>) -> Result<Loaded<A>, LoadError> {
        self.read(&EntityId::new(id.as_ref())?).await
    }

    /// Loads an entity's state as it was at a place in its log: a version, a sequence of its
    /// stream, or a time.
    ///
    /// The state is what the commits up to that place make of it, and no commit on the way is left
    /// out. Between two versions that is the lower one, between two commits the earlier. A time is
    /// one on the store's clock, which stamps each commit when it is stored
    /// ([`Past::stored`](super::Past::stored)), to the millisecond: it does not matter how the clocks
    /// of the writers were set. Where the store's own clock was set back, as between two leaders of
    /// a cluster, it is the state at one of the moments at which that clock showed the time.
    ///
    /// It begins with the newest snapshot at or below the place that can still be used, so that it
    /// costs a few reads; of the distant past it is a replay.
    ///
    /// ```
    /// # use tenure_core::api::{Aggregate, LoadError, Repository};
    /// # use tenure_core::id::Version;
    /// # use std::time::SystemTime;
    /// # async fn example<A: Aggregate>(accounts: Repository<A>, noon: SystemTime) -> Result<(), LoadError> {
    /// let third = accounts.load_at("alice", Version(3)).await?;
    /// let at_noon = accounts.load_at("alice", noon).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotFound`] when it does not exist (or did not then), and
    /// [`LoadError::Ahead`] when it has not come to that version. At a sequence or time that is
    /// still to come it is as it is now.
    pub async fn load_at(
        &self,
        id: impl AsRef<str>,
        at: impl Into<Point>,
    ) -> Result<Loaded<A>, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        travel::load_at(&self.kind, entity, at.into()).await
    }

    /// An entity's events, oldest first; [`backward`](History::backward) turns it round. Empty for
    /// an entity that does not exist.
    ///
    /// # Errors
    ///
    /// [`LoadError::Name`] when the id cannot be one.
    pub fn history(&self, id: impl AsRef<str>) -> Result<History<A::Event>, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        let facts = Arc::clone(&self.kind.facts);
        let whose = entity.clone();
        let decode = move |record: &_| Ok(super::entities::tell_event(&facts, &whose, record)?);
        let pages = self.pages(entity);
        Ok(History::new(pages, Box::new(decode), |event| event.name()))
    }

    /// An entity's version: that of its last event; [`Version::ABSENT`] when it does not exist.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn version(&self, id: impl AsRef<str>) -> Result<Version, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        load::read(&self.kind, entity, self.timeout(), |_, version| version).await
    }

    /// Whether an entity exists.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn exists(&self, id: impl AsRef<str>) -> Result<bool, LoadError> {
        Ok(self.version(id).await? != Version::ABSENT)
    }

    async fn read(&self, entity: &EntityId) -> Result<Loaded<A>, LoadError> {
        let loaded = |state: &A, version| Loaded {
            state: state.clone(),
            version,
        };
        load::read(&self.kind, entity.clone(), self.timeout(), loaded).await
    }

    pub(crate) fn pages(&self, entity: EntityId) -> Pages {
        let (tenure, entry) = (self.kind.tenure.clone(), Arc::clone(&self.kind.entry));
        Pages::new(tenure, entry, entity)
    }

    fn timeout(&self) -> crate::step::Span {
        self.kind.tenure.inner.timeout
    }

    pub(crate) fn not_found(&self, id: EntityId) -> LoadError {
        LoadError::NotFound {
            kind: self.kind.entry.config.record.name.clone(),
            id,
        }
    }
}
