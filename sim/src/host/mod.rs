//! The host of user state in one shard of one node: it does the machine's [`Work`] and keeps each
//! caller's typed answer, as a driver would.

mod build;
mod command;
mod later;
mod state;

pub use build::Build;
pub(crate) use build::Reader;
pub use command::Command;
pub(crate) use command::{Style, decide, metadata};
pub(crate) use later::{Effect, Wished, effect_of, firing_ticket, message_ticket, whose};
pub use state::{Added, State};

use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::id::{Slot, Ticket, Version};
use tenure_core::log::{
    Base, Decided, Expected, FoldError, Provisional, Ran, StoredCommit, Verdict, Work,
};
use tenure_core::name::EntityId;

/// So often no command is decided, whatever gets in its way, that comes to anything.
const DECIDED_MAX: u32 = 1_000;

/// What a caller's question was answered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The state that the command was decided on, or that the read saw.
    pub on: State,
    /// The state after the command.
    pub after: State,
    /// The verdict; `None` for a read.
    pub verdict: Option<Verdict>,
}

impl Answer {
    /// The encoded reply of an accepted command.
    pub fn outcome(&self) -> Option<&Bytes> {
        match &self.verdict {
            Some(Verdict::Accepted { outcome, .. }) => Some(outcome),
            Some(Verdict::Rejected | Verdict::Conflict(_) | Verdict::Failed(_)) | None => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Held {
    entity: EntityId,
    committed: State,
    provisional: Option<State>,
}

/// A caller's command.
#[derive(Clone, Copy, Debug)]
struct Taken {
    caller: Ticket,
    command: Command,
    /// How often it was decided so far.
    decided: u32,
}

/// The states of one shard on one node.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// What it writes.
    build: Build,
    /// How it reads.
    reader: Reader,
    slots: BTreeMap<Slot, Held>,
    /// Commands by the ticket that the machine knows, with that of their caller.
    commands: BTreeMap<Ticket, Taken>,
    answers: BTreeMap<Ticket, Answer>,
}

impl Host {
    /// A host that holds nothing.
    pub(crate) fn new(build: Build, reader: Reader) -> Self {
        Self {
            build,
            reader,
            slots: BTreeMap::new(),
            commands: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Whether a work has events in it that are read over steps.
    pub(crate) fn meets_older_events(work: &Work) -> bool {
        match work {
            Work::Fold { commits, .. } => {
                let mut events = commits.iter().flat_map(|stored| &stored.commit.events);
                events.any(Build::is_older)
            }
            Work::Decide { .. }
            | Work::Fire { .. }
            | Work::Answer { .. }
            | Work::Snapshot { .. } => false,
        }
    }

    /// Keeps a caller's command until it is decided. The machine may know it by another ticket than
    /// its caller, who may be elsewhere.
    pub(crate) fn take(&mut self, ticket: Ticket, caller: Ticket, command: Command) {
        let taken = Taken {
            caller,
            command,
            decided: 0,
        };
        self.commands.insert(ticket, taken);
    }

    /// The answer for a caller who got the machine's reply.
    pub(crate) fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.commands.remove(&ticket);
        self.answers.remove(&ticket)
    }

    /// The committed state of a slot and whose it is.
    pub(crate) fn committed(&self, slot: Slot) -> Option<(&EntityId, State)> {
        let held = self.slots.get(&slot)?;
        Some((&held.entity, held.committed))
    }

    /// Drops the state of a slot.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Does the work. `readable` is false when snapshots shall look undecodable, or cannot be made.
    ///
    /// An error is a breach of the contract by the machine, in words.
    pub(crate) fn work(&mut self, work: Work, readable: bool) -> Result<Ran, String> {
        match work {
            Work::Fold {
                slot,
                kind: _,
                entity,
                base,
                commits,
            } => self.fold(slot, entity, base, &commits, readable),
            Work::Decide {
                slot,
                provisional,
                version,
                commands,
            } => self.decide(slot, provisional, version, &commands),
            Work::Fire {
                slot,
                provisional,
                version,
                firing,
            } => {
                let build = self.build;
                let state = self.settled(slot, provisional)?.committed;
                same_version(slot, version, state)?;
                let (verdict, after) = Self::fire(build, &firing, state)?;
                self.slot(slot)?.provisional = Some(after);
                let ticket = firing.ticket;
                Ok(Ran::Decided(vec![Decided { ticket, verdict }]))
            }
            Work::Answer {
                slot,
                provisional,
                version,
                tickets,
            } => {
                let state = self.settled(slot, provisional)?.committed;
                same_version(slot, version, state)?;
                for ticket in tickets {
                    let answer = Answer {
                        on: state,
                        after: state,
                        verdict: None,
                    };
                    self.answers.insert(ticket, answer);
                }
                Ok(Ran::Answered)
            }
            Work::Snapshot { slot, provisional } if !readable => {
                self.settled(slot, provisional)?;
                let cause = "the simulator made it fail";
                Ok(Ran::Snapshotted(Err(cause.into())))
            }
            Work::Snapshot { slot, provisional } => {
                let held = self.settled(slot, provisional)?;
                Ok(Ran::Snapshotted(Ok(held.committed.encode())))
            }
        }
    }

    fn fold(
        &mut self,
        slot: Slot,
        entity: EntityId,
        base: Base,
        commits: &[StoredCommit],
        readable: bool,
    ) -> Result<Ran, String> {
        let mut state = match base {
            Base::Nothing => State::default(),
            Base::Snapshot(snapshot) => {
                let state = State::decode(&snapshot.state).filter(|_| readable);
                let Some(state) = state else {
                    self.slots.remove(&slot);
                    return Ok(Ran::Folded(Err(FoldError::Snapshot {
                        cause: "the simulator made it unreadable".into(),
                    })));
                };
                if state.version != snapshot.version {
                    return Err(format!(
                        "the snapshot of {entity:?} says {} and holds {}",
                        snapshot.version, state.version
                    ));
                }
                state
            }
            Base::Held(provisional) => {
                let held = self.settled(slot, provisional)?;
                if held.entity != entity {
                    return Err(format!("{slot:?} holds {:?}, not {entity:?}", held.entity));
                }
                held.committed
            }
        };
        for stored in commits {
            state = folded(&self.reader, state, stored)?;
        }
        let held = Held {
            entity,
            committed: state,
            provisional: None,
        };
        self.slots.insert(slot, held);
        Ok(Ran::Folded(Ok(())))
    }

    fn decide(
        &mut self,
        slot: Slot,
        provisional: Provisional,
        version: Version,
        commands: &[(Ticket, Expected)],
    ) -> Result<Ran, String> {
        let mut state = self.settled(slot, provisional)?.committed;
        same_version(slot, version, state)?;
        let mut verdicts = Vec::new();
        for (ticket, expected) in commands {
            let Some(taken) = self.commands.get_mut(ticket) else {
                return Err(format!("decide of {ticket:?}, which was answered already"));
            };
            taken.decided += 1;
            if taken.decided > DECIDED_MAX {
                return Err(format!("{ticket:?} is decided again and again"));
            }
            let Taken {
                caller, command, ..
            } = *taken;
            let (verdict, after) = decide(self.build, caller, &command, *expected, state);
            let answer = Answer {
                on: state,
                after,
                verdict: Some(verdict.clone()),
            };
            self.answers.insert(*ticket, answer);
            verdicts.push(Decided {
                ticket: *ticket,
                verdict,
            });
            state = after;
        }
        self.slot(slot)?.provisional = Some(state);
        Ok(Ran::Decided(verdicts))
    }

    /// What a slot holds, after the state that was decided last was kept or dropped.
    fn settled(&mut self, slot: Slot, provisional: Provisional) -> Result<&mut Held, String> {
        let held = self.slot(slot)?;
        match (provisional, held.provisional.take()) {
            (Provisional::Committed, Some(state)) => held.committed = state,
            (Provisional::Committed, None) => {
                return Err(format!(
                    "{slot:?} has nothing provisional that was committed"
                ));
            }
            (Provisional::Dropped, _) => {}
        }
        Ok(held)
    }

    fn slot(&mut self, slot: Slot) -> Result<&mut Held, String> {
        self.slots
            .get_mut(&slot)
            .ok_or_else(|| format!("work on {slot:?}, which holds nothing"))
    }
}

fn folded(reader: &Reader, mut state: State, stored: &StoredCommit) -> Result<State, String> {
    let commit = &stored.commit;
    if commit.before != state.version {
        return Err(format!(
            "fold of the commit at {:?}, which follows {:?}, on a state at {:?}",
            stored.sequence, commit.before, state.version
        ));
    }
    for record in &commit.events {
        let events = reader.read(record);
        let events = events.map_err(|e| format!("{e}, at {:?}", stored.sequence))?;
        for event in events {
            state = state.after(record.version, &event);
        }
    }
    Ok(state)
}

fn same_version(slot: Slot, version: Version, state: State) -> Result<(), String> {
    if version == state.version {
        Ok(())
    } else {
        Err(format!(
            "work on {slot:?} at {version:?}; the host holds {:?}",
            state.version
        ))
    }
}
