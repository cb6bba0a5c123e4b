//! The commits of entities: what is stored of each is looked up where it is not known, and the next one is
//! stored after it (X2, X3).

use super::TransferFault;
use super::entity::{Entity, Head, Key, Next};
use super::importer::{Answer, Importer, ImporterEffect, Job};
use crate::format::{Commit, ExportedCommit, KindRecord};
use crate::id::{Sequence, ShardId};
use crate::port::{Expect, Message, Publish, Rollup, StoreDone, StoreRequest, Subject};
use crate::step::{Cx, Effects};
use crate::{reached, sometimes};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

impl Importer {
    /// Does what is next for an entity.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>, key: &Key, out: &mut Effects<ImporterEffect>) {
        loop {
            let fresh = self.plan.fresh;
            let Some(entity) = self.entities.get_mut(key) else {
                return;
            };
            if entity.busy {
                return;
            }
            let Some(next) = entity.queue.front() else {
                return self.rest(key, out);
            };
            if !entity.known && fresh && !next.after.is_some() {
                entity.known = true;
            }
            let job = Job::Entity(entity.number);
            if !entity.known {
                entity.busy = true;
                return self.ask(job, out);
            }
            match entity.next(next) {
                Next::Skip => {
                    reached!(cx, "import: a commit was there already");
                    self.found += 1;
                    self.passed_next(key);
                }
                Next::Publish => {
                    entity.behind_since = None;
                    entity.busy = true;
                    return self.ask(job, out);
                }
                Next::Behind => return self.is_behind(cx, key, out),
                Next::Differs => {
                    let commit = next.commit.id;
                    let (kind, entity) = key.clone();
                    let fault = TransferFault::Differs {
                        kind,
                        entity,
                        commit,
                    };
                    return self.fail(fault, out);
                }
                Next::DoesNotFollow => return self.does_not_follow(key, out),
            }
        }
    }

    /// The next commit is stored; an entity that was found ahead of the file is so until its last one.
    fn passed_next(&mut self, key: &Key) {
        let Some(entity) = self.entities.get_mut(key) else {
            return;
        };
        let Some(next) = entity.queue.pop_front() else {
            return;
        };
        self.queued -= 1;
        let bytes = next.commit.encoded_len_max();
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        if let Some(head) = &mut entity.head
            && head.id == next.commit.id
        {
            head.ahead = false;
        }
    }

    /// Less is stored than the next commit follows: on a replicated stream that may be the answer of a
    /// replica that lags.
    fn is_behind(&mut self, cx: &mut Cx<'_>, key: &Key, out: &mut Effects<ImporterEffect>) {
        let replicated = self.plan.target.shapes.iter().any(|shape| shape.replicated);
        let patience = self.plan.target.limits.lost_tail_patience;
        let Some(entity) = self.entities.get_mut(key) else {
            return;
        };
        let since = *entity.behind_since.get_or_insert(cx.now);
        if replicated && cx.now.since(since) < patience {
            reached!(cx, "import: less is stored of an entity than was");
            entity.busy = true;
            entity.known = false;
            let job = Job::Entity(entity.number);
            return self.later(cx, job, "an entity has lost its last commits".into());
        }
        self.does_not_follow(key, out);
    }

    fn does_not_follow(&mut self, key: &Key, out: &mut Effects<ImporterEffect>) {
        let entity = self.entities.get(key);
        let next = entity.and_then(|entity| entity.queue.front());
        let head = entity.and_then(|entity| entity.head.as_ref());
        let (kind, id) = key.clone();
        let fault = TransferFault::DoesNotFollow {
            kind,
            entity: id,
            before: next.map(|next| next.commit.before).unwrap_or_default(),
            found: head.map(|head| head.last).unwrap_or_default(),
        };
        self.fail(fault, out);
    }

    /// An entity has nothing to do for now; the one that rests longest is forgotten when there are many.
    fn rest(&mut self, key: &Key, out: &mut Effects<ImporterEffect>) {
        let place = self.rest_next;
        self.rest_next += 1;
        if let Some(entity) = self.entities.get_mut(key) {
            entity.rests = Some(place);
            self.rest.insert(place, key.clone());
        }
        while self.entities.len() > self.plan.entities_max
            && let Some((_, key)) = self.rest.pop_first()
        {
            let Some(entity) = self.entities.remove(&key) else {
                continue;
            };
            self.numbers.remove(&entity.number);
            // Whether it was passed cannot be told from versions when it comes again.
            match entity.head {
                Some(head) if head.is_empty && !head.ahead => {
                    self.passed.insert(key, head.id);
                }
                Some(_) | None => drop(self.passed.remove(&key)),
            }
        }
        self.close_if_written(out);
    }

    /// What an entity asks now: for its last stored commit, or for its next one to be stored.
    pub(super) fn entity_request(
        &self,
        number: u64,
    ) -> Option<Result<StoreRequest, TransferFault>> {
        let key = self.numbers.get(&number)?;
        let entity = self.entities.get(key)?;
        let kind = self.plan.kinds.get(&key.0)?;
        let (shard, subject) = self.subject(kind, key);
        let target = &self.plan.target;
        let stream = target
            .namespace
            .event_stream(target.layout.stream_of(shard));
        if !entity.known {
            let subjects = vec![subject];
            return Some(Ok(StoreRequest::Latest { stream, subjects }));
        }
        let next = entity.queue.front()?;
        let last = entity.head.as_ref().map(|head| head.sequence);
        Some(self.payload(kind, entity, next).map(|payload| {
            StoreRequest::Publish(Publish {
                stream,
                subject,
                expect: Expect::OwnLast(last.unwrap_or(Sequence::NONE)),
                rollup: match next.commit.tombstone {
                    true => Rollup::Subject,
                    false => Rollup::No,
                },
                dedup: None,
                ttl_s: None,
                payload,
            })
        }))
    }

    fn subject(&self, kind: &KindRecord, (name, entity): &Key) -> (ShardId, Subject) {
        let target = &self.plan.target;
        let shard = target.layout.shard_of(kind.placement, entity);
        (shard, target.namespace.event_subject(shard, name, entity))
    }

    /// A commit's bytes in this namespace. It lists fewer of the earlier ones where they have no room.
    fn payload(
        &self,
        kind: &KindRecord,
        entity: &Entity,
        next: &ExportedCommit,
    ) -> Result<Bytes, TransferFault> {
        let target = &self.plan.target;
        let chain_max = target.limits.chain_max;
        let mut earlier = match &entity.head {
            Some(head) if !next.commit.tombstone => head.list(chain_max),
            Some(_) | None => Vec::new(),
        };
        let bytes_max = target.bytes_max();
        loop {
            let commit = Commit {
                layout: target.layout.id,
                kind: kind.id,
                earlier: Arc::new(earlier.clone()),
                ..next.commit.clone()
            };
            let payload = commit.encode();
            if payload.len() <= bytes_max {
                return Ok(payload);
            }
            if earlier.len() <= 1 {
                return Err(TransferFault::TooLarge {
                    kind: next.kind.clone(),
                    entity: commit.entity,
                    version: commit.last,
                    bytes: payload.len(),
                    bytes_max,
                });
            }
            earlier.truncate(earlier.len() / 2);
        }
    }

    /// The answer to what an entity asked.
    pub(super) fn entity_answered(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        answer: Answer,
        out: &mut Effects<ImporterEffect>,
    ) {
        let job = Job::Entity(number);
        let Some(key) = self.numbers.get(&number).cloned() else {
            return self.fail(TransferFault::Broken("an answer to no entity"), out);
        };
        let known = self.entities.get(&key).is_some_and(|entity| entity.known);
        match answer {
            Ok(StoreDone::Published(ack)) if known => {
                self.advance(cx.now, job);
                self.stored_next(&key, ack.sequence);
                self.stored += 1;
                self.go_on(cx, &key, out);
            }
            Ok(StoreDone::Latest(proof)) if !known => {
                let message = proof.messages.into_iter().next();
                self.looked(cx, &key, message, out);
            }
            Err(crate::port::Refused::NotFound) if !known => self.looked(cx, &key, None, out),
            // An attempt of this run or of another one was stored before, or a replica lags: what stands
            // there tells.
            Err(_) if known => {
                reached!(cx, "import: a commit met another one in its place");
                if let Some(entity) = self.entities.get_mut(&key) {
                    entity.known = false;
                }
                self.later(cx, job, "a commit was refused in its place".into());
            }
            Ok(_) | Err(_) => self.fail(TransferFault::Broken("an answer of another kind"), out),
        }
    }

    fn stored_next(&mut self, key: &Key, sequence: Sequence) {
        let chain_max = self.plan.target.limits.chain_max;
        let shard = self
            .plan
            .kinds
            .get(&key.0)
            .map(|kind| self.subject(kind, key).0);
        if let Some(shard) = shard {
            let stream = self.plan.target.layout.stream_of(shard);
            if let Some(reach) = self.reach.get_mut(usize::from(stream.0)) {
                *reach = (*reach).max(sequence);
            }
        }
        if let Some(entity) = self.entities.get_mut(key) {
            entity.busy = false;
            if let Some(next) = entity.queue.front() {
                let earlier = match &entity.head {
                    Some(head) if !next.commit.tombstone => head.list(chain_max),
                    Some(_) | None => Vec::new(),
                };
                entity.head = Some(Head::new(sequence, next, earlier));
            }
        }
        self.passed_next(key);
    }

    /// The last stored commit of an entity, as it was read.
    fn looked(
        &mut self,
        cx: &mut Cx<'_>,
        key: &Key,
        message: Option<Message>,
        out: &mut Effects<ImporterEffect>,
    ) {
        let passed = self.passed.get(key).copied();
        let head = match message
            .map(|message| self.head_of(key, &message))
            .transpose()
        {
            Ok(head) => head,
            Err(fault) => return self.fail(fault, out),
        };
        let Some(entity) = self.entities.get_mut(key) else {
            return;
        };
        let job = Job::Entity(entity.number);
        let was = entity.head.as_ref().map(|head| head.sequence);
        let now = head.as_ref().map(|head| head.sequence);
        sometimes!(
            cx,
            now < was,
            "import: an answer is older than what is known"
        );
        if now < was {
            let last = format!("{} {:?} ends before its last commit", key.0, key.1);
            return self.later(cx, job, last);
        }
        entity.busy = false;
        entity.found(head, passed);
        self.advance(cx.now, job);
        self.go_on(cx, key, out);
    }

    fn head_of(&self, key: &Key, message: &Message) -> Result<Head, TransferFault> {
        let target = &self.plan.target;
        let kind = self.plan.kinds.get(&key.0);
        let decoded = Commit::decode(&message.payload).map_err(|error| error.to_string());
        let decoded = decoded.and_then(|commit| {
            let fits = commit.layout == target.layout.id
                && kind.is_some_and(|kind| kind.id == commit.kind)
                && commit.entity == key.1;
            match fits {
                true => Ok(commit),
                false => Err(String::from("it is of another namespace, kind or entity")),
            }
        });
        let shard = kind.map(|kind| self.subject(kind, key).0);
        let stream = target.layout.stream_of(shard.unwrap_or(ShardId(0)));
        let commit = decoded.map_err(|problem| TransferFault::Unreadable {
            stream,
            sequence: message.sequence,
            problem,
        })?;
        let earlier = commit.earlier.to_vec();
        let exported = ExportedCommit::new(key.0.clone(), (stream, message.sequence), commit);
        Ok(Head::new(message.sequence, &exported, earlier))
    }
}
