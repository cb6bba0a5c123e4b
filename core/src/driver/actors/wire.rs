//! Messages for actors and their answers as they cross between nodes.

use super::host::{ActorAnswer, Content, Life, Mail, NotUnderstood, Told, WatchWhom};
use crate::actor::{Ended, Refusal, Trail};
use crate::api::CodecError;
use crate::driver::cluster::Returned;
use crate::format::{Answered, Codec, Denial, Dropped, Hop, Return};
use crate::name::{EntityId, KindName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of the message that is a wish to be told of an end. No message of users has it: theirs
/// have no slash.
pub(crate) const WATCH: &str = "tenure/watch";

/// The version of that message that says whom it is about. Version 1 has no body, and is about whoever
/// is there.
const WATCH_OF_LIFE: u16 = 2;

/// The body of a wish to be told of an end.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct WatchBody {
    /// Whose end; none: it is asked who is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life: Option<Life>,
}

/// The answer to who is there. An end is answered as `Ended`, as serde writes it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WatchTold {
    Lives(Life),
}

/// Version and body of a wish to be told of an end.
///
/// # Errors
///
/// When the codec cannot write it.
pub(crate) fn watch_body(of: WatchWhom, codec: Codec) -> Result<(u16, Bytes), CodecError> {
    let life = match of {
        WatchWhom::Whoever => return Ok((1, Bytes::new())),
        WatchWhom::Who => None,
        WatchWhom::Life(life) => Some(life),
    };
    Ok((WATCH_OF_LIFE, codec.encode(&WatchBody { life })?))
}

/// Whom a wish that came in is about, of a kind with this codec. A later version says at least as much.
///
/// # Errors
///
/// When its body cannot be read.
pub(crate) fn watch_whom(
    version: u16,
    codec: Codec,
    body: &Bytes,
) -> Result<WatchWhom, CodecError> {
    if version < WATCH_OF_LIFE {
        return Ok(WatchWhom::Whoever);
    }
    let body: WatchBody = codec.decode(body)?;
    Ok(body.life.map_or(WatchWhom::Who, WatchWhom::Life))
}

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
            Self::Lives(life) => codec
                .encode(&WatchTold::Lives(life))
                .map_or_else(unsent, Answered::done),
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
                if let Ok(WatchTold::Lives(life)) = codec.decode(&reply) {
                    return Self::Lives(life);
                }
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

#[cfg(test)]
mod tests {
    use super::{WatchBody, WatchTold, watch_whom};
    use crate::actor::Ended;
    use crate::driver::actors::host::{ActorAnswer, Life, WatchWhom};
    use crate::driver::cluster::Returned;
    use crate::format::{Answered, Codec};
    use crate::id::Incarnation;
    use bytes::Bytes;

    const RUN: Incarnation = Incarnation((7 << 64) | 9);

    fn hex(bytes: &Bytes) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn life() -> Life {
        Life::new(RUN, 300)
    }

    #[test]
    fn a_wish_is_written_as_it_always_was() {
        let body = WatchBody { life: Some(life()) };
        let cbor = Codec::Cbor.encode(&body).unwrap();
        let golden = "a1646c696665a26372756e820709666e756d62657219012c";
        assert_eq!(hex(&cbor), golden);
        let json = Codec::Json.encode(&body).unwrap();
        assert_eq!(&json[..], br#"{"life":{"run":[7,9],"number":300}}"#);
        assert_eq!(
            hex(&Codec::Cbor.encode(&WatchBody::default()).unwrap()),
            "a0"
        );
        let told = Codec::Cbor.encode(&WatchTold::Lives(life())).unwrap();
        let golden = "a1656c69766573a26372756e820709666e756d62657219012c";
        assert_eq!(hex(&told), golden);
    }

    #[test]
    fn another_version_is_read() {
        let read =
            |version, body: &[u8]| watch_whom(version, Codec::Json, &Bytes::copy_from_slice(body));
        // A build that does not tell lives apart has no body.
        assert_eq!(read(1, b"").unwrap(), WatchWhom::Whoever);
        assert_eq!(read(2, b"{}").unwrap(), WatchWhom::Who);
        let later = br#"{"life":{"run":[7,9],"number":300,"x":1},"y":2}"#;
        assert_eq!(read(3, later).unwrap(), WatchWhom::Life(life()));
        assert!(read(2, b"[").is_err());
    }

    #[test]
    fn who_is_there_and_an_end_are_told_apart() {
        for codec in [Codec::Cbor, Codec::Json] {
            let crossed = |answer: ActorAnswer| {
                let answered = answer.encode(codec, "mark", "m");
                assert!(matches!(answered, Answered::Done { .. }));
                let (node, epoch) = (String::new(), None);
                let returned = Returned {
                    answered,
                    node,
                    epoch,
                };
                ActorAnswer::of_watch(returned, codec)
            };
            let lives = crossed(ActorAnswer::Lives(life()));
            assert!(matches!(lives, ActorAnswer::Lives(of) if of == life()));
            let failed = Ended::Failed("lives".to_owned());
            let ended = crossed(ActorAnswer::Ended(failed.clone()));
            assert!(matches!(ended, ActorAnswer::Ended(of) if of == failed));
        }
    }

    #[test]
    fn a_life_of_another_run_has_no_number_here() {
        assert_eq!(life().at(RUN), 300);
        assert_eq!(life().at(Incarnation(9)), 0);
    }
}
