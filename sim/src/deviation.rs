//! What went otherwise in a run than in one where nothing goes wrong and everything takes its usual
//! time. A run may be told which of it may happen: that is how it is made smaller.

mod fault;

pub use fault::{Fault, Promise};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// How long dice are free, or not, at once, in true nanoseconds.
pub const WINDOW: u64 = 250_000_000;

/// One thing that went otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// A fault came.
    Fault {
        /// Which.
        fault: Fault,
        /// Where: the row of draws.
        row: u64,
        /// Which draw of the row.
        number: u64,
    },
    /// Dice for how long things take, or in which order they come, were free in one [`WINDOW`]; else
    /// everything takes its usual time.
    Free {
        /// Which dice.
        dice: Timing,
        /// The window's number.
        window: u64,
    },
    /// A client asked something.
    Ask {
        /// The client.
        client: u64,
        /// Which of its questions.
        number: u64,
    },
}

/// Dice for times and orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timing {
    /// The order of the effects of one step.
    Order,
    /// When an effect is carried out.
    Effect,
    /// How long a host works.
    Work,
    /// How late a timer fires.
    Timer,
    /// How long something travels between nodes and store.
    Travel,
    /// How long a replicated write takes.
    Consensus,
    /// How long something takes within a node.
    Within,
}

impl Timing {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Order,
        Self::Effect,
        Self::Work,
        Self::Timer,
        Self::Travel,
        Self::Consensus,
        Self::Within,
    ];

    /// Its name in a repro.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Effect => "effect",
            Self::Work => "work",
            Self::Timer => "timer",
            Self::Travel => "travel",
            Self::Consensus => "consensus",
            Self::Within => "within",
        }
    }
}

impl FromStr for Timing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|it| it.name() == text);
        named.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("there are no dice {text:?}; there are {all}")
        })
    }
}

impl Deviation {
    /// Whether it is part of what went wrong, and not of what was asked.
    pub const fn is_fault_or_time(self) -> bool {
        match self {
            Self::Fault { .. } | Self::Free { .. } => true,
            Self::Ask { .. } => false,
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { fault, row, number } => write!(f, "fault {fault} {row} {number}"),
            Self::Free { dice, window } => write!(f, "free {} {window}", dice.name()),
            Self::Ask { client, number } => write!(f, "ask {client} {number}"),
        }
    }
}

impl FromStr for Deviation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| {
            let number = word.parse::<u64>();
            number.map_err(|_| format!("{word:?} in {text:?} is no number"))
        };
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["fault", fault, row, ordinal] => Ok(Self::Fault {
                fault: fault.parse()?,
                row: number(row)?,
                number: number(ordinal)?,
            }),
            ["free", dice, window] => Ok(Self::Free {
                dice: dice.parse()?,
                window: number(window)?,
            }),
            ["ask", client, ordinal] => Ok(Self::Ask {
                client: number(client)?,
                number: number(ordinal)?,
            }),
            _ => Err(format!(
                "{text:?} is no deviation: give `fault NAME ROW NUMBER`, `free DICE WINDOW` or \
                 `ask CLIENT NUMBER`"
            )),
        }
    }
}

/// Which deviations may happen, and which did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deviations {
    /// Only these; `None`: any.
    only: Option<BTreeSet<Deviation>>,
    /// Faults that never come.
    left_out: BTreeSet<Fault>,
    /// Those that happened, and when, in true nanoseconds.
    happened: BTreeMap<Deviation, u64>,
    /// How often each fault with a rhythm of its own was due.
    due: BTreeMap<Fault, u64>,
    /// Whether each of the dice is free in the present window.
    free: [Option<(u64, bool)>; Timing::ALL.len()],
    now: u64,
}

impl Deviations {
    /// Only these may happen.
    pub(crate) fn restrict(&mut self, only: BTreeSet<Deviation>) {
        self.only = Some(only);
    }

    /// A kind of fault never comes.
    pub(crate) fn leave_out(&mut self, fault: Fault) {
        self.left_out.insert(fault);
    }

    /// Since when a promise is void, in true nanoseconds: a fault came that voids it.
    pub(crate) fn void_from(&self, promise: Promise) -> Option<u64> {
        let voids = |deviation: &Deviation| match deviation {
            Deviation::Fault { fault, .. } => fault.voids().contains(&promise),
            Deviation::Free { .. } | Deviation::Ask { .. } => false,
        };
        let voiding = self.happened.iter().filter(|(it, _)| voids(it));
        voiding.map(|(_, at)| *at).min()
    }

    /// Those that happened, and when.
    pub(crate) fn take_happened(&mut self) -> BTreeMap<Deviation, u64> {
        std::mem::take(&mut self.happened)
    }

    /// The true time.
    pub(crate) fn clock(&mut self, now: u64) {
        self.now = now;
    }

    /// Whether one that is due happens; that is noted.
    pub(crate) fn happens(&mut self, deviation: Deviation) -> bool {
        let left_out = match deviation {
            Deviation::Fault { fault, .. } => self.left_out.contains(&fault),
            Deviation::Free { .. } | Deviation::Ask { .. } => false,
        };
        let only = self.only.as_ref();
        let happens = !left_out && only.is_none_or(|only| only.contains(&deviation));
        if happens {
            self.happened.entry(deviation).or_insert(self.now);
        }
        happens
    }

    /// It met nobody, so it did not happen.
    pub(crate) fn take_back(&mut self, deviation: Deviation) {
        self.happened.remove(&deviation);
    }

    /// A fault that comes in a rhythm of its own is due: which one it is.
    pub(crate) fn due(&mut self, fault: Fault) -> Deviation {
        let number = self.due.entry(fault).or_default();
        *number += 1;
        Deviation::Fault {
            fault,
            row: 0,
            number: *number,
        }
    }

    /// Whether dice are free now.
    pub(crate) fn is_free(&mut self, dice: Timing) -> bool {
        let window = self.now / WINDOW;
        match self.free[dice as usize] {
            Some((of, free)) if of == window => free,
            Some(_) | None => {
                let free = self.happens(Deviation::Free { dice, window });
                self.free[dice as usize] = Some((window, free));
                free
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Deviation, Deviations, Fault, Timing, WINDOW};

    #[test]
    fn each_deviation_reads_back_from_its_text() {
        let faults = Fault::ALL.map(|fault| Deviation::Fault {
            fault,
            row: 257,
            number: 3,
        });
        let dice = Timing::ALL.map(|dice| Deviation::Free { dice, window: 9 });
        let ask = Deviation::Ask {
            client: 4,
            number: 2,
        };
        for deviation in faults.into_iter().chain(dice).chain([ask]) {
            assert_eq!(deviation.to_string().parse(), Ok(deviation));
        }
    }

    #[test]
    fn what_is_no_deviation_is_refused_by_name() {
        for (text, part) in [
            ("fault gremlins 1 1", "gremlins"),
            ("fault crash 1 x", "\"x\""),
            ("free lunch 1", "lunch"),
            ("ask 1", "is no deviation"),
        ] {
            let refused = text.parse::<Deviation>().unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn only_what_may_happen_happens_and_is_noted() {
        let mut all = Deviations::default();
        let first = all.due(Fault::Crash);
        let second = all.due(Fault::Crash);
        assert!(all.happens(first) && all.happens(second));
        assert!(all.is_free(Timing::Travel));
        let mut some = Deviations::default();
        some.restrict([second].into());
        assert_eq!(some.due(Fault::Crash), first);
        assert!(!some.happens(first) && some.happens(second));
        some.clock(3 * WINDOW);
        assert!(!some.is_free(Timing::Travel));
        assert_eq!(some.take_happened().len(), 1);
        all.take_back(first);
        assert_eq!(all.take_happened().len(), 2);
    }
}
