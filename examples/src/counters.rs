//! Counters that a cluster keeps, in memory or as events: how a node of it is started, and how a
//! counter is asked from any of them.

use crate::Failure;
use crate::counter::{Add, Count, Counter, SETTINGS};
use crate::live::{LIVE, Live};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tenure::actor::{ActorError, ActorSettings};
use tenure::{
    AskError, Cluster, Denial, ExecuteError, KindSettings, Limits, LoadError, ReadError,
    RouteError, TakeOver, Tenure,
};

/// What a counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// State in memory, which ends with its node.
    Memory,
    /// An entity whose events are stored.
    Entity,
}

impl Kind {
    /// How the kind's shards are taken over.
    pub fn class(self) -> TakeOver {
        match self {
            Self::Memory => TakeOver::Leased,
            Self::Entity => TakeOver::Fenced,
        }
    }
}

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where: `mem:<name>` or `nats://…`.
    pub place: String,
    /// The namespace.
    pub namespace: String,
    /// How many shards a new namespace gets.
    pub shards: u16,
    /// What counters are.
    pub kind: Kind,
    /// How many loops it has.
    pub lanes: NonZeroUsize,
    /// How many requests wait for one counter at most; the framework's limit when it is not set.
    pub queue_max: Option<NonZeroUsize>,
    /// How long a counter in memory is kept that nobody asks for; as long as the framework's actors
    /// are when it is not set.
    pub idle_after: Option<Duration>,
}

impl Plan {
    /// Starts a node that owns counters.
    ///
    /// # Errors
    ///
    /// When it cannot be one of the cluster.
    pub async fn owner(&self, name: &str) -> Result<Tenure, Failure> {
        self.start(Cluster::named(name)).await
    }

    /// Starts a node that only asks.
    ///
    /// # Errors
    ///
    /// When it cannot be one of the cluster.
    pub async fn gateway(&self) -> Result<Tenure, Failure> {
        self.start(Cluster::unnamed().client()).await
    }

    async fn start(&self, cluster: Cluster) -> Result<Tenure, Failure> {
        let builder = Tenure::builder()
            .namespace(&self.namespace)
            .shards(self.shards)
            .lanes(self.lanes)
            .cluster(cluster);
        let builder = match self.kind {
            Kind::Memory => {
                let mut settings = ActorSettings::default();
                if let Some(queue_max) = self.queue_max {
                    settings = settings.mailbox_max(queue_max.get());
                }
                if let Some(idle_after) = self.idle_after {
                    settings = settings.idle_after(idle_after);
                }
                // All of one process are the same.
                if *LIVE.get_or_init(|| settings) != settings {
                    return Err("the counters of this process are kept in another way".into());
                }
                builder.actor::<Live>()
            }
            Kind::Entity => {
                // All of one process are the same.
                let settings = SETTINGS.get_or_init(|| KindSettings::default().owned());
                if *settings != KindSettings::default().owned() {
                    return Err("the counters of this process are of another kind".into());
                }
                let mut limits = Limits::default();
                if let Some(queue_max) = self.queue_max {
                    limits.entity_queue_max = queue_max.get();
                }
                builder.serve::<Counter>().limits(limits)
            }
        };
        Ok(builder.start(&*self.place).await?)
    }
}

/// Waits until every counter has an owner, and so many nodes own some.
///
/// # Errors
///
/// When that is not so in time.
pub async fn served(
    tenure: &Tenure,
    kind: Kind,
    owners: usize,
    patience: Duration,
) -> Result<(), Failure> {
    let cluster = tenure.cluster().ok_or("the node is in no cluster")?;
    let class = kind.class();
    let served =
        |view: &tenure::ClusterView| view.is_served(class) && view.owned(class).len() >= owners;
    cluster.wait_until(patience, served).await?;
    Ok(())
}

/// Why a counter has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// What was asked is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Too much is under way; nothing was done.
    #[error("too many requests are under way: send it again a little later")]
    Overloaded,
    /// It may go well later; nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been done.
    #[error("{0}")]
    Unknown(String),
    /// It does not go.
    #[error("{0}")]
    Failed(String),
}

/// What an error of the user API comes to: from the most special to the rest.
struct Error {
    told: String,
    overloaded: bool,
    invalid: bool,
    unknown: bool,
    again: bool,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.overloaded {
            Self::Overloaded
        } else if error.invalid {
            Self::Invalid(error.told)
        } else if error.unknown {
            Self::Unknown(error.told)
        } else if error.again {
            Self::Unavailable(error.told)
        } else {
            Self::Failed(error.told)
        }
    }
}

impl<E: fmt::Display> From<ActorError<E>> for Problem {
    fn from(error: ActorError<E>) -> Self {
        Self::from(Error {
            told: error.to_string(),
            overloaded: matches!(error, ActorError::Overloaded(_)),
            invalid: matches!(error, ActorError::Name(_)),
            unknown: error.has_begun(),
            again: error.is_retryable(),
        })
    }
}

impl<E: fmt::Display> From<AskError<E>> for Problem {
    fn from(error: AskError<E>) -> Self {
        Self::from(Error {
            told: error.to_string(),
            overloaded: matches!(error, AskError::Execute(ExecuteError::Overloaded))
                || matches!(&error, AskError::Route(route) if is_overloaded(route)),
            invalid: matches!(error, AskError::Execute(ExecuteError::Name(_))),
            unknown: error.is_unknown(),
            again: error.is_retryable(),
        })
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::from(Error {
            told: error.to_string(),
            overloaded: matches!(error, ReadError::Load(LoadError::Overloaded))
                || matches!(&error, ReadError::Route(route) if is_overloaded(route)),
            invalid: matches!(error, ReadError::Load(LoadError::Name(_))),
            unknown: false,
            again: error.is_retryable(),
        })
    }
}

fn is_overloaded(error: &RouteError) -> bool {
    matches!(error, RouteError::Denied(denial) if **denial == Denial::Overloaded)
}

/// Counters, as one node asks them.
#[derive(Debug)]
pub enum Counters {
    /// In the memory of their owners.
    Memory(Tenure),
    /// As events.
    Entity(Tenure),
    /// In a map of this process, without Tenure.
    Bare(Mutex<BTreeMap<String, u64>>),
}

impl Counters {
    /// Those that a node asks.
    pub fn of(tenure: Tenure, kind: Kind) -> Self {
        match kind {
            Kind::Memory => Self::Memory(tenure),
            Kind::Entity => Self::Entity(tenure),
        }
    }

    /// Adds to a counter; what it comes to.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn add(&self, id: &str, amount: u64) -> Result<u64, Problem> {
        match self {
            Self::Memory(tenure) => Ok(tenure.actor::<Live>(id).ask(Add { amount }).await?),
            Self::Entity(tenure) => Ok(tenure.entity::<Counter>(id).ask(Add { amount }).await?),
            Self::Bare(counters) => {
                let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
                let count = match counters.get_mut(id) {
                    Some(count) => count,
                    None => counters.entry(id.to_owned()).or_default(),
                };
                *count = count.saturating_add(amount);
                Ok(*count)
            }
        }
    }

    /// What a counter is at; 0 when nothing was added to it.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn count(&self, id: &str) -> Result<u64, Problem> {
        match self {
            Self::Memory(tenure) => Ok(tenure.actor::<Live>(id).ask(Count).await?),
            Self::Entity(tenure) => Ok(tenure.entity::<Counter>(id).read(Count).await?),
            Self::Bare(counters) => {
                let counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(counters.get(id).copied().unwrap_or_default())
            }
        }
    }
}
