//! How a node is started: what it is told, and why it did not.

use super::effect::EffectHandler;
use super::{Ciphers, Cluster, KindError, Serves, Tenure, tenure::Inner};
use crate::driver::{Flights, Launch, LaunchFailure, Launching, Shell};
use crate::format::LayoutKey;
use crate::lease::TermsError;
use crate::name::{NameError, Namespace, NodeName};
use crate::node::JoinError;
use crate::space::{SpaceError, SpaceWish};
use crate::step::{Limits, Span};
use futures_util::future::BoxFuture;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, RwLock};
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
    /// How many loops step the machines; 1. On a runtime of several threads, as many as it has.
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
    /// The code of effects that the node does.
    pub effects: Vec<EffectHandler>,
    /// What the data of kinds goes through, for each kind.
    pub ciphers: Ciphers,
    /// The other namespaces in the same place whose buses the node may use, `"*"` for all; none when it is
    /// not set. What the place itself allows, by its users' permissions, holds as well.
    pub bus_namespaces: Vec<String>,
    /// Where flights of the recorder are written, when a machine halts, when an actor's code panics and when someone
    /// asks; without it they are kept in memory only.
    pub flights: Option<Flights>,
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
            effects: Vec::new(),
            ciphers: Ciphers::default(),
            bus_namespaces: Vec::new(),
            flights: None,
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
    /// An effect cannot have its name, or two handlers have one.
    #[error("the node cannot do an effect: {text}")]
    Effect {
        /// Why.
        text: String,
    },
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

/// Starts a node in a world.
///
/// # Errors
///
/// When the namespace cannot be opened.
pub async fn start_with<S: Shell>(shell: S, options: StartOptions) -> Result<Tenure, StartError> {
    let name = match &options.cluster {
        Some(cluster) => Some(cluster.name(shell.seed())?),
        None => None,
    };
    let launch = launch(&options, name.as_ref())?;
    started(shell.launch(launch), name, options).await
}

fn launch(options: &StartOptions, name: Option<&NodeName>) -> Result<Launch, StartError> {
    let wish = SpaceWish {
        namespace: Namespace::new(&options.namespace)?,
        shards: options.shards,
        streams: options.streams,
        replicas: options.replicas,
        key: options.layout_key.map(LayoutKey),
        create: options.create,
        cluster: options.cluster.is_some(),
        import: None,
    };
    let mut limits = options.limits;
    limits.open_timeout = options.start_timeout.into();
    limits.entities_max = options.cache.unwrap_or(limits.entities_max);
    if let Some(cluster) = &options.cluster {
        limits.settle = cluster.settle.unwrap_or(limits.settle);
    }
    Ok(Launch {
        wish,
        node: name.map_or_else(|| options.node.clone(), ToString::to_string),
        lanes: options.lanes.get(),
        queue_max: options.queue_max.get(),
        limits,
        flights: options.flights.clone(),
    })
}

/// What comes after a node's launch, compiled once and not for each world.
fn started(
    launching: Launching,
    name: Option<NodeName>,
    options: StartOptions,
) -> BoxFuture<'static, Result<Tenure, StartError>> {
    Box::pin(async move {
        let limits = launching.limits;
        let handle = launching.node.await.map_err(|failure| match failure {
            LaunchFailure::Space(error) => StartError::Space(error),
            LaunchFailure::Halted(reason) => StartError::Halted { reason },
            LaunchFailure::Timeout => StartError::Timeout(options.start_timeout),
        })?;
        handle.encrypt_by(options.ciphers.clone());
        let tenure = Tenure {
            inner: Arc::new(Inner {
                handle,
                timeout: options.timeout.into(),
                stop_timeout: options.stop_timeout.into(),
                limits,
                bus_namespaces: options.bus_namespaces,
                ciphers: options.ciphers,
                skipped: Arc::default(),
                owned: RwLock::default(),
                types: Mutex::default(),
                known: Mutex::default(),
                running: Default::default(),
            }),
        };
        let patience = options.start_timeout;
        // A node that does not get so far ends with its last handle.
        let serving = tenure.serve(options.serves, options.effects, patience);
        let (registry, classes) = serving.await?;
        if let (Some(cluster), Some(name)) = (options.cluster, name) {
            let kinds = registry.kinds.keys().chain(registry.actors.keys());
            let served = (classes, kinds.cloned().collect());
            let about = cluster.about(tenure.inner.handle.lanes(), served);
            tenure
                .join((name, about), &cluster, registry, patience)
                .await?;
        } else {
            let handle = &tenure.inner.handle;
            let deadline = handle.now() + Span::from(patience);
            handle.serve_alone(registry, deadline).await;
        }
        Ok(tenure)
    })
}
