//! The group's own record: read, and made once, by whoever takes part first (Q6).

use super::Effect;
use super::machine::{Group, Job, Misfit};
use crate::consumer::Fault;
use crate::consumer::fault::may_pass;
use crate::consumer::names::is_forgotten;
use crate::format::{Checkpoint, ElsewhereRecord, GroupRecord, Unknown};
use crate::id::Sequence;
use crate::port::{Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Effects, Outcome};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;

impl Group {
    pub(super) fn name_request(&self) -> StoreRequest {
        let ns = &self.config.wish.namespace;
        StoreRequest::Latest {
            stream: ns.consumer_stream(),
            subjects: vec![ns.checkpoint_subject(&self.config.definition.name)],
        }
    }

    pub(super) fn make_request(&self) -> Option<StoreRequest> {
        let record = self.naming.as_ref()?;
        let ns = &self.config.wish.namespace;
        Some(StoreRequest::Publish(Publish {
            stream: ns.consumer_stream(),
            subject: ns.checkpoint_subject(&self.config.definition.name),
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: record.encode(),
        }))
    }

    pub(super) fn name_was_read(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let found = match reply {
            Outcome::Done(StoreDone::Latest(proof)) => proof.messages.into_iter().next(),
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NotFound) => None,
            Outcome::Refused(refused) if may_pass(&refused) => {
                self.again_told(cx, Job::Name, Some(refused));
                return Ok(());
            }
            Outcome::Refused(refused) => {
                self.refused(cx, Job::Name, refused, out);
                return Ok(());
            }
            Outcome::Unknown => {
                crate::reached!(cx, "group: its record is not told");
                self.again(cx, Job::Name);
                return Ok(());
            }
        };
        if found.as_ref().is_some_and(is_forgotten) {
            // What says so goes by itself, soon; then nothing is there.
            self.again(cx, Job::Name);
            return Ok(());
        }
        let Some(found) = found else {
            // What was written by an attempt of unknown end is not there, or not seen: it is offered again.
            self.naming.get_or_insert_with(|| {
                Box::new(GroupRecord {
                    layout: self.config.layout.id,
                    group: self.config.definition.name.clone(),
                    definition: self.hash,
                    partitions: self.config.partitions,
                    node: self.config.node.as_str().to_string(),
                    time: self.wall,
                    reads: self.config.definition.reads(),
                    unknown: Unknown::default(),
                })
            });
            self.ask(Job::Make, out);
            return Ok(());
        };
        match self.differs(&found) {
            Some(fault) => self.fail(cx, fault, out),
            None => {
                self.asks.done(Job::Make);
                self.asks.done(Job::Name);
                let made = self
                    .naming
                    .take()
                    .is_some_and(|it| it.encode() == found.payload);
                self.joined(made, out);
            }
        }
        Ok(())
    }

    pub(super) fn name_was_made(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        match reply {
            Outcome::Done(StoreDone::Published(_)) => {
                crate::reached!(cx, "group: made");
                self.asks.done(Job::Make);
                self.naming = None;
                self.joined(true, out);
            }
            Outcome::Done(_) => return Err(Misfit),
            // Another node made it, or I did by an attempt whose answer was lost.
            Outcome::Refused(Refused::WrongLast { .. }) | Outcome::Unknown => {
                crate::reached!(cx, "group: the outcome of making it is unknown");
                self.again(cx, Job::Name);
            }
            Outcome::Refused(refused) if may_pass(&refused) => {
                self.again_told(cx, Job::Make, Some(refused));
            }
            Outcome::Refused(refused) => self.refused(cx, Job::Make, refused, out),
        }
        Ok(())
    }

    /// What is wrong when the name belongs to something else (Q6).
    fn differs(&self, found: &Message) -> Option<Fault> {
        let name = self.config.definition.name.clone();
        let record = match GroupRecord::decode(&found.payload) {
            Ok(record) => record,
            Err(error) => {
                return Some(match Checkpoint::decode(&found.payload) {
                    Ok(_) => Fault::IsConsumer { name },
                    Err(_) if ElsewhereRecord::decode(&found.payload).is_ok() => {
                        Fault::IsElsewhere { name }
                    }
                    Err(_) => Fault::Format { name, error },
                });
            }
        };
        let (layout, partitions) = (self.config.layout.id, self.config.partitions);
        if record.layout != layout {
            return Some(Fault::OtherLayout {
                name,
                expected: layout,
                found: record.layout,
            });
        }
        if record.group != name {
            let found = record.group;
            return Some(Fault::OtherConsumer { name, found });
        }
        if record.partitions != partitions {
            return Some(Fault::OtherPartitions {
                name,
                wanted: partitions,
                found: record.partitions,
                node: record.node,
            });
        }
        (record.definition != self.hash).then_some(Fault::OtherGroup {
            name,
            wanted: self.hash,
            found: record.definition,
            node: record.node,
        })
    }

    pub(super) fn refused(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        refused: Refused,
        out: &mut Effects<Effect>,
    ) {
        crate::reached!(cx, "group: refused for good");
        let fault = Fault::Store {
            name: self.config.definition.name.clone(),
            what: job.to_string(),
            refused,
        };
        self.fail(cx, fault, out);
    }
}
