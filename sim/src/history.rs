//! What callers asked and were told.

use crate::host::{Answer, Command};
use std::collections::BTreeMap;
use tenure_core::format::{TakeOver, WriteMode};
use tenure_core::id::{CommandId, Sequence, Ticket};
use tenure_core::log::{Expected, Freshness, KindIndex, Reply};
use tenure_core::name::EntityId;
use tenure_core::port::Subject;

/// An entity of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its shard, by index.
    pub shard: usize,
    /// Its shard's take-over class.
    pub class: TakeOver,
    /// Its shard's write mode.
    pub mode: WriteMode,
    /// Its kind.
    pub kind: KindIndex,
    /// Its id.
    pub id: EntityId,
    /// Its subject.
    pub subject: Subject,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its row of draws: the same when it is asked again.
    pub row: u64,
    /// The entity, by index.
    pub entity: usize,
    /// The command; `None` is a read.
    pub command: Option<Command>,
    /// The command's id.
    pub id: Option<CommandId>,
    /// What version it must meet.
    pub expected: Expected,
    /// How fresh the state must be that a read is answered from.
    pub freshness: Freshness,
}

/// One question of a caller and its answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Names it.
    pub ticket: Ticket,
    /// The node that was asked, and which of its lives.
    pub place: (usize, u32),
    /// What was asked.
    pub wish: Wish,
    /// The entity.
    pub entity: Entity,
    /// When, in true nanoseconds.
    pub at: u64,
    /// When the caller gives up, in true nanoseconds.
    pub due: u64,
    /// The highest commit of this entity that this node had acknowledged before.
    pub acknowledged: Sequence,
    /// How often it was asked before under the same id.
    pub again: u32,
    /// Whether it is one of the questions after everything healed.
    pub last_round: bool,
    /// Whether the node was the last one to claim the shard when it was asked.
    pub owner: bool,
    /// Whether the node crashed before it replied.
    pub lost: bool,
    /// For how long the node was stopped since, in nanoseconds.
    pub stopped: u64,
    /// Whether the store lost acknowledged messages since.
    pub voided: bool,
    /// Whether a clock that its deadline rests on was wrong since, or its node slow: it is answered at any
    /// time.
    pub untimed: bool,
    /// The machine's reply, the host's answer, and when.
    pub told: Option<Told>,
}

/// What a caller was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, in true nanoseconds.
    pub at: u64,
    /// What the machine said.
    pub reply: Reply,
    /// What the host said.
    pub answer: Option<Answer>,
}

/// All questions of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they were asked, which is that of their tickets.
    asked: Vec<Asked>,
    /// Where in it a ticket is, plus one, by its number; 0: it is nobody's here.
    places: Vec<u32>,
    acknowledged: BTreeMap<(usize, u32, usize), Sequence>,
}

impl History {
    /// One question.
    pub fn asked(&self, ticket: Ticket) -> Option<&Asked> {
        self.asked.get(self.place(ticket)?)
    }

    /// All questions.
    pub fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter()
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        let number = usize::try_from(ticket.0).ok()?;
        let place = *self.places.get(number)?;
        (place as usize).checked_sub(1)
    }

    pub(crate) fn ask(&mut self, mut asked: Asked) {
        let (node, life) = asked.place;
        let key = (node, life, asked.wish.entity);
        asked.acknowledged = self.acknowledged.get(&key).copied().unwrap_or_default();
        let number = usize::try_from(asked.ticket.0).expect("tickets count from 1");
        assert!(self.places.len() <= number, "tickets rise");
        self.places.resize(number, 0);
        self.asked.push(asked);
        let place = u32::try_from(self.asked.len()).expect("fewer questions");
        self.places.push(place);
    }

    pub(crate) fn tell(&mut self, ticket: Ticket, told: Told) -> Option<&Asked> {
        let place = self.place(ticket)?;
        let asked = self.asked.get_mut(place)?;
        // What was acknowledged before a loss and is told after it is not owed any more.
        if let Reply::Committed { sequence, .. } = told.reply
            && !asked.voided
        {
            let (node, life) = asked.place;
            let mark = self
                .acknowledged
                .entry((node, life, asked.wish.entity))
                .or_default();
            *mark = sequence.max(*mark);
        }
        asked.told = Some(told);
        Some(asked)
    }

    /// A node crashed: its callers hear no more.
    pub(crate) fn lose(&mut self, place: (usize, u32)) {
        for asked in self.open(place) {
            asked.lost = true;
        }
    }

    /// A node stands still until a true time.
    pub(crate) fn stop(&mut self, place: (usize, u32), nanos: u64) {
        for asked in self.open(place) {
            asked.stopped += nanos;
        }
    }

    fn open(&mut self, place: (usize, u32)) -> impl Iterator<Item = &mut Asked> {
        self.asked
            .iter_mut()
            .filter(move |asked| asked.place == place && asked.told.is_none())
    }

    /// A clock is wrong: what is open is answered at any time, and what nobody waits for any more may
    /// still be decided.
    pub(crate) fn untime(&mut self) {
        for asked in &mut self.asked {
            asked.untimed = true;
        }
    }

    /// A node is slow: what is open there is answered at any time.
    pub(crate) fn untime_of(&mut self, place: (usize, u32)) {
        for asked in self.open(place) {
            asked.untimed = true;
        }
    }

    /// A declared loss: nothing that was acknowledged before is owed any more.
    pub(crate) fn void(&mut self) {
        self.acknowledged.clear();
        for asked in &mut self.asked {
            asked.voided = true;
            asked.acknowledged = Sequence::NONE;
        }
    }
}
