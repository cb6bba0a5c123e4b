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
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why an entity was not restored. Nothing was stored, unless [`Execute`](Self::Execute) says otherwise.
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
}

/// The events of one entity in a file, as one command.
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

/// Stores the events of an entity that a file has as one commit.
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
    if events.is_empty() {
        return Err(RestoreError::NotThere {
            path: path.to_owned(),
            kind: of.clone(),
            id: entity,
        });
    }
    let facts = KindFacts {
        codec: codec.unwrap_or(kind.facts.codec),
        ..KindFacts::clone(&kind.facts)
    };
    let decider = Restore {
        facts: Arc::new(facts),
        entity: entity.clone(),
        events,
    };
    let sending = Sending {
        kind,
        entity,
        id: None,
        expected: Expected::Exactly(Version::ABSENT),
        create: true,
        metadata: None,
        timeout: kind.tenure.inner.timeout,
    };
    Ok(sending.run(decider).await?)
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
