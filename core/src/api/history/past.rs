//! What happened: one event of a history, and where it came from.

use crate::api::metadata::EMPTY;
use crate::format::{Commit, EventRecord, Metadata};
use crate::id::{CommandId, CommitId, Sequence, Version, WallTime};
use std::sync::Arc;

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Past<E> {
    /// The event.
    pub event: E,
    /// The entity's version after it. Events that [upcasters](crate::api::Upcasters) made of one
    /// stored event have one version, that of the stored one.
    pub version: Version,
    /// When its command arrived, on the writer's wall clock.
    pub time: WallTime,
    /// When its commit was stored, on the store's clock: what histories and time travel go by.
    pub stored: WallTime,
    /// Where its commit is in the stream.
    pub sequence: Sequence,
    /// Its commit.
    pub commit: CommitId,
    /// The command that it came of.
    pub command: Option<CommandId>,
    pub(super) metadata: Option<Arc<Metadata>>,
}

impl<E> Past<E> {
    /// What its command said of itself beside its content; empty when it said nothing.
    pub fn metadata(&self) -> &Metadata {
        self.metadata.as_deref().unwrap_or(&EMPTY)
    }

    /// The id that all of one piece of work have in common: its command's correlation id. A command
    /// without one begins a piece of work of its own, which its id (without an id, its commit's)
    /// stands for.
    pub fn correlation_id(&self) -> String {
        match self.metadata().correlation_id() {
            Some(id) => id.to_owned(),
            None => self.cause(),
        }
    }

    /// Its command's id, as what it caused names it; its commit's for a command without one.
    pub(crate) fn cause(&self) -> String {
        match self.command {
            Some(id) => id.to_string(),
            None => self.commit.to_string(),
        }
    }
}

impl Past<()> {
    /// What is known of one event of a commit.
    pub(crate) fn of(
        commit: &Commit,
        (index, record): (usize, &EventRecord),
        sequence: Sequence,
        stored: WallTime,
    ) -> Self {
        let mut commands = commit.commands.iter();
        let command = commands.find(|command| command.version >= record.version);
        Self {
            event: (),
            version: record.version,
            time: commit.time,
            stored,
            sequence,
            commit: commit.id,
            command: command.map(|command| command.id),
            metadata: commit.metadata_of(index).cloned(),
        }
    }

    /// The same with its event.
    pub(crate) fn with<E>(self, event: E) -> Past<E> {
        let Self {
            event: (),
            version,
            time,
            stored,
            sequence,
            commit,
            command,
            metadata,
        } = self;
        Past {
            event,
            version,
            time,
            stored,
            sequence,
            commit,
            command,
            metadata,
        }
    }
}
