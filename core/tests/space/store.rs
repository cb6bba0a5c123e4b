//! As much of a store as opening a namespace asks for: it says what a healthy single server says.

use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    Ack, Capabilities, Expect, Message, Page, Proof, Publish, Refused, ServerVersion, StoreDone,
    StoreReply, StoreRequest, StreamInfo, StreamName, StreamSettings, Subject,
};
use tenure_core::step::Outcome;

pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        version: ServerVersion::parse("2.15.1").unwrap(),
        payload_bytes_max: 1 << 20,
        clustered: false,
        jetstream: true,
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Store {
    streams: BTreeMap<StreamName, Stream>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) settings: StreamSettings,
    messages: Vec<(Subject, Bytes)>,
}

impl Store {
    pub(crate) fn answer(&mut self, request: &StoreRequest) -> StoreReply {
        match request {
            StoreRequest::StreamInfo { stream } => self.info(stream),
            StoreRequest::CreateStream(settings) => {
                let messages = Vec::new();
                let stream = Stream {
                    settings: settings.clone(),
                    messages,
                };
                self.streams.entry(settings.name.clone()).or_insert(stream);
                self.info(&settings.name)
            }
            StoreRequest::Latest { stream, subjects } => self.latest(stream, subjects),
            StoreRequest::Get {
                stream, sequence, ..
            } => self.get(stream, *sequence),
            StoreRequest::Scan { stream, filter, .. } => self.scan(stream, filter),
            StoreRequest::Publish(publish) => self.publish(publish),
            StoreRequest::Batch { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => {
                panic!("opening a namespace does not ask {}", request.name())
            }
        }
    }

    fn info(&self, name: &str) -> StoreReply {
        let Some(stream) = self.streams.get(name) else {
            return Outcome::Refused(Refused::NoStream);
        };
        let last = stream.messages.len() as u64;
        Outcome::Done(StoreDone::Stream(StreamInfo {
            settings: stream.settings.clone().into(),
            created: WallTime(1),
            first: Sequence(u64::from(last > 0)),
            last: Sequence(last),
            messages: last,
        }))
    }

    fn latest(&self, name: &str, subjects: &[Subject]) -> StoreReply {
        let stream = self.stream(name);
        let messages: Vec<Message> = stream
            .all()
            .filter(|message| subjects.contains(&message.subject))
            .collect();
        if messages.is_empty() {
            return Outcome::Refused(Refused::NotFound);
        }
        let up_to = Sequence(stream.messages.len() as u64);
        Outcome::Done(StoreDone::Latest(Proof { messages, up_to }))
    }

    fn get(&self, name: &str, sequence: Sequence) -> StoreReply {
        match self
            .stream(name)
            .all()
            .find(|message| message.sequence == sequence)
        {
            Some(message) => Outcome::Done(StoreDone::Message(message)),
            None => Outcome::Refused(Refused::NotFound),
        }
    }

    fn scan(&self, name: &str, filter: &str) -> StoreReply {
        let prefix = filter.trim_end_matches('*');
        let messages: Vec<Message> = self
            .stream(name)
            .all()
            .filter(|message| message.subject.starts_with(prefix))
            .collect();
        Outcome::Done(StoreDone::Page(Page {
            messages,
            more: false,
        }))
    }

    fn publish(&mut self, publish: &Publish) -> StoreReply {
        let stream = self.streams.get_mut(&publish.stream).expect("a stream");
        let place = |subject: &Subject| stream.messages.iter().rposition(|(s, _)| s == subject);
        let last = match &publish.expect {
            Expect::OwnLast(_) => place(&publish.subject).map_or(0, |place| place + 1),
            Expect::StreamLast(_) => stream.messages.len(),
            Expect::Nothing | Expect::Fence(_) => panic!("records are made by CAS"),
        };
        if last != 0 {
            return Outcome::Refused(Refused::WrongLast {
                actual: Some(Sequence(last as u64)),
            });
        }
        stream
            .messages
            .push((publish.subject.clone(), publish.payload.clone()));
        let sequence = Sequence(stream.messages.len() as u64);
        Outcome::Done(StoreDone::Published(Ack {
            sequence,
            duplicate: false,
        }))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.streams.contains_key(name)
    }

    pub(crate) fn stream(&self, name: &str) -> &Stream {
        self.streams.get(name).expect("a stream")
    }

    pub(crate) fn settings(&mut self, name: &str) -> &mut StreamSettings {
        &mut self.streams.get_mut(name).expect("a stream").settings
    }

    /// The last message of a subject.
    pub(crate) fn last(&self, subject: &str) -> Bytes {
        let mut messages = self.streams.values().flat_map(|stream| &stream.messages);
        messages
            .rfind(|(s, _)| s == subject)
            .expect("a message")
            .1
            .clone()
    }

    /// How many messages a subject has.
    pub(crate) fn count(&self, subject: &str) -> usize {
        let messages = self.streams.values().flat_map(|stream| &stream.messages);
        messages.filter(|(s, _)| s == subject).count()
    }

    /// Puts other bytes in place of the messages of a subject.
    pub(crate) fn replace(&mut self, subject: &str, payload: Bytes) {
        for stream in self.streams.values_mut() {
            for message in stream.messages.iter_mut().filter(|(s, _)| s == subject) {
                message.1 = payload.clone();
            }
        }
    }

    /// Stores a message past all checks.
    pub(crate) fn put(&mut self, name: &str, subject: &str, payload: Bytes) {
        let stream = self.streams.get_mut(name).expect("a stream");
        stream.messages.push((subject.into(), payload));
    }

    /// Empties all streams.
    pub(crate) fn clear(&mut self) {
        for stream in self.streams.values_mut() {
            stream.messages.clear();
        }
    }

    pub(crate) fn clear_stream(&mut self, name: &str) {
        self.streams
            .get_mut(name)
            .expect("a stream")
            .messages
            .clear();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.streams.remove(name);
    }

    /// Takes a stream of another store over.
    pub(crate) fn adopt(&mut self, name: &str, other: &Self) {
        self.streams.insert(name.into(), other.stream(name).clone());
    }
}

impl Stream {
    fn all(&self) -> impl Iterator<Item = Message> + '_ {
        (1_u64..)
            .zip(&self.messages)
            .map(|(sequence, (subject, payload))| Message {
                subject: subject.clone(),
                sequence: Sequence(sequence),
                stored: WallTime(1),
                expired_marker: false,
                payload: payload.clone(),
            })
    }
}
