//! Every way in which a store says no.

use crate::id::Sequence;
use alloc::string::String;
use core::fmt;

/// The request did not happen and never will. Numbers are the server's `err_code`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refused {
    /// 10071: a subject (or the stream) does not end where it was expected to.
    WrongLast {
        /// Where it ends; the server tells it for single messages, not always for batches.
        actual: Option<Sequence>,
    },
    /// 10164: another write to a checked subject is being replicated, or was made in the same
    /// batch. Says nothing about who is right: send again.
    InProcess,
    /// 10158: a message with the same deduplication id is being replicated. Send again.
    DuplicateInProcess,
    /// 10201: a batch holds a deduplication id that is stored already; look each up.
    DuplicateInBatch,
    /// 10210: too many batches are open on this stream. Send again.
    TooManyBatches,
    /// 10176: the batch has a gap: a part was lost, or the server had dropped it.
    BatchIncomplete,
    /// 10199: the batch has more messages than the server takes.
    BatchTooLarge,
    /// 10174: the stream takes no atomic batches.
    BatchDisabled,
    /// 10167: the stream's inbound queue is full. Send again.
    Overloaded,
    /// Nobody answers for the request's subject: no JetStream, no leader for now, or no such
    /// stream. Send again.
    NoResponders,
    /// The client is not connected; nothing was handed to it. Send again.
    NotConnected,
    /// 10054, or larger than the server's `max_payload` (found before sending).
    TooLarge,
    /// 10059: there is no such stream.
    NoStream,
    /// 10014, 409 "Consumer Deleted", or nobody who answers for it: the consumer is gone, or was never
    /// there, or its server cannot be reached. Open another one.
    NoConsumer,
    /// 10060: another stream answered for the subject.
    WrongStream,
    /// 10058: the stream exists with other settings.
    StreamExists,
    /// 10065: another stream takes in one of the subjects.
    SubjectOverlap,
    /// 10037, or 404 to a direct get: there is no such message (where it was asked).
    NotFound,
    /// 10111: the stream takes no rollups.
    RollupDisabled,
    /// 10166: the stream takes no message TTL.
    TtlDisabled,
    /// 10165: the TTL is not a whole number of seconds, 1 or more.
    TtlInvalid,
    /// 10077, 10122, 10023, 10047: the stream, the account or the server is full.
    NoSpace,
    /// 10076, 10039: the account has no JetStream.
    NoJetStream,
    /// 10110, 10052 and the like: the stream is sealed, a mirror, or closed for this request.
    Forbidden,
    /// The user may not publish or ask on that subject. The text is the server's.
    Denied(String),
    /// 413, 10025, 10003: the server takes the request for wrong.
    BadRequest(String),
    /// A refusal without a class of its own, with the server's number and text.
    Other {
        /// The server's `err_code`; 0 when it gave none.
        code: u32,
        /// The server's text.
        text: String,
    },
}

/// A refusal without its details: a row of the contract's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each row is documented at the variant of `Refused` it stands for"
)]
pub enum RefusedClass {
    WrongLastAhead,
    WrongLastBehind,
    WrongLastUntold,
    InProcess,
    DuplicateInProcess,
    DuplicateInBatch,
    TooManyBatches,
    BatchIncomplete,
    BatchTooLarge,
    BatchDisabled,
    Overloaded,
    NoResponders,
    NotConnected,
    TooLarge,
    NoStream,
    NoConsumer,
    WrongStream,
    StreamExists,
    SubjectOverlap,
    NotFound,
    RollupDisabled,
    TtlDisabled,
    TtlInvalid,
    NoSpace,
    NoJetStream,
    Forbidden,
    Denied,
    BadRequest,
    Other,
}

impl RefusedClass {
    /// Every class, in the order of the table.
    pub const ALL: [Self; 29] = [
        Self::WrongLastAhead,
        Self::WrongLastBehind,
        Self::WrongLastUntold,
        Self::InProcess,
        Self::DuplicateInProcess,
        Self::DuplicateInBatch,
        Self::TooManyBatches,
        Self::BatchIncomplete,
        Self::BatchTooLarge,
        Self::BatchDisabled,
        Self::Overloaded,
        Self::NoResponders,
        Self::NotConnected,
        Self::TooLarge,
        Self::NoStream,
        Self::NoConsumer,
        Self::WrongStream,
        Self::StreamExists,
        Self::SubjectOverlap,
        Self::NotFound,
        Self::RollupDisabled,
        Self::TtlDisabled,
        Self::TtlInvalid,
        Self::NoSpace,
        Self::NoJetStream,
        Self::Forbidden,
        Self::Denied,
        Self::BadRequest,
        Self::Other,
    ];
}

impl Refused {
    /// The class, given the sequence that the request expected (where it expected one).
    pub fn class(&self, expected: Option<Sequence>) -> RefusedClass {
        match self {
            Self::WrongLast { actual } => match (actual, expected) {
                (Some(actual), Some(expected)) if *actual > expected => {
                    RefusedClass::WrongLastAhead
                }
                (Some(_), Some(_)) => RefusedClass::WrongLastBehind,
                (Some(_), None) | (None, _) => RefusedClass::WrongLastUntold,
            },
            Self::InProcess => RefusedClass::InProcess,
            Self::DuplicateInProcess => RefusedClass::DuplicateInProcess,
            Self::DuplicateInBatch => RefusedClass::DuplicateInBatch,
            Self::TooManyBatches => RefusedClass::TooManyBatches,
            Self::BatchIncomplete => RefusedClass::BatchIncomplete,
            Self::BatchTooLarge => RefusedClass::BatchTooLarge,
            Self::BatchDisabled => RefusedClass::BatchDisabled,
            Self::Overloaded => RefusedClass::Overloaded,
            Self::NoResponders => RefusedClass::NoResponders,
            Self::NotConnected => RefusedClass::NotConnected,
            Self::TooLarge => RefusedClass::TooLarge,
            Self::NoStream => RefusedClass::NoStream,
            Self::NoConsumer => RefusedClass::NoConsumer,
            Self::WrongStream => RefusedClass::WrongStream,
            Self::StreamExists => RefusedClass::StreamExists,
            Self::SubjectOverlap => RefusedClass::SubjectOverlap,
            Self::NotFound => RefusedClass::NotFound,
            Self::RollupDisabled => RefusedClass::RollupDisabled,
            Self::TtlDisabled => RefusedClass::TtlDisabled,
            Self::TtlInvalid => RefusedClass::TtlInvalid,
            Self::NoSpace => RefusedClass::NoSpace,
            Self::NoJetStream => RefusedClass::NoJetStream,
            Self::Forbidden => RefusedClass::Forbidden,
            Self::Denied(_) => RefusedClass::Denied,
            Self::BadRequest(_) => RefusedClass::BadRequest,
            Self::Other { .. } => RefusedClass::Other,
        }
    }

    /// Whether a refused write was surely not stored.
    ///
    /// On an unreplicated stream it was not. On a replicated one two servers may believe that they
    /// lead it while one replaces the other: both hear the publish, and the refusal of the former
    /// may come before the acknowledgement of its successor. There only those refusals are sure
    /// that nobody heard of, or that every leader would give. (10071 is judged by what it says.)
    pub fn settles(&self, replicated: bool) -> bool {
        match self {
            Self::WrongLast { .. }
            | Self::InProcess
            | Self::DuplicateInProcess
            | Self::DuplicateInBatch
            | Self::TooManyBatches
            | Self::BatchIncomplete
            | Self::Overloaded
            | Self::NoSpace
            | Self::Other { .. } => !replicated,
            Self::BatchTooLarge
            | Self::BatchDisabled
            | Self::NoResponders
            | Self::NotConnected
            | Self::TooLarge
            | Self::NoStream
            | Self::NoConsumer
            | Self::WrongStream
            | Self::StreamExists
            | Self::SubjectOverlap
            | Self::NotFound
            | Self::RollupDisabled
            | Self::TtlDisabled
            | Self::TtlInvalid
            | Self::NoJetStream
            | Self::Forbidden
            | Self::Denied(_)
            | Self::BadRequest(_) => true,
        }
    }

    /// Whether the same request may simply be sent again, with a wait (S10).
    pub fn passes(&self) -> bool {
        match self {
            Self::InProcess
            | Self::DuplicateInProcess
            | Self::TooManyBatches
            | Self::BatchIncomplete
            | Self::Overloaded
            | Self::NoResponders
            | Self::NotConnected => true,
            Self::WrongLast { .. }
            | Self::DuplicateInBatch
            | Self::BatchTooLarge
            | Self::BatchDisabled
            | Self::TooLarge
            | Self::NoStream
            | Self::NoConsumer
            | Self::WrongStream
            | Self::StreamExists
            | Self::SubjectOverlap
            | Self::NotFound
            | Self::RollupDisabled
            | Self::TtlDisabled
            | Self::TtlInvalid
            | Self::NoSpace
            | Self::NoJetStream
            | Self::Forbidden
            | Self::Denied(_)
            | Self::BadRequest(_)
            | Self::Other { .. } => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongLast {
                actual: Some(actual),
            } => {
                return write!(
                    f,
                    "the subject ends at sequence {actual}, not where expected"
                );
            }
            Self::WrongLast { actual: None } => "a subject does not end where expected",
            Self::InProcess => "another write to the subject is in process",
            Self::DuplicateInProcess => "a message with the same deduplication id is in process",
            Self::DuplicateInBatch => "the batch holds a deduplication id that is stored already",
            Self::TooManyBatches => "too many batches are open on the stream",
            Self::BatchIncomplete => "a part of the batch was lost",
            Self::BatchTooLarge => "the batch has more messages than the server takes",
            Self::BatchDisabled => "the stream takes no atomic batches",
            Self::Overloaded => "the stream's queue is full",
            Self::NoResponders => "nobody answers for the stream",
            Self::NotConnected => "there is no connection",
            Self::TooLarge => "the message is larger than the server takes",
            Self::NoStream => "there is no such stream",
            Self::NoConsumer => "there is no such consumer, open another one",
            Self::WrongStream => "another stream takes in the subject",
            Self::StreamExists => "the stream exists with other settings",
            Self::SubjectOverlap => "another stream takes in one of the subjects",
            Self::NotFound => "there is no such message",
            Self::RollupDisabled => "the stream takes no rollups",
            Self::TtlDisabled => "the stream takes no message TTL",
            Self::TtlInvalid => "the TTL is not a whole number of seconds",
            Self::NoSpace => "the stream, the account or the server is full",
            Self::NoJetStream => "the account has no JetStream",
            Self::Forbidden => "the stream is closed for this request",
            Self::Denied(text) => return write!(f, "the user may not do that, grant it ({text})"),
            Self::BadRequest(text) => {
                return write!(f, "the server cannot read the request: {text}");
            }
            Self::Other { code, text } => return write!(f, "{text} ({code})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// The variant after this one. A new variant does not compile until it has its place here.
    fn after(refused: &Refused) -> Option<Refused> {
        Some(match refused {
            Refused::WrongLast { .. } => Refused::InProcess,
            Refused::InProcess => Refused::DuplicateInProcess,
            Refused::DuplicateInProcess => Refused::DuplicateInBatch,
            Refused::DuplicateInBatch => Refused::TooManyBatches,
            Refused::TooManyBatches => Refused::BatchIncomplete,
            Refused::BatchIncomplete => Refused::BatchTooLarge,
            Refused::BatchTooLarge => Refused::BatchDisabled,
            Refused::BatchDisabled => Refused::Overloaded,
            Refused::Overloaded => Refused::NoResponders,
            Refused::NoResponders => Refused::NotConnected,
            Refused::NotConnected => Refused::TooLarge,
            Refused::TooLarge => Refused::NoStream,
            Refused::NoStream => Refused::NoConsumer,
            Refused::NoConsumer => Refused::WrongStream,
            Refused::WrongStream => Refused::StreamExists,
            Refused::StreamExists => Refused::SubjectOverlap,
            Refused::SubjectOverlap => Refused::NotFound,
            Refused::NotFound => Refused::RollupDisabled,
            Refused::RollupDisabled => Refused::TtlDisabled,
            Refused::TtlDisabled => Refused::TtlInvalid,
            Refused::TtlInvalid => Refused::NoSpace,
            Refused::NoSpace => Refused::NoJetStream,
            Refused::NoJetStream => Refused::Forbidden,
            Refused::Forbidden => Refused::Denied(String::new()),
            Refused::Denied(_) => Refused::BadRequest(String::new()),
            Refused::BadRequest(_) => Refused::Other {
                code: 0,
                text: String::new(),
            },
            Refused::Other { .. } => return None,
        })
    }

    #[test]
    fn every_refusal_has_its_class_among_all_classes() {
        let last = |actual| Refused::WrongLast { actual };
        let expected = Some(Sequence(5));
        let mut seen = BTreeSet::from([
            last(Some(Sequence(6))).class(expected),
            last(Some(Sequence(4))).class(expected),
        ]);
        let mut next = Some(last(None));
        while let Some(refused) = next {
            seen.insert(refused.class(None));
            next = after(&refused);
        }
        assert_eq!(seen, BTreeSet::from(RefusedClass::ALL));
        assert_eq!(
            seen.len(),
            RefusedClass::ALL.len(),
            "a class is listed twice"
        );
    }
}
