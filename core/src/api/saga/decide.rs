//! What a saga does next.

use super::messages::Late;
use super::stuck::{Freed, PutStuck, Stuck};
use super::{
    Process, ReplyTo, RetryUndo, Saga, SagaEvent, SagaPhase, SagaReport, SagaStatus, SkipUndo,
    Start, Status,
};
use crate::api::plans::message_to;
use crate::api::{Answer, AnswerCx, Decide, DecideCx, Decision, Never};
use crate::format::Intent;
use std::time::Duration;

/// The reminder of the step that is under way.
const LATE: &str = "late";

/// What a saga says and does.
struct Next<I> {
    events: Vec<SagaEvent<I>>,
    /// A command to be sent, when it is late, and its step.
    send: Option<(Result<Intent, String>, Duration, Late)>,
    /// What the list of those that are stuck is told.
    tell: Option<Result<Intent, String>>,
}

impl<I> Next<I> {
    fn nothing() -> Self {
        Self {
            events: Vec::new(),
            send: None,
            tell: None,
        }
    }
}

impl<P: Process> Saga<P> {
    /// How it stands.
    pub fn status(&self) -> &SagaStatus {
        &self.status
    }

    /// The command of a step, or the one that undoes it; `None` when there is no such.
    fn send(
        input: &P::Input,
        id: &str,
        step: u32,
        undo: bool,
    ) -> Option<(Result<Intent, String>, Duration, Late)> {
        let place = usize::try_from(step).ok()?;
        let it = P::steps(id, input).into_iter().nth(place)?;
        let message = if undo { it.undo? } else { it.action };
        let to = ReplyTo {
            kind: P::KIND.to_owned(),
            id: id.to_owned(),
            step,
            undo,
        };
        Some((message(to), it.timeout, Late { step, undo }))
    }

    /// A step is next, or all are done.
    fn forward(input: &P::Input, id: &str, step: u32) -> Next<P::Input> {
        let send = Self::send(input, id, step, false);
        let event = match &send {
            Some(_) => SagaEvent::Advanced(step),
            None => SagaEvent::Completed,
        };
        Next {
            events: vec![event],
            send,
            tell: None,
        }
    }

    /// The steps before one are to be undone, the last one first.
    fn back(input: &P::Input, id: &str, before: u32) -> Next<P::Input> {
        for step in (0..before).rev() {
            if let Some(send) = Self::send(input, id, step, true) {
                return Next {
                    events: vec![SagaEvent::Undoing(step)],
                    send: Some(send),
                    tell: None,
                };
            }
        }
        Next {
            events: vec![SagaEvent::Compensated],
            send: None,
            tell: None,
        }
    }

    /// The undo of a step is not reported: it is sent again, if it may be.
    fn undo_again(&self, input: &P::Input, cx: &DecideCx<'_>, step: u32) -> Next<P::Input> {
        let place = usize::try_from(step).ok();
        let it = place.and_then(|place| P::steps(cx.id(), input).into_iter().nth(place));
        let tries_max = it.map_or(0, |it| it.undo_tries_max);
        if self.status.undo_tries < tries_max {
            return Next {
                events: vec![SagaEvent::UndoneAgain(step)],
                send: Self::send(input, cx.id(), step, true),
                tell: None,
            };
        }
        let refused = self.status.undo_refused.clone();
        let why = refused.unwrap_or_else(|| format!("the undo of step {step} was not reported"));
        let stuck = PutStuck {
            saga: cx.id().to_owned(),
            step,
            why: why.clone(),
            times: self.status.stuck_times.saturating_add(1),
            time_ms: cx.time().0,
        };
        Next {
            events: vec![SagaEvent::Stuck { step, why }],
            send: None,
            tell: Some(message_to::<Stuck, _>(P::KIND, &stuck)),
        }
    }

    /// With what it was started and which step is not undone, when it is stuck for this time.
    fn stuck(&self, times: u32) -> Option<(&P::Input, u32)> {
        match (&self.input, self.status.phase) {
            (Some(input), SagaPhase::Stuck(step)) if self.status.stuck_times == times => {
                Some((input, step))
            }
            (_, _) => None,
        }
    }

    /// It is stuck no more, and goes on.
    fn freed(&self, id: &str, next: Next<P::Input>) -> Next<P::Input> {
        let freed = Freed {
            saga: id.to_owned(),
            times: self.status.stuck_times,
        };
        let tell = Some(message_to::<Stuck, _>(P::KIND, &freed));
        Next { tell, ..next }
    }

    /// A step failed: what was done is undone, itself too when nobody knows whether it was done.
    fn turn(input: &P::Input, id: &str, step: u32, doubt: bool, why: String) -> Next<P::Input> {
        let before = step.saturating_add(u32::from(doubt));
        let mut next = Self::back(input, id, before);
        next.events.insert(0, SagaEvent::TurnedBack { step, why });
        next
    }

    fn decision<R>(next: Next<P::Input>, reply: R) -> Decision<Self, R> {
        let over = matches!(
            next.events.last(),
            Some(SagaEvent::Completed | SagaEvent::Compensated)
        );
        let decision = match next.events.is_empty() {
            true => Decision::nothing(reply),
            false => Decision::events(next.events).reply(reply),
        };
        let tell = next.tell;
        let mut decision = match next.send {
            Some((intent, timeout, late)) => {
                let mut decision = decision.remind(LATE, timeout, late);
                decision.plans().intent(intent);
                decision
            }
            None if over => decision.cancel(LATE),
            None => decision,
        };
        if let Some(tell) = tell {
            decision.plans().intent(tell);
        }
        decision
    }
}

impl<P: Process> Decide<Start<P::Input>> for Saga<P> {
    type Reply = SagaStatus;
    type Error = Never;

    fn decide(
        &self,
        Start(input): &Start<P::Input>,
        cx: &DecideCx<'_>,
    ) -> Result<Decision<Self, SagaStatus>, Never> {
        if self.input.is_some() {
            return Ok(Decision::nothing(self.status.clone()));
        }
        let mut next = Self::forward(input, cx.id(), 0);
        let phase = match next.send {
            Some(_) => SagaPhase::Forward(0),
            None => SagaPhase::Completed,
        };
        next.events.insert(0, SagaEvent::Started(input.clone()));
        let status = SagaStatus {
            phase,
            ..SagaStatus::default()
        };
        Ok(Self::decision(next, status))
    }
}

impl<P: Process> Decide<SagaReport> for Saga<P> {
    type Reply = ();
    type Error = Never;

    fn decide(&self, report: &SagaReport, cx: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let (step, id) = (report.step, cx.id());
        let next = match (&self.input, self.status.phase, &report.outcome) {
            (Some(input), SagaPhase::Forward(now), outcome) if now == step && !report.undo => {
                match outcome {
                    Ok(()) => Self::forward(input, id, step.saturating_add(1)),
                    Err(why) => Self::turn(input, id, step, false, why.clone()),
                }
            }
            (Some(input), SagaPhase::Back(now), Ok(())) if now == step && report.undo => {
                Self::back(input, id, step)
            }
            // Reported late, after all.
            (Some(input), SagaPhase::Stuck(now), Ok(())) if now == step && report.undo => {
                self.freed(id, Self::back(input, id, step))
            }
            // Its reminder has it sent again.
            (_, SagaPhase::Back(now), Err(why)) if now == step && report.undo => Next {
                events: vec![SagaEvent::UndoRefused {
                    step,
                    why: why.clone(),
                }],
                send: None,
                tell: None,
            },
            // What is reported late, or twice.
            (_, _, _) => Next::nothing(),
        };
        Ok(Self::decision(next, ()))
    }
}

impl<P: Process> Decide<Late> for Saga<P> {
    type Reply = ();
    type Error = Never;

    fn decide(&self, late: &Late, cx: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let (step, id) = (late.step, cx.id());
        let next = match (&self.input, self.status.phase) {
            (Some(input), SagaPhase::Forward(now)) if now == step && !late.undo => {
                let why = format!("step {step} was not reported in time");
                Self::turn(input, id, step, true, why)
            }
            (Some(input), SagaPhase::Back(now)) if now == step && late.undo => {
                self.undo_again(input, cx, step)
            }
            // It was reported meanwhile.
            (_, _) => Next::nothing(),
        };
        Ok(Self::decision(next, ()))
    }
}

impl<P: Process> Decide<RetryUndo> for Saga<P> {
    type Reply = bool;
    type Error = Never;

    fn decide(&self, retry: &RetryUndo, cx: &DecideCx<'_>) -> Result<Decision<Self, bool>, Never> {
        let Some((input, step)) = self.stuck(retry.times) else {
            return Ok(Decision::nothing(false));
        };
        let Some(sent) = Self::send(input, cx.id(), step, true) else {
            // This build has no such undo: it can be skipped.
            return Ok(Decision::nothing(false));
        };
        let again = Next {
            events: vec![SagaEvent::Undoing(step)],
            send: Some(sent),
            tell: None,
        };
        Ok(Self::decision(self.freed(cx.id(), again), true))
    }
}

impl<P: Process> Decide<SkipUndo> for Saga<P> {
    type Reply = bool;
    type Error = Never;

    fn decide(&self, skip: &SkipUndo, cx: &DecideCx<'_>) -> Result<Decision<Self, bool>, Never> {
        let Some((input, step)) = self.stuck(skip.times) else {
            return Ok(Decision::nothing(false));
        };
        let mut next = self.freed(cx.id(), Self::back(input, cx.id(), step));
        next.events.insert(0, SagaEvent::UndoSkipped(step));
        Ok(Self::decision(next, true))
    }
}

impl<P: Process> Answer<Status> for Saga<P> {
    type Reply = SagaStatus;

    fn answer(&self, _: &Status, _: &AnswerCx<'_>) -> SagaStatus {
        self.status.clone()
    }
}
