//! Replicated writes in two halves: the leader's checks, then the store's commit.

use super::check::{self, Not};
use super::publish::{store_all, window_ms};
use super::size::{BatchPlace, stored_bytes_of};
use super::{Store, StoreConfig, batch, form};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    Ack, Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamName, Subject,
};
use tenure_core::step::Outcome;

/// A write that a replicated stream's leader took and that is not stored yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(u64);

/// One write on its way.
#[derive(Clone, Debug)]
struct Proposal {
    id: ProposalId,
    messages: Vec<Publish>,
    batch: bool,
    /// What its messages will count for in the stream's size.
    bytes: u64,
}

/// What a stream's leader has proposed and not stored yet, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    proposals: VecDeque<Proposal>,
    /// How many proposals write to a subject or expect something of it.
    subjects: BTreeMap<Subject, usize>,
    ids: BTreeSet<String>,
    messages: u64,
    bytes: u64,
}

/// Nothing is in flight: what the writes to an unreplicated stream are checked against.
pub(super) static NOTHING: InFlight = InFlight {
    proposals: VecDeque::new(),
    subjects: BTreeMap::new(),
    ids: BTreeSet::new(),
    messages: 0,
    bytes: 0,
};

impl InFlight {
    /// Whether a subject is written or expected by something in flight.
    pub(super) fn touches(&self, subject: &str) -> bool {
        !self.subjects.is_empty() && self.subjects.contains_key(subject)
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn push(&mut self, proposal: Proposal) {
        for publish in &proposal.messages {
            for subject in touched(publish) {
                *self.subjects.entry(subject.clone()).or_default() += 1;
            }
            self.ids.extend(publish.dedup.clone());
            self.messages += 1;
        }
        self.bytes += proposal.bytes;
        self.proposals.push_back(proposal);
    }

    fn pop(&mut self) -> Option<Proposal> {
        let proposal = self.proposals.pop_front()?;
        for publish in &proposal.messages {
            for subject in touched(publish) {
                let count = self
                    .subjects
                    .get_mut(subject)
                    .expect("a touched subject is counted");
                *count -= 1;
                if *count == 0 {
                    self.subjects.remove(subject);
                }
            }
            if let Some(id) = &publish.dedup {
                self.ids.remove(id);
            }
            self.messages -= 1;
        }
        self.bytes -= proposal.bytes;
        Some(proposal)
    }
}

/// The subjects that later expectations must wait for.
fn touched(publish: &Publish) -> impl Iterator<Item = &Subject> {
    let fence = match &publish.expect {
        Expect::Fence(fence) if fence.subject != publish.subject => Some(&fence.subject),
        Expect::Fence(_) | Expect::Nothing | Expect::OwnLast(_) | Expect::StreamLast(_) => None,
    };
    core::iter::once(&publish.subject).chain(fence)
}

impl Store {
    /// The first half of a write to a replicated stream: the leader's checks against what is stored
    /// and what is in flight. Everything else answers at once.
    ///
    /// # Errors
    ///
    /// The reply, when there is nothing to commit: a read, a refusal, a duplicate, or a write to an
    /// unreplicated stream, which is stored by this call.
    #[allow(
        clippy::result_large_err,
        reason = "the reply is moved once, like every other reply"
    )]
    pub fn propose(
        &mut self,
        at: WallTime,
        request: &StoreRequest,
    ) -> Result<ProposalId, StoreReply> {
        if let StoreRequest::Publish(publish) = request
            && let Some(reply) = self.append(at, publish)
        {
            return Err(reply);
        }
        if let Err(refused) = form::check(&self.config.capabilities, request) {
            return Err(Outcome::Refused(refused));
        }
        if let Some(reply) = self.answer_server(request) {
            return Err(reply);
        }
        match request {
            StoreRequest::Publish(publish) => self.write(at, core::slice::from_ref(publish), false),
            StoreRequest::Batch { messages, .. } => self.write(at, messages, true),
            StoreRequest::CreateStream(settings) => Err(self.create_stream(at, settings)),
            StoreRequest::Latest { .. }
            | StoreRequest::Get { .. }
            | StoreRequest::Scan { .. }
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities => Err(self.read(request, None)),
            StoreRequest::OpenConsumer(settings) => Err(self.open_consumer(at, settings, None)),
            StoreRequest::Fetch { .. } => Err(self.fetch(at, request, None)),
            StoreRequest::CloseConsumer { stream, consumer } => {
                Err(self.close_consumer(stream, consumer))
            }
        }
    }

    /// The short way of nearly all writes: a plain message that comes after a certain one of its
    /// subject, which its unreplicated stream knows. Such a subject is a literal one and the stream's
    /// own, so it is searched for once, and the other checks ask for nothing that is there. `None` for
    /// all that is not so.
    fn append(&mut self, at: WallTime, publish: &Publish) -> Option<StoreReply> {
        let Publish {
            expect: Expect::OwnLast(expected),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            ..
        } = publish
        else {
            return None;
        };
        let StoreConfig {
            capabilities,
            in_flight_max,
            ..
        } = &self.config;
        let stream = self.streams.get_mut(&publish.stream)?;
        if !capabilities.jetstream || *in_flight_max == 0 || stream.replicated() {
            return None;
        }
        let own = stream.known(&publish.subject)?;
        let checked = form::beside_subject(capabilities, publish, None)
            .and_then(|()| check::plain(stream.now(), publish, stream.end_of(own), *expected));
        if let Err(refused) = checked {
            return Some(Outcome::Refused(refused));
        }
        let (sequence, announcement) = stream.append(at, publish, own);
        self.announce(announcement);
        Some(published(sequence))
    }

    #[allow(clippy::result_large_err, reason = "as `propose`")]
    fn write(
        &mut self,
        at: WallTime,
        messages: &[Publish],
        as_batch: bool,
    ) -> Result<ProposalId, StoreReply> {
        let name = self
            .route(at, messages, as_batch)
            .map_err(Outcome::Refused)?;
        let stream = self.streams.get_mut(&name).expect("a routed stream exists");
        stream.dedup.forget(at, window_ms(&stream.settings));
        let checked = match (messages, as_batch) {
            ([publish], false) if stream.replicated() => {
                check::replicated(stream.now(), at, &stream.in_flight, publish)
            }
            ([publish], false) => check::unreplicated(stream.now(), at, publish),
            (messages, _) => {
                batch::check(stream.now(), at, &stream.in_flight, messages).map_err(Not::Refused)
            }
        };
        if let Err(not) = checked {
            return Err(not.into());
        }
        if !stream.replicated() {
            let (last, announcements) = store_all(stream, at, messages, as_batch);
            self.announce(announcements);
            return Err(published(last));
        }
        let id = ProposalId(self.next_proposal);
        self.next_proposal += 1;
        let bytes = |(n, publish)| {
            let place = as_batch.then_some(BatchPlace::of(n + 1, messages.len()));
            stored_bytes_of(&stream.settings, publish, place)
        };
        let bytes = messages.iter().enumerate().map(bytes).sum();
        let messages = messages.to_vec();
        stream.in_flight.push(Proposal {
            id,
            messages,
            batch: as_batch,
            bytes,
        });
        self.proposals.insert(id, name);
        Ok(id)
    }

    /// The second half: stores a proposal and answers it.
    ///
    /// # Panics
    ///
    /// When the proposal is not the oldest of its stream, or was dropped: a stream's proposals
    /// commit in their order.
    pub fn commit(&mut self, at: WallTime, id: ProposalId) -> StoreReply {
        let name = self
            .proposals
            .remove(&id)
            .expect("a proposal is committed once");
        let stream = self
            .streams
            .get_mut(&name)
            .expect("a proposal's stream exists");
        let proposal = stream.in_flight.pop().expect("a proposal is in flight");
        assert_eq!(
            proposal.id, id,
            "a stream's proposals commit in their order"
        );
        let (last, announcements) = store_all(stream, at, &proposal.messages, proposal.batch);
        self.announce(announcements);
        published(last)
    }

    /// The stream that a proposal is for; `None` when it was committed or dropped.
    pub fn proposal_stream(&self, id: ProposalId) -> Option<&str> {
        self.proposals.get(&id).map(StreamName::as_str)
    }

    /// When the leaders of all replicated streams are lost: what they proposed is never stored, and
    /// consumers are gone with the servers that kept them.
    pub fn drop_proposals(&mut self) {
        self.forget_consumers();
        for stream in self.streams.values_mut() {
            stream.in_flight = InFlight::default();
        }
        self.proposals.clear();
    }

    /// When the leader of one stream is lost: what it proposed is never stored, and the stream's
    /// consumers are gone with it.
    pub fn drop_proposals_of(&mut self, stream: &str) {
        self.forget_consumers_of(stream);
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.in_flight = InFlight::default();
        }
        self.proposals.retain(|_, name| name != stream);
    }

    /// The stream that a write goes to.
    fn route(
        &mut self,
        at: WallTime,
        messages: &[Publish],
        as_batch: bool,
    ) -> Result<StreamName, Refused> {
        let first = messages.first().and_then(|first| self.stream_of(first));
        if let Some(first) = first.as_ref().and_then(|name| self.streams.get(name))
            && first.in_flight.messages() >= self.config.in_flight_max as u64
        {
            return Err(Refused::Overloaded);
        }
        match messages {
            [_] if !as_batch => first.ok_or(Refused::NoResponders),
            messages => self.stage(at, messages),
        }
    }

    /// The stream that takes in a message's subject, which may not be the one it names.
    pub(super) fn stream_of(&self, publish: &Publish) -> Option<StreamName> {
        if let Some(stream) = self.streams.get(&publish.stream)
            && stream.takes_in(&publish.subject)
        {
            return Some(publish.stream.clone());
        }
        let other = self
            .streams
            .iter()
            .find(|(_, stream)| stream.takes_in(&publish.subject))?;
        Some(other.0.clone())
    }
}

pub(super) fn published(last: u64) -> StoreReply {
    Outcome::Done(StoreDone::Published(Ack {
        sequence: Sequence(last),
        duplicate: false,
    }))
}
