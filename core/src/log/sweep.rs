//! Deleting bodies of snapshots that nobody needs any more (S20): never in a command's way.
//!
//! A body is deleted by a message on its own subject that replaces it (`Nats-Rollup: sub`) and is
//! gone a moment later itself (`Nats-TTL`); that takes no right but to publish. Three kinds of body
//! go: those beyond what is kept, once a commit named a newer one; those that this node took and
//! will not name; and, found by one look at all bodies of the entity when this node first names
//! one, what others left behind. Nothing that a commit may still name goes: after a commit named a
//! snapshot, no later one names an older body.

use super::entity::Held;
use super::shard::{Named, Op, Shard, Turn};
use super::{KindIndex, Note};
use crate::format::SnapshotRef;
use crate::id::{Sequence, Slot, Version};
use crate::name::EntityId;
use crate::port::{
    Expect, Message, Page, Publish, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::reached;
use crate::step::Outcome;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;

/// For how long the message stays that deletes a body, in seconds. Meanwhile bytes of the body that
/// were under way cannot be stored either.
const MARKER_TTL_S: u32 = 5;

/// How many bodies are looked at in one read; each may be as large as a message.
const PAGE_BODIES: u32 = 8;

/// What is to be done besides the callers' business.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Chores {
    waiting: VecDeque<Chore>,
    /// How many are in flight.
    open: usize,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Chore {
    /// Delete a body.
    Erase {
        kind: KindIndex,
        entity: EntityId,
        subject: Subject,
    },
    /// Look at the bodies of an entity from a sequence on; these are kept.
    Sweep {
        kind: KindIndex,
        entity: EntityId,
        kept: Vec<Subject>,
        from: Sequence,
    },
}

impl Shard {
    /// A commit named a newer snapshot: what is beyond the number goes.
    pub(super) fn prune(&mut self, slot: Slot) {
        let before = self.kind_of(slot).snapshots.kept() - 1;
        let entity = self.entity(slot);
        let Some(held) = &mut entity.held else { return };
        let beyond = held.older.split_off(before.min(held.older.len()));
        let swept = core::mem::replace(&mut entity.swept, true);
        for named in beyond {
            self.erase(slot, &named);
        }
        if !swept {
            let kept = self.entity(slot).held.as_ref().map(Held::snapshots);
            let kept = kept.unwrap_or_default();
            let kept = kept.iter().map(|it| self.snapshot_subject(slot, it));
            let kept = kept.collect();
            self.sweep(slot, kept);
        }
    }

    /// Looks at all bodies of an entity: those of older versions than the first that is kept go, unless
    /// they are kept themselves.
    pub(super) fn sweep(&mut self, slot: Slot, kept: Vec<Subject>) {
        let entity = self.entity(slot);
        let (kind, entity) = (entity.kind, entity.id.clone());
        self.later(Chore::Sweep {
            kind,
            entity,
            kept,
            from: Sequence(1),
        });
    }

    /// A body goes as soon as may be.
    pub(super) fn erase(&mut self, slot: Slot, named: &SnapshotRef) {
        let entity = self.entity(slot);
        let (kind, id) = (entity.kind, entity.id.clone());
        self.erase_body(kind, id, named);
    }

    /// A body of an entity that may be forgotten goes as soon as may be.
    pub(super) fn erase_body(&mut self, kind: KindIndex, entity: EntityId, named: &SnapshotRef) {
        let subject = self.body_subject(kind, &entity, named);
        self.later(Chore::Erase {
            kind,
            entity,
            subject,
        });
    }

    fn later(&mut self, chore: Chore) {
        if self.chores.waiting.len() < self.limits.snapshot_chores_max {
            self.chores.waiting.push_back(chore);
        } else {
            // What is not deleted now is found by a later sweep.
            match chore {
                Chore::Erase { kind, entity, .. } | Chore::Sweep { kind, entity, .. } => {
                    self.unswept(kind, entity);
                }
            }
        }
    }

    fn unswept(&mut self, kind: KindIndex, entity: EntityId) {
        let slot = self.index.get(&Named::new(kind, entity)).copied();
        if let Some(entity) = slot.and_then(|slot| self.entities.get_mut(slot)) {
            entity.swept = false;
        }
    }

    /// Sends what may be sent.
    pub(super) fn do_chores(&mut self, t: &mut Turn<'_, '_>) {
        while self.up
            && self.chores.open < self.limits.snapshot_bodies_max
            && let Some(chore) = self.chores.waiting.pop_front()
        {
            self.chores.open += 1;
            match chore {
                Chore::Erase {
                    kind,
                    entity,
                    subject,
                } => {
                    let marker = self.marker(subject);
                    self.ask(t, Op::Erase(kind, entity), StoreRequest::Publish(marker));
                }
                Chore::Sweep {
                    kind,
                    entity,
                    kept,
                    from,
                } => self.look_over(t, (kind, entity), kept, from),
            }
        }
    }

    /// The message that takes a body's place and then goes too.
    fn marker(&self, subject: Subject) -> Publish {
        Publish {
            stream: self.names.snapshots.clone(),
            subject,
            expect: Expect::Nothing,
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: Some(MARKER_TTL_S),
            payload: Bytes::new(),
        }
    }

    fn look_over(
        &mut self,
        t: &mut Turn<'_, '_>,
        (kind, entity): (KindIndex, EntityId),
        kept: Vec<Subject>,
        from: Sequence,
    ) {
        let Some(first) = kept.first() else {
            // No commit names one, so none is known to be left.
            self.chores.open -= 1;
            return;
        };
        let request = StoreRequest::Scan {
            stream: self.names.snapshots.clone(),
            filter: format!("{}.*.*", entity_part(first)).into(),
            from,
            messages_max: PAGE_BODIES,
        };
        self.ask(t, Op::Sweep(kind, entity, kept), request);
    }

    /// The store answered the deletion of a body.
    pub(super) fn on_erased(
        &mut self,
        t: &mut Turn<'_, '_>,
        kind: KindIndex,
        entity: EntityId,
        reply: StoreReply,
    ) {
        self.chores.open -= 1;
        let cause = match reply {
            Outcome::Done(_) => {
                reached!(t.cx, "log: a snapshot is deleted");
                return t.note(Note::SnapshotDeleted { entity });
            }
            Outcome::Refused(refused) => refused.to_string(),
            Outcome::Unknown => "no answer".into(),
        };
        reached!(t.cx, "log: a snapshot could not be deleted");
        self.unswept(kind, entity.clone());
        let cause = format!("a body that is not needed could not be deleted: {cause}");
        t.note(Note::SnapshotFailed { entity, cause });
    }

    /// The store listed bodies of an entity.
    pub(super) fn on_swept(
        &mut self,
        t: &mut Turn<'_, '_>,
        (kind, entity): (KindIndex, EntityId),
        kept: &[Subject],
        reply: StoreReply,
    ) {
        self.chores.open -= 1;
        let page = match reply {
            Outcome::Done(StoreDone::Page(page)) => page,
            Outcome::Done(_) => return t.halt("the answer to a scan is another kind"),
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "log: a sweep is not told what is there");
                return self.unswept(kind, entity);
            }
        };
        let Page { messages, more } = page;
        let last = messages.last().map(|message| message.sequence);
        for message in messages {
            if is_left(&message, kept) {
                reached!(t.cx, "log: a sweep finds a body that nobody names");
                self.later(Chore::Erase {
                    kind,
                    entity: entity.clone(),
                    subject: message.subject,
                });
            }
        }
        if let Some(last) = last.filter(|_| more) {
            let from = Sequence(last.0 + 1);
            let kept = kept.to_vec();
            self.later(Chore::Sweep {
                kind,
                entity,
                kept,
                from,
            });
        }
    }
}

impl Held {
    /// The current snapshot and those before it, newest first.
    fn snapshots(&self) -> Vec<SnapshotRef> {
        self.snapshot.iter().chain(&self.older).copied().collect()
    }
}

/// Whether a body can go: it is of an older version than the newest that is kept, so that no commit
/// can name it any more, and is not kept itself.
fn is_left(message: &Message, kept: &[Subject]) -> bool {
    let newest = kept.first().and_then(|subject| version(subject));
    let older = version(&message.subject).is_some_and(|version| Some(version) < newest);
    older && !message.payload.is_empty() && !kept.contains(&message.subject)
}

/// The version in a body's subject, `….<version>.<tag>`.
fn version(subject: &str) -> Option<Version> {
    let version = subject.rsplit('.').nth(1)?;
    version.parse().ok().map(Version)
}

/// A body's subject without version and tag.
fn entity_part(subject: &str) -> String {
    let end = subject.rmatch_indices('.').nth(1).map(|(end, _)| end);
    subject[..end.unwrap_or(subject.len())].to_string()
}
