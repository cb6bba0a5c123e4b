//! The flight recorder: the last inputs of a lane's machines, with what replays them.

use super::flight::{Began, MARKS_MAX, Mark, Recall, State, marks_of};
use super::packed::{
    HEAD, pack, pack_actors, pack_route, pack_submit, unpack, unpack_actors, unpack_route,
    unpack_submit,
};
use crate::actor;
use crate::bus;
use crate::consumer;
use crate::id::{OpId, Sequence};
use crate::log::{self, Input, Ran, Verdict};
use crate::node;
use crate::port::{Ack, StoreDone, StoreReply};
use crate::route;
use crate::shard;
use crate::space;
use crate::step::{Dice, Outcome, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// How many inputs a lane keeps.
const INPUTS_MAX: usize = 1_024;

/// How many inputs of one moment stand together in the ring.
const RUN_MAX: u32 = 64;

/// How many bytes of messages and states a lane keeps with them; fewer inputs when those are large.
const BYTES_MAX: usize = 16 << 20;

/// How long after a machine's last beginning the next one is kept at the earliest, so that their cost does
/// not grow with what a lane does.
const BEGAN_EVERY: Span = Span::from_secs(1);

/// The last inputs of a lane's machines, and what makes a run of them the same again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Recording {
    /// The lane.
    pub lane: usize,
    /// The key of this run's dice.
    pub dice_key: u128,
    /// When the lane began, on the node's clock.
    pub boot: Time,
    /// How many inputs and beginnings came before the first of `entries`.
    pub dropped: u64,
    /// The inputs and what they led to, oldest first; between them machines as they were before the input
    /// that follows.
    pub entries: Vec<RecordedInput>,
}

/// One input of one machine, or the machine as it was before its next one.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecordedInput {
    /// The step's time.
    pub now: Time,
    /// Which machine.
    pub machine: String,
    /// The input.
    pub input: Recorded,
    /// The marks of its effects, as many as are kept; none where the step did not end.
    pub effects: Option<Vec<u32>>,
}

impl RecordedInput {
    /// Whether it is an input, and not a machine's beginning.
    pub fn is_input(&self) -> bool {
        !matches!(self.input, Recorded::Began(_))
    }
}

/// An input, by its machine's type.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Recorded {
    /// Of a shard's log.
    Log(log::Input),
    /// Of the namespace's machine.
    Space(Box<space::Input>),
    /// Of a reader of history.
    History(Box<log::HistoryInput>),
    /// Of a consumer.
    Consumer(Box<consumer::Input>),
    /// Of what stores what is published.
    Bus(Box<bus::Input>),
    /// Of a node's part in a group of consumers.
    Group(Box<consumer::group::Input>),
    /// Of a lane's actors.
    Actors(Box<actor::Input>),
    /// Of a lane's routing.
    Router(Box<route::Input>),
    /// Of the node's membership.
    Node(Box<node::Input>),
    /// Of the node's ownership.
    Owners(Box<shard::Input>),
    /// No input: the machine as it was before its next one.
    Began(Box<Began>),
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(input) => fmt::Debug::fmt(input, f),
            Self::Space(input) => fmt::Debug::fmt(input, f),
            Self::Actors(input) => fmt::Debug::fmt(input, f),
            Self::History(input) => fmt::Debug::fmt(input, f),
            Self::Consumer(input) => fmt::Debug::fmt(input, f),
            Self::Bus(input) => fmt::Debug::fmt(input, f),
            Self::Group(input) => fmt::Debug::fmt(input, f),
            Self::Router(input) => fmt::Debug::fmt(input, f),
            Self::Node(input) => fmt::Debug::fmt(input, f),
            Self::Owners(input) => fmt::Debug::fmt(input, f),
            Self::Began(_) => f.write_str("Began"),
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
    /// How many inputs and beginnings the ring holds, and the bytes of what they hold.
    inputs: usize,
    bytes: usize,
    /// The packed commands and verdicts of the ring's inputs, the oldest input's first.
    packed: VecDeque<u8>,
    /// Where inputs are packed: those of the run stay here until it is over.
    scratch: Vec<u8>,
    /// The machines of inputs in runs, by their numbers.
    named: [Option<M>; 2],
    /// The run to which inputs are added; it is not in the ring yet.
    run: Option<Run<M>>,
    /// Which machine halted last, and why.
    halt: Option<(M, String)>,
}

/// When a machine's last beginning was kept, and how many inputs the lane had taken in then.
#[derive(Clone, Copy)]
pub(crate) struct LastBegan {
    at: Time,
    inputs: u64,
}

/// An input in the ring, or some of one moment, and the bytes of what they hold of messages, states and
/// verdicts.
struct Entry<M> {
    now: Time,
    machine: M,
    input: Kept,
    /// How many marks of effects are packed after it; `NONE` when the step did not end.
    marks: u8,
    bytes: usize,
}

/// No marks: the step did not end.
const NONE: u8 = u8::MAX;

/// The bytes of so many marks.
fn marks_bytes(marks: u8) -> usize {
    if marks == NONE {
        0
    } else {
        usize::from(marks) * 4
    }
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
    /// So many of routing and of actors, of which there are several for each request: each as its length
    /// in two bytes, the number of its machine, and how many marks it has, which are its `HEAD`, its packed
    /// bytes, and the marks.
    Run(u32),
}

/// Inputs of one moment, to which others may come still.
#[derive(Clone, Copy)]
struct Run<M> {
    now: Time,
    /// That of the first.
    machine: M,
    inputs: u32,
    /// Where the head of its last input is.
    head: usize,
}

/// The numbers of machines in runs.
const ROUTER: u8 = 0;
const ACTORS: u8 = 1;

impl<M> Entry<M> {
    /// How many of its bytes are packed.
    fn packed(&self) -> usize {
        match self.input {
            Kept::Submit | Kept::Decided(_) | Kept::Run(_) => self.bytes,
            Kept::Published(..) | Kept::Whole(_) => marks_bytes(self.marks),
        }
    }

    fn inputs(&self) -> usize {
        match self.input {
            Kept::Run(inputs) => inputs as usize,
            Kept::Whole(_) | Kept::Submit | Kept::Decided(_) | Kept::Published(..) => 1,
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
        Recorded::Consumer(input) => match input.as_ref() {
            consumer::Input::Stored { reply, .. } => stored_bytes(reply),
            consumer::Input::Tick { .. }
            | consumer::Input::Up
            | consumer::Input::Unusable(_)
            | consumer::Input::Handled { .. }
            | consumer::Input::Order(_) => 0,
        },
        Recorded::Bus(input) => match input.as_ref() {
            bus::Input::Publish(order) => order.payload.len(),
            bus::Input::Tick
            | bus::Input::Up
            | bus::Input::Unusable(_)
            | bus::Input::Stored { .. } => 0,
        },
        Recorded::Group(input) => match input.as_ref() {
            consumer::group::Input::Stored { reply, .. } => stored_bytes(reply),
            consumer::group::Input::Tick { .. }
            | consumer::group::Input::Up
            | consumer::group::Input::Unusable(_)
            | consumer::group::Input::View(_)
            | consumer::group::Input::Lease(_)
            | consumer::group::Input::Run(_)
            | consumer::group::Input::Faulted { .. }
            | consumer::group::Input::Ended { .. }
            | consumer::group::Input::Order { .. }
            | consumer::group::Input::Leave { .. } => 0,
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
        Recorded::Began(began) => began.state.bytes(),
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
        | Input::Failed(_)
        | Input::Ran { .. } => 0,
    }
}

fn stored_bytes(reply: &StoreReply) -> usize {
    if let Outcome::Done(StoreDone::Fetched(fetched)) = reply {
        let payloads = fetched.messages.iter().map(|it| it.message.payload.len());
        return payloads.sum();
    }
    let messages = match reply {
        Outcome::Done(StoreDone::Latest(proof)) => proof.messages.as_slice(),
        Outcome::Done(StoreDone::Message(message)) => std::slice::from_ref(message),
        Outcome::Done(StoreDone::Page(page)) => page.messages.as_slice(),
        Outcome::Done(
            StoreDone::Published(_)
            | StoreDone::Stream(_)
            | StoreDone::Capabilities(_)
            | StoreDone::Consumer(_)
            | StoreDone::Fetched(_)
            | StoreDone::Closed,
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
            inputs: 0,
            bytes: 0,
            packed: VecDeque::new(),
            scratch: Vec::new(),
            named: [None; 2],
            run: None,
            halt: None,
        }
    }

    /// Keeps a machine as it is before its next input, when it had none yet, or when so many inputs came
    /// since that its last beginning will soon be gone from the ring.
    pub(crate) fn begin(
        &mut self,
        (now, machine): (Time, M),
        last: &mut Option<LastBegan>,
        dice: Dice,
        whose: &impl Recall,
    ) {
        let inputs = self.dropped + self.inputs as u64;
        let due = last.is_none_or(|last| {
            inputs - last.inputs >= INPUTS_MAX as u64 / 2 && now.since(last.at) >= BEGAN_EVERY
        });
        if !due {
            return;
        }
        let first = last.is_none();
        *last = Some(LastBegan { at: now, inputs });
        if let Some(state) = whose.recall(first) {
            self.born(now, machine, dice, state);
        }
    }

    /// Keeps a machine as it was made.
    pub(crate) fn born(&mut self, now: Time, machine: M, dice: Dice, state: State) {
        let began = Box::new(Began { dice, state });
        self.push(now, machine, Recorded::Began(began));
    }

    /// Keeps the marks of what the last input led to.
    pub(crate) fn led_to<E: Mark>(&mut self, effects: &[E]) {
        let marks = effects.len().min(MARKS_MAX);
        let count = u8::try_from(marks).expect("fewer marks than 255");
        for mark in marks_of(effects) {
            self.scratch.extend_from_slice(&mark.to_le_bytes());
        }
        if let Some(run) = self.run {
            self.scratch[run.head + HEAD - 1] = count;
            return;
        }
        let bytes = self.take_packed();
        let last = self
            .ring
            .back_mut()
            .expect("an input came before it led to anything");
        last.marks = count;
        last.bytes += bytes;
        self.bytes += bytes;
    }

    /// Keeps which machine halted, for the flight that is written of it.
    pub(crate) fn halted(&mut self, machine: M, reason: &str) {
        self.halt = Some((machine, reason.to_owned()));
    }

    /// Which machine halted last, if that was not asked before.
    pub(crate) fn take_halt(&mut self) -> Option<(M, String)> {
        self.halt.take()
    }

    pub(crate) fn push(&mut self, now: Time, machine: M, input: Recorded) {
        let bytes = bytes_of(&input);
        self.keep(now, machine, Kept::Whole(Box::new(input)), bytes);
    }

    /// The same for an input of a shard's log, of which there are many.
    pub(crate) fn push_log(&mut self, now: Time, machine: M, input: &Input) {
        self.end_run();
        let input = if let Input::Submit(submit) = input
            && pack_submit(submit, &mut self.scratch)
        {
            Kept::Submit
        } else if let Input::Ran {
            op,
            ran: Ran::Decided(decided),
        } = input
            && pack(decided, &mut self.scratch)
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
        let bytes = self.take_packed();
        self.keep(now, machine, input, bytes);
    }

    /// The same for an input of routing.
    pub(crate) fn push_route(&mut self, now: Time, machine: M, input: &route::Input) {
        if !self.push_packed(now, (machine, ROUTER), |into| pack_route(input, into)) {
            self.push(now, machine, Recorded::Router(Box::new(input.clone())));
        }
    }

    /// The same for an input of actors.
    pub(crate) fn push_actors(&mut self, now: Time, machine: M, input: &actor::Input) {
        if !self.push_packed(now, (machine, ACTORS), |into| pack_actors(input, into)) {
            self.push(now, machine, Recorded::Actors(Box::new(input.clone())));
        }
    }

    /// Adds an input to the run of its moment, if it can be packed.
    fn push_packed(
        &mut self,
        now: Time,
        (machine, number): (M, u8),
        pack: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let is_over = |run: Run<M>| run.now != now || run.inputs == RUN_MAX;
        if self.run.is_some_and(is_over) {
            self.end_run();
        }
        if self.inputs >= INPUTS_MAX {
            self.drop_oldest(0);
        }
        let head = self.scratch.len();
        if !pack(&mut self.scratch) {
            return false;
        }
        let bytes = self.scratch.len() - head - HEAD;
        let [low, high] = u16::try_from(bytes).expect("a key is short").to_le_bytes();
        self.scratch[head..head + HEAD].copy_from_slice(&[low, high, number, NONE]);
        self.named[usize::from(number)].get_or_insert(machine);
        self.inputs += 1;
        let begun = Run {
            now,
            machine,
            inputs: 0,
            head,
        };
        let run = self.run.get_or_insert(begun);
        run.inputs += 1;
        run.head = head;
        true
    }

    /// Puts the run into the ring.
    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let bytes = self.take_packed();
        self.bytes += bytes;
        self.ring.push_back(Entry {
            now: run.now,
            machine: run.machine,
            input: Kept::Run(run.inputs),
            marks: NONE,
            bytes,
        });
    }

    /// Moves what was packed behind what the ring has; how many bytes it is.
    fn take_packed(&mut self) -> usize {
        let bytes = self.scratch.len();
        self.packed.extend(&self.scratch);
        self.scratch.clear();
        bytes
    }

    fn keep(&mut self, now: Time, machine: M, input: Kept, bytes: usize) {
        self.end_run();
        self.make_room(bytes);
        self.inputs += 1;
        self.bytes += bytes;
        self.ring.push_back(Entry {
            now,
            machine,
            input,
            marks: NONE,
            bytes,
        });
    }

    /// Room for one more input with so many bytes.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.inputs >= INPUTS_MAX || self.bytes + bytes > BYTES_MAX {
            self.drop_oldest(bytes);
        }
    }

    fn drop_oldest(&mut self, bytes: usize) {
        while self.inputs >= INPUTS_MAX || self.bytes + bytes > BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            self.inputs -= oldest.inputs();
            self.dropped += oldest.inputs() as u64;
            self.packed.drain(..oldest.packed());
        }
    }

    pub(crate) fn dump(&self, lane: usize, dice_key: u128, boot: Time) -> Recording {
        let mut packed = self.packed.iter().copied();
        let mut entries = Vec::with_capacity(self.inputs);
        for entry in &self.ring {
            let mut bytes: Vec<u8> = packed.by_ref().take(entry.packed()).collect();
            // Those of a run stand with its inputs.
            let marked = bytes.len() - marks_bytes(entry.marks);
            let effects = marks(entry.marks, &bytes.split_off(marked));
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
                Kept::Published(op, sequence) => Recorded::Log(Input::Stored {
                    op: *op,
                    reply: Outcome::Done(StoreDone::Published(Ack {
                        sequence: *sequence,
                        duplicate: false,
                    })),
                }),
                Kept::Run(_) => {
                    entries.extend(self.run_of(entry.now, &bytes));
                    continue;
                }
            };
            entries.push(RecordedInput {
                now: entry.now,
                machine: format!("{:?}", entry.machine),
                input,
                effects,
            });
        }
        if let Some(run) = self.run {
            entries.extend(self.run_of(run.now, &self.scratch));
        }
        Recording {
            lane,
            dice_key,
            boot,
            dropped: self.dropped,
            entries,
        }
    }

    /// The inputs of a run.
    fn run_of(&self, now: Time, mut bytes: &[u8]) -> Vec<RecordedInput> {
        let mut inputs = Vec::new();
        while let Some(([low, high, number, count], rest)) = bytes.split_first_chunk::<HEAD>() {
            let (packed, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])));
            let (marked, rest) = rest.split_at(marks_bytes(*count));
            bytes = rest;
            let input = if *number == ROUTER {
                let input = unpack_route(packed).expect("an input that was packed");
                Recorded::Router(Box::new(input))
            } else {
                let input = unpack_actors(packed).expect("an input that was packed");
                Recorded::Actors(Box::new(input))
            };
            let machine = self.named[usize::from(*number)].expect("it was named when it came");
            inputs.push(RecordedInput {
                now,
                machine: format!("{machine:?}"),
                input,
                effects: marks(*count, marked),
            });
        }
        inputs
    }
}

/// The marks of a step, of which there are so many.
fn marks(count: u8, bytes: &[u8]) -> Option<Vec<u32>> {
    let (all, _) = bytes.as_chunks::<4>();
    (count != NONE).then(|| all.iter().map(|mark| u32::from_le_bytes(*mark)).collect())
}

#[cfg(test)]
mod tests {
    use super::{INPUTS_MAX, Recorded, Recorder, marks_of};
    use crate::actor;
    use crate::id::{OpId, Ticket, Version};
    use crate::log::{Decided, Input, Ran, Verdict};
    use crate::route;
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
    fn inputs_of_one_moment_stand_together_and_come_out_one_by_one() {
        let input = |n: u64| match n % 3 {
            0 => Recorded::Router(Box::new(route::Input::Served(Ticket(n)))),
            1 => Recorded::Actors(Box::new(actor::Input::Turn)),
            // It is kept whole.
            _ => Recorded::Router(Box::new(route::Input::Cancel(Ticket(n)))),
        };
        let now = |n: u64| Time::from_nanos(n / 200);
        // Of a step that did not end there are none.
        let effects = |n: u64| {
            let effect = |of| route::Effect::Unserve {
                ticket: Ticket(n + of),
            };
            (!n.is_multiple_of(5)).then(|| (0..n % 4).map(effect).collect::<Vec<_>>())
        };
        let mut recorder = Recorder::new();
        let pushed = 3 * INPUTS_MAX as u64 + 7;
        for n in 0..pushed {
            match input(n) {
                Recorded::Router(input) => recorder.push_route(now(n), "router", &input),
                Recorded::Actors(input) => recorder.push_actors(now(n), "actors", &input),
                Recorded::Log(_)
                | Recorded::Space(_)
                | Recorded::History(_)
                | Recorded::Consumer(_)
                | Recorded::Bus(_)
                | Recorded::Group(_)
                | Recorded::Node(_)
                | Recorded::Owners(_)
                | Recorded::Began(_) => unreachable!("it is of a router or of actors"),
            }
            if let Some(effects) = effects(n) {
                recorder.led_to(&effects);
            }
        }
        let recording = recorder.dump(1, 7, Time::ZERO);
        let kept = recording.entries.len();
        assert!(
            (INPUTS_MAX - super::RUN_MAX as usize..=INPUTS_MAX).contains(&kept),
            "{kept}"
        );
        assert_eq!(recording.dropped + kept as u64, pushed);
        for (entry, n) in recording.entries.iter().zip(recording.dropped..) {
            assert_eq!(format!("{:?}", entry.input), format!("{:?}", input(n)));
            let machine = if n % 3 == 1 {
                "\"actors\""
            } else {
                "\"router\""
            };
            assert_eq!((entry.now, &*entry.machine), (now(n), machine));
            let marks = effects(n).map(|effects| marks_of(&effects).collect::<Vec<_>>());
            assert_eq!(entry.effects, marks);
        }
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
