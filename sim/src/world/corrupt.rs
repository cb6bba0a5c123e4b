//! The tests' own test: a store that breaks its word behind the oracles' back. Each of these must
//! be caught, or the oracles are blind.

use super::World;
use super::event::Event;
use super::story::{Kind, Lane};
use crate::host::{Added, Build, State};
use crate::ledger::Placed;
use crate::tamper;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tenure_core::Outcome;
use tenure_core::Span;
use tenure_core::format::{Commit, EventRecord, WriteMode};
use tenure_core::id::{CommitId, Epoch, Sequence, Ticket};
use tenure_core::port::{Expect, Message, Publish, Rollup, StoreReply, StoreRequest};

/// A way in which a store breaks its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// When the last messages of a stream vanish without a word.
    LostMessage,
    /// When a stored commit is stored again behind later ones.
    Doubled,
    /// When two commits change places.
    Swapped,
    /// When a well-formed commit of a former epoch is stored.
    Zombie,
    /// When expectations are not checked.
    Unchecked,
    /// When writes are acknowledged and not stored.
    LyingAck,
    /// When old states are served under a new proof.
    FalseProof,
    /// When command ids are missing from what is read.
    ForgottenIds,
    /// When a commit says that it was decided on another state than the one it follows.
    OldGround,
    /// When a commit's metadata is told of the next command.
    StrangeMetadata,
    /// When a commit arms each of its timers twice, under two names.
    ArmedTwice,
    /// When the store never answers again after everything healed.
    Deaf,
    /// When nodes hold replies back.
    Mute,
    /// When nodes act for leased shards, and answer from them, after their lease.
    EndlessLease,
    /// When clocks run apart by far more than the bound that leases rest on.
    WildClocks,
    /// When a node takes a shard over whose owner only looks gone, though it is leased.
    HintedLease,
    /// When a node claims a shard from an owner that lives.
    Usurper,
    /// When a command that was stored is said to have met no owner.
    LyingNotOwner,
    /// When callers hear of hand-overs instead of being forwarded.
    Curt,
    /// When shards are handed over between nodes that stay.
    Restless,
    /// When requests run on after their deadlines.
    Endless,
    /// When no order reaches a log after everything healed.
    Disobedient,
    /// When nobody claims what another owned.
    Heirless,
    /// When messages of commits are not sent.
    Unsent,
    /// When messages come without their ids.
    Nameless,
    /// When wall clocks that are asked show an early time, so that no timer is due.
    Unfired,
    /// When wall clocks that are asked are ahead of what they show.
    Early,
    /// When a node that is said to be well again does not reach the store.
    HalfHealed,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::LostMessage,
        Self::Doubled,
        Self::Swapped,
        Self::Zombie,
        Self::Unchecked,
        Self::LyingAck,
        Self::FalseProof,
        Self::ForgottenIds,
        Self::OldGround,
        Self::StrangeMetadata,
        Self::ArmedTwice,
        Self::Deaf,
        Self::Mute,
        Self::EndlessLease,
        Self::WildClocks,
        Self::HintedLease,
        Self::Usurper,
        Self::LyingNotOwner,
        Self::Curt,
        Self::Restless,
        Self::Endless,
        Self::Disobedient,
        Self::Heirless,
        Self::Unsent,
        Self::Nameless,
        Self::Unfired,
        Self::Early,
        Self::HalfHealed,
    ];
}

impl Corruption {
    /// Whether it is the store that breaks its word to requests: so it does in every world.
    pub const fn is_of_store(self) -> bool {
        match self {
            Self::Unchecked
            | Self::LyingAck
            | Self::FalseProof
            | Self::ForgottenIds
            | Self::ArmedTwice => true,
            Self::LostMessage
            | Self::Doubled
            | Self::Swapped
            | Self::Zombie
            | Self::OldGround
            | Self::StrangeMetadata
            | Self::Deaf
            | Self::Mute
            | Self::EndlessLease
            | Self::WildClocks
            | Self::HintedLease
            | Self::Usurper
            | Self::LyingNotOwner
            | Self::Curt
            | Self::Restless
            | Self::Endless
            | Self::Disobedient
            | Self::Heirless
            | Self::Unsent
            | Self::Nameless
            | Self::Unfired
            | Self::Early
            | Self::HalfHealed => false,
        }
    }
}

impl fmt::Display for Corruption {
    /// Its name in words with hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        for (n, letter) in name.chars().enumerate() {
            if n > 0 && letter.is_ascii_uppercase() {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

impl FromStr for Corruption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|it| it.to_string() == text);
        named.ok_or_else(|| {
            let all = Self::ALL.map(|it| it.to_string()).join(", ");
            format!("there is no corruption {text:?}; there are {all}")
        })
    }
}

impl World {
    /// Corrupts the store once; later when there is nothing to corrupt yet.
    pub(super) fn corrupt(&mut self) {
        let done = match self.corruption {
            Some(Corruption::LostMessage) => self.lose_message(),
            Some(Corruption::Doubled) => self.double(),
            Some(Corruption::Swapped) => self.swap(),
            Some(Corruption::Zombie) => self.store_zombie(),
            Some(Corruption::Usurper) => self.usurp(),
            Some(Corruption::Restless) => self.hand_on(),
            Some(
                Corruption::Unchecked
                | Corruption::LyingAck
                | Corruption::FalseProof
                | Corruption::ForgottenIds
                | Corruption::OldGround
                | Corruption::StrangeMetadata
                | Corruption::ArmedTwice
                | Corruption::Deaf
                | Corruption::Mute
                | Corruption::EndlessLease
                | Corruption::WildClocks
                | Corruption::HintedLease
                | Corruption::LyingNotOwner
                | Corruption::Curt
                | Corruption::Endless
                | Corruption::Disobedient
                | Corruption::Heirless
                | Corruption::Unsent
                | Corruption::Nameless
                | Corruption::Unfired
                | Corruption::Early
                | Corruption::HalfHealed,
            )
            | None => Some(()),
        };
        if done.is_none() && !self.healed {
            self.at(Span::from_millis(50), Event::Corrupt);
        }
    }

    /// A write as the corrupted store takes it; `Err` is an answer without a deed.
    #[allow(
        clippy::result_large_err,
        reason = "it is the answer itself, as in the store"
    )]
    pub(super) fn tampered<'a>(
        &mut self,
        request: &'a StoreRequest,
    ) -> Result<Cow<'a, StoreRequest>, StoreReply> {
        if self.corruption.is_none() {
            return Ok(Cow::Borrowed(request));
        }
        let last = self.store.last(&self.streams[0]);
        let tampered = tamper::tampered(self.corruption, &mut self.draws, last, request);
        tampered.map(Cow::Owned)
    }

    /// An answer as the corrupted store gives it.
    pub(super) fn falsified(&mut self, request: &StoreRequest, reply: StoreReply) -> StoreReply {
        let (wall, store) = (self.store_wall(), &self.store);
        let stream = request.stream();
        let last = stream.map_or(Sequence::NONE, |stream| store.last(stream));
        let as_of = |up_to| store.answer_as_of(wall, up_to, request);
        tamper::falsified(self.corruption, &mut self.draws, last, as_of, reply)
    }

    fn lose_message(&mut self) -> Option<()> {
        let stream = self.streams[0].clone();
        let last = self.store.last(&stream).0;
        if last < 6 {
            return None;
        }
        self.tell(Lane::Store, Kind::Fault, || {
            "CORRUPTION: messages vanish".into()
        });
        self.store.lose_tail(&stream, Sequence(last - 3));
        Some(())
    }

    fn double(&mut self) -> Option<()> {
        let old = {
            let (_, history) = self.ledger.entities().find(|(_, all)| all.len() > 2)?;
            history[0].clone()
        };
        self.tell(Lane::Store, Kind::Fault, || {
            "CORRUPTION: a commit is stored twice".into()
        });
        let payload = old.commit.encode();
        self.force(&old.stream, &old.subject, payload)
    }

    fn swap(&mut self) -> Option<()> {
        let stream = self.streams[0].clone();
        let last = self.store.last(&stream).0;
        let messages: Vec<Message> = self
            .store
            .messages(&stream)
            .filter(|message| message.sequence.0 + 2 > last)
            .cloned()
            .collect();
        let [one, two] = messages.try_into().ok()?;
        if self.ledger.history(&one.subject).is_empty() {
            return None;
        }
        self.tell(Lane::Store, Kind::Fault, || {
            "CORRUPTION: two messages change places".into()
        });
        self.store.lose_tail(&stream, Sequence(last - 2));
        self.force(&stream, &two.subject, two.payload)?;
        self.force(&stream, &one.subject, one.payload)
    }

    fn store_zombie(&mut self) -> Option<()> {
        let shard = self
            .plan
            .shards
            .iter()
            .position(|mode| *mode == WriteMode::Owned)?;
        let ownership = self.ownerships[shard].clone();
        let entity = self.entities.iter().find(|it| it.shard == shard)?;
        let last = self.ledger.history(&entity.subject).last()?.clone();
        let now = self.ledger.epoch_before(&ownership, Sequence(u64::MAX))?;
        let former = self.ledger.epoch_before(&ownership, now.sequence)?;
        self.tell(Lane::Store, Kind::Fault, || {
            "CORRUPTION: a commit of a former epoch is stored".into()
        });
        let commit = successor(&last, former, self.plan.limits.chain_max);
        self.force(&last.stream, &last.subject, commit.encode())
    }

    /// Stores a message whatever the world says.
    fn force(&mut self, stream: &str, subject: &str, payload: Bytes) -> Option<()> {
        self.store.drop_proposals_of(stream);
        let publish = Publish {
            stream: stream.into(),
            subject: subject.into(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload,
        };
        let wall = self.store_wall();
        match self.store.apply(wall, &StoreRequest::Publish(publish)) {
            Outcome::Done(_) => Some(()),
            Outcome::Refused(_) | Outcome::Unknown => None,
        }
    }
}

/// A commit that follows another one in every respect but its epoch.
fn successor(last: &Placed, epoch: Epoch, chain_max: usize) -> Commit {
    let state: State = last.after();
    let event = Added {
        ticket: Ticket(u64::MAX),
        index: 0,
        amount: 1,
        seen: state.digest,
    };
    let (name, schema, data) = Build::Present.write(&event, 0);
    let mut commit = last.commit.clone();
    commit.id = CommitId(commit.id.0 ^ 1);
    commit.epoch = Some(epoch);
    commit.before = state.version;
    commit.last = state.version.next();
    let earlier = Arc::make_mut(&mut commit.earlier);
    earlier.insert(0, last.sequence);
    earlier.truncate(chain_max);
    commit.commands.clear();
    commit.metadata.clear();
    commit.events = vec![EventRecord {
        version: commit.last,
        name: name.into(),
        schema,
        data,
    }];
    commit
}
