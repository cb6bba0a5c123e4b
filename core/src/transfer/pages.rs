//! The commits of event streams, page by page, up to an end that was known before.

use super::{Source, TransferFault};
use crate::format::{Commit, ExportedCommit, Selection};
use crate::id::{KindId, Partition, Sequence};
use crate::name::{EntityId, KindName};
use crate::port::{Message, Page, StoreRequest, StreamName, Subject};
use crate::step::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many messages the first page has; the next ones have more while they are small.
const PAGE_MESSAGES: u32 = 64;
const PAGE_MESSAGES_MAX: u32 = 1_000;
/// A page of fewer bytes is followed by a longer one, and one of more by a shorter one.
const PAGE_BYTES_MIN: usize = 1 << 20;
const PAGE_BYTES_MAX: usize = 4 << 20;

/// How many sequences are remembered in one piece.
const SEEN_BLOCK: u64 = 4_096;

/// A part of an event stream that is read in order.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) partition: Partition,
    of: Of,
    stream: StreamName,
    filter: Subject,
    /// The next sequence to be looked at.
    next: Sequence,
    end: Sequence,
    replicated: bool,
    messages_max: u32,
    /// Since when a replica says that nothing follows, though the end is not reached.
    short_since: Option<Time>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next page may be asked for.
    Ready,
    /// A page is with who reads.
    Held,
    Done,
}

/// What of the stream is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    All,
    Kind(KindName),
    Entity(KindName, EntityId),
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// Messages to be taken.
    Page(Vec<Message>),
    /// It is to be asked again, later.
    Again,
    /// The end of the leg.
    Done,
}

impl Leg {
    /// The legs of what is selected, up to the ends of the streams.
    pub(super) fn all(source: &Source, selection: &Selection, ends: &[Sequence]) -> Vec<Self> {
        let ns = &source.namespace;
        let mut legs = Vec::new();
        for (partition, end) in source.layout.partitions().zip(ends) {
            let number = usize::from(partition.0);
            let shape = source.shapes.get(number);
            let leg = |of: Of, filter: Subject| Self {
                partition,
                of,
                stream: ns.event_stream(partition),
                filter,
                next: Sequence(1),
                end: *end,
                replicated: shape.is_some_and(|shape| shape.replicated),
                messages_max: PAGE_MESSAGES,
                short_since: None,
                state: if end.is_some() {
                    State::Ready
                } else {
                    State::Done
                },
            };
            if selection.is_all() {
                legs.push(leg(Of::All, ns.events_filter(None, None, None)));
            }
            for kind in &selection.kinds {
                let filter = ns.events_filter(None, Some(kind), None);
                legs.push(leg(Of::Kind(kind.clone()), filter));
            }
            for (kind, entity) in &selection.entities {
                let filter = ns.events_filter(None, Some(kind), Some(entity));
                legs.push(leg(Of::Entity(kind.clone(), entity.clone()), filter));
            }
        }
        legs
    }

    /// Whether a commit is read by this leg.
    pub(super) fn reads(&self, exported: &ExportedCommit) -> bool {
        self.partition == exported.stream
            && match &self.of {
                Of::All => true,
                Of::Kind(kind) => exported.kind == *kind,
                Of::Entity(kind, entity) => {
                    exported.kind == *kind && exported.commit.entity == *entity
                }
            }
    }

    /// Goes on after a commit that was read before.
    pub(super) fn skip_to(&mut self, sequence: Sequence) {
        self.next = self.next.max(Sequence(sequence.0 + 1));
        if self.next > self.end {
            self.state = State::Done;
        }
    }

    /// How many sequences of its stream it has passed.
    pub(super) fn passed(&self) -> u64 {
        match self.state {
            State::Done => self.end.0,
            State::Ready | State::Held => self.next.0 - 1,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The next page, unless the last one is not taken yet or there is none.
    pub(super) fn request(&self) -> Option<StoreRequest> {
        (self.state == State::Ready).then(|| StoreRequest::Scan {
            stream: self.stream.clone(),
            filter: self.filter.clone(),
            from: self.next,
            messages_max: self.messages_max,
        })
    }

    /// The answer to a request. On a replicated stream a replica that lags ends too early: the end counts
    /// when it looks so for a while.
    pub(super) fn turn(&mut self, page: Page, now: Time, patience: Span) -> Turned {
        let bytes: usize = page.messages.iter().map(|it| it.payload.len()).sum();
        if bytes > PAGE_BYTES_MAX {
            self.messages_max = (self.messages_max / 2).max(1);
        } else if bytes < PAGE_BYTES_MIN {
            self.messages_max = (self.messages_max * 2).min(PAGE_MESSAGES_MAX);
        }
        let end = self.end;
        let beyond = page.messages.last().is_some_and(|it| it.sequence >= end);
        let mut messages = page.messages;
        messages.retain(|message| message.sequence <= end);
        if let Some(last) = messages.last() {
            self.next = Sequence(last.sequence.0 + 1);
            self.short_since = None;
        }
        let over = beyond || (!page.more && !self.replicated);
        if over {
            self.next = Sequence(end.0 + 1);
        }
        if !messages.is_empty() {
            self.state = State::Held;
            return Turned::Page(messages);
        }
        if !over {
            let since = *self.short_since.get_or_insert(now);
            if page.more || now.since(since) < patience {
                return Turned::Again;
            }
        }
        self.state = State::Done;
        Turned::Done
    }

    /// The page was taken.
    pub(super) fn taken(&mut self) {
        self.state = match self.next > self.end {
            true => State::Done,
            false => State::Ready,
        };
    }
}

/// What is read of a namespace: which kind is which, and what was read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    kinds: BTreeMap<KindId, KindName>,
    seen: BTreeMap<(Partition, u64), Vec<u64>>,
}

impl Reading {
    pub(super) fn of<'k>(kinds: impl IntoIterator<Item = (KindId, &'k KindName)>) -> Self {
        let kinds = kinds.into_iter();
        Self {
            kinds: kinds.map(|(id, name)| (id, name.clone())).collect(),
            seen: BTreeMap::new(),
        }
    }

    /// A message as a commit, if it follows one that was read (X1).
    pub(super) fn read(
        &mut self,
        source: &Source,
        partition: Partition,
        message: &Message,
    ) -> Result<ExportedCommit, TransferFault> {
        let sequence = message.sequence;
        let (kind, commit) =
            self.decode(source, message)
                .map_err(|problem| TransferFault::Unreadable {
                    stream: partition,
                    sequence,
                    problem,
                })?;
        let exported = ExportedCommit::new(kind, (partition, sequence), commit);
        if exported.after.is_some() && !self.has_seen(partition, exported.after) {
            return Err(TransferFault::Gap {
                kind: exported.kind,
                entity: exported.commit.entity,
                stream: partition,
                sequence,
                missing: exported.after,
            });
        }
        self.saw(partition, sequence);
        Ok(exported)
    }

    fn decode(&self, source: &Source, message: &Message) -> Result<(KindName, Commit), String> {
        let subject = source.namespace.parse_event_subject(&message.subject);
        let subject = subject.map_err(|error| error.to_string())?;
        let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
        if commit.layout != source.layout.id {
            return Err("it was written under another layout".into());
        }
        if commit.entity != subject.id {
            return Err("it is of another entity than its subject says".into());
        }
        match self.kinds.get(&commit.kind) {
            Some(kind) if *kind == subject.kind => Ok((subject.kind, commit)),
            Some(_) | None => Err(
                "it is of a kind that is not recorded so: run it again if the kind is new".into(),
            ),
        }
    }

    /// A sequence was read.
    pub(super) fn saw(&mut self, partition: Partition, sequence: Sequence) {
        let (block, word, bit) = place(sequence);
        let words = self.seen.entry((partition, block)).or_default();
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        if let Some(word) = words.get_mut(word) {
            *word |= bit;
        }
    }

    fn has_seen(&self, partition: Partition, sequence: Sequence) -> bool {
        let (block, word, bit) = place(sequence);
        let words = self.seen.get(&(partition, block));
        words
            .and_then(|words| words.get(word))
            .is_some_and(|word| word & bit != 0)
    }
}

/// The block of a sequence, its word there and its bit in that.
fn place(sequence: Sequence) -> (u64, usize, u64) {
    let within = sequence.0 % SEEN_BLOCK;
    let word = usize::try_from(within / 64).unwrap_or(0);
    (sequence.0 / SEEN_BLOCK, word, 1 << (within % 64))
}
