//! The bodies of snapshots that were ever stored, and which of them were deleted on purpose.

use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::format::{Snapshot, SnapshotRef};
use tenure_core::id::Sequence;
use tenure_core::port::Subject;
use tenure_mem::store::Store;

/// A body that was stored, whether or not it still is.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its bytes.
    pub payload: Bytes,
    /// What they say.
    pub snapshot: Snapshot,
    /// A message was stored that deletes it.
    pub deleted: bool,
}

/// Something that happened to a body.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// It was stored.
    Stored,
    /// It was deleted on purpose; the entity's subject and its own.
    Deleted { entity: Subject, body: Subject },
}

/// All bodies, by subject.
#[derive(Clone, Debug, Default)]
pub struct Bodies {
    of: BTreeMap<Subject, Body>,
    up_to: Sequence,
}

impl Bodies {
    /// The body that a commit of an entity names.
    pub fn named(&self, entity: &str, named: &SnapshotRef) -> Option<&Body> {
        self.of.get(body_subject(entity, named).as_str())
    }

    /// Takes in what the stream of snapshots has more of than before.
    pub(crate) fn follow(&mut self, store: &Store, stream: &str) -> Result<Vec<Change>, String> {
        let last = store.last(stream);
        if last <= self.up_to {
            // A stream that lost its end gives sequences again.
            self.up_to = last;
            return Ok(Vec::new());
        }
        let new: Vec<_> = store
            .messages(stream)
            .rev()
            .take_while(|message| message.sequence > self.up_to)
            .cloned()
            .collect();
        self.up_to = last;
        let mut changes = Vec::new();
        for message in new.into_iter().rev() {
            let subject = message.subject;
            if message.payload.is_empty() {
                if let Some(body) = self.of.get_mut(&subject) {
                    body.deleted = true;
                }
                let entity = entity_subject(&subject);
                let body = subject;
                changes.push(Change::Deleted { entity, body });
                continue;
            }
            let snapshot = Snapshot::decode(&message.payload)
                .map_err(|error| format!("{subject} at {:?}: {error}", message.sequence))?;
            let body = Body {
                payload: message.payload,
                snapshot,
                deleted: false,
            };
            self.of.insert(subject, body);
            changes.push(Change::Stored);
        }
        Ok(changes)
    }
}

/// The subject of a body, by the entity's own.
pub(crate) fn body_subject(entity: &str, named: &SnapshotRef) -> String {
    let of = entity.replacen(".ev.", ".snap.", 1);
    format!("{of}.{}.{}", named.version, named.tag)
}

/// The subject of an entity, by that of a body of it.
fn entity_subject(body: &str) -> Subject {
    let end = body.rmatch_indices('.').nth(1).map(|(end, _)| end);
    let of = &body[..end.unwrap_or(body.len())];
    of.replacen(".snap.", ".ev.", 1).into()
}
