//! Taking snapshots: the body is put first, and counts when a commit names it (S20).

use super::decide::HEADER_BYTES_MAX;
use super::entity::{Phase, Taking, snapshot_ref};
use super::shard::{Op, Shard, Turn};
use super::{Note, Work};
use crate::format::{Snapshot, Unknown};
use crate::id::{Sequence, Slot, SnapshotTag};
use crate::port::{Expect, Publish, Rollup, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Purpose};
use alloc::format;
use alloc::string::ToString;
use bytes::Bytes;

impl Shard {
    /// Lets the host encode the state if a snapshot is due; whether it is.
    pub(super) fn take_snapshot(&mut self, t: &mut Turn<'_, '_>, slot: Slot) -> bool {
        let every = self.kind_of(slot).snapshot_every;
        let entity = self.entity(slot);
        let since = entity.held.as_ref().map_or(0, |held| held.since_snapshot);
        let due = every.is_some_and(|every| match entity.snapshot_failed {
            // Fewer commits than then: another writer's snapshot was named meanwhile.
            Some(failed) if since >= failed => since - failed >= every,
            Some(_) | None => since >= every,
        });
        if !due || entity.snapshot != Taking::No || !self.up {
            return false;
        }
        self.run(t, Op::Encode(slot), Work::Snapshot { slot });
        self.entity(slot).phase = Phase::Encode;
        true
    }

    /// The host encoded the state: its body is stored while the entity goes on.
    pub(super) fn on_encoded(&mut self, t: &mut Turn<'_, '_>, slot: Slot, state: Option<Bytes>) {
        self.entity(slot).phase = Phase::Idle;
        let ordinal = self.draw();
        let tag = SnapshotTag(t.cx.dice.roll128(Purpose::SnapshotTag, ordinal));
        let kind = self.kind_of(slot).clone();
        let layout = self.config.layout;
        let key = self.config.key;
        let bytes_max = self.shape.payload_bytes_max;
        let entity = self.entity(slot);
        if let Some(held) = &entity.held {
            // Of a snapshot that comes to nothing too; one that is stored clears it.
            entity.snapshot_failed = Some(held.since_snapshot);
        }
        if let (Some(state), Some(held)) = (state, &entity.held) {
            let body = Snapshot {
                layout,
                kind: kind.record.id,
                entity: entity.id.clone(),
                version: held.version,
                sequence: held.sequence,
                horizon: held.ids.horizon(),
                commands: held.ids.entries(),
                schema: kind.snapshot_schema,
                state,
                unknown: Unknown::default(),
            };
            let payload = body.encode();
            let bytes = payload.len() + HEADER_BYTES_MAX;
            if bytes > bytes_max {
                reached!(t.cx, "log: a snapshot is too large for a message");
                let entity = entity.id.clone();
                let cause = format!("it has {bytes} bytes, the server takes {bytes_max}");
                t.note(Note::SnapshotFailed { entity, cause });
                return self.next(t, slot);
            }
            let named = snapshot_ref(held, tag, key.hash(&payload));
            entity.snapshot = Taking::Storing(named);
            let publish = Publish {
                stream: self.names.snapshots.clone(),
                subject: self.snapshot_subject(slot, &named),
                expect: Expect::OwnLast(Sequence::NONE),
                rollup: Rollup::No,
                dedup: None,
                ttl_s: None,
                payload,
            };
            self.ask(t, Op::Keep(slot), StoreRequest::Publish(publish));
        }
        self.next(t, slot);
    }

    /// The store answered a snapshot's body.
    pub(super) fn on_snapshot_stored(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        reply: StoreReply,
    ) {
        let entity = self.entity(slot);
        let named = match core::mem::replace(&mut entity.snapshot, Taking::No) {
            Taking::Storing(named) => named,
            Taking::Wasted => {
                reached!(t.cx, "log: a snapshot is of a state that was dropped");
                entity.snapshot_failed = None;
                return self.rest(slot);
            }
            Taking::No | Taking::Stored(_) => {
                return t.halt("a snapshot was stored that was not taken");
            }
        };
        match reply {
            Outcome::Done(_) => {
                entity.snapshot_failed = None;
                // The chain may have been dropped and read again meanwhile; a snapshot that it
                // does not pass through cannot be named.
                let passes = entity
                    .held
                    .as_ref()
                    .is_some_and(|h| h.chain.contains(&named.sequence));
                if passes {
                    reached!(t.cx, "log: a snapshot is stored");
                    entity.snapshot = Taking::Stored(named);
                }
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "log: a snapshot was refused");
                let entity = entity.id.clone();
                t.note(Note::SnapshotFailed {
                    entity,
                    cause: refused.to_string(),
                });
            }
            Outcome::Unknown => {
                reached!(t.cx, "log: a snapshot's outcome is unknown");
                let entity = entity.id.clone();
                t.note(Note::SnapshotFailed {
                    entity,
                    cause: "no answer".into(),
                });
            }
        }
        self.rest(slot);
    }
}
