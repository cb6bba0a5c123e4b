//! Timers of activations: messages to themselves, by name. What was missed is not made up for.

use super::activation::{Phase, Timer, What};
use super::{Effect, Letter, Scheduler};
use crate::always;
use crate::step::{Cx, Effects, Span, Time};
use alloc::sync::Arc;

/// The shortest time between two messages of a timer.
const EVERY_MIN: Span = Span::from_millis(1);

impl Scheduler {
    pub(super) fn set_timer(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        name: Arc<str>,
        (at, every): (Time, Option<Span>),
    ) {
        let timers_max = self.limits.timers_max;
        let extra = self.at(index).extra();
        extra.timers_set = extra.timers_set.wrapping_add(1);
        let timer = Timer {
            name,
            at: Some(at),
            every: every.map(|every| every.max(EVERY_MIN)),
            serial: extra.timers_set,
            waits: false,
        };
        let place = extra
            .timers
            .binary_search_by(|one| one.name.cmp(&timer.name));
        match place {
            Ok(place) => extra.timers[place] = timer,
            Err(place) => {
                extra.timers.insert(place, timer);
                let few = extra.timers.len() <= timers_max;
                always!(cx, few, "actor: A9, the context refuses one timer too many");
            }
        }
        self.wind(index);
    }

    pub(super) fn cancel_timer(&mut self, index: u32, name: &str) {
        let Some(extra) = self.at(index).extra.as_deref_mut() else {
            return;
        };
        extra.timers.retain(|timer| &*timer.name != name);
        self.wind(index);
    }

    /// Sets the alarm to the earliest timer.
    fn wind(&mut self, index: u32) {
        let Some(extra) = self.at(index).extra.as_deref_mut() else {
            return;
        };
        let earliest = extra.timers.iter().filter_map(|timer| timer.at).min();
        let before = extra.alarm;
        extra.alarm = earliest;
        if let Some(at) = earliest
            && earliest != before
        {
            self.alarms.set(at, index);
        }
    }

    /// Has an activation looked at by itself at a time.
    pub(super) fn alarm(&mut self, index: u32, at: Time) {
        self.at(index).extra().alarm = Some(at);
        self.alarms.set(at, index);
    }

    /// What an activation waited for by itself has come.
    pub(super) fn ring(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        let activation = self.at(index);
        activation.extra().alarm = None;
        match activation.phase {
            Phase::Backoff(_) => return self.activate(cx, index, out),
            Phase::Failed(_) => {
                activation.since = cx.now;
                return self.enter(index, Phase::Spent);
            }
            Phase::Activating(_)
            | Phase::Resting
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Aborting(..)
            | Phase::Spent => {}
        }
        let count = self.at(index).extra().timers.len();
        for n in 0..count {
            let Some(timer) = self.at(index).extra().timers.get_mut(n) else {
                break;
            };
            let Some(at) = timer.at.filter(|at| *at <= cx.now) else {
                continue;
            };
            timer.at = timer.every.map(|every| next(at, every, cx.now));
            if !timer.waits {
                timer.waits = true;
                let what = What::Timer(Arc::clone(&timer.name), timer.serial);
                self.post(index, what);
            }
        }
        self.wind(index);
        self.wake(cx, index, out);
    }

    /// The letter of a timer whose message has come to the front, unless it was called off since.
    pub(super) fn timer_letter(
        &mut self,
        index: u32,
        name: Arc<str>,
        serial: u32,
    ) -> Option<Letter> {
        let extra = self.at(index).extra();
        let place = extra.timers.iter().position(|one| one.serial == serial)?;
        let timer = extra.timers.get_mut(place)?;
        timer.waits = false;
        let last = timer.at.is_none();
        if last {
            extra.timers.remove(place);
        }
        Some(Letter::Timer { name, last })
    }
}

/// The first of a timer's times after now.
fn next(at: Time, every: Span, now: Time) -> Time {
    let missed = now.since(at).as_nanos() / every.as_nanos().max(1);
    at + every.saturating_mul(missed + 1)
}
