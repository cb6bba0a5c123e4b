//! The flight recorder: the last inputs of a lane's machines, with what replays them.

use crate::log;
use crate::space;
use crate::step::Time;
use std::fmt;

/// How many inputs a lane keeps.
const INPUTS_MAX: usize = 1_024;

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
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(input) => fmt::Debug::fmt(input, f),
            Self::Space(input) => fmt::Debug::fmt(input, f),
            Self::History(input) => fmt::Debug::fmt(input, f),
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
    /// The oldest stands at `dropped`, from where a new one takes its place.
    ring: Vec<(Time, M, Recorded)>,
    dropped: u64,
}

impl<M: fmt::Debug + Copy> Recorder<M> {
    pub(crate) fn new() -> Self {
        Self {
            ring: Vec::with_capacity(INPUTS_MAX),
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, now: Time, machine: M, input: Recorded) {
        if self.ring.len() < INPUTS_MAX {
            return self.ring.push((now, machine, input));
        }
        let oldest = self.oldest();
        if let Some(place) = self.ring.get_mut(oldest) {
            *place = (now, machine, input);
        }
        self.dropped += 1;
    }

    fn oldest(&self) -> usize {
        // Less than the length of the ring, so it fits.
        (self.dropped % INPUTS_MAX as u64) as usize
    }

    pub(crate) fn dump(&self, lane: usize, dice_key: u128, boot: Time) -> Recording {
        let (newer, older) = self.ring.split_at(self.oldest());
        let entries = older.iter().chain(newer);
        let entries = entries.map(|(now, machine, input)| RecordedInput {
            now: *now,
            machine: format!("{machine:?}"),
            input: input.clone(),
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
    use crate::log::Input;
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
}
