//! A kind of actor as a node knows it.

use super::Actor;
use super::background::WatchId;
use super::handlers::Handlers;
use super::residents::Residents;
use crate::actor::Ended;
use crate::driver::actors::host::ActorEntry;
use crate::name::{KindName, NameError};
use std::sync::Arc;

/// A kind of actor that a node cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorKindError {
    /// Its name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two of its messages have one name and version.
    #[error(
        "the actor {kind} takes two messages named {name} v{version}; name one of them otherwise"
    )]
    MessageTwice {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: &'static str,
        /// The version.
        version: u16,
    },
}

/// What an actor that watched another one is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watched {
    /// Which watch.
    pub watch: WatchId,
    /// How the other one ended. The watch is over.
    pub ended: Ended,
}

impl Watched {
    pub(super) fn new(watch: u32, ended: Ended) -> Self {
        Self {
            watch: WatchId(watch),
            ended,
        }
    }
}

/// A kind as the handles and lanes of this process use it.
pub(crate) fn entry_of<A: Actor>() -> Result<ActorEntry, ActorKindError> {
    let handlers = A::handlers(Handlers::new());
    if let Some((name, version)) = handlers.twice() {
        let kind = A::KIND;
        return Err(ActorKindError::MessageTwice {
            kind,
            name,
            version,
        });
    }
    let handlers = Arc::new(handlers);
    let settings = A::settings();
    Ok(ActorEntry {
        config: settings.config(KindName::new(A::KIND)?),
        messages: handlers.names(),
        codec: settings.codec,
        placement: settings.placement,
        inline: settings.inline,
        tasks_max: settings.tasks_max,
        host: Box::new(move |entry| {
            Box::new(Residents::<A>::new(
                Arc::clone(entry),
                Arc::clone(&handlers),
            ))
        }),
    })
}
