//! Values of keys: read, listed, and replaced by CAS (J5).

use super::{Next, StateFault};
use crate::consumer::may_pass;
use crate::id::Sequence;
use crate::name::{ConsumerName, Namespace};
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::step::Outcome;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Keys that are read in one request, if the answer is not too long for the server.
const KEYS_AT_ONCE: usize = 64;

/// Values that are listed in one request.
const VALUES_AT_ONCE: u32 = 64;

/// Reads the values of keys.
#[derive(Clone, Debug)]
pub struct Read {
    ns: Namespace,
    projection: ConsumerName,
    /// What is left to be read.
    left: Vec<Subject>,
    at_once: usize,
    found: Vec<Message>,
}

impl Read {
    /// Reads these keys.
    pub fn new(ns: Namespace, projection: ConsumerName, keys: &[String]) -> Self {
        let subject = |key: &String| ns.value_subject(&projection, key);
        Self {
            left: keys.iter().map(subject).collect(),
            ns,
            projection,
            at_once: KEYS_AT_ONCE,
            found: Vec::new(),
        }
    }

    fn now(&self) -> usize {
        self.left.len().min(self.at_once)
    }

    /// What is asked next; there is a key to be read.
    pub fn request(&self) -> StoreRequest {
        let from = self.left.len() - self.now();
        StoreRequest::Latest {
            stream: self.ns.value_stream(),
            subjects: self.left.iter().skip(from).cloned().collect(),
        }
    }

    /// Takes the answer in. Done: what is there of the keys.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Vec<Message>> {
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) => self.found.extend(proof.messages),
            Outcome::Refused(Refused::NotFound) => {}
            // The values of so many are too long for one answer.
            Outcome::Refused(Refused::BadRequest(_)) if self.now() > 1 => {
                self.at_once = self.now() / 2;
                return Next::Ask;
            }
            Outcome::Refused(refused) if may_pass(&refused) => return Next::Wait,
            Outcome::Refused(refused) => {
                return Next::Fail(refused_to(&self.projection, "tell values", refused));
            }
            Outcome::Unknown => return Next::Wait,
            Outcome::Done(_) => return Next::Fail(misfit(&self.projection)),
        }
        self.left.truncate(self.left.len() - self.now());
        match self.left.is_empty() {
            true => Next::Done(core::mem::take(&mut self.found)),
            false => Next::Ask,
        }
    }
}

/// Lists the values of a projection, page by page.
#[derive(Clone, Debug)]
pub struct List {
    ns: Namespace,
    projection: ConsumerName,
    from: Sequence,
}

/// Some values of a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Each with its key.
    pub values: Vec<(String, Message)>,
    /// Whether more follow.
    pub more: bool,
}

impl List {
    /// From the first one on.
    pub fn new(ns: Namespace, projection: ConsumerName) -> Self {
        let from = Sequence(1);
        Self {
            ns,
            projection,
            from,
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        StoreRequest::Scan {
            stream: self.ns.value_stream(),
            filter: self.ns.values_filter(&self.projection),
            from: self.from,
            messages_max: VALUES_AT_ONCE,
        }
    }

    /// Takes the answer in. Done: a page; the next request is for the one after it.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Listed> {
        let page = match reply {
            Outcome::Done(StoreDone::Page(page)) => page,
            Outcome::Refused(Refused::NotFound) => {
                let values = Vec::new();
                return Next::Done(Listed {
                    values,
                    more: false,
                });
            }
            Outcome::Refused(refused) if may_pass(&refused) => return Next::Wait,
            Outcome::Refused(refused) => {
                return Next::Fail(refused_to(&self.projection, "list values", refused));
            }
            Outcome::Unknown => return Next::Wait,
            Outcome::Done(_) => return Next::Fail(misfit(&self.projection)),
        };
        let before = self.ns.value_subject(&self.projection, "");
        let mut values = Vec::with_capacity(page.messages.len());
        for message in page.messages {
            self.from = Sequence(message.sequence.0.saturating_add(1));
            if let Some(key) = message.subject.strip_prefix(before.as_str()) {
                values.push((key.into(), message));
            }
        }
        let more = page.more;
        Next::Done(Listed { values, more })
    }
}

/// Puts a value in the place of the one that it was made of.
#[derive(Clone, Debug)]
pub struct Put {
    projection: ConsumerName,
    publish: Publish,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    At(Sequence),
    /// Another one may be in the place of the one that it was made of: it is to be made of that.
    Moved,
}

impl Put {
    /// A value over what is at a place; a key that is gone has one as well, which its readers do not see.
    pub fn new(
        ns: &Namespace,
        projection: &ConsumerName,
        (key, over): (&str, Sequence),
        (gone, payload): (bool, Bytes),
    ) -> Self {
        Self {
            projection: projection.clone(),
            publish: Publish {
                stream: ns.value_stream(),
                subject: ns.value_subject(projection, key),
                expect: Expect::OwnLast(over),
                rollup: match gone {
                    true => Rollup::Purge,
                    false => Rollup::No,
                },
                dedup: None,
                ttl_s: None,
                payload,
            },
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        StoreRequest::Publish(self.publish.clone())
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Written> {
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => Next::Done(Written::At(ack.sequence)),
            Outcome::Done(_) => Next::Fail(misfit(&self.projection)),
            // It may be stored later still, in the place of the same one or not at all.
            Outcome::Refused(Refused::WrongLast { .. }) | Outcome::Unknown => {
                Next::Done(Written::Moved)
            }
            Outcome::Refused(refused) if may_pass(&refused) => Next::Wait,
            Outcome::Refused(refused) => {
                Next::Fail(refused_to(&self.projection, "store a value", refused))
            }
        }
    }
}

fn refused_to(projection: &ConsumerName, what: &'static str, refused: Refused) -> StateFault {
    let projection = projection.clone();
    StateFault::Store {
        projection,
        what,
        refused,
    }
}

fn misfit(projection: &ConsumerName) -> StateFault {
    let projection = projection.clone();
    StateFault::Misfit { projection }
}
