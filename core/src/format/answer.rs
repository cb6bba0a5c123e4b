//! What the answer to a request of another node says: what came of it, and who served it.

use super::denial::Denial;
use super::denial_bytes;
use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{ClaimId, Epoch, Sequence, Version};
use crate::log::Freshness;
use alloc::vec::Vec;
use bytes::Bytes;

/// The answer to a request of another node.
///
/// ```
/// use bytes::Bytes;
/// use tenure_core::format::{Answered, Return};
///
/// let answer = Return::new("node-a", Answered::done(Bytes::from_static(b"\x18\x2a")));
/// assert_eq!(Return::decode(&answer.encode())?, answer);
/// # Ok::<_, tenure_core::format::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Return<'a> {
    /// What came of the request.
    pub answered: Answered,
    /// The name of the node that served it.
    pub node: &'a str,
    /// The epoch of the shard under which it was served; `None` where no shard was asked.
    pub epoch: Option<Epoch>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Answered {
    /// It was done.
    Done {
        /// The encoded reply; empty for what was only taken in (`tell`).
        reply: Bytes,
        /// The entity's version after it, or the one at which it was read.
        version: Option<Version>,
        /// The commit's place in the stream, where one was stored.
        sequence: Option<Sequence>,
        /// It took effect before, under the same command id.
        found: bool,
        /// What is known of the state that it was given from.
        freshness: Freshness,
    },
    /// The domain said no; nothing was stored.
    Rejected {
        /// The encoded error.
        error: Bytes,
        /// The version it was decided at.
        version: Option<Version>,
    },
    /// It was refused.
    Refused(Denial),
}

const FORMAT: &str = "return";

impl Answered {
    /// Whether it says that a command took effect, by this attempt or an earlier one under the same
    /// id. Everything else is said of this attempt alone: another one, held up on its way, may still
    /// come to its entity.
    pub fn took_effect(&self) -> bool {
        match self {
            Self::Done {
                sequence, found, ..
            } => sequence.is_some() || *found,
            Self::Rejected { .. } | Self::Refused(_) => false,
        }
    }

    /// Done, with a reply that says nothing of versions.
    pub fn done(reply: Bytes) -> Self {
        Self::Done {
            reply,
            version: None,
            sequence: None,
            found: false,
            freshness: Freshness::Linearizable,
        }
    }
}

impl<'a> Return<'a> {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// The answer of a node, under no epoch.
    pub fn new(node: &'a str, answered: Answered) -> Self {
        Self {
            answered,
            node,
            epoch: None,
        }
    }

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let body = match &self.answered {
            Answered::Done { reply: bytes, .. } | Answered::Rejected { error: bytes, .. } => {
                bytes.len()
            }
            Answered::Refused(denial) => denial_bytes::encode(denial).len(),
        };
        map_len_max(9, &Unknown(Vec::new())) + 6 * HEAD_MAX + BITS128_LEN + body + self.node.len()
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Bytes {
        Bytes::from(self.write(Vec::with_capacity(self.encoded_len_max())))
    }

    /// Appends the answer's bytes.
    pub(super) fn write(&self, out: Vec<u8>) -> Vec<u8> {
        const NONE: &Unknown = &Unknown(Vec::new());
        let mut fields = Fields::after(Self::FORMAT_VERSION, NONE, out);
        match &self.answered {
            Answered::Done { reply, .. } => {
                fields.key(1).bytes(reply);
            }
            Answered::Rejected { error, .. } => {
                fields.key(2).bytes(error);
            }
            Answered::Refused(denial) => {
                fields.key(3).encoded(&denial_bytes::encode(denial));
            }
        }
        if let Answered::Done { version, .. } | Answered::Rejected { version, .. } = &self.answered
            && let Some(version) = version
        {
            fields.key(4).uint(version.0);
        }
        if let Answered::Done {
            sequence,
            found,
            freshness,
            ..
        } = &self.answered
        {
            if let Some(sequence) = sequence {
                fields.key(5).uint(sequence.0);
            }
            if *found {
                fields.key(6).yes();
            }
            if *freshness == Freshness::Local {
                fields.key(7).yes();
            }
        }
        fields.key(8).text(self.node);
        if let Some(epoch) = self.epoch {
            let mut values = fields.key(9);
            values
                .array(2)
                .uint(epoch.sequence.0)
                .bits128(epoch.claim.0);
        }
        if let Answered::Done {
            freshness: Freshness::Leased,
            ..
        } = &self.answered
        {
            fields.key(10).yes();
        }
        fields.end()
    }

    /// Whether an answer says that its node may not act at all, since it stops or holds no lease: then
    /// nothing happened, and another node is to be asked (H13). Answers begin with what came of their
    /// request, so no more than that is read.
    pub fn turns_away(bytes: &Bytes) -> bool {
        // Nearly every answer is a reply, and is written so: a short head, the version, the reply's key.
        if let [0xA1..=0xB7, 0, 1, 1, ..] = bytes[..] {
            return false;
        }
        let denial = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes).and_then(|mut reader| {
            Ok(match reader.key()? {
                Some(3) => Some(denial_bytes::read(&mut reader)?),
                Some(_) | None => None,
            })
        });
        matches!(denial, Ok(Some(Denial::NoLease | Denial::Stopping)))
    }

    /// Reads an answer; its reply shares the memory of `bytes`. Fields of a newer writer are passed
    /// over, a refusal of a newer writer is [`Denial::Newer`].
    ///
    /// # Errors
    ///
    /// When the bytes are no answer of this version.
    pub fn decode(bytes: &'a Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut reply, mut error, mut denial) = (None, None, None);
        let (mut version, mut sequence, mut found) = (None, None, false);
        let (mut local, mut leased) = (false, false);
        let (mut node, mut epoch) = (None, None);
        while let Some(key) = r.key()? {
            match key {
                1 => reply = Some(r.bytes("reply")?),
                2 => error = Some(r.bytes("error")?),
                3 => denial = Some(denial_bytes::read(r)?),
                4 => version = Some(Version(r.uint("version")?)),
                5 => sequence = Some(Sequence(r.uint("sequence")?)),
                6 => found = r.yes("found before")?,
                7 => local = r.yes("local")?,
                8 => node = Some(r.str("node")?),
                9 => {
                    r.tuple("epoch", 2)?;
                    epoch = Some(Epoch {
                        sequence: Sequence(r.uint("epoch")?),
                        claim: ClaimId(r.bits128("epoch")?),
                    });
                }
                10 => leased = r.yes("leased")?,
                _ => r.skip()?,
            }
        }
        r.holds(!(local && leased), "its state is known to be two things")?;
        let freshness = match (local, leased) {
            (true, _) => Freshness::Local,
            (false, true) => Freshness::Leased,
            (false, false) => Freshness::Linearizable,
        };
        const MIXED: &str = "it is more than one of done, rejected and refused";
        let bare = sequence.is_none() && !found && !local && !leased;
        let answered = match (reply, error, denial) {
            (Some(reply), None, None) => Answered::Done {
                reply,
                version,
                sequence,
                found,
                freshness,
            },
            (None, Some(error), None) => {
                r.holds(bare, MIXED)?;
                Answered::Rejected { error, version }
            }
            (None, None, Some(denial)) => {
                r.holds(bare && version.is_none(), MIXED)?;
                Answered::Refused(denial)
            }
            (None, None, None) => {
                return Err(FormatError::Missing {
                    format: FORMAT,
                    field: "outcome",
                });
            }
            (_, _, _) => {
                return Err(FormatError::Contradiction {
                    format: FORMAT,
                    problem: MIXED,
                });
            }
        };
        Ok(Self {
            answered,
            node: r.need("node", node)?,
            epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answered, Return};
    use crate::format::Denial;
    use crate::id::{Sequence, Version};
    use crate::log::{Freshness, Refusal};
    use bytes::Bytes;

    fn done(sequence: Option<Sequence>, found: bool) -> Answered {
        Answered::Done {
            reply: Bytes::new(),
            version: Some(Version(3)),
            sequence,
            found,
            freshness: Freshness::Linearizable,
        }
    }

    #[test]
    fn a_node_that_may_not_act_turns_away() {
        let turns_away = |answered| {
            let bytes = Return::new("node-1", answered).encode();
            Return::turns_away(&bytes)
        };
        assert!(turns_away(Answered::Refused(Denial::Stopping)));
        assert!(turns_away(Answered::Refused(Denial::NoLease)));
        assert!(!turns_away(Answered::Refused(Denial::Overloaded)));
        assert!(!turns_away(done(Some(Sequence(7)), false)));
        assert!(!Return::turns_away(&Bytes::from_static(b"no answer")));
    }

    #[test]
    fn only_what_is_in_the_log_is_said_of_every_attempt() {
        assert!(done(Some(Sequence(7)), false).took_effect());
        assert!(done(None, true).took_effect());
        // An earlier attempt that is held up may still be decided, and otherwise.
        assert!(!done(None, false).took_effect());
        let rejected = Answered::Rejected {
            error: Bytes::new(),
            version: None,
        };
        assert!(!rejected.took_effect());
        let conflict = Refusal::Conflict { actual: Version(3) };
        assert!(!Answered::Refused(Denial::Log(conflict)).took_effect());
    }
}
