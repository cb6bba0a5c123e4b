//! The flight recorder: the last inputs of a lane's machines, with what replays them.

use super::packed::{
    pack, pack_actors, pack_route, pack_submit, unpack, unpack_actors, unpack_route, unpack_submit,
};
use crate::actor;
use crate::id::{OpId, Sequence};
use crate::log::{self, Input, Ran, Verdict};
use crate::node;
use crate::port::{Ack, StoreDone, StoreReply};
use crate::route;
use crate::shard;
use crate::space;
use crate::step::{Outcome, Time};
use std::collections::VecDeque;
use std::fmt;

/// How many inputs a lane keeps.
const INPUTS_MAX: usize = 1_024;

/// How many bytes of messages and states a lane keeps with them; fewer inputs when those are large.
const BYTES_MAX: usize = 16 << 20;

/// The last inputs of a lane's machines. Boot and dice key make a run of them the same again.
#[derive(Clone)]
pub struct Recording {
    /// The lane.
    pub lane: usize,
    /// The key of this run's dice.
    pub dice_key: u128,
    /// When the lane began, on the node's clock.
    pub boot: Time,
    /// How many inputs came before the first of `entries`.
    pub dropped: u64,
    /// The inputs, oldest first.
    pub entries: Vec<RecordedInput>,
}

/// One input of one machine.
#[derive(Clone)]
pub struct RecordedInput {
    /// The step's time.
    pub now: Time,
    /// Which machine.
    pub machine: String,
    /// The input.
    pub input: Recorded,
}

/// An input, by its machine's type.
#[derive(Clone)]
#[non_exhaustive]
pub enum Recorded {
    /// Of a shard's log.
    Log(log::Input),
    /// Of the namespace's machine.
    Space(Box<space::Input>),
    /// Of a reader of history.
    History(Box<log::HistoryInput>),
    /// Of a lane's actors.
    Actors(Box<actor::Input>),
    /// Of a lane's routing.
    Router(Box<route::Input>),
    /// Of the node's membership.
    Node(Box<node::Input>),
    /// Of the node's ownership.
    Owners(Box<shard::Input>),
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(input) => fmt::Debug::fmt(input, f),
            Self::Space(input) => fmt::Debug::fmt(input, f),
            Self::Actors(input) => fmt::Debug::fmt(input, f),
            Self::History(input) => fmt::Debug::fmt(input, f),
            Self::Router(input) => fmt::Debug::fmt(input, f),
            Self::Node(input) => fmt::Debug::fmt(input, f),
            Self::Owners(input) => fmt::Debug::fmt(input, f),
        }
    }
}

impl fmt::Debug for RecordedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.now, self.machine, self.input)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "lane {} dice {:032x} boot {} dropped {}",
            self.lane, self.dice_key, self.boot, self.dropped
        )?;
        self.entries
            .iter()
            .try_for_each(|entry| writeln!(f, "{entry:?}"))
    }
}

/// Keeps the last inputs.
pub(crate) struct Recorder<M> {
    ring: VecDeque<Entry<M>>,
    dropped: u64,
    /// What the ring's inputs hold.
    bytes: usize,
    /// The packed commands and verdicts of the ring's inputs, the oldest input's first.
    packed: Vec<u8>,
    /// Where they begin; what is before it is of inputs that are gone.
    begin: usize,
}

/// An input in the ring, and the bytes of what it holds of messages, states and verdicts.
struct Entry<M> {
    now: Time,
    machine: M,
    input: Kept,
    bytes: usize,
}

/// What is kept of an input. Those of a command and of a request are small, because each writes them over
/// those of an earlier one.
enum Kept {
    Whole(Box<Recorded>),
    /// A command came; its bytes are packed.
    Submit,
    /// The host decided; the bytes of the verdicts are packed.
    Decided(OpId),
    /// A message was stored.
    Published(OpId, Sequence),
    /// Of routing; its bytes are packed.
    Router,
    /// Of actors; its bytes are packed.
    Actors,
}

impl<M> Entry<M> {
    /// How many of its bytes are packed.
    fn packed(&self) -> usize {
        match self.input {
            Kept::Submit | Kept::Decided(_) | Kept::Router | Kept::Actors => self.bytes,
            Kept::Published(..) | Kept::Whole(_) => 0,
        }
    }
}

/// The bytes of what an input holds of messages and states.
fn bytes_of(input: &Recorded) -> usize {
    match input {
        Recorded::Log(input) => log_bytes(input),
        Recorded::History(input) => match input.as_ref() {
            log::HistoryInput::Stored { reply, .. } => stored_bytes(reply),
            log::HistoryInput::Tick => 0,
        },
        Recorded::Node(input) => {
            let stored = node_stored(input);
            stored.map_or(0, stored_bytes)
        }
        Recorded::Owners(input) => {
            let stored = owners_stored(input);
            stored.map_or(0, stored_bytes)
        }
        // Records of a layout and of kinds are small; routing holds no payloads, and actors' inputs
        // no messages.
        Recorded::Space(_) | Recorded::Router(_) | Recorded::Actors(_) => 0,
    }
}

fn node_stored(input: &node::Input) -> Option<&StoreReply> {
    let node::Input::Stored { reply, .. } = input else {
        return None;
    };
    Some(reply)
}

fn owners_stored(input: &shard::Input) -> Option<&StoreReply> {
    let shard::Input::Stored { reply, .. } = input else {
        return None;
    };
    Some(reply)
}

fn log_bytes(input: &Input) -> usize {
    match input {
        Input::Stored { reply, .. } => stored_bytes(reply),
        Input::Ran {
            ran: Ran::Snapshotted(Ok(state)),
            ..
        } => state.len(),
        Input::Ran {
            ran: Ran::Decided(decided),
            ..
        } => decided.iter().map(|one| verdict_bytes(&one.verdict)).sum(),
        Input::Tick
        | Input::Up(_)
        | Input::Down
        | Input::Kind(_)
        | Input::Claim
        | Input::Order(_)
        | Input::Run(_)
        | Input::Lease(_)
        | Input::Evict
        | Input::Submit(_)
        | Input::Read(_)
        | Input::Wall(_)
        | Input::Dispatched { .. }
        | Input::Ran { .. } => 0,
    }
}

fn stored_bytes(reply: &StoreReply) -> usize {
    let messages = match reply {
        Outcome::Done(StoreDone::Latest(proof)) => proof.messages.as_slice(),
        Outcome::Done(StoreDone::Message(message)) => std::slice::from_ref(message),
        Outcome::Done(StoreDone::Page(page)) => page.messages.as_slice(),
        Outcome::Done(
            StoreDone::Published(_) | StoreDone::Stream(_) | StoreDone::Capabilities(_),
        )
        | Outcome::Refused(_)
        | Outcome::Unknown => &[],
    };
    messages.iter().map(|message| message.payload.len()).sum()
}

fn verdict_bytes(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Accepted {
            events,
            outcome,
            later,
            ..
        } => {
            let later = later.as_deref().map_or(0, |later| {
                let timers = later.armed.iter().map(|timer| timer.message.data.len());
                let sends = later.sends.iter().map(|intent| intent.message.data.len());
                timers.chain(sends).sum()
            });
            outcome.len() + later + events.iter().map(|event| event.data.len()).sum::<usize>()
        }
        Verdict::Rejected | Verdict::Conflict(_) | Verdict::Failed(_) => 0,
    }
}

impl<M: fmt::Debug + Copy> Recorder<M> {
    pub(crate) fn new() -> Self {
        Self {
            ring: VecDeque::with_capacity(INPUTS_MAX),
            dropped: 0,
            bytes: 0,
            packed: Vec::new(),
            begin: 0,
        }
    }

    pub(crate) fn push(&mut self, now: Time, machine: M, input: Recorded) {
        let bytes = bytes_of(&input);
        self.keep(now, machine, Kept::Whole(Box::new(input)), bytes);
    }

    /// The same for an input of a shard's log, of which there are many.
    pub(crate) fn push_log(&mut self, now: Time, machine: M, input: &Input) {
        let end = self.packed.len();
        let input = if let Input::Submit(submit) = input
            && pack_submit(submit, &mut self.packed)
        {
            Kept::Submit
        } else if let Input::Ran {
            op,
            ran: Ran::Decided(decided),
        } = input
            && pack(decided, &mut self.packed)
        {
            Kept::Decided(*op)
        } else if let Input::Stored {
            op,
            reply: Outcome::Done(StoreDone::Published(ack)),
        } = input
            && !ack.duplicate
        {
            Kept::Published(*op, ack.sequence)
        } else {
            return self.push(now, machine, Recorded::Log(input.clone()));
        };
        let bytes = self.packed.len() - end;
        self.keep(now, machine, input, bytes);
    }

    /// The same for an input of routing.
    pub(crate) fn push_route(&mut self, now: Time, machine: M, input: &route::Input) {
        let end = self.packed.len();
        if pack_route(input, &mut self.packed) {
            let bytes = self.packed.len() - end;
            self.keep(now, machine, Kept::Router, bytes);
        } else {
            self.push(now, machine, Recorded::Router(Box::new(input.clone())));
        }
    }

    /// The same for an input of actors.
    pub(crate) fn push_actors(&mut self, now: Time, machine: M, input: &actor::Input) {
        let end = self.packed.len();
        if pack_actors(input, &mut self.packed) {
            let bytes = self.packed.len() - end;
            self.keep(now, machine, Kept::Actors, bytes);
        } else {
            self.push(now, machine, Recorded::Actors(Box::new(input.clone())));
        }
    }

    fn keep(&mut self, now: Time, machine: M, input: Kept, bytes: usize) {
        while self.ring.len() == INPUTS_MAX || self.bytes + bytes > BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            self.begin += oldest.packed();
            self.dropped += 1;
        }
        // Seldom enough that it costs next to nothing: as much as is there was added since.
        if self.begin > self.packed.len() / 2 {
            self.packed.drain(..self.begin);
            self.begin = 0;
        }
        self.bytes += bytes;
        self.ring.push_back(Entry {
            now,
            machine,
            input,
            bytes,
        });
    }

    pub(crate) fn dump(&self, lane: usize, dice_key: u128, boot: Time) -> Recording {
        let entries = self.ring.iter();
        let mut packed = self.packed.iter().copied().skip(self.begin);
        let entries = entries.map(|entry| {
            let bytes: Vec<u8> = packed.by_ref().take(entry.packed()).collect();
            let input = match &entry.input {
                Kept::Whole(input) => (**input).clone(),
                Kept::Submit => {
                    let submit = unpack_submit(&bytes).expect("a command that was packed");
                    Recorded::Log(Input::Submit(submit))
                }
                Kept::Decided(op) => {
                    let decided = unpack(&bytes).expect("verdicts that were packed");
                    Recorded::Log(Input::Ran {
                        op: *op,
                        ran: Ran::Decided(decided),
                    })
                }
                Kept::Router => {
                    let input = unpack_route(&bytes).expect("an input that was packed");
                    Recorded::Router(Box::new(input))
                }
                Kept::Actors => {
                    let input = unpack_actors(&bytes).expect("an input that was packed");
                    Recorded::Actors(Box::new(input))
                }
                Kept::Published(op, sequence) => Recorded::Log(Input::Stored {
                    op: *op,
                    reply: Outcome::Done(StoreDone::Published(Ack {
                        sequence: *sequence,
                        duplicate: false,
                    })),
                }),
            };
            RecordedInput {
                now: entry.now,
                machine: format!("{:?}", entry.machine),
                input,
            }
        });
        Recording {
            lane,
            dice_key,
            boot,
            dropped: self.dropped,
            entries: entries.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUTS_MAX, Recorded, Recorder};
    use crate::id::{OpId, Ticket, Version};
    use crate::log::{Decided, Input, Ran, Verdict};
    use crate::step::Time;

    #[test]
    fn the_ring_keeps_the_last_inputs_and_counts_the_others() {
        let mut recorder = Recorder::new();
        for n in 0..INPUTS_MAX as u64 + 3 {
            recorder.push(Time::from_nanos(n), "machine", Recorded::Log(Input::Tick));
        }
        let recording = recorder.dump(1, 7, Time::ZERO);
        assert_eq!(recording.dropped, 3);
        assert_eq!(recording.entries.len(), INPUTS_MAX);
        assert!(recording.to_string().starts_with("lane 1 dice 0000"));
        assert_eq!(recording.entries[0].now, Time::from_nanos(3));
    }

    #[test]
    fn large_inputs_push_out_more_than_one() {
        let state = bytes::Bytes::from(vec![0; super::BYTES_MAX / 4]);
        let large = |op| Input::Ran {
            op: OpId(op),
            ran: Ran::Snapshotted(Ok(state.clone())),
        };
        let mut recorder = Recorder::new();
        for n in 0..100 {
            recorder.push_log(Time::from_nanos(n), "machine", &Input::Tick);
        }
        for n in 100..106 {
            recorder.push_log(Time::from_nanos(n), "machine", &large(n));
        }
        let recording = recorder.dump(1, 7, Time::ZERO);
        assert_eq!(recording.entries.len(), 4, "as many as there is room for");
        assert_eq!(recording.dropped, 102);
        assert_eq!(recording.entries[0].now, Time::from_nanos(102));
    }

    #[test]
    fn verdicts_come_out_as_they_went_in_also_after_the_ring_is_full() {
        let input = |n: u64| {
            let verdict = Verdict::Failed("no".repeat(usize::try_from(n % 7).unwrap()));
            let ticket = Ticket(n);
            let decided = Decided { ticket, verdict };
            match n % 3 {
                0 => Input::Evict,
                1 => Input::Ran {
                    op: OpId(n),
                    ran: Ran::Decided(vec![decided]),
                },
                _ => Input::Ran {
                    op: OpId(n),
                    ran: Ran::Decided(vec![
                        Decided {
                            ticket,
                            verdict: Verdict::Conflict(Version(n)),
                        },
                        decided,
                    ]),
                },
            }
        };
        let mut recorder = Recorder::new();
        let pushed = 2 * INPUTS_MAX as u64 + 5;
        for n in 0..pushed {
            recorder.push_log(Time::from_nanos(n), "machine", &input(n));
        }
        let recording = recorder.dump(1, 7, Time::ZERO);
        for (entry, n) in recording.entries.iter().zip(recording.dropped..pushed) {
            assert_eq!(format!("{:?}", entry.input), format!("{:?}", input(n)));
        }
        assert_eq!(recording.entries.len(), INPUTS_MAX);
    }
}
