//! How a projection is defined and started.

use super::fold::{Fold, FoldRoute, TypedFold};
use super::middleware::{FoldInside, FoldMiddleware};
use super::run::{Begin, Plan, Run};
use super::{Projection, ProjectionError, ProjectionStore};
use crate::api::consumer::ConsumerError;
use crate::api::model::{EventRef, events_of};
use crate::api::{Aggregate, KindError, Tenure};
use crate::consumer::{Filter, Pace, Policy};
use crate::name::{ConsumerName, KindName};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

type MadeFold<S> = BoxFuture<'static, Result<(KindName, Arc<dyn FoldRoute<S>>), KindError>>;

/// How long a start may take that does not say.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A projection that is being defined; see [`Tenure::projection`].
#[must_use = "a projection runs when it is started"]
pub struct ProjectionBuilder<St: ProjectionStore> {
    tenure: Tenure,
    name: String,
    store: St,
    version: u32,
    reset: bool,
    folds: Vec<MadeFold<St::State>>,
    /// What it is made of.
    of: Vec<EventRef>,
    around: Vec<Arc<dyn FoldMiddleware>>,
    pace: Pace,
    timeout: Duration,
}

impl<St: ProjectionStore> fmt::Debug for ProjectionBuilder<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectionBuilder")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Tenure {
    /// A projection of this namespace's events, to be given folds and started.
    ///
    /// Its name is a consumer's: it belongs to one projection, and to the kinds that this one folds.
    pub fn projection<St: ProjectionStore>(
        &self,
        name: impl Into<String>,
        store: St,
    ) -> ProjectionBuilder<St> {
        ProjectionBuilder {
            tenure: self.clone(),
            name: name.into(),
            store,
            version: 1,
            reset: false,
            folds: Vec::new(),
            of: Vec::new(),
            around: Vec::new(),
            pace: Pace {
                batch_events_max: 1_024,
                ..Pace::default()
            },
            timeout: START_TIMEOUT,
        }
    }
}

impl<St: ProjectionStore> ProjectionBuilder<St> {
    /// Folds the events of a kind, decoded and [upcast](crate::api::Upcasters) as its type says.
    pub fn fold<A: Aggregate>(mut self, fold: impl Fold<St::State, A::Event>) -> Self {
        let tenure = self.tenure.clone();
        self.of.extend(events_of::<A>());
        self.folds.push(Box::pin(async move {
            let (_, facts) = tenure.kind::<A>(None).await?;
            let kind = facts.kind.clone();
            let route = TypedFold::<A, _> {
                facts,
                fold: Arc::new(fold),
                kind: PhantomData,
            };
            Ok((kind, Arc::new(route) as Arc<dyn FoldRoute<St::State>>))
        }));
        self
    }

    /// The version of what it makes of events, 1 when this is not said. To be raised with each change of
    /// the state's type, of a fold or of the kinds: the state of an older version is built anew beside it,
    /// and serves until the new one has caught up, where it can still be read.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Builds it anew whatever its store has.
    pub fn reset(mut self) -> Self {
        self.reset = true;
        self
    }

    /// What is done when a fold fails; [`Policy::stop`] when this is not said. What is passed over or put
    /// aside is missing from the state until that is built anew by a fold that can take it in, which removes
    /// the dead letter; it is not replayed by itself, as its place is behind the state.
    pub fn failing(mut self, policy: Policy) -> Self {
        self.pace.failing = policy;
        self
    }

    /// What is done about an event that cannot be decoded; [`Policy::stop_at_once`] when this is not
    /// said.
    pub fn undecodable(mut self, policy: Policy) -> Self {
        self.pace.undecodable = policy;
        self
    }

    /// Puts a middleware around the folds, inside of those that were added before: to log, to count, to
    /// trace.
    pub fn with(mut self, middleware: impl FoldMiddleware) -> Self {
        self.around.push(Arc::new(middleware));
        self
    }

    /// Limits and waits. Checkpoints mean nothing here: the store keeps the mark.
    pub fn pace(mut self, change: impl FnOnce(&mut Pace)) -> Self {
        change(&mut self.pace);
        self
    }

    /// How long its start may take; 20 s when this is not said.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens its store, and goes on where that stands. It runs until it is stopped or the node is, with or
    /// without the handle.
    ///
    /// Cancel safe: it goes on, and runs without a handle then.
    ///
    /// # Errors
    ///
    /// When it folds nothing, a kind cannot be used, or its store cannot be opened or is of something else.
    pub async fn start(self) -> Result<Projection<St>, ProjectionError> {
        let (done, started) = oneshot::channel();
        let tenure = self.tenure.clone();
        let starting = async move {
            // Who does not wait any more has no handle.
            let _ = done.send(self.begin().await);
        };
        drop(tenure.inner.handle.spawn(Box::pin(starting)));
        match started.await {
            Ok(started) => started,
            Err(_) => Err(ConsumerError::NodeStopped.into()),
        }
    }

    async fn begin(self) -> Result<Projection<St>, ProjectionError> {
        let name = ConsumerName::new(&self.name)?;
        let mut routes = BTreeMap::new();
        for made in self.folds {
            let (kind, route) = made.await?;
            if routes.insert(kind.clone(), route).is_some() {
                let name = self.name;
                return Err(ProjectionError::FoldTwice { name, kind });
            }
        }
        if routes.is_empty() {
            return Err(ProjectionError::NoFold { name: self.name });
        }
        let filter = Filter {
            kinds: routes.keys().cloned().collect(),
            ..Filter::default()
        };
        let inside = FoldInside {
            projection: self.name,
            around: self.around,
            clock: self.tenure.inner.handle.clocked(),
        };
        let plan = Arc::new(Plan {
            inside: (!inside.around.is_empty()).then(|| Arc::new(inside)),
            name,
            version: self.version,
            filter,
            routes,
            pace: self.pace,
            timeout: self.timeout.into(),
        });
        let begin = match self.reset {
            true => Begin::Reset,
            false => Begin::Resume,
        };
        self.tenure.remember_projection(plan.name.as_str(), self.of);
        let run = Run::start(&self.tenure, &plan, Arc::new(self.store), begin).await?;
        Ok(Projection::new(self.tenure, plan, run))
    }
}
