//! What was stored of sagas, and of those who took their steps.

use super::super::entity::{Guard, Move, Order, StepEvent, Vault};
use crate::stage::Record;
use std::collections::BTreeMap;
use tenure_core::api::saga::{Process as _, SagaEvent};
use tenure_core::api::{Aggregate as _, Event as _};
use tenure_core::format::{Codec, Commit};

/// A saga: its events, each with when it was stored, in true nanoseconds.
pub(super) type Course = Vec<(u64, SagaEvent<Order>)>;

/// What was stored, by when.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Past {
    pub(super) sagas: BTreeMap<String, Course>,
    /// What became of each step, by its key.
    pub(super) steps: BTreeMap<String, Vec<(u64, StepEvent)>>,
    /// What became of them in each vault, in its order.
    pub(super) vaults: BTreeMap<String, Vec<StepEvent>>,
}

impl Past {
    pub(in super::super) fn of(records: &[Record]) -> Result<Self, String> {
        let mut past = Self::default();
        for Record { at, message } in records {
            let kind = message.subject.split('.').nth(3);
            let Some(kind) = [Move::KIND, Vault::KIND, Guard::KIND]
                .into_iter()
                .find(|it| kind == Some(*it))
            else {
                continue;
            };
            let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
            past.take(*at, kind, &commit)?;
        }
        Ok(past)
    }

    fn take(&mut self, at: u64, kind: &str, commit: &Commit) -> Result<(), String> {
        let id = commit.entity.as_str();
        let unread = || format!("{kind} {id} cannot be read");
        for event in &commit.events {
            let (name, schema, data) = (&event.name, event.schema, &event.data);
            if kind == Move::KIND {
                let event = SagaEvent::decode(name, schema, Codec::Cbor, data);
                let event = event.ok().flatten().ok_or_else(unread)?;
                let course = self.sagas.entry(id.to_owned()).or_default();
                course.push((at, event));
                continue;
            }
            let event = StepEvent::decode(name, schema, Codec::Cbor, data);
            self.takes_step(at, (kind, id), event.ok().flatten().ok_or_else(unread)?);
        }
        Ok(())
    }

    fn takes_step(&mut self, at: u64, (kind, id): (&str, &str), event: StepEvent) {
        let (StepEvent::Done { step, .. }
        | StepEvent::Undone { step }
        | StepEvent::PutOff { step }) = &event;
        let of = self.steps.entry(step.clone()).or_default();
        of.push((at, event.clone()));
        if kind == Vault::KIND {
            let vault = self.vaults.entry(id.to_owned()).or_default();
            vault.push(event);
        }
    }

    /// A saga that began and has not ended.
    pub(in super::super) fn open(&self) -> Option<&str> {
        let open = |(_, course): &(&String, &Course)| !is_over(course);
        let (open, _) = self.sagas.iter().find(open)?;
        Some(open)
    }

    /// Whether one was undone.
    pub(in super::super) fn has_compensated(&self) -> bool {
        let mut all = self.sagas.values();
        all.any(|course| matches!(course.last(), Some((_, SagaEvent::Compensated))))
    }

    /// What became of a step of a saga.
    pub(super) fn step(&self, saga: &str, step: u32) -> &[(u64, StepEvent)] {
        let of = self.steps.get(&key(saga, step));
        of.map_or(&[], Vec::as_slice)
    }
}

/// What its steps are kept under.
pub(super) fn key(saga: &str, step: u32) -> String {
    format!("{}/{saga}/{step}", Move::KIND)
}

fn is_over(course: &Course) -> bool {
    let last = course.last().map(|(_, event)| event);
    matches!(last, Some(SagaEvent::Completed | SagaEvent::Compensated))
}

/// What a saga was started with.
pub(super) fn order(course: &Course) -> Option<&Order> {
    match course.first() {
        Some((_, SagaEvent::Started(order))) => Some(order),
        Some(_) | None => None,
    }
}
