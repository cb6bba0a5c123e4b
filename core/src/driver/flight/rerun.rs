//! The recorded inputs of a lane, fed once more to its machines as they are built now.

use super::mark::{MARKS_MAX, Mark, marks_of, variant};
use super::state::{Began, State};
use crate::actor::Scheduler;
use crate::bus::Publisher;
use crate::consumer::Consumer;
use crate::consumer::group::Group;
use crate::driver::host::caught;
use crate::driver::recorder::{Recorded, Recording};
use crate::log::{History, Shard};
use crate::node::Node;
use crate::route::Router;
use crate::shard::Owners;
use crate::space::Space;
use crate::step::{Cx, Dice, Effects, Machine, SilentProbe, Time};
use core::fmt::Debug;
use std::collections::BTreeMap;

/// So many effects a step may have here; the limits of the machine's own node are lower.
const EFFECTS_MAX: usize = 1 << 20;

/// Feeds a lane's recorded inputs to its machines, one with each item.
///
/// ```
/// use tenure_core::driver::{Recording, Rerun};
///
/// /// Whether the machines still do what they did.
/// fn same(recording: &Recording) -> bool {
///     Rerun::new(recording).all(|step| !step.outcome.differs())
/// }
/// ```
#[derive(Debug)]
pub struct Rerun<'a> {
    recording: &'a Recording,
    next: usize,
    machines: BTreeMap<&'a str, Running>,
}

/// One recorded input, and what came of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RerunStep {
    /// The how manieth of the lane it is, those among them that are gone.
    pub number: u64,
    /// When it was taken in, on the node's clock.
    pub now: Time,
    /// The machine.
    pub machine: String,
    /// The input, as text.
    pub input: String,
    /// What came of it.
    pub outcome: StepOutcome,
}

/// What came of a recorded input when it was fed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It was not fed: no beginning of its machine is recorded before it.
    Told {
        /// The names of the effects that it had then.
        effects: Vec<String>,
    },
    /// The machine begins here.
    Began,
    /// The machine is as it was then.
    Met,
    /// It led to the same effects, as far as they are recorded: which, for which operation or ticket,
    /// expecting what, and how long.
    Same {
        /// The effects.
        effects: Vec<String>,
    },
    /// It led to other effects. The machine's later inputs are told only.
    Other {
        /// The place of the first that differs, from 0.
        first: usize,
        /// What was recorded: the names; none when the step did not end then.
        recorded: Option<Vec<String>>,
        /// The effects now.
        effects: Vec<String>,
    },
    /// The machine has become another one than it was then, though its effects were the same. Its later
    /// inputs are told only.
    Became {
        /// The first line of its state that differs, as it was.
        was: String,
        /// The same line, as it is.
        is: String,
    },
    /// The step panics now. The machine's later inputs are told only.
    Panicked {
        /// What the panic says.
        text: String,
        /// Whether it did not end then, either.
        same: bool,
    },
}

impl StepOutcome {
    /// Whether the machines do something else now.
    pub fn differs(&self) -> bool {
        match self {
            Self::Told { .. } | Self::Began | Self::Met | Self::Same { .. } => false,
            Self::Panicked { same, .. } => !same,
            Self::Other { .. } | Self::Became { .. } => true,
        }
    }
}

/// A machine that is fed again.
#[derive(Debug)]
struct Running {
    dice: Dice,
    machine: Fed,
}

#[derive(Debug)]
enum Fed {
    Log(Box<Shard>),
    Space(Box<Space>),
    History(Box<History>),
    Consumer(Box<Consumer>),
    Bus(Box<Publisher>),
    Group(Box<Group>),
    Node(Box<Node>),
    Owners(Box<Owners>),
    Router(Box<Router>),
    Actors(Box<Scheduler>),
}

impl Fed {
    fn new(state: &State) -> Self {
        match state.clone() {
            State::Log(it) => Self::Log(it),
            State::Space(it) => Self::Space(it),
            State::History(it) => Self::History(it),
            State::Consumer(it) => Self::Consumer(it),
            State::Bus(it) => Self::Bus(it),
            State::Group(it) => Self::Group(it),
            State::Node(it) => Self::Node(it),
            State::Owners(it) => Self::Owners(it),
            State::Router(made) => Self::Router(Box::new(Router::new(made.0, made.1))),
            State::Actors(made) => Self::Actors(Box::new(Scheduler::new(made.0, made.1, made.2))),
        }
    }

    /// The first line of its state that is not as it was.
    fn difference(&self, was: &State) -> Option<(String, String)> {
        let is = match self {
            Self::Log(it) => format!("{it:#?}"),
            Self::Space(it) => format!("{it:#?}"),
            Self::History(it) => format!("{it:#?}"),
            Self::Consumer(it) => format!("{it:#?}"),
            Self::Bus(it) => format!("{it:#?}"),
            Self::Group(it) => format!("{it:#?}"),
            Self::Node(it) => format!("{it:#?}"),
            Self::Owners(it) => format!("{it:#?}"),
            // They begin once.
            Self::Router(_) | Self::Actors(_) => return None,
        };
        let was = match was {
            State::Log(it) => format!("{it:#?}"),
            State::Space(it) => format!("{it:#?}"),
            State::History(it) => format!("{it:#?}"),
            State::Consumer(it) => format!("{it:#?}"),
            State::Bus(it) => format!("{it:#?}"),
            State::Group(it) => format!("{it:#?}"),
            State::Node(it) => format!("{it:#?}"),
            State::Owners(it) => format!("{it:#?}"),
            State::Router(_) | State::Actors(_) => return None,
        };
        let end = "the end of the state".to_string();
        let (mut was, mut is) = (was.lines(), is.lines());
        loop {
            match (was.next(), is.next()) {
                (None, None) => return None,
                (was, is) if was == is => {}
                (was, is) => {
                    let line = |line: Option<&str>| line.map_or(end.clone(), |it| it.trim().into());
                    return Some((line(was), line(is)));
                }
            }
        }
    }
}

impl<'a> Rerun<'a> {
    /// Nothing has been fed yet.
    pub fn new(recording: &'a Recording) -> Self {
        Self {
            recording,
            next: 0,
            machines: BTreeMap::new(),
        }
    }

    fn begin(&mut self, machine: &'a str, began: &Began) -> StepOutcome {
        let before = self.machines.get(machine);
        let differs = before.and_then(|before| before.machine.difference(&began.state));
        let known = before.is_some();
        match caught(|| Fed::new(&began.state)) {
            Ok(fed) => {
                let dice = began.dice;
                let running = Running { dice, machine: fed };
                self.machines.insert(machine, running);
            }
            Err(text) => {
                self.machines.remove(machine);
                return StepOutcome::Panicked { text, same: false };
            }
        }
        match differs {
            Some((was, is)) => {
                self.machines.remove(machine);
                StepOutcome::Became { was, is }
            }
            None if known => StepOutcome::Met,
            None => StepOutcome::Began,
        }
    }

    fn feed(&mut self, machine: &str, at: (Time, &Recorded), was: Option<&[u32]>) -> StepOutcome {
        let (now, input) = at;
        let Some(running) = self.machines.get_mut(machine) else {
            return told(input, was);
        };
        let dice = running.dice;
        let outcome = match (&mut running.machine, input) {
            (Fed::Log(it), Recorded::Log(input)) => step(&mut **it, (now, dice), input, was),
            (Fed::Space(it), Recorded::Space(input)) => step(&mut **it, (now, dice), &**input, was),
            (Fed::History(it), Recorded::History(input)) => {
                step(&mut **it, (now, dice), &**input, was)
            }
            (Fed::Consumer(it), Recorded::Consumer(input)) => {
                step(&mut **it, (now, dice), &**input, was)
            }
            (Fed::Bus(it), Recorded::Bus(input)) => step(&mut **it, (now, dice), &**input, was),
            (Fed::Group(it), Recorded::Group(input)) => step(&mut **it, (now, dice), &**input, was),
            (Fed::Node(it), Recorded::Node(input)) => step(&mut **it, (now, dice), &**input, was),
            (Fed::Owners(it), Recorded::Owners(input)) => {
                step(&mut **it, (now, dice), &**input, was)
            }
            (Fed::Router(it), Recorded::Router(input)) => {
                step(&mut **it, (now, dice), &**input, was)
            }
            (Fed::Actors(it), Recorded::Actors(input)) => {
                step(&mut **it, (now, dice), &**input, was)
            }
            (
                Fed::Log(_)
                | Fed::Space(_)
                | Fed::History(_)
                | Fed::Consumer(_)
                | Fed::Bus(_)
                | Fed::Group(_)
                | Fed::Node(_)
                | Fed::Owners(_)
                | Fed::Router(_)
                | Fed::Actors(_),
                Recorded::Log(_)
                | Recorded::Space(_)
                | Recorded::History(_)
                | Recorded::Consumer(_)
                | Recorded::Bus(_)
                | Recorded::Group(_)
                | Recorded::Node(_)
                | Recorded::Owners(_)
                | Recorded::Router(_)
                | Recorded::Actors(_)
                | Recorded::Began(_),
            ) => StepOutcome::Panicked {
                text: "the input is one of another machine: the file is damaged".to_string(),
                same: false,
            },
        };
        match &outcome {
            StepOutcome::Other { .. } | StepOutcome::Panicked { .. } => {
                self.machines.remove(machine);
            }
            StepOutcome::Told { .. }
            | StepOutcome::Began
            | StepOutcome::Met
            | StepOutcome::Same { .. }
            | StepOutcome::Became { .. } => {}
        }
        outcome
    }
}

impl Iterator for Rerun<'_> {
    type Item = RerunStep;

    fn next(&mut self) -> Option<RerunStep> {
        let recording = self.recording;
        let entry = recording.entries.get(self.next)?;
        let number = recording.dropped.saturating_add(self.next as u64);
        self.next += 1;
        let outcome = match &entry.input {
            Recorded::Began(began) => self.begin(&entry.machine, began),
            input @ (Recorded::Log(_)
            | Recorded::Space(_)
            | Recorded::History(_)
            | Recorded::Consumer(_)
            | Recorded::Bus(_)
            | Recorded::Group(_)
            | Recorded::Actors(_)
            | Recorded::Router(_)
            | Recorded::Node(_)
            | Recorded::Owners(_)) => {
                self.feed(&entry.machine, (entry.now, input), entry.effects.as_deref())
            }
        };
        Some(RerunStep {
            number,
            now: entry.now,
            machine: entry.machine.clone(),
            input: format!("{:?}", entry.input),
            outcome,
        })
    }
}

/// Steps a machine and compares.
fn step<M>(
    machine: &mut M,
    (now, dice): (Time, Dice),
    input: &M::Input,
    was: Option<&[u32]>,
) -> StepOutcome
where
    M: Machine<Effect: Mark + Debug, Input: Clone>,
{
    let mut out = Effects::new(EFFECTS_MAX);
    let mut probe = SilentProbe;
    let stepped = caught(|| {
        let mut cx = Cx {
            now,
            dice,
            probe: &mut probe,
        };
        machine.step(&mut cx, input.clone(), &mut out);
    });
    if let Err(text) = stepped {
        let same = was.is_none();
        return StepOutcome::Panicked { text, same };
    }
    let effects = || out.as_slice().iter().map(|it| format!("{it:?}")).collect();
    let Some(was) = was else {
        return StepOutcome::Other {
            first: 0,
            recorded: None,
            effects: effects(),
        };
    };
    let is: Vec<u32> = marks_of(out.as_slice()).collect();
    if is == was {
        return StepOutcome::Same { effects: effects() };
    }
    let same = was.iter().zip(&is).take_while(|(was, is)| was == is);
    StepOutcome::Other {
        first: same.count(),
        recorded: Some(names(M::Effect::NAMES, was)),
        effects: effects(),
    }
}

fn told(input: &Recorded, was: Option<&[u32]>) -> StepOutcome {
    let known = match input {
        Recorded::Log(_) => crate::log::Effect::NAMES,
        Recorded::Space(_) => crate::space::Effect::NAMES,
        Recorded::History(_) => crate::log::HistoryEffect::NAMES,
        Recorded::Consumer(_) => crate::consumer::Effect::NAMES,
        Recorded::Bus(_) => crate::bus::Effect::NAMES,
        Recorded::Group(_) => crate::consumer::group::Effect::NAMES,
        Recorded::Actors(_) => crate::actor::Effect::NAMES,
        Recorded::Router(_) => crate::route::Effect::NAMES,
        Recorded::Node(_) => crate::node::Effect::NAMES,
        Recorded::Owners(_) => crate::shard::Effect::NAMES,
        Recorded::Began(_) => &[],
    };
    let effects = was.map_or_else(Vec::new, |was| names(known, was));
    StepOutcome::Told { effects }
}

fn names(known: &[&str], marks: &[u32]) -> Vec<String> {
    let name = |mark: &u32| {
        known
            .get(variant(*mark))
            .map_or("?", |name| *name)
            .to_string()
    };
    let mut names: Vec<String> = marks.iter().map(name).collect();
    if marks.len() >= MARKS_MAX {
        names.push("…".to_string());
    }
    names
}
