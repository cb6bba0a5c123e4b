//! How a node is started: what it is, then where it runs.

use super::place::{Place, Work};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::time::Duration;
use tenure_core::api::actor::Actor;
use tenure_core::api::consumer::HandlerOutcome;
use tenure_core::api::effect::{EffectCall, EffectHandler, EffectPolicy};
use tenure_core::api::transfer::TransferError;
use tenure_core::api::{
    Aggregate, Cipher, Cluster, Entity, Message, Serves, StartError, StartOptions, UpcastersError,
    check_upcasters, start_with,
};
use tenure_core::driver::{Flights, Shell};
use tenure_core::step::Limits;

/// A running node. Clones are handles of the same node; it runs until it is
/// [stopped](tenure_core::api::Tenure::stop), or until its last handle is dropped.
///
/// What it can do is on [`tenure_core::api::Tenure`], to which it dereferences.
#[derive(Clone, Debug)]
pub struct Tenure {
    node: tenure_core::api::Tenure,
}

impl Tenure {
    /// Begins to describe a node.
    ///
    /// ```
    /// # use tenure::Tenure;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let tenure = Tenure::builder().namespace("bank").start("mem:").await?;
    /// tenure.stop().await;
    /// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> Builder {
        Builder {
            options: StartOptions::new(""),
            named: false,
            mistaken: Vec::new(),
        }
    }
}

impl Deref for Tenure {
    type Target = tenure_core::api::Tenure;

    fn deref(&self) -> &Self::Target {
        &self.node
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenureError {
    /// The builder has no namespace.
    #[error("no namespace was named; call `.namespace(\"…\")` on the builder")]
    NoNamespace,
    /// The place has no scheme that is known.
    #[error(
        "{place:?} is no place to run in; use \"mem:\", \"mem:<name>\" or \"nats://host:port\""
    )]
    UnknownPlace {
        /// The place, without what may be secret in it.
        place: String,
    },
    /// The place needs a feature that this build has not.
    #[error(
        "{place:?} needs the feature {feature:?} of the crate tenure, which this build has not; enable it in Cargo.toml"
    )]
    NoFeature {
        /// The place, without what may be secret in it.
        place: String,
        /// The feature.
        feature: &'static str,
    },
    /// The name of a shared store is empty or has characters that do not belong there.
    #[error(
        "{place:?} names no store; use \"mem:\" for a fresh one, or letters, digits, '-' and '_' after the colon"
    )]
    StoreName {
        /// The place.
        place: String,
    },
    /// The server could not be connected to.
    #[error("{0}")]
    Connect(Box<dyn std::error::Error + Send + Sync>),
    /// There are mistakes in the upcasters of kinds that the builder was told of.
    #[error("{}", one_below_the_other(.kinds))]
    Upcasters {
        /// What is wrong, by kind.
        kinds: Vec<UpcastersError>,
    },
    /// The namespace could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An export or an import did not come to its end.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// A node that is not started yet.
///
/// What is not set takes the namespace as it is; a new namespace gets the defaults.
#[derive(Clone, Debug)]
#[must_use = "a node runs when it is started"]
pub struct Builder {
    options: StartOptions,
    named: bool,
    mistaken: Vec<UpcastersError>,
}

fn one_below_the_other(kinds: &[UpcastersError]) -> String {
    let texts: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

impl Builder {
    /// The namespace: 1 to 32 characters of `a-z`, `0-9`, `-` and `_`. It has to be set.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.namespace = namespace.into();
        self.named = true;
        self
    }

    /// The node's name, for people; in a cluster it has the name of its
    /// [`Cluster`](Self::cluster).
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.options.node = node.into();
        self
    }

    /// How many shards a new namespace gets; fixed for good.
    pub fn shards(mut self, shards: u16) -> Self {
        self.options.shards = Some(shards);
        self
    }

    /// How many event streams a new namespace gets; fixed for good.
    pub fn streams(mut self, streams: u16) -> Self {
        self.options.streams = Some(streams);
        self
    }

    /// How many servers hold each stream at least.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.options.replicas = Some(replicas);
        self
    }

    /// The hash key of a new namespace's layout.
    pub fn layout_key(mut self, key: u128) -> Self {
        self.options.layout_key = Some(key);
        self
    }

    /// Whether streams that are absent may be created; they may when it is not set.
    pub fn create(mut self, create: bool) -> Self {
        self.options.create = create;
        self
    }

    /// How many loops step the machines; one when this is not set. A shard's log, its actors and its
    /// callers' routing are on one of them.
    ///
    /// What `decide` and `evolve` compute, and what a handler of an
    /// [inline](tenure_core::api::actor::ActorSettings::inline()) kind does before its first wait, runs in
    /// them, and the keys of other lanes go on meanwhile. A node of which a lane stands still does not look
    /// alive, however many it has: what holds one for longer than the lease ends the ownership of all the
    /// node's shards. On a runtime of several threads give as many lanes as it has
    /// ([`available_parallelism`](std::thread::available_parallelism)); on a single thread one lane is the
    /// fastest.
    pub fn lanes(mut self, lanes: NonZeroUsize) -> Self {
        self.options.lanes = lanes;
        self
    }

    /// How many requests wait for one lane before a caller has to.
    pub fn queue_max(mut self, requests: NonZeroUsize) -> Self {
        self.options.queue_max = requests;
        self
    }

    /// How long a command or question waits for its answer, unless it says otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long opening the namespace may take.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.options.start_timeout = timeout;
        self
    }

    /// How long `stop` lets what is under way end.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.options.stop_timeout = timeout;
        self
    }

    /// How many entities the node keeps in memory, over all kinds, shards and lanes; 65,536 when it
    /// is not set. The one that was used longest ago makes room for the next. 0 turns the cache off:
    /// each use loads its entity from the log.
    ///
    /// An entity takes its state's size and some 500 bytes, and 112 bytes for each command id that
    /// it remembers (64 at rest for long, 8,192 at most) with the stored reply;
    /// [`Limits::resting_bytes_max`] bounds what is not the state. What is forgotten is in the log:
    /// the next use loads it, and finds a command id again.
    pub fn cache(mut self, entities: usize) -> Self {
        self.options.cache = Some(entities);
        self
    }

    /// Where the node writes what its flight recorder held when a machine halts, when an actor's code panics and when
    /// someone [asks](tenure_core::api::Tenure::write_flight); `cargo sim replay` feeds such a file to the
    /// machines again. A node without a folder keeps its recordings in memory.
    ///
    /// A flight holds what callers sent and what the store answered: it is as secret as the log.
    ///
    /// ```
    /// # use tenure::{Flights, Tenure};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let folder = std::env::temp_dir().join(format!("tenure-flights-{}", std::process::id()));
    /// let flights = Flights::into_folder(&folder);
    /// let tenure = Tenure::builder().namespace("bank").flights(flights).start("mem:").await?;
    /// let file = tenure.write_flight().await?;
    /// assert!(file.starts_with(&folder));
    /// tenure.stop().await;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn flights(mut self, flights: Flights) -> Self {
        self.options.flights = Some(flights);
        self
    }

    /// The machines' limits; [`start_timeout`](Self::start_timeout) takes the place of its
    /// `open_timeout`, and [`cache`](Self::cache) of its `entities_max`.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The node is part of its namespace's cluster, with the others that are started so.
    ///
    /// ```
    /// # use tenure::{Cluster, Tenure};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let tenure = Tenure::builder().namespace("bank").cluster(Cluster::named("a")).start("mem:").await?;
    /// assert!(tenure.cluster().is_some_and(|cluster| cluster.view().node("a").is_some()));
    /// tenure.stop().await;
    /// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        self.options.cluster = Some(cluster);
        self
    }

    /// Entities that the node serves in its cluster. Every node that owns shards serves the same
    /// kinds; one that only asks need not name any.
    pub fn serve<A: Entity>(mut self) -> Self {
        self.options.serves.push(Serves::entity::<A>());
        self.kind::<A>()
    }

    /// Actors that the node has. In a cluster every node that owns shards has the same kinds, and one
    /// that only asks names the kinds that it asks.
    pub fn actor<A: Actor>(mut self) -> Self {
        self.options.serves.push(Serves::actor::<A>());
        self
    }

    /// The code that does the effects of a type ([`Decision::effect`](tenure_core::api::Decision::effect)). In a
    /// cluster every node that owns shards has the same; what a node does not know stays undone until a
    /// node that does owns its shard.
    pub fn effect<M, F, Fut>(self, policy: EffectPolicy, handler: F) -> Self
    where
        M: Message,
        F: Fn(EffectCall<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HandlerOutcome> + Send + 'static,
    {
        self.effect_handler(EffectHandler::new(policy, handler))
    }

    /// The same by a handler that was made before, as one that tests share with the program.
    pub fn effect_handler(mut self, handler: EffectHandler) -> Self {
        self.options.effects.push(handler);
        self
    }

    /// What the data of a kind's entities goes through when it is stored and when it is read: encryption, with a
    /// key for each entity perhaps ([`Cipher`]). Every node that uses the kind has the same.
    pub fn cipher<A: Aggregate>(mut self, cipher: impl Cipher) -> Self {
        self.options.ciphers = self.options.ciphers.of_kind::<A>(cipher);
        self
    }

    /// Other namespaces in the same place whose [buses](tenure_core::api::bus) the node may listen to and
    /// publish on; `"*"` is all of them. Without it a node has the bus of its own namespace.
    pub fn bus_namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into);
        self.options.bus_namespaces.extend(names);
        self
    }

    /// A kind that the node will use: its upcasters are checked at the start, before anything is
    /// connected. A kind that is not named here is checked when its repository is asked for.
    ///
    /// ```
    /// # use tenure::{Tenure, TenureError, Aggregate, Event, Upcasters};
    /// # #[derive(Event)] #[event(name = "opened", version = 3)] struct Opened;
    /// # #[derive(Clone, Default)] struct Account;
    /// # impl Aggregate for Account {
    /// #     type Event = Opened;
    /// #     const KIND: &'static str = "account";
    /// #     fn evolve(&mut self, _: &Opened) {}
    /// #     fn upcasters() -> Upcasters { Upcasters::none().rename(("opened", 1), ("opened", 2)) }
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let tenure = Tenure::builder().namespace("bank").kind::<Account>().start("mem:").await;
    /// assert!(matches!(tenure, Err(TenureError::Upcasters { .. })));
    /// # });
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind<A: Aggregate>(mut self) -> Self {
        self.mistaken.extend(check_upcasters::<A>().err());
        self
    }

    /// Starts the node in a [place](Place): `mem:`, `mem:<name>`, `nats://…`, connection options
    /// or a client.
    ///
    /// # Errors
    ///
    /// When the place cannot be, cannot be reached, or its namespace cannot be opened.
    pub async fn start(self, place: impl Into<Place>) -> Result<Tenure, TenureError> {
        self.check()?;
        let store_timeout = self.options.limits.store_timeout;
        place.into().run(store_timeout, self).await
    }

    /// Starts the node in a world of your own.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be opened.
    pub async fn start_with<S: Shell>(self, shell: S) -> Result<Tenure, TenureError> {
        self.check()?;
        let node = start_with(shell, self.options).await?;
        Ok(Tenure { node })
    }

    /// What is wrong whatever the place.
    fn check(&self) -> Result<(), TenureError> {
        if !self.named {
            return Err(TenureError::NoNamespace);
        }
        if !self.mistaken.is_empty() {
            let kinds = self.mistaken.clone();
            return Err(TenureError::Upcasters { kinds });
        }
        Ok(())
    }
}

impl Work for Builder {
    type Done = Tenure;

    async fn run<S: Shell>(self, shell: S) -> Result<Tenure, TenureError> {
        self.start_with(shell).await
    }
}

impl fmt::Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.namespace())
    }
}
