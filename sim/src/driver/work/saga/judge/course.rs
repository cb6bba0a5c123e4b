//! A saga goes forward step by step, turns back once at most, and undoes what it did in the reverse order (Z1, Z2); a
//! step is done only after the one before it was, and undone only after the saga turned back.

use super::super::entity::{NO, Order, StepEvent};
use super::Judged;
use super::past::{Course, Past, order};
use tenure_core::api::saga::SagaEvent;

/// How many steps each has.
pub(super) const STEPS: u32 = 3;

/// The step whose undoing some orders leave out.
pub(super) const GUARDED: u32 = 1;

pub(super) fn judge(past: &Past) -> Judged {
    for (saga, course) in &past.sagas {
        goes(course).map_err(|what| format!("{saga} {what}"))?;
        takes_steps(past, saga, course).map_err(|what| format!("{saga}: {what}"))?;
    }
    let began = |key: &str| {
        key.split('/')
            .nth(1)
            .is_some_and(|saga| past.sagas.contains_key(saga))
    };
    match past.steps.keys().find(|key| !began(key)) {
        Some(key) => Err(format!("step {key} is of a saga that never began")),
        None => Ok(()),
    }
}

/// What a saga does next may be.
#[derive(Clone, Copy, Debug)]
enum At {
    Nowhere,
    Forward(u32),
    /// All steps before this one are to be undone.
    Turned(u32),
    Back(u32),
    End,
}

/// Its events follow each other as they may.
fn goes(course: &Course) -> Judged {
    let Some(order) = order(course) else {
        return Err("does something before it was started".to_owned());
    };
    let mut at = At::Nowhere;
    for (_, event) in course.iter().skip(1) {
        at = next(order, at, event).ok_or_else(|| format!("is {at:?}, and then {event:?}"))?;
    }
    Ok(())
}

fn next(order: &Order, at: At, event: &SagaEvent<Order>) -> Option<At> {
    match (at, event) {
        (At::Nowhere, SagaEvent::Advanced(0)) => Some(At::Forward(0)),
        (At::Forward(now), SagaEvent::Advanced(step)) if *step == now + 1 && *step < STEPS => {
            Some(At::Forward(*step))
        }
        (At::Forward(now), SagaEvent::Completed) if now + 1 == STEPS => Some(At::End),
        // One that was refused is as it was; of one that is late nobody knows.
        (At::Forward(now), SagaEvent::TurnedBack { step, why }) if *step == now => {
            Some(At::Turned(now + u32::from(why != NO)))
        }
        (At::Turned(0), SagaEvent::Compensated) => Some(At::End),
        (At::Turned(before) | At::Back(before), SagaEvent::Undoing(step)) => {
            let next = (0..before).rev().find(|it| *it != GUARDED || !order.stays);
            (next == Some(*step)).then_some(At::Back(*step))
        }
        (At::Back(now), SagaEvent::UndoRefused { step, .. } | SagaEvent::UndoneAgain(step))
            if *step == now =>
        {
            Some(at)
        }
        (At::Back(0), SagaEvent::Compensated) => Some(At::End),
        (_, _) => None,
    }
}

/// What became of its steps follows what it did, and what it did follows that.
fn takes_steps(past: &Past, saga: &str, course: &Course) -> Judged {
    for step in 0..STEPS {
        let mut is_done = false;
        for (at, event) in past.step(saga, step) {
            let (wanted, twice) = match event {
                StepEvent::Done { .. } => (
                    SagaEvent::Advanced(step),
                    std::mem::replace(&mut is_done, true),
                ),
                StepEvent::Undone { .. } | StepEvent::PutOff { .. } => {
                    (SagaEvent::Undoing(step), false)
                }
            };
            if twice {
                return Err(format!("step {step} is done a second time at {at} ns (P4)"));
            }
            let since = course.iter().find(|(_, it)| *it == wanted);
            if since.is_none_or(|(since, _)| since > at) {
                return Err(format!(
                    "step {step} has {event:?} at {at} ns, before {wanted:?}: {since:?} (Z1, Z2)"
                ));
            }
        }
    }
    for two in course.windows(2) {
        let ((_, before), (at, _)) = (&two[0], &two[1]);
        if let Some(missing) = missing(past, saga, (before, &two[1])) {
            return Err(format!("it goes on at {at} ns, and {missing} (Z1, Z2)"));
        }
    }
    Ok(())
}

/// What should have become of a step before its saga went on from it.
fn missing(
    past: &Past,
    saga: &str,
    (before, (at, after)): (&SagaEvent<Order>, &(u64, SagaEvent<Order>)),
) -> Option<String> {
    let by_then = |step: u32, is: fn(&StepEvent) -> bool| {
        let mut of = past.step(saga, step).iter();
        of.any(|(then, event)| then <= at && is(event))
    };
    match (before, after) {
        (SagaEvent::Advanced(step), SagaEvent::Advanced(_) | SagaEvent::Completed) => {
            let done = by_then(*step, |it| matches!(it, StepEvent::Done { .. }));
            (!done).then(|| format!("step {step} is not done"))
        }
        (
            SagaEvent::Undoing(step)
            | SagaEvent::UndoRefused { step, .. }
            | SagaEvent::UndoneAgain(step),
            SagaEvent::Undoing(_) | SagaEvent::Compensated,
        ) => {
            let undone = by_then(*step, |it| matches!(it, StepEvent::Undone { .. }));
            (!undone).then(|| format!("step {step} is not undone"))
        }
        (_, _) => None,
    }
}
