//! Messages for actors and their answers as they cross between nodes.

use super::host::{ActorAnswer, Content, Mail, NotUnderstood, Told};
use crate::actor::{Ended, Refusal, Trail};
use crate::api::CodecError;
use crate::driver::cluster::Returned;
use crate::format::{Answered, Codec, Denial, Dropped, Hop, Return};
use crate::name::{EntityId, KindName};
use bytes::Bytes;

/// The name of the message that is a wish to be told of an end. No message of users has it: theirs
/// have no slash.
pub(crate) const WATCH: &str = "tenure/watch";

/// The version of that message.
pub(crate) const WATCH_VERSION: u16 = 1;

impl Mail {
    /// The message's name, version and bytes, to be sent.
    pub(crate) fn encode(&self, codec: Codec) -> Result<(&str, u16, Bytes), CodecError> {
        Ok(match &self.content {
            Content::Typed(message) => {
                let body = message.encode(codec)?;
                (message.name(), message.version(), body)
            }
            Content::Wire {
                name,
                version,
                data,
            } => (name, *version, data.clone()),
        })
    }
}

/// Who waits for a message, to be sent.
pub(crate) fn chain_of(trail: &Trail) -> Vec<Hop<'_>> {
    let hops = trail.hops().iter();
    hops.map(|hop| Hop {
        kind: hop.kind.as_str(),
        key: hop.key.as_str(),
    })
    .collect()
}

/// Who waits for a message that came in. A name that cannot be one is nobody's here.
pub(crate) fn trail_of(chain: &[Hop<'_>]) -> Trail {
    let hop = |hop: &Hop<'_>| {
        let (kind, key) = (KindName::new(hop.kind).ok()?, EntityId::new(hop.key).ok()?);
        Some(crate::actor::Hop { kind, key })
    };
    chain.iter().filter_map(hop).collect()
}

impl ActorAnswer {
    /// The answer to another node; `kind` and `key` are whom it asked.
    pub(crate) fn encode(self, codec: Codec, kind: &str, key: &str) -> Answered {
        let refused = Answered::Refused;
        let unsent = |cause: CodecError| {
            refused(Denial::Reply {
                cause: cause.to_string(),
            })
        };
        match self {
            Self::Ran(outcome, _) => outcome
                .encode(codec)
                .map_or_else(unsent, |told| answered(told, kind)),
            Self::Told(told, _, _) => answered(told, kind),
            Self::Taken => Answered::done(Bytes::new()),
            Self::Ended(ended) => codec.encode(&ended).map_or_else(unsent, Answered::done),
            Self::Refused(refusal) => refused(denial(refusal, kind, key)),
            Self::NotUnderstood(NotUnderstood::Unknown { name, version }) => {
                refused(unknown(kind, name, version))
            }
            Self::NotUnderstood(NotUnderstood::Version { name, sent, taken }) => {
                refused(Denial::WrongSchema {
                    message: name,
                    sent,
                    taken,
                })
            }
            Self::NotUnderstood(NotUnderstood::Undecodable { name, cause }) => {
                refused(Denial::Undecodable {
                    what: name,
                    cause: cause.to_string(),
                })
            }
            Self::Denied(denial, _) => refused(denial),
            // What came from another lane is not routed on from here.
            Self::Unrouted(_) | Self::NoNode(_) => refused(Denial::NoLease),
            Self::Halted(reason) => refused(Denial::Halted { reason }),
            Self::Stopped => refused(Denial::Stopping),
            Self::Cut => refused(Denial::Dropped(Dropped::Lost)),
        }
    }

    /// The answer of another node to a message.
    pub(crate) fn of_message(returned: Return<'_>, wants_node: bool) -> Self {
        let told = match returned.answered {
            Answered::Done { reply, .. } => Told::Reply(reply),
            Answered::Rejected { error, .. } => Told::Rejected(error),
            Answered::Refused(denial) => return Self::Denied(denial, returned.node.to_owned()),
        };
        let node = if wants_node { returned.node } else { "" };
        Self::Told(told, node.to_owned(), returned.epoch)
    }

    /// The answer of another node to a message whose reply nobody wants.
    pub(crate) fn of_tell(returned: Returned) -> Self {
        match returned.answered {
            Answered::Done { .. } | Answered::Rejected { .. } => Self::Taken,
            Answered::Refused(denial) => Self::Denied(denial, returned.node),
        }
    }

    /// The answer of another node to a wish to be told of an end.
    pub(crate) fn of_watch(returned: Returned, codec: Codec) -> Self {
        let Returned { answered, node, .. } = returned;
        match answered {
            Answered::Done { reply, .. } => {
                // What cannot be read is an end of a sort that a newer node knows.
                let ended = codec.decode::<Ended>(&reply);
                Self::Ended(ended.unwrap_or(Ended::Stopped))
            }
            Answered::Rejected { .. } => Self::Denied(Denial::Newer { number: 0 }, node),
            // So the watcher asks again, as it does here.
            Answered::Refused(Denial::Deadline) => Self::Refused(Refusal::Deadline),
            // The watch was there, and what it was on went with the node.
            Answered::Refused(Denial::Dropped(_) | Denial::Halted { .. }) => {
                Self::Ended(Ended::Lost)
            }
            Answered::Refused(denial) => Self::Denied(denial, node),
        }
    }
}

fn answered(told: Told, kind: &str) -> Answered {
    match told {
        Told::Reply(reply) => Answered::done(reply),
        Told::Rejected(error) => Answered::Rejected {
            error,
            version: None,
        },
        Told::Unknown { name, version } => Answered::Refused(unknown(kind, name, version)),
    }
}

fn unknown(kind: &str, message: String, schema: u16) -> Denial {
    Denial::UnknownMessage {
        kind: kind.to_owned(),
        message,
        schema,
    }
}

fn denial(refusal: Refusal, kind: &str, key: &str) -> Denial {
    match refusal {
        Refusal::Overloaded | Refusal::TooManyWatchers => Denial::Overloaded,
        Refusal::Deadline => Denial::Deadline,
        Refusal::Late => Denial::Dropped(Dropped::Late),
        Refusal::NotOwner => Denial::NoLease,
        Refusal::Lost => Denial::Dropped(Dropped::Lost),
        Refusal::Aborted => Denial::Dropped(Dropped::Aborted),
        Refusal::Cycle => Denial::Cycle {
            kind: kind.to_owned(),
            key: key.to_owned(),
        },
        Refusal::TooDeep { hops, hops_max } => Denial::ChainTooLong { hops, hops_max },
        Refusal::Panicked(text) => Denial::Panicked { text },
        Refusal::Failed { cause, retry_after } => Denial::Start {
            cause,
            wait_ms: retry_after.as_nanos().div_ceil(1_000_000),
        },
        Refusal::Stopped => Denial::Stopping,
    }
}
