//! Taking snapshots: the body is put first, and counts when a commit names it (S20).

use super::decide::HEADER_BYTES_MAX;
use super::entity::{Body, Held, Phase, Taking};
use super::shard::{Op, Shard, Turn};
use super::{Note, SnapshotPolicy, Work};
use crate::format::{Snapshot, SnapshotRef, Unknown};
use crate::id::{CommitId, Sequence, Slot, SnapshotTag};
use crate::port::{Expect, Publish, Rollup, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Purpose, Span, Time};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// Of its life, a body may have spent this part, one of so many, before it is named.
const UNNAMED_PART: u64 = 4;
/// Of its life, a snapshot has spent this part, one of so many, when it is renewed.
const RENEWED_PART: u64 = 2;

impl Shard {
    /// Lets the host encode the state if a snapshot is due after a commit; whether it is.
    pub(super) fn take_snapshot(&mut self, t: &mut Turn<'_, '_>, slot: Slot) -> bool {
        let policy = self.kind_of(slot).snapshots;
        let entity = self.entity(slot);
        let due = entity.replayed || entity.held.as_ref().is_some_and(|held| due(&policy, held));
        due && self.encode(t, slot)
    }

    /// Lets the host encode the state if a load replayed too much and nobody waits; whether it
    /// does.
    pub(super) fn take_after_load(&mut self, t: &mut Turn<'_, '_>, slot: Slot) -> bool {
        self.entity(slot).replayed && self.encode(t, slot)
    }

    fn encode(&mut self, t: &mut Turn<'_, '_>, slot: Slot) -> bool {
        let pause = self.kind_of(slot).snapshots.pause();
        let room = self.up && self.bodies_count < self.limits.snapshot_bodies_max;
        let entity = self.entity(slot);
        let deleted = entity.held.as_ref().is_some_and(Held::is_deleted);
        let since = entity.held.as_ref().map_or(0, |held| held.since_snapshot);
        let soon = entity
            .snapshot_failed
            // Fewer commits than then: another writer's snapshot was named meanwhile.
            .is_some_and(|failed| since >= failed && since - failed < pause);
        if since == 0 || soon || deleted || entity.snapshot != Taking::No || !room {
            return false;
        }
        let provisional = core::mem::take(&mut entity.provisional);
        self.run(t, Op::Encode(slot), Work::Snapshot { slot, provisional });
        self.entity(slot).phase = Phase::Encode;
        true
    }

    /// The host encoded the state: its body is stored while the entity goes on.
    pub(super) fn on_encoded(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        state: Result<Bytes, String>,
    ) {
        self.entity(slot).phase = Phase::Idle;
        let entity = self.entity(slot);
        if let Some(held) = &entity.held {
            // Of a snapshot that comes to nothing too; one that is stored clears it.
            entity.snapshot_failed = Some(held.since_snapshot);
            match state {
                Ok(state) => self.put_body(t, slot, state),
                Err(cause) => {
                    reached!(t.cx, "log: a snapshot could not be encoded");
                    self.snapshot_failed(t, slot, cause);
                }
            }
        }
        self.next(t, slot);
    }

    fn put_body(&mut self, t: &mut Turn<'_, '_>, slot: Slot, state: Bytes) {
        let ordinal = self.draw();
        let tag = SnapshotTag(t.cx.dice.roll128(Purpose::SnapshotTag, ordinal));
        let kind = self.kind_of(slot).clone();
        let layout = self.config.layout;
        let key = self.config.key;
        let bytes_max = self.shape.payload_bytes_max;
        let entity = self.entity(slot);
        let Some(held) = &entity.held else { return };
        let older = held.snapshot.iter().chain(&held.older).copied();
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
            older: older.take(kind.snapshots.kept()).collect(),
            timers: held.timers.to_vec(),
            unknown: Unknown::default(),
        };
        let payload = body.encode();
        let bytes = payload.len() + HEADER_BYTES_MAX;
        if bytes > bytes_max {
            reached!(t.cx, "log: a snapshot is too large for a message");
            let cause = format!("it has {bytes} bytes, the server takes {bytes_max}");
            return self.snapshot_failed(t, slot, cause);
        }
        let named = SnapshotRef {
            version: held.version,
            sequence: held.sequence,
            tag,
            hash: key.hash(&payload),
        };
        entity.snapshot = Taking::Storing(Body {
            named,
            commit: held.commit,
            sent: t.cx.now,
            offered: false,
        });
        let publish = Publish {
            stream: self.names.snapshots.clone(),
            subject: self.snapshot_subject(slot, &named),
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: kind.snapshots.ttl_s(),
            payload,
        };
        self.bodies_count += 1;
        self.ask(t, Op::Keep(slot), StoreRequest::Publish(publish));
    }

    /// The store answered a snapshot's body.
    pub(super) fn on_snapshot_stored(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        reply: StoreReply,
    ) {
        self.bodies_count -= 1;
        let replicated = self.shape.replicated;
        let entity = self.entity(slot);
        let (body, wanted) = match core::mem::replace(&mut entity.snapshot, Taking::No) {
            Taking::Storing(body) => {
                // The chain may have been dropped and read again meanwhile; a snapshot that it
                // does not pass through cannot be named.
                let held = entity.held.as_ref();
                (
                    body.named,
                    held.is_some_and(|held| held.passes(&body.named))
                        .then_some(body),
                )
            }
            Taking::Wasted(named) => (named, None),
            Taking::No | Taking::Stored(_) => {
                return t.halt("a snapshot was stored that was not taken");
            }
        };
        let cause = match reply {
            Outcome::Done(_) => {
                entity.snapshot_failed = None;
                entity.replayed = false;
                let entity = entity.id.clone();
                t.note(Note::SnapshotStored { entity });
                match wanted {
                    Some(body) => {
                        reached!(t.cx, "log: a snapshot is stored");
                        self.entity(slot).snapshot = Taking::Stored(body);
                    }
                    None => {
                        reached!(t.cx, "log: a snapshot is of a state that was dropped");
                        self.erase(slot, &body);
                    }
                }
                return self.rest(slot);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "log: a snapshot was refused");
                if !refused.settles(replicated) {
                    self.erase(slot, &body);
                }
                refused.to_string()
            }
            Outcome::Unknown => {
                reached!(t.cx, "log: a snapshot's outcome is unknown");
                self.erase(slot, &body);
                "no answer".into()
            }
        };
        self.snapshot_failed(t, slot, cause);
        self.rest(slot);
    }

    /// What the next commit names and lists.
    pub(super) fn name_snapshot(
        &mut self,
        slot: Slot,
        now: Time,
    ) -> (Option<SnapshotRef>, Arc<Vec<Sequence>>) {
        let expiry = self.kind_of(slot).snapshots.expiry();
        let chain_max = self.limits.chain_max;
        let entity = self.entity(slot);
        let Some(held) = &entity.held else {
            return (None, Arc::default());
        };
        let Taking::Stored(body) = &mut entity.snapshot else {
            return held.next_chain(None, chain_max);
        };
        // One that waited long for this commit would not live for long.
        let aged = expiry.is_some_and(|life| now.since(body.sent) >= part(life, UNNAMED_PART));
        if held.passes(&body.named) && !aged {
            body.offered = true;
            return held.next_chain(Some(body.named), chain_max);
        }
        let named = held.next_chain(None, chain_max);
        self.drop_body(slot);
        named
    }

    /// An acknowledged commit names a snapshot: if it is the one that was taken here, those beyond
    /// what is kept are deleted.
    pub(super) fn on_named(&mut self, slot: Slot) {
        let entity = self.entity(slot);
        let current = entity.held.as_ref().and_then(|held| held.snapshot);
        if let Taking::Stored(body) = &entity.snapshot
            && Some(body.named) == current
        {
            entity.snapshot = Taking::No;
            entity.replayed = false;
            self.prune(slot);
        }
    }

    /// The entity was loaded again, and these commits were found: whether its unnamed body can still be
    /// named. It cannot when another commit has the place of its last one, which came with a lost tail
    /// that nobody noticed.
    pub(super) fn keep_body(&mut self, slot: Slot, found: &[(Sequence, CommitId)]) {
        self.on_named(slot);
        let entity = self.entity(slot);
        let passes = |body: &Body| {
            let held = entity.held.as_ref();
            let there = found.iter().find(|(at, _)| *at == body.named.sequence);
            let other = there.is_some_and(|(_, commit)| body.commit != Some(*commit));
            held.is_some_and(|held| held.passes(&body.named)) && !other
        };
        match &entity.snapshot {
            Taking::Stored(body) | Taking::Storing(body) if !passes(body) => self.drop_body(slot),
            Taking::No | Taking::Stored(_) | Taking::Storing(_) | Taking::Wasted(_) => {}
        }
    }

    /// No commit of this node will name what was taken.
    pub(super) fn drop_body(&mut self, slot: Slot) {
        let entity = self.entity(slot);
        match core::mem::replace(&mut entity.snapshot, Taking::No) {
            Taking::No => {}
            Taking::Stored(body) if body.offered => entity.swept = false,
            Taking::Stored(body) => self.erase(slot, &body.named),
            Taking::Storing(Body { named, .. }) | Taking::Wasted(named) => {
                entity.snapshot = Taking::Wasted(named);
            }
        }
    }

    fn snapshot_failed(&mut self, t: &mut Turn<'_, '_>, slot: Slot, cause: String) {
        let entity = self.entity(slot).id.clone();
        t.note(Note::SnapshotFailed { entity, cause });
    }
}

impl Held {
    /// Whether the chain of the next commit passes through what a snapshot covers.
    fn passes(&self, named: &SnapshotRef) -> bool {
        self.chain.as_slice().contains(&named.sequence)
    }
}

/// Whether the number of commits, or the age of the current snapshot, calls for another one.
fn due(policy: &SnapshotPolicy, held: &Held) -> bool {
    let many = policy
        .commits()
        .is_some_and(|commits| held.since_snapshot >= commits);
    let age_ms = held.time.0.saturating_sub(held.snapshot_time.0);
    let aged = policy
        .expiry()
        .is_some_and(|life| age_ms >= part(life, RENEWED_PART).as_millis());
    many || aged && held.snapshot.is_some() && !held.snapshot_broken
}

fn part(life: Span, part: u64) -> Span {
    Span::from_nanos(life.as_nanos() / part)
}
