//! The requests, and what a store says when one is done.

use super::{
    Capabilities, ConsumerInfo, ConsumerName, ConsumerSettings, Fetched, Refused, StreamInfo,
    StreamName, StreamSettings, Subject,
};
use crate::id::{BatchId, Sequence, WallTime};
use crate::step::{Outcome, Span};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// One request to the store. Each has one answer, a [`StoreReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum StoreRequest {
    /// Stores one message. Done: [`StoreDone::Published`].
    Publish(Publish),
    /// Stores all messages or none, in one stream, next to each other. Done:
    /// [`StoreDone::Published`] with the last message's sequence.
    Batch {
        /// The attempt's own id, fresh for each attempt.
        id: BatchId,
        /// 1 to 1,000 messages for one stream.
        messages: Vec<Publish>,
    },
    /// Reads the last message of each subject as of one point of the stream (a batched direct get,
    /// `multi_last`). Done: [`StoreDone::Latest`]; when no subject has a message,
    /// [`Refused::NotFound`] without a point.
    Latest {
        /// The stream.
        stream: StreamName,
        /// 1 to 1,000 literal subjects.
        subjects: Vec<Subject>,
    },
    /// Reads the message at one sequence. Done: [`StoreDone::Message`]; absent:
    /// [`Refused::NotFound`], which a replica that lags says as well.
    Get {
        /// The stream.
        stream: StreamName,
        /// The position.
        sequence: Sequence,
        /// Who is asked.
        source: Source,
    },
    /// Reads messages of a subject filter in stream order (a batched direct get,
    /// `next_by_subj`). Done: [`StoreDone::Page`].
    Scan {
        /// The stream.
        stream: StreamName,
        /// A subject filter; wildcards are allowed.
        filter: Subject,
        /// The first sequence looked at.
        from: Sequence,
        /// How many messages at most, 1 to 1,000.
        messages_max: u32,
    },
    /// Creates a stream; one with equal settings that exists already is done too. Done:
    /// [`StoreDone::Stream`].
    CreateStream(StreamSettings),
    /// Reads a stream's settings and state. Done: [`StoreDone::Stream`]; absent:
    /// [`Refused::NoStream`].
    StreamInfo {
        /// The stream.
        stream: StreamName,
    },
    /// Asks what the store is and can do. Done: [`StoreDone::Capabilities`].
    Capabilities,
    /// Opens a consumer; one of the same name and settings that is there already is done too, and
    /// stands where it stands. Done: [`StoreDone::Consumer`].
    OpenConsumer(ConsumerSettings),
    /// Takes the next messages of a consumer, which moves on by them for good. Done:
    /// [`StoreDone::Fetched`], as soon as there is a message and no further one soon, or as many
    /// as asked for, or none after the wait; gone, or never there: [`Refused::NoConsumer`]. Of one
    /// consumer one fetch is asked at a time.
    Fetch {
        /// The stream.
        stream: StreamName,
        /// The consumer.
        consumer: ConsumerName,
        /// How many messages at most, 1 to [`FETCH_MESSAGES_MAX`](super::FETCH_MESSAGES_MAX).
        messages_max: u32,
        /// How many bytes of payload at most; the first message comes however large it is.
        bytes_max: u32,
        /// For how long it waits for a first message.
        wait: Span,
    },
    /// Removes a consumer; one that is not there is done too. Done: [`StoreDone::Closed`].
    CloseConsumer {
        /// The stream.
        stream: StreamName,
        /// The consumer.
        consumer: ConsumerName,
    },
}

/// One message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Publish {
    /// The stream that must answer (`Nats-Expected-Stream`).
    pub stream: StreamName,
    /// The literal subject.
    pub subject: Subject,
    /// What must hold in the stream.
    pub expect: Expect,
    /// Whether this message replaces its predecessors.
    pub rollup: Rollup,
    /// Deduplication id (`Nats-Msg-Id`). No commit, claim or heartbeat carries one (S8).
    pub dedup: Option<String>,
    /// Time to live in whole seconds (`Nats-TTL`); never in an event stream.
    pub ttl_s: Option<u32>,
    /// The message's body.
    pub payload: Bytes,
}

/// What must hold for a message to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Expect {
    /// Nothing.
    #[default]
    Nothing,
    /// The message's own subject ends at this sequence ([`Sequence::NONE`]: it has no message).
    OwnLast(Sequence),
    /// Another literal subject ends at a sequence: the fence.
    Fence(Fence),
    /// The stream ends at this sequence.
    StreamLast(Sequence),
}

/// An expectation on another literal subject of the same stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Fence {
    /// The literal subject that is looked at.
    pub subject: Subject,
    /// Where it must end.
    pub sequence: Sequence,
}

/// Whether a message replaces its predecessors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Rollup {
    /// It is added.
    #[default]
    No,
    /// It replaces all messages of its subject (`Nats-Rollup: sub`).
    Subject,
    /// The same, and for readers of NATS KV the key is gone (`KV-Operation: PURGE`), whatever its body is.
    Purge,
}

/// Who is asked for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Source {
    /// Any replica: a direct get.
    Replica,
    /// The stream's leader: a message get. Not linearizable either.
    Leader,
}

/// What a store says when a request is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum StoreDone {
    /// To `Publish` and `Batch`.
    Published(Ack),
    /// To `Latest`.
    Latest(Proof),
    /// To `Get`.
    Message(Message),
    /// To `Scan`.
    Page(Page),
    /// To `CreateStream` and `StreamInfo`.
    Stream(StreamInfo),
    /// To `Capabilities`.
    Capabilities(Capabilities),
    /// To `OpenConsumer`.
    Consumer(ConsumerInfo),
    /// To `Fetch`.
    Fetched(Fetched),
    /// To `CloseConsumer`.
    Closed,
}

/// A message was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Ack {
    /// Where; for a batch, where its last message is.
    pub sequence: Sequence,
    /// The store had it already under the same deduplication id; `sequence` is the older one's.
    pub duplicate: bool,
}

/// The last messages of several subjects as of one point of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Proof {
    /// One message per subject that has one, by ascending sequence.
    pub messages: Vec<Message>,
    /// The last sequence of the stream that the answer takes in (`Nats-UpTo-Sequence`).
    pub up_to: Sequence,
}

/// Messages of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Page {
    /// By ascending sequence; fewer than asked for only at the end.
    pub messages: Vec<Message>,
    /// Whether messages of the filter follow.
    pub more: bool,
}

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Message {
    /// Its subject.
    pub subject: Subject,
    /// Its position.
    pub sequence: Sequence,
    /// When the server stored it, on the server's wall clock.
    pub stored: WallTime,
    /// The server put it there because the subject's last message expired.
    pub expired_marker: bool,
    /// Its body.
    pub payload: Bytes,
}

/// The answer to one request.
pub type StoreReply = Outcome<StoreDone, Refused>;

impl StoreRequest {
    /// The request's name in traces and in the contract's table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "Publish",
            Self::Batch { .. } => "Batch",
            Self::Latest { .. } => "Latest",
            Self::Get {
                source: Source::Replica,
                ..
            } => "Get(replica)",
            Self::Get {
                source: Source::Leader,
                ..
            } => "Get(leader)",
            Self::Scan { .. } => "Scan",
            Self::CreateStream(_) => "CreateStream",
            Self::StreamInfo { .. } => "StreamInfo",
            Self::Capabilities => "Capabilities",
            Self::OpenConsumer(_) => "OpenConsumer",
            Self::Fetch { .. } => "Fetch",
            Self::CloseConsumer { .. } => "CloseConsumer",
        }
    }

    /// The stream that it is about; `None` when it is about the store itself.
    pub fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::Publish(publish) => Some(&publish.stream),
            Self::Batch { messages, .. } => messages.first().map(|publish| &publish.stream),
            Self::Latest { stream, .. }
            | Self::Get { stream, .. }
            | Self::Scan { stream, .. }
            | Self::StreamInfo { stream }
            | Self::Fetch { stream, .. }
            | Self::CloseConsumer { stream, .. } => Some(stream),
            Self::OpenConsumer(settings) => Some(&settings.stream),
            Self::CreateStream(_) | Self::Capabilities => None,
        }
    }

    /// Whether the request can change what is stored, so that losing its answer leaves a doubt. A
    /// consumer is not stored: another one takes its place.
    pub fn writes(&self) -> bool {
        match self {
            Self::Publish(_) | Self::Batch { .. } | Self::CreateStream(_) => true,
            Self::Latest { .. }
            | Self::Get { .. }
            | Self::Scan { .. }
            | Self::StreamInfo { .. }
            | Self::Capabilities
            | Self::OpenConsumer(_)
            | Self::Fetch { .. }
            | Self::CloseConsumer { .. } => false,
        }
    }

    /// Whether a replica answers it by what it has, and moves or makes a consumer of its own by that.
    pub fn moves_consumer(&self) -> bool {
        match self {
            Self::OpenConsumer(_) | Self::Fetch { .. } => true,
            Self::Publish(_)
            | Self::Batch { .. }
            | Self::Latest { .. }
            | Self::Get { .. }
            | Self::Scan { .. }
            | Self::CreateStream(_)
            | Self::StreamInfo { .. }
            | Self::Capabilities
            | Self::CloseConsumer { .. } => false,
        }
    }

    /// For how long a store may rightly keep the answer back, beside what it takes itself.
    pub fn patience(&self) -> Span {
        match self {
            Self::Fetch { wait, .. } => *wait,
            Self::Publish(_)
            | Self::Batch { .. }
            | Self::Latest { .. }
            | Self::Get { .. }
            | Self::Scan { .. }
            | Self::CreateStream(_)
            | Self::StreamInfo { .. }
            | Self::Capabilities
            | Self::OpenConsumer(_)
            | Self::CloseConsumer { .. } => Span::ZERO,
        }
    }
}
