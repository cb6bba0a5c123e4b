//! How a consumer is defined and started.

use super::handler::{BatchHandler, Handler};
use super::middleware::{Around, Middleware};
use super::route::{Batches, Inside, KindRoute, Raw, Routed, Routes, Typed};
use super::{ConsumerError, ConsumerHandle, Group, GroupBuilder};
use crate::api::model::{EventRef, events_of};
use crate::api::tenure::Inner;
use crate::api::{Aggregate, KindError, RawEvent, Tenure};
use crate::bus::Pattern;
use crate::consumer::{Definition, Filter, Keeping, Order, Pace, Policy, Source, Start};
use crate::driver::consumer::ConsumerHost;
use crate::format::Position;
use crate::name::{ConsumerName, EntityId, KindName, NameError};
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

type MadeRoute = BoxFuture<'static, Result<(KindName, Arc<dyn KindRoute>), KindError>>;

/// How long a start may take that does not say.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A consumer that is being defined; see [`Tenure::consumer`].
#[must_use = "a consumer runs when it is started"]
pub struct ConsumerBuilder {
    tenure: Tenure,
    name: String,
    /// The first mistake in a name.
    wrong: Option<NameError>,
    source: Source,
    filter: Filter,
    handlers_max: u32,
    serial: bool,
    start: Start,
    reset: Option<Start>,
    external: Option<Option<Vec<Position>>>,
    pace: Pace,
    kinds: Vec<MadeRoute>,
    /// The events of those.
    on: Vec<EventRef>,
    others: Option<Arc<dyn KindRoute>>,
    batches: Option<Arc<dyn ConsumerHost>>,
    around: Vec<Arc<dyn Around>>,
    timeout: Option<Duration>,
}

/// A consumer that can be started.
pub(super) struct Made {
    pub(super) tenure: Tenure,
    pub(super) definition: Definition,
    pub(super) pace: Pace,
    pub(super) reset: Option<Start>,
    pub(super) host: Arc<dyn ConsumerHost>,
    pub(super) timeout: Span,
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Tenure {
    /// A consumer of this namespace's events, to be given handlers and started.
    ///
    /// The name belongs to one definition, that is to one filter: another one under it is refused. One
    /// run of a name is active at a time; a second one takes over, and the first one ends.
    pub fn consumer(&self, name: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder {
            tenure: self.clone(),
            name: name.into(),
            wrong: None,
            source: Source::Log,
            filter: Filter::default(),
            handlers_max: 16,
            serial: false,
            start: Start::Beginning,
            reset: None,
            external: None,
            pace: Pace::default(),
            kinds: Vec::new(),
            on: Vec::new(),
            others: None,
            batches: None,
            around: Vec::new(),
            timeout: None,
        }
    }
}

impl ConsumerBuilder {
    /// Hands the events of a kind to a handler, decoded and [upcast](crate::api::Upcasters) as its type
    /// says. Where one stored event became several, all of them are handled, or all are tried again.
    pub fn kind<A: Aggregate>(mut self, handler: impl Handler<A::Event>) -> Self {
        let tenure = self.tenure.clone();
        self.on.extend(events_of::<A>());
        self.kinds.push(Box::pin(async move {
            let (_, facts) = tenure.kind::<A>(None).await?;
            let kind = facts.kind.clone();
            let route = Typed::<A, _> {
                facts,
                handler,
                kind: PhantomData,
            };
            Ok((kind, Arc::new(route) as Arc<dyn KindRoute>))
        }));
        self
    }

    /// Its name, and the node that it is to run on.
    pub(super) fn name_and_node(&self) -> (String, Weak<Inner>) {
        (self.name.clone(), Arc::downgrade(&self.tenure.inner))
    }

    /// What is published durably on topics of a pattern, in the place of the log's events.
    pub(crate) fn on_bus(mut self, pattern: Pattern) -> Self {
        self.source = Source::Bus(pattern);
        self
    }

    /// Hands all other events to a handler, as they are stored.
    pub fn raw(mut self, handler: impl Handler<RawEvent>) -> Self {
        self.others = Some(Arc::new(Raw(handler)));
        self
    }

    /// Hands all events to one handler in batches, as they are stored, one batch at a time. The handler
    /// keeps the checkpoint with its own state: it stood at `positions` (`None`: at nothing yet), and
    /// stores [`EventBatch::upto`](super::EventBatch::upto) in one step with what it makes of a batch.
    pub fn batches(mut self, positions: Option<Vec<Position>>, handler: impl BatchHandler) -> Self {
        self.batches = Some(Arc::new(Batches(Arc::new(handler))));
        self.external = Some(positions);
        self.serial = true;
        self
    }

    /// Only events of these kinds; those of [`kind`](Self::kind) are among them anyway.
    pub fn of_kind(mut self, kind: &str) -> Self {
        match KindName::new(kind) {
            Ok(kind) => drop(self.filter.kinds.insert(kind)),
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// Only events of these entities.
    pub fn of_id(mut self, id: &str) -> Self {
        match EntityId::new(id) {
            Ok(id) => drop(self.filter.ids.insert(id)),
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// Only events that are stored under these names.
    pub fn named(mut self, event: impl Into<String>) -> Self {
        self.filter.events.insert(event.into());
        self
    }

    /// Only events whose command's metadata has this header.
    pub fn with_header(mut self, name: impl Into<String>) -> Self {
        self.filter.headers.insert(name.into(), None);
        self
    }

    /// Only events whose command's metadata has this header with this value.
    pub fn with_header_of(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.filter.headers.insert(name.into(), Some(value.into()));
        self
    }

    /// Where it begins when it has no checkpoint; with the first event when this is not said.
    pub fn from(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Where it begins now whatever its checkpoint says, which is replaced.
    pub fn reset(mut self, start: Start) -> Self {
        self.reset = Some(start);
        self
    }

    /// One event at a time, in the log's order over all entities.
    pub fn serial(mut self) -> Self {
        self.serial = true;
        self
    }

    /// How many entities' events are handled at once at most; 16 when this is not said.
    pub fn handlers(mut self, handlers_max: u32) -> Self {
        self.handlers_max = handlers_max.max(1);
        self
    }

    /// What is done when a handler fails; [`Policy::stop`] when this is not said.
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

    /// Limits, waits and how often the checkpoint is stored.
    pub fn pace(mut self, change: impl FnOnce(&mut Pace)) -> Self {
        change(&mut self.pace);
        self
    }

    /// Puts a middleware around the handlers of events, inside of those that were added before. A handler of
    /// [`batches`](Self::batches) has none around it: [`start`](Self::start) refuses both.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.around.push(Arc::new(middleware));
        self
    }

    /// How long its start may take; 20 s when this is not said. A stream that lost its tail is looked at for
    /// 10 s before that counts as certain.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts it, and waits until it hands events over. It runs until it is stopped or the node is, with
    /// or without the handle.
    ///
    /// Cancel safe: what was begun runs without a handle then.
    ///
    /// # Errors
    ///
    /// When it has no handler, a kind cannot be used, its checkpoint is of something else, or the store
    /// is not there.
    pub async fn start(self) -> Result<ConsumerHandle, ConsumerError> {
        let Made {
            tenure,
            definition,
            pace,
            reset,
            host,
            timeout,
        } = self.make().await?;
        ConsumerHandle::start(tenure, (definition, pace, reset), host, timeout).await
    }

    /// Runs it on several nodes of a cluster, each of which hands the events of some partitions over; to
    /// be said last, and on each of these nodes alike.
    pub fn grouped(self, group: Group) -> GroupBuilder {
        GroupBuilder {
            consumer: self,
            group,
        }
    }

    /// Runs it on one node of a cluster at a time: a group of one partition. When that node ends, another
    /// one goes on.
    pub fn single_leader(self) -> GroupBuilder {
        self.grouped(Group::partitions(1))
    }

    /// Checks it, and readies its kinds.
    pub(super) async fn make(self) -> Result<Made, ConsumerError> {
        if let Some(error) = self.wrong {
            return Err(error.into());
        }
        let name = ConsumerName::new(&self.name)?;
        let typed = !self.kinds.is_empty() || self.others.is_some();
        let tenure = self.tenure;
        let timeout = self.timeout.unwrap_or(START_TIMEOUT).into();
        let mut filter = self.filter;
        let host: Arc<dyn ConsumerHost> = match self.batches {
            Some(_) if typed => return Err(ConsumerError::TwoHandlers { name: self.name }),
            Some(_) if !self.around.is_empty() => {
                return Err(ConsumerError::BatchMiddleware { name: self.name });
            }
            Some(batches) => batches,
            None if !typed => return Err(ConsumerError::NoHandler { name: self.name }),
            None => {
                let mut kinds = BTreeMap::new();
                for made in self.kinds {
                    let (kind, route) = made.await?;
                    if kinds.insert(kind.clone(), route).is_some() {
                        let name = self.name;
                        return Err(ConsumerError::HandlerTwice { name, kind });
                    }
                }
                let handled = |kind: &&KindName| self.others.is_some() || kinds.contains_key(*kind);
                if let Some(kind) = filter.kinds.iter().find(|kind| !handled(kind)).cloned() {
                    let name = self.name;
                    return Err(ConsumerError::NoHandlerOf { name, kind });
                }
                if self.others.is_none() || !filter.kinds.is_empty() {
                    filter.kinds.extend(kinds.keys().cloned());
                }
                let inside = Inside {
                    consumer: self.name,
                    around: self.around,
                    clock: tenure.inner.handle.clocked(),
                };
                Arc::new(Routed(Arc::new(Routes {
                    kinds,
                    others: self.others,
                    inside,
                })))
            }
        };
        if !self.on.is_empty() {
            // Those that its filter lets through.
            let named = &filter.events;
            let mut on = self.on;
            on.retain(|event| named.is_empty() || named.contains(&event.event));
            tenure.remember_consumer(name.as_str(), on);
        }
        let order = match self.serial {
            true => Order::Serial,
            false => Order::PerEntity {
                handlers_max: self.handlers_max,
            },
        };
        let definition = Definition {
            name,
            source: self.source,
            filter,
            order,
            start: self.start,
            keeping: self.external.map_or(Keeping::Stored, |at| {
                // What is rebuilt, and how often, its handler knows alone.
                let life = 1;
                Keeping::External { at, life }
            }),
        };
        Ok(Made {
            tenure,
            definition,
            pace: self.pace,
            reset: self.reset,
            host,
            timeout,
        })
    }
}
