//! Why a projection does not run, and what its store may fail with.

use crate::api::KindError;
use crate::api::consumer::{ConsumerError, HandlerError};
use crate::format::{FormatError, Position};
use crate::id::Incarnation;
use crate::name::{KindName, NameError};
use crate::projection::StateFault;
use std::sync::Arc;

/// Why a projection does not run.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// Its name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A kind that it reads cannot be used.
    #[error("the projection cannot read a kind: {0}")]
    Kind(Arc<KindError>),
    /// It has no fold.
    #[error("the projection {name} folds nothing: give it the fold of a kind")]
    NoFold {
        /// The projection.
        name: String,
    },
    /// Two folds are of one kind.
    #[error("the projection {name} has two folds of the kind {kind}: make one of them")]
    FoldTwice {
        /// The projection.
        name: String,
        /// The kind.
        kind: KindName,
    },
    /// Its state was not there, or cannot be kept.
    #[error("the store of the projection {name}: {error}")]
    Store {
        /// The projection.
        name: String,
        /// What is wrong.
        error: StoreError,
    },
    /// It has stopped, and its store did not settle in time: what came after the last snapshot is folded
    /// again at the next start.
    #[error(
        "the projection {name} has stopped, but its store did not settle in time: the next start folds again what came after its last snapshot"
    )]
    Unsettled {
        /// The projection.
        name: String,
    },
    /// It has stopped, and its store could not settle, as by storing the last snapshot.
    #[error(
        "the projection {name} has stopped, but its store could not settle ({error}): the next start folds again what came after its last snapshot"
    )]
    NotSettled {
        /// The projection.
        name: String,
        /// Why.
        error: StoreError,
    },
    /// What reads its events ended, or did not begin.
    #[error(transparent)]
    Consumer(Arc<ConsumerError>),
}

impl From<KindError> for ProjectionError {
    fn from(error: KindError) -> Self {
        Self::Kind(Arc::new(error))
    }
}

impl From<ConsumerError> for ProjectionError {
    fn from(error: ConsumerError) -> Self {
        Self::Consumer(Arc::new(error))
    }
}

/// Why a projection was not built anew. The one before it serves on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// One is under way.
    #[error("the projection {name} is being built anew already: wait for that")]
    UnderWay {
        /// The projection.
        name: String,
    },
    /// The new one failed.
    #[error("the projection was not built anew, and the one before it serves on: {0}")]
    Green(ProjectionError),
    /// The one that was to be replaced does not run.
    #[error("the projection does not run, so it was not built anew: {0}")]
    Blue(ProjectionError),
}

/// Why a store of a projection's state did not do what it was asked; what a store of yours fails with.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An event cannot be folded. The projection's policy says what is done about it.
    #[error("event {index} of the batch cannot be folded: {text}")]
    Fold {
        /// Its place in the batch.
        index: usize,
        /// What the fold said.
        text: String,
    },
    /// It is away for now, or too busy: it is asked again after a while, for as long as it takes, and the
    /// projection's status tells.
    #[error("it is away: {0}")]
    Away(Arc<HandlerError>),
    /// It is wrong for good: the projection ends.
    #[error("{0}")]
    Failed(Arc<HandlerError>),
    /// Its mark is not one that the projection can go on from: the projection ends.
    #[error(transparent)]
    State(#[from] StateFault),
    /// Its mark cannot be read.
    #[error(
        "its mark cannot be read ({0}): use the program that wrote it, or give the projection another store"
    )]
    Format(#[from] FormatError),
    /// Another run took the state over: this one ends.
    #[error(
        "it was taken over by another run on node {node:?} ({run}): one run stores at a time; stop one of them, or give it another store"
    )]
    Superseded {
        /// Where the other run is.
        node: String,
        /// The other run.
        run: Incarnation,
    },
    /// It stands elsewhere than where this run left it: this run ends.
    #[error(
        "it stands at {found:?}, and this run left it at {expected:?}: somebody else wrote its mark; start the projection again"
    )]
    Moved {
        /// Where the run left it.
        expected: Vec<Position>,
        /// Where it is.
        found: Vec<Position>,
    },
    /// It cannot make another one of its kind.
    #[error("it cannot be built anew beside itself: start the projection again with a reset")]
    NoGreen,
    /// The node has stopped.
    #[error("this node has stopped; start another")]
    NodeStopped,
}

impl StoreError {
    /// An error that passes.
    pub fn away(error: impl Into<HandlerError>) -> Self {
        Self::Away(Arc::new(error.into()))
    }

    /// An error that stays.
    pub fn failed(error: impl Into<HandlerError>) -> Self {
        Self::Failed(Arc::new(error.into()))
    }
}
