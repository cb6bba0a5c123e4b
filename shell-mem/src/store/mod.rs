//! The model store: a pure machine that answers store requests as JetStream does.
//!
//! [`Store::apply`] checks a request and carries it out at once, which is what an unreplicated
//! stream does. A replicated one has two halves: its leader checks against what is stored *and* what
//! is being replicated ([`Store::propose`]), and stores when a quorum has it ([`Store::commit`]).
//! Refusals are those of nats-server 2.15.1, in its order of checks, which differs between the two
//! shapes (S8, S10).
//!
//! The store has no clock: each call says what time it is. Nothing expires by itself:
//! [`Store::next_expiry`] says when [`Store::expire`] would change something.

mod batch;
pub(crate) mod check;
mod consumer;
#[cfg(feature = "nats")]
pub(crate) mod draft;
mod expire;
mod fault;
mod filter;
mod form;
mod messages;
mod proposal;
mod publish;
mod read;
mod room;
mod settings;
mod size;
#[cfg(feature = "nats")]
pub(crate) mod stay;
mod stream;
mod subjects;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(feature = "nats")]
mod update;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use stream::Stream;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    Capabilities, Message, Refused, ServerVersion, Source, StoreDone, StoreReply, StoreRequest,
    StreamName,
};
use tenure_core::step::Outcome;

pub use proposal::ProposalId;

pub use filter::matches;
#[cfg(feature = "nats")]
pub(crate) use filter::{FilterSet, first_overlap, literal, overlap, valid};
#[cfg(feature = "nats")]
pub(crate) use tree::FilterTree;

/// What the modelled server is, and the limits of the model itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreConfig {
    /// What the server says of itself. `jetstream: false` makes it answer nothing but that.
    pub capabilities: Capabilities,
    /// How many servers can hold a stream.
    pub servers: u32,
    /// How many batches may be open on one stream (the server's default: 50).
    pub open_batches_max: usize,
    /// How many messages may be on their way into one stream (the server's default: 10,000). 0 is a
    /// stream whose queue is full.
    pub in_flight_max: usize,
    /// How many announcements wait to be taken; further ones push out the oldest, as a core
    /// subscriber that is too slow loses them.
    pub announcements_max: usize,
    /// How many messages that a rollup, a limit or their age removed are still known to
    /// [`Store::answer_as_of`], per stream. 0, the default, keeps none: an old state then lacks
    /// what was removed since.
    pub removed_max: usize,
}

impl Default for StoreConfig {
    /// A single nats-server 2.15.1 with its default limits.
    fn default() -> Self {
        Self {
            capabilities: Capabilities {
                version: ServerVersion {
                    major: 2,
                    minor: 15,
                    patch: 1,
                    pre: String::new(),
                },
                payload_bytes_max: 1 << 20,
                clustered: false,
                jetstream: true,
            },
            servers: 1,
            open_batches_max: 50,
            in_flight_max: 10_000,
            announcements_max: 65_536,
            removed_max: 0,
        }
    }
}

impl StoreConfig {
    /// A cluster of `servers` nats-servers 2.15.1 with their default limits.
    pub fn clustered(servers: u32) -> Self {
        let mut config = Self {
            servers,
            ..Self::default()
        };
        config.capabilities.clustered = true;
        config
    }
}

/// A stored message as a stream's `republish` announces it on a core subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The core subject.
    pub subject: String,
    /// The message as it is stored.
    pub message: Message,
}

/// The streams of one account of one server or cluster.
#[derive(Clone, Debug)]
pub struct Store {
    config: StoreConfig,
    streams: BTreeMap<StreamName, Stream>,
    announcements: VecDeque<Announcement>,
    proposals: BTreeMap<ProposalId, StreamName>,
    next_proposal: u64,
}

impl Store {
    /// A store without streams.
    pub fn new(config: StoreConfig) -> Self {
        Self {
            config,
            streams: BTreeMap::new(),
            announcements: VecDeque::new(),
            proposals: BTreeMap::new(),
            next_proposal: 0,
        }
    }

    /// Checks a request and carries it out at once: what an unreplicated stream does, and a
    /// replicated one with nothing in flight.
    ///
    /// # Panics
    ///
    /// When it writes to a stream that has proposals in flight.
    pub fn apply(&mut self, at: WallTime, request: &StoreRequest) -> StoreReply {
        match self.propose(at, request) {
            Err(reply) => reply,
            Ok(id) => self.commit(at, id),
        }
    }

    /// Takes what writes and expiries announced since the last call, oldest first.
    pub fn take_announcements(&mut self) -> Vec<Announcement> {
        if self.announcements.is_empty() {
            return Vec::new();
        }
        self.announcements.drain(..).collect()
    }

    /// The configuration.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Changes what the server is from now on, as an upgrade or another limit does.
    pub fn config_mut(&mut self) -> &mut StoreConfig {
        &mut self.config
    }

    /// The streams by name.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(StreamName::as_str)
    }

    /// The messages of a stream in its order; none when there is no such stream.
    pub fn messages(&self, stream: &str) -> impl DoubleEndedIterator<Item = &Message> {
        self.streams
            .get(stream)
            .into_iter()
            .flat_map(Stream::messages)
    }

    /// The last sequence that a stream gave, and [`Sequence::NONE`] when there is no such stream.
    pub fn last(&self, stream: &str) -> Sequence {
        self.streams
            .get(stream)
            .map_or(Sequence::NONE, |stream| Sequence(stream.last()))
    }

    /// The message at a sequence.
    pub fn message(&self, stream: &str, sequence: Sequence) -> Option<&Message> {
        self.streams
            .get(stream)?
            .now()
            .at(sequence.0)
            .map(|stored| &stored.message)
    }

    /// The last message of a literal subject.
    pub fn last_of(&self, stream: &str, subject: &str) -> Option<&Message> {
        self.streams
            .get(stream)?
            .now()
            .last_of(subject)
            .map(|stored| &stored.message)
    }

    /// Answers what reads nothing but the server itself, or is for a server without JetStream.
    fn answer_server(&self, request: &StoreRequest) -> Option<StoreReply> {
        if let StoreRequest::Capabilities = request {
            return Some(Outcome::Done(StoreDone::Capabilities(
                self.config.capabilities.clone(),
            )));
        }
        if self.config.capabilities.jetstream {
            return None;
        }
        Some(Outcome::Refused(match request {
            StoreRequest::Publish(_)
            | StoreRequest::Batch { .. }
            | StoreRequest::Latest { .. }
            | StoreRequest::Get {
                source: Source::Replica,
                ..
            }
            | StoreRequest::Scan { .. } => Refused::NoResponders,
            StoreRequest::Fetch { .. } => Refused::NoConsumer,
            StoreRequest::Get {
                source: Source::Leader,
                ..
            }
            | StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::CloseConsumer { .. } => Refused::NoJetStream,
        }))
    }

    fn announce(&mut self, announcements: impl IntoIterator<Item = Announcement>) {
        for announcement in announcements {
            if self.announcements.len() >= self.config.announcements_max {
                self.announcements.pop_front();
            }
            self.announcements.push_back(announcement);
        }
    }
}
