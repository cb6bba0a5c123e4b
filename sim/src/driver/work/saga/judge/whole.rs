//! A saga that is completed has done all of its steps; of one that is compensated nothing is left but what is
//! not to be undone (Z2).

use super::super::entity::StepEvent;
use super::Judged;
use super::course::{GUARDED, STEPS};
use super::past::{Past, order};
use tenure_core::api::saga::SagaEvent;

pub(super) fn judge(past: &Past) -> Judged {
    for (saga, course) in &past.sagas {
        let completed = matches!(course.last(), Some((_, SagaEvent::Completed)));
        let stays = order(course).is_some_and(|order| order.stays);
        for step in 0..STEPS {
            let last = past.step(saga, step).last().map(|(_, event)| event);
            let stands = match last {
                Some(StepEvent::Done { .. } | StepEvent::PutOff { .. }) => true,
                Some(StepEvent::Undone { .. }) | None => false,
            };
            let free = !completed && stays && step == GUARDED;
            if stands != completed && !free {
                let end = if completed {
                    "completed"
                } else {
                    "compensated"
                };
                return Err(format!("{saga} is {end}, and its step {step} is {last:?}"));
            }
        }
    }
    Ok(())
}
