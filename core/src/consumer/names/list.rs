//! Lists the names of consumers, or looks one up.

use super::{Named, NamedForm, NamesFault, is_being_forgotten, is_forgotten};
use crate::consumer::may_pass;
use crate::format::{Checkpoint, ElsewhereRecord, GroupOrders, GroupRecord, Mark};
use crate::id::{GroupPart, Sequence};
use crate::name::{ConsumerName, Namespace};
use crate::port::{Message, Page, Refused, StoreDone, StoreReply, StoreRequest, Subject};
use crate::projection::Next;
use crate::step::Outcome;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Records, or dead letters, that are read in one request.
const AT_ONCE: u32 = 256;

/// How often one name is looked for that is not there: a replica may lag.
const LOOKS_MAX: u32 = 4;

/// Lists the names of consumers in a namespace, with what is stored of each.
#[derive(Clone, Debug)]
pub struct Listing {
    ns: Namespace,
    /// The one that is wanted; none: all.
    only: Option<ConsumerName>,
    looks: u32,
    found: Vec<Named>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Whether the stream is there: the first consumer makes it.
    Stream,
    /// The records of names, from there on.
    Names(Sequence),
    /// What else there is of one that was found.
    More(usize),
    /// The dead letters, from there on.
    Letters(Sequence),
}

impl Listing {
    /// All names.
    pub fn of_all(ns: Namespace) -> Self {
        Self::new(ns, None)
    }

    /// One name; nothing is found when it is unknown.
    pub fn of_one(ns: Namespace, name: ConsumerName) -> Self {
        Self::new(ns, Some(name))
    }

    fn new(ns: Namespace, only: Option<ConsumerName>) -> Self {
        Self {
            ns,
            only,
            looks: 0,
            found: Vec::new(),
            stage: Stage::Stream,
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        let stream = self.ns.consumer_stream();
        match &self.stage {
            Stage::Stream => StoreRequest::StreamInfo { stream },
            Stage::Names(from) => match &self.only {
                Some(name) => StoreRequest::Latest {
                    stream,
                    subjects: vec![self.ns.checkpoint_subject(name)],
                },
                None => StoreRequest::Scan {
                    stream,
                    filter: self.ns.checkpoints_filter(),
                    from: *from,
                    messages_max: AT_ONCE,
                },
            },
            Stage::More(n) => StoreRequest::Latest {
                stream,
                subjects: self
                    .found
                    .get(*n)
                    .map_or_else(Vec::new, |it| self.more_of(it)),
            },
            Stage::Letters(from) => StoreRequest::Scan {
                stream,
                filter: match &self.only {
                    Some(name) => self.ns.dead_letters_filter(name),
                    None => self.ns.all_dead_letters_filter(),
                },
                from: *from,
                messages_max: AT_ONCE,
            },
        }
    }

    /// The subjects of what else there is of a name.
    fn more_of(&self, named: &Named) -> Vec<Subject> {
        let (ns, name) = (&self.ns, &named.name);
        match &named.form {
            NamedForm::Group { partitions, .. } => {
                let parts = (0_u16..).zip(partitions).map(|(part, _)| GroupPart(part));
                let parts = parts.map(|part| ns.partition_subject(name, part));
                parts.chain([ns.group_orders_subject(name)]).collect()
            }
            NamedForm::Elsewhere { .. } => vec![ns.mark_subject(name)],
            NamedForm::Consumer(_) | NamedForm::Left | NamedForm::Unreadable(_) => Vec::new(),
        }
    }

    /// Takes the answer in. Done: the names, in their order.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Vec<Named>, NamesFault> {
        let absent = matches!(reply, Outcome::Refused(Refused::NotFound));
        match (&self.stage, reply) {
            (Stage::Stream, Outcome::Done(StoreDone::Stream(_))) => {
                self.stage = Stage::Names(Sequence(1));
                Next::Ask
            }
            (Stage::Stream, Outcome::Refused(Refused::NoStream)) => Next::Done(Vec::new()),
            (Stage::Names(_), Outcome::Done(StoreDone::Latest(proof))) => {
                match proof.messages.first() {
                    Some(message) => self.names(core::slice::from_ref(message)),
                    None => return self.unknown(),
                }
                self.more(0)
            }
            (Stage::Names(_), Outcome::Done(StoreDone::Page(page))) => {
                self.names(&page.messages);
                match more_after(&page) {
                    Some(from) => {
                        self.stage = Stage::Names(from);
                        Next::Ask
                    }
                    None => self.more(0),
                }
            }
            (Stage::Names(_), _) if absent && self.only.is_some() => self.unknown(),
            (Stage::Names(_), _) if absent => self.more(0),
            (Stage::More(n), Outcome::Done(StoreDone::Latest(proof))) => {
                let n = *n;
                self.add(n, proof.messages);
                self.more(n + 1)
            }
            (Stage::More(n), _) if absent => self.more(n + 1),
            (Stage::Letters(_), Outcome::Done(StoreDone::Page(page))) => {
                self.letters(&page);
                match more_after(&page) {
                    Some(from) => {
                        self.stage = Stage::Letters(from);
                        Next::Ask
                    }
                    None => self.done(),
                }
            }
            (Stage::Letters(_), _) if absent => self.done(),
            (_, Outcome::Refused(refused)) if may_pass(&refused) => Next::Wait,
            (_, Outcome::Refused(refused)) => Next::Fail(NamesFault::Store {
                what: "tell the names of consumers",
                refused,
            }),
            (_, Outcome::Unknown) => Next::Wait,
            (_, Outcome::Done(_)) => Next::Fail(NamesFault::Misfit),
        }
    }

    /// The one that is wanted has no record, as far as a replica knows.
    fn unknown(&mut self) -> Next<Vec<Named>, NamesFault> {
        self.looks += 1;
        match self.looks < LOOKS_MAX {
            true => Next::Wait,
            false => self.more(0),
        }
    }

    fn names(&mut self, messages: &[Message]) {
        let there = |message: &&Message| !is_forgotten(message) || is_being_forgotten(message);
        for message in messages.iter().filter(there) {
            let prefix = self.ns.checkpoints_prefix();
            let name = message.subject.strip_prefix(prefix.as_str());
            let Some(Ok(name)) = name.map(ConsumerName::new) else {
                continue;
            };
            self.found.push(Named {
                name,
                at: message.sequence,
                form: form_of(message),
                letters: 0,
            });
        }
    }

    /// Goes on with the next name of which there is more, and then with the dead letters.
    fn more(&mut self, from: usize) -> Next<Vec<Named>, NamesFault> {
        let mut rest = self.found.iter().enumerate().skip(from);
        let next = rest.find(|(_, named)| !self.more_of(named).is_empty());
        self.stage = match next {
            Some((n, _)) => Stage::More(n),
            None => Stage::Letters(Sequence(1)),
        };
        Next::Ask
    }

    fn add(&mut self, n: usize, messages: Vec<Message>) {
        let Some(named) = self.found.get_mut(n) else {
            return;
        };
        let mut found: BTreeMap<Subject, Message> = messages
            .into_iter()
            .map(|message| (message.subject.clone(), message))
            .collect();
        match &mut named.form {
            NamedForm::Group {
                orders, partitions, ..
            } => {
                let told = found.remove(&self.ns.group_orders_subject(&named.name));
                let told = told.and_then(|it| GroupOrders::decode(&it.payload).ok());
                *orders = told.map(Box::new);
                for (part, record) in (0_u16..).zip(partitions) {
                    let subject = self.ns.partition_subject(&named.name, GroupPart(part));
                    let it = found.remove(&subject);
                    *record = it.and_then(|it| Checkpoint::decode(&it.payload).ok());
                }
            }
            NamedForm::Elsewhere { mark, .. } => {
                let it = found.remove(&self.ns.mark_subject(&named.name));
                let it = it.and_then(|it| Mark::decode(&it.payload).ok());
                *mark = it.map(|it| Box::new(Mark { state: None, ..it }));
            }
            NamedForm::Consumer(_) | NamedForm::Left | NamedForm::Unreadable(_) => {}
        }
    }

    fn letters(&mut self, page: &Page) {
        let prefix = self.ns.all_dead_letters_filter();
        let prefix = prefix.trim_end_matches('>');
        let removed = |message: &&Message| !is_forgotten(message) && !message.expired_marker;
        for message in page.messages.iter().filter(removed) {
            let name = message.subject.strip_prefix(prefix);
            let name = name.and_then(|rest| rest.split('.').next());
            let Some(Ok(name)) = name.map(ConsumerName::new) else {
                continue;
            };
            let named = self.found.iter_mut().find(|named| named.name == name);
            match named {
                Some(named) => named.letters += 1,
                None => self.found.push(Named {
                    name,
                    at: Sequence::NONE,
                    form: NamedForm::Left,
                    letters: 1,
                }),
            }
        }
    }

    fn done(&mut self) -> Next<Vec<Named>, NamesFault> {
        let mut found = core::mem::take(&mut self.found);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Next::Done(found)
    }
}

/// Where the next page begins, if there is one.
fn more_after(page: &Page) -> Option<Sequence> {
    let last = page.messages.last().filter(|_| page.more)?;
    Some(Sequence(last.sequence.0.saturating_add(1)))
}

fn form_of(message: &Message) -> NamedForm {
    if is_being_forgotten(message) {
        return NamedForm::Left;
    }
    let payload = &message.payload;
    if let Ok(record) = GroupRecord::decode(payload) {
        let partitions = (0..record.partitions).map(|_| None).collect();
        return NamedForm::Group {
            record: Box::new(record),
            orders: None,
            partitions,
        };
    }
    if let Ok(record) = ElsewhereRecord::decode(payload) {
        return NamedForm::Elsewhere {
            record: Box::new(record),
            mark: None,
        };
    }
    match Checkpoint::decode(payload) {
        Ok(checkpoint) => NamedForm::Consumer(Box::new(checkpoint)),
        Err(error) => NamedForm::Unreadable(error),
    }
}
