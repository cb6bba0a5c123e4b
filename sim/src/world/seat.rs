//! A machine in its node: its dice, its timer, and one step of it.

use super::node::breach;
use crate::oracle::{Class, Violation};
use tenure_core::step::CountingProbe;
use tenure_core::{Cx, Deadline, Dice, Effects, Machine, Time};

/// More ticks in a row than any machine needs that has somewhere to go.
const SPINS_MAX: u32 = 1_000;

/// One machine of a node.
pub(super) struct Seat<M: Machine> {
    pub(super) machine: M,
    dice: Dice,
    /// Empty between two steps; its memory stays.
    effects: Option<Effects<M::Effect>>,
    /// When the next tick is due, in true nanoseconds.
    pub(super) wake: Option<u64>,
    /// Ticks in a row that came at once.
    spins: u32,
}

impl<M: Machine> Seat<M> {
    pub(super) fn new(machine: M, dice: Dice) -> Self {
        Self {
            machine,
            dice,
            effects: None,
            wake: None,
            spins: 0,
        }
    }

    /// Steps the machine.
    pub(super) fn step(
        &mut self,
        now: Time,
        probe: &mut CountingProbe,
        input: M::Input,
        effects_max: usize,
    ) -> Vec<M::Effect> {
        let effects = self
            .effects
            .get_or_insert_with(|| Effects::new(effects_max));
        let dice = self.dice;
        let mut cx = Cx { now, dice, probe };
        self.machine.step(&mut cx, input, effects);
        effects.drain().collect()
    }

    /// Counts a step; one that ticks and ticks and comes to nothing is a fault of the machine.
    pub(super) fn spins(&mut self, idle_tick: bool) -> Result<(), Violation> {
        self.spins = if idle_tick { self.spins + 1 } else { 0 };
        if self.spins <= SPINS_MAX {
            return Ok(());
        }
        let deadline = self.machine.next_deadline();
        Err(breach(
            Class::Liveness,
            format!("a machine ticks on and on at {deadline:?}"),
        ))
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        self.machine.next_deadline()
    }
}
