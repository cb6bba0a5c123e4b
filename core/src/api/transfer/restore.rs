//! An archived entity, back in its namespace.

use super::file::{NextRecord, RecordReader};
use super::{ExportFileError, TransferError};
use crate::api::call::{Decider, Sealed, Sending};
use crate::api::entities::{KindFacts, decode_event};
use crate::api::{Aggregate, DecideCx, Decision, ExecuteError, KindHandle, Receipt, deletion};
use crate::format::{Codec, EventRecord, ExportRecord};
use crate::id::Version;
use crate::log::{Expected, FoldError};
use crate::name::{EntityId, KindName, NameError};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why an entity was not restored. Nothing was stored, unless [`Execute`](Self::Execute) or
/// [`Partly`](Self::Partly) says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The id cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The file is no whole, unaltered export.
    #[error(transparent)]
    File(#[from] TransferError),
    /// The file has no events of the entity.
    #[error("{}: it has no events of {kind} {id:?}: choose the file that it was archived in", .path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
    },
    /// The events were not stored; a rejection is an event that this build cannot read.
    #[error(transparent)]
    Execute(#[from] ExecuteError<FoldError>),
    /// The file has more events than one commit has room for, and only the first of them were stored, or
    /// perhaps stored.
    #[error(
        "{kind} {id:?} is restored up to version {version} only: {cause}; delete it and restore it again"
    )]
    Partly {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// Its version by then, as far as it is known.
        version: Version,
        /// Why the next ones were not, or perhaps not.
        cause: ExecuteError<FoldError>,
    },
}

/// Some of the events of one entity in a file, as one command.
struct Restore {
    facts: Arc<KindFacts>,
    entity: EntityId,
    events: Vec<EventRecord>,
}

impl Sealed for Restore {}

impl<A: Aggregate> Decider<A> for Restore {
    type Reply = u64;
    type Error = FoldError;

    fn decide(&mut self, _: &A, _: &DecideCx<'_>) -> Result<Decision<A, u64>, FoldError> {
        let mut events = Vec::with_capacity(self.events.len());
        for record in &self.events {
            events.extend(decode_event::<A::Event>(&self.facts, &self.entity, record)?);
        }
        let count = events.len() as u64;
        Ok(Decision::events(events).reply(count))
    }
}

/// Stores the events of an entity that a file has: as one commit, or as several where they are more than
/// one message has room for.
pub(in crate::api) async fn restore<A: Aggregate>(
    kind: &KindHandle<A>,
    entity: EntityId,
    path: &Path,
) -> Result<Receipt<u64>, RestoreError> {
    let of = &kind.entry.config.record.name;
    let (codec, events) = archived(path, (of, &entity)).map_err(|error| {
        RestoreError::File(TransferError::File {
            path: path.to_owned(),
            error,
        })
    })?;
    let facts = KindFacts {
        codec: codec.unwrap_or(kind.facts.codec),
        ..KindFacts::clone(&kind.facts)
    };
    let facts = Arc::new(facts);
    let mut parts = VecDeque::from([events]);
    parts.retain(|part| !part.is_empty());
    let mut stored: Option<Receipt<u64>> = None;
    while let Some(part) = parts.pop_front() {
        let before = stored.as_ref();
        let sending = Sending {
            kind,
            entity: entity.clone(),
            id: None,
            expected: Expected::Exactly(before.map_or(Version::ABSENT, |it| it.version)),
            create: before.is_none(),
            metadata: None,
            timeout: kind.tenure.inner.timeout,
        };
        let decider = Restore {
            facts: Arc::clone(&facts),
            entity: entity.clone(),
            events: part.clone(),
        };
        match (sending.run(decider).await, before) {
            (Ok(receipt), before) => {
                let reply = receipt.reply + before.map_or(0, |before| before.reply);
                stored = Some(Receipt { reply, ..receipt });
            }
            (Err(ExecuteError::TooLarge { bytes, bytes_max }), _) if part.len() > 1 => {
                let most = part.len().div_ceil(bytes / bytes_max.max(1) + 1);
                for smaller in part.chunks(most).rev() {
                    parts.push_front(smaller.to_vec());
                }
            }
            // One that may be stored would be taken for all of it.
            (Err(error), None) if parts.is_empty() || !error.is_unknown() => {
                return Err(error.into());
            }
            (Err(cause), before) => {
                return Err(RestoreError::Partly {
                    kind: of.clone(),
                    id: entity,
                    version: before.map_or(Version::ABSENT, |before| before.version),
                    cause,
                });
            }
        }
    }
    stored.ok_or_else(|| RestoreError::NotThere {
        path: path.to_owned(),
        kind: of.clone(),
        id: entity,
    })
}

/// The events of an entity, but for that of its deletion, and how they are encoded.
fn archived(
    path: &Path,
    (kind, id): (&KindName, &EntityId),
) -> Result<(Option<Codec>, Vec<EventRecord>), ExportFileError> {
    let mut reader = RecordReader::new(BufReader::new(File::open(path)?));
    let (mut codec, mut events) = (None, Vec::new());
    loop {
        match reader.next()? {
            NextRecord::Record(ExportRecord::Header(header)) => {
                let recorded = header.kinds.iter().find(|record| record.name == *kind);
                codec = recorded.map(|record| record.codec);
            }
            NextRecord::Record(ExportRecord::Commit(exported)) => {
                if exported.kind == *kind && exported.commit.entity == *id {
                    if exported.commit.tombstone {
                        // What was before it was deleted then.
                        events.clear();
                        continue;
                    }
                    events.extend(exported.commit.events);
                }
            }
            NextRecord::Record(ExportRecord::Agenda(_) | ExportRecord::End(_)) => {}
            NextRecord::Whole => break,
            NextRecord::Cut => {
                let records = reader.records();
                return Err(ExportFileError::Cut { records });
            }
        }
    }
    events.retain(|event| !deletion::is_told(&event.name, event.schema));
    Ok((codec, events))
}
