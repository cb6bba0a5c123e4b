//! The seat of one reader of history.

use super::host::caught;
use super::lane::{Env, Who};
use super::recorder::{LastBegan, Recorded};
use super::request::{HistoryAnswer, HistoryFailure};
use crate::log::{History, HistoryAsk, HistoryEffect, HistoryInput};
use crate::step::{Cx, Deadline, Dice, Effects, Limits, Machine};
use tokio::sync::oneshot;

/// The machine of one page, and who waits for it.
pub(crate) struct HistorySeat {
    machine: History,
    dice: Dice,
    effects: Effects<HistoryEffect>,
    done: Option<oneshot::Sender<HistoryAnswer>>,
    /// When the recorder kept the machine last.
    began: Option<LastBegan>,
}

impl HistorySeat {
    pub(crate) fn new(
        ask: HistoryAsk,
        limits: Limits,
        dice: Dice,
        done: oneshot::Sender<HistoryAnswer>,
    ) -> Self {
        Self {
            machine: History::new(ask, limits),
            dice,
            effects: Effects::new(limits.effects_max),
            done: Some(done),
            began: None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        self.machine.next_deadline()
    }

    /// Steps the machine; says whether it is over.
    pub(crate) fn feed(&mut self, env: &mut Env<'_>, n: u64, input: HistoryInput) -> bool {
        let recorded = Recorded::History(Box::new(input.clone()));
        let me = (env.now, Who::History(n));
        env.recorder
            .begin(me, &mut self.began, self.dice, &self.machine);
        env.recorder.push(env.now, Who::History(n), recorded);
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let stepped = caught(|| self.machine.step(&mut cx, input, &mut self.effects));
        if stepped.is_ok() {
            env.recorder.led_to(self.effects.as_slice());
        }
        let halted = |reason: String| Err(HistoryFailure::Halted(reason));
        let mut answer = stepped
            .err()
            .map(|panic| halted(format!("a step panicked: {panic}")));
        for effect in self.effects.drain() {
            match effect {
                HistoryEffect::Store { op, request } => {
                    env.stores.push((Who::History(n), op, request));
                }
                HistoryEffect::Done(result) => {
                    answer = Some(result.map_err(HistoryFailure::Refused));
                }
                HistoryEffect::Halt(reason) => answer = Some(halted(reason.to_string())),
            }
        }
        let Some(answer) = answer else {
            return false;
        };
        if let Err(HistoryFailure::Halted(reason)) = &answer {
            tracing::error!(machine = ?Who::History(n), reason, "machine_halted");
            env.counters.halts += 1;
            env.recorder.halted(Who::History(n), reason);
        }
        env.counters.answers += 1;
        self.answer(answer);
        true
    }

    /// Tells who waits that the node stopped.
    pub(crate) fn stop(&mut self) {
        self.answer(Err(HistoryFailure::Stopped));
    }

    fn answer(&mut self, answer: HistoryAnswer) {
        if let Some(done) = self.done.take() {
            // A caller that went away needs no answer.
            let _ = done.send(answer);
        }
    }
}
