//! The seat of a machine whose effects its lane runs.

use crate::driver::flight::{Mark, Recall};
use crate::driver::host::caught;
use crate::driver::lane::{Env, Who};
use crate::driver::recorder::{LastBegan, Recorder};
use crate::step::{Cx, Dice, Effects, Machine, Time};

/// A machine, its dice, and why it was stopped if it was.
pub(crate) struct MachineSeat<M: Machine> {
    who: Who,
    machine: M,
    dice: Dice,
    effects: Effects<M::Effect>,
    halted: Option<String>,
    /// When the recorder kept the machine last.
    began: Option<LastBegan>,
}

impl<M: Machine<Effect: Mark> + Recall> MachineSeat<M> {
    pub(crate) fn new(who: Who, machine: M, dice: Dice, effects_max: usize) -> Self {
        Self {
            who,
            machine,
            dice,
            effects: Effects::new(effects_max),
            halted: None,
            began: None,
        }
    }

    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        match self.halted {
            Some(_) => None,
            None => self.machine.next_deadline().map(|deadline| deadline.at),
        }
    }

    /// Why it was stopped.
    pub(crate) fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// Steps the machine; what it wants done is added to `wanted`.
    pub(crate) fn feed(
        &mut self,
        env: &mut Env<'_>,
        input: M::Input,
        record: impl Fn(&mut Recorder<Who>, Time, &M::Input),
        wanted: &mut Vec<M::Effect>,
    ) {
        self.feed_all(env, [input], record, wanted);
    }

    /// The same with one input after another: nothing that they lead to is done before the last step.
    pub(crate) fn feed_all(
        &mut self,
        env: &mut Env<'_>,
        inputs: impl IntoIterator<Item = M::Input>,
        record: impl Fn(&mut Recorder<Who>, Time, &M::Input),
        wanted: &mut Vec<M::Effect>,
    ) {
        if self.halted.is_some() {
            return;
        }
        let (now, recorder) = (env.now, &mut *env.recorder);
        let me = (now, self.who);
        recorder.begin(me, &mut self.began, self.dice, &self.machine);
        let mut cx = Cx {
            now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        let stepped = caught(|| {
            for input in inputs {
                record(recorder, now, &input);
                machine.step(&mut cx, input, effects);
                recorder.led_to(effects.as_slice());
                effects.move_to(wanted);
            }
        });
        if let Err(panic) = stepped {
            self.effects.drain();
            self.halt(env, format!("a step panicked: {panic}"));
        }
    }

    pub(crate) fn halt(&mut self, env: &mut Env<'_>, reason: String) {
        tracing::error!(machine = ?self.who, reason, "machine_halted");
        env.counters.halts += 1;
        env.recorder.halted(self.who, &reason);
        self.halted = Some(reason);
    }
}
