//! The contract of a machine: one mutator, plain data in, plain data out.

mod dice;
mod effects;
mod limits;
mod probe;
mod time;

pub use dice::{Dice, Purpose};
pub use effects::Effects;
pub use limits::Limits;
pub use probe::{CountingProbe, Probe, SilentProbe, Site, SiteKind};
pub use time::{Deadline, Span, Time};

use core::fmt;

/// A pure machine: the next state and the effects follow from state, time, dice and input alone.
///
/// 1. `step` is the only mutator; everything else is `&self`.
/// 2. The order of effects means nothing. When B must follow A, B is emitted when A's completion
///    arrives as an input.
/// 3. An effect that wants an answer carries an [`OpId`](crate::id::OpId); the answer is an input.
///    A crash is an answer that never comes.
pub trait Machine {
    /// What the machine reacts to.
    type Input;
    /// What the machine wants done.
    type Effect;

    /// Takes one input and pushes what is to be done about it.
    fn step(&mut self, cx: &mut Cx<'_>, input: Self::Input, out: &mut Effects<Self::Effect>);

    /// The earliest time at which a `Tick` would change something, and the timer's name.
    fn next_deadline(&self) -> Option<Deadline>;
}

/// What a step may know of the world.
pub struct Cx<'a> {
    /// The node's own monotonic clock at this step.
    pub now: Time,
    /// Randomness by name.
    pub dice: Dice,
    /// Where `always!`, `sometimes!`, `reached!` and `never!` report.
    pub probe: &'a mut dyn Probe,
}

impl fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The answer to one effect.
///
/// `Unknown` means that it may have happened, now or later. It has an arm of its own everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome<T, R> {
    /// It happened.
    Done(T),
    /// It did not happen and never will.
    Refused(R),
    /// It may have happened, now or later.
    Unknown,
}

impl<T, R> Outcome<T, R> {
    /// Maps the value of `Done`.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U, R> {
        match self {
            Self::Done(value) => Outcome::Done(f(value)),
            Self::Refused(refused) => Outcome::Refused(refused),
            Self::Unknown => Outcome::Unknown,
        }
    }

    /// Why it did not happen, when that is the answer.
    pub fn refused(&self) -> Option<&R> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Done(_) | Self::Unknown => None,
        }
    }
}

/// A text of the program itself. By this name, since a file of a flight is read into texts that live on.
pub(crate) type ProgramText = &'static str;

/// Why a machine found its own state wrong. The driver stops it and lets its leases lapse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HaltReason {
    /// An answer came for an operation that was never asked.
    UnknownOp(crate::id::OpId),
    /// An answer does not fit the question.
    WrongAnswer(crate::id::OpId),
    /// The node's clock went back.
    ClockWentBack,
    /// An invariant does not hold; the text names it.
    Broken(
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        crate::step::ProgramText,
    ),
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOp(op) => write!(f, "an answer came for {op:?}, which was never asked"),
            Self::WrongAnswer(op) => write!(f, "the answer to {op:?} does not fit its question"),
            Self::ClockWentBack => f.write_str("the clock went back"),
            Self::Broken(name) => write!(f, "the invariant {name:?} does not hold"),
        }
    }
}
