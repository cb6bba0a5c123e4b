//! Folds, and the batches of events that a store has folded.

use super::StoreError;
use super::middleware::FoldInside;
use crate::api::Aggregate;
use crate::api::consumer::{Consumed, HandlerError, HandlerOutcome, NotDecoded, decoded};
use crate::api::entities::KindFacts;
use crate::consumer::Given;
use crate::driver::host::caught;
use crate::format::{EventPlace, EventSubject, Mark, Position};
use crate::id::Version;
use crate::name::{EntityId, KindName};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Takes one event into a state, or into a transaction on it. A closure is one:
/// `|state: &mut S, event: &Consumed<E>| …`, which ends with `()` or with a `Result<(), _>` of any error.
///
/// It depends on the state and the event alone. It may run several times for one event, of which one
/// counts.
pub trait Fold<S, E>: Send + Sync + 'static {
    /// Takes the event in.
    ///
    /// # Errors
    ///
    /// When it cannot be taken in; what was changed by then is taken back.
    fn fold(&self, state: &mut S, event: &Consumed<E>) -> Result<(), HandlerError>;
}

impl<S, E, F, R> Fold<S, E> for F
where
    F: Fn(&mut S, &Consumed<E>) -> R + Send + Sync + 'static,
    R: HandlerOutcome,
{
    fn fold(&self, state: &mut S, event: &Consumed<E>) -> Result<(), HandlerError> {
        self(state, event).into_result()
    }
}

/// Events that are folded together, in the log's order, and where the state stands with them.
pub struct FoldBatch<S> {
    events: Vec<FoldEvent<S>>,
    mark: Mark,
    /// Where the state stands without them.
    over: Vec<Position>,
}

/// One event of a [`FoldBatch`].
pub struct FoldEvent<S> {
    place: EventPlace,
    subject: Arc<EventSubject>,
    version: Version,
    folded: Box<dyn Folded<S>>,
    /// What stands around its fold.
    around: Option<(Arc<FoldInside>, Given)>,
}

impl<S> FoldBatch<S> {
    pub(super) fn new(events: Vec<FoldEvent<S>>, mark: Mark, over: Vec<Position>) -> Self {
        Self { events, mark, over }
    }

    /// The events.
    pub fn events(&self) -> &[FoldEvent<S>] {
        &self.events
    }

    /// The mark of the state with these events in it.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Whether the batch is to be folded into the state whose mark this is; `false`: it is in it already,
    /// and its answer was lost.
    ///
    /// # Errors
    ///
    /// When another run took the state over, or it stands elsewhere.
    pub fn judge(&self, found: Option<&Mark>) -> Result<bool, StoreError> {
        let moved = |found: Vec<Position>| StoreError::Moved {
            expected: self.over.clone(),
            found,
        };
        let found = found.ok_or_else(|| moved(Vec::new()))?;
        if found.run != self.mark.run {
            return Err(StoreError::Superseded {
                node: found.node.clone(),
                run: found.run,
            });
        }
        match (
            found.positions == self.over,
            found.positions == self.mark.positions,
        ) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(moved(found.positions.clone())),
        }
    }

    /// Folds all events into a state. After an error the state is as far as it came: the store is to take
    /// it back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fold`] with the first event whose fold failed or panicked.
    pub fn fold(&self, state: &mut S) -> Result<(), StoreError> {
        self.fold_by(state, FoldEvent::fold)
    }

    /// The same without what stands around the folds: into another copy of a state that has the events.
    pub(super) fn fold_unseen(&self, state: &mut S) -> Result<(), StoreError> {
        self.fold_by(state, FoldEvent::fold_unseen)
    }

    fn fold_by(
        &self,
        state: &mut S,
        fold: impl Fn(&FoldEvent<S>, &mut S) -> Result<(), HandlerError>,
    ) -> Result<(), StoreError> {
        for (index, event) in self.events.iter().enumerate() {
            let folded = fold(event, state).map_err(|error| error.to_string());
            folded.map_err(|text| StoreError::Fold { index, text })?;
        }
        Ok(())
    }

    /// Whether something stands around the folds.
    pub(super) fn is_seen(&self) -> bool {
        self.events.iter().any(|event| event.around.is_some())
    }
}

impl<S> fmt::Debug for FoldBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldBatch")
            .field("events", &self.events.len())
            .field("mark", &self.mark)
            .finish_non_exhaustive()
    }
}

impl<S> FoldEvent<S> {
    /// Where it is: the same each time it comes.
    pub fn place(&self) -> EventPlace {
        self.place
    }

    /// Its entity's kind.
    pub fn kind(&self) -> &KindName {
        &self.subject.kind
    }

    /// Its entity.
    pub fn id(&self) -> &EntityId {
        &self.subject.id
    }

    /// The entity's version after it.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Folds it into a state.
    ///
    /// # Errors
    ///
    /// The fold's own, or that it panicked.
    pub fn fold(&self, state: &mut S) -> Result<(), HandlerError> {
        let Some((inside, given)) = &self.around else {
            return self.fold_unseen(state);
        };
        let folded = caught(|| inside.run(given, &mut || self.fold_unseen(state)));
        folded.unwrap_or_else(|panic| Err(format!("a middleware panicked: {panic}").into()))
    }

    /// The same without what stands around it: for a run that counts for nobody.
    pub(super) fn fold_unseen(&self, state: &mut S) -> Result<(), HandlerError> {
        let folded = caught(|| self.folded.fold(state));
        folded.unwrap_or_else(|panic| Err(format!("its fold panicked: {panic}").into()))
    }

    /// With what stands around its fold.
    pub(super) fn within(self, inside: Option<&Arc<FoldInside>>, given: &Given) -> Self {
        let around = inside.map(|inside| (Arc::clone(inside), given.clone()));
        Self { around, ..self }
    }
}

impl<S> fmt::Debug for FoldEvent<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldEvent")
            .field("place", &self.place)
            .field("id", self.id())
            .finish_non_exhaustive()
    }
}

/// An event with its fold, whatever its type.
trait Folded<S>: Send {
    fn fold(&self, state: &mut S) -> Result<(), HandlerError>;
}

/// The fold of a kind, whatever its type.
pub(super) trait FoldRoute<S>: Send + Sync {
    /// Decodes an event.
    fn decode(&self, given: &Given) -> Result<FoldEvent<S>, NotDecoded>;
}

/// The fold of a kind's events.
pub(super) struct TypedFold<A, F> {
    pub(super) facts: Arc<KindFacts>,
    pub(super) fold: Arc<F>,
    pub(super) kind: PhantomData<fn() -> A>,
}

/// What one stored event is now, with the fold.
struct TypedEvents<E, F> {
    events: Vec<Consumed<E>>,
    fold: Arc<F>,
}

impl<S, E: Send, F: Fold<S, E>> Folded<S> for TypedEvents<E, F> {
    fn fold(&self, state: &mut S) -> Result<(), HandlerError> {
        self.events
            .iter()
            .try_for_each(|event| self.fold.fold(state, event))
    }
}

impl<S: 'static, A: Aggregate, F: Fold<S, A::Event>> FoldRoute<S> for TypedFold<A, F> {
    fn decode(&self, given: &Given) -> Result<FoldEvent<S>, NotDecoded> {
        let events = decoded::<A>(&self.facts, given)?;
        let record = given.commit.events.get(given.place.index as usize);
        let fold = Arc::clone(&self.fold);
        Ok(FoldEvent {
            place: given.place,
            subject: Arc::clone(&given.subject),
            version: record.map_or(Version(0), |record| record.version),
            folded: Box::new(TypedEvents { events, fold }),
            around: None,
        })
    }
}
