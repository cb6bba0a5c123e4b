//! What the machines of a story about ownership want done, and how it reads.

use super::{Cluster, Part, Task, place_name};
use std::collections::BTreeSet;
use std::sync::Arc;
use tenure_core::id::Incarnation;
use tenure_core::log;
use tenure_core::shard::{self, Place};

impl Cluster {
    pub(super) fn owners_effect(&mut self, name: &str, run: Incarnation, effect: shard::Effect) {
        match effect {
            shard::Effect::Store { op, request } => {
                self.job(name, run, Part::Owners, Task::Store(op, request));
            }
            shard::Effect::Order { place, order } => {
                let what = match &order {
                    shard::Order::Claim { over } if over.is_some() => {
                        format!("claim over {over:?}")
                    }
                    shard::Order::Claim { .. } => "claim".to_owned(),
                    shard::Order::Adopt(epoch) => format!("adopt {:?}", epoch.sequence),
                    shard::Order::HandOver { node, .. } => format!("hand over to {node}"),
                    shard::Order::Release => "release".to_owned(),
                    shard::Order::Drop => "drop".to_owned(),
                };
                self.say(name, &format!("orders {}: {what}", place_name(place)));
                self.job(name, run, Part::Log(place), Task::Order(order));
            }
            shard::Effect::Table(table) => {
                let node = self.nodes.get_mut(name).expect("a node");
                let before = std::mem::replace(&mut node.table, Arc::clone(&table));
                let places = before.rows.keys().chain(table.rows.keys());
                let places: BTreeSet<_> = places.copied().collect();
                let owner = |rows: &shard::Table, place| rows.rows.get(place).map(|row| row.owner);
                let mut changes = Vec::new();
                for place in &places {
                    let now = owner(&table, place);
                    if owner(&before, place) != now {
                        let whose = now.map_or_else(|| "nobody".to_owned(), |run| self.named(run));
                        changes.push(format!("{} at {whose}", place_name(*place)));
                    }
                }
                if !changes.is_empty() {
                    self.say(name, &format!("knows {}", changes.join(", ")));
                }
                self.route(Some(name));
            }
            shard::Effect::Look => self.say(name, "wants the members listed"),
            shard::Effect::Drained => self.say(name, "is drained"),
            shard::Effect::Abandoned => self.say(name, "holds nothing any more"),
            shard::Effect::Note(note) => {
                let text = match note {
                    shard::Note::TakingOver { place, from, hint } => {
                        let why = if hint { "looks gone" } else { "is over" };
                        let from = self.named(from);
                        Some(format!("takes {} over: {from} {why}", place_name(place)))
                    }
                    shard::Note::LeaseOver { places } => {
                        Some(format!("has no lease: drops {places}"))
                    }
                    shard::Note::Failed { place, cause } => {
                        Some(format!("fails with {}: {cause}", place_name(place)))
                    }
                    shard::Note::Unreadable { place, cause } => {
                        Some(format!("cannot read {}: {cause}", place_name(place)))
                    }
                    // The order says as much.
                    shard::Note::HandingOver { .. } | shard::Note::Adopted { .. } => None,
                    shard::Note::Kept { place, after } => {
                        let kept = shard::Note::Kept { place, after };
                        Some(format!("{kept:?}"))
                    }
                    other => Some(format!("{other:?}")),
                };
                if let Some(text) = text {
                    self.say(name, &text);
                }
            }
            shard::Effect::Halt(reason) => panic!("{name} halts: {reason}"),
        }
    }

    pub(super) fn log_effect(
        &mut self,
        name: &str,
        run: Incarnation,
        place: Place,
        effect: log::Effect,
    ) {
        let part = Part::Log(place);
        match effect {
            log::Effect::Store { op, request } => {
                self.job(name, run, part, Task::Store(op, request));
            }
            log::Effect::Run { op, work } => self.job(name, run, part, Task::Work(op, work)),
            log::Effect::Reply { ticket, reply } => self.reply(name, place, ticket, &reply),
            log::Effect::Forget { slot } => {
                let node = self.nodes.get_mut(name).expect("a node");
                node.forget(place, slot);
            }
            log::Effect::Report(report) => {
                let what = match &report {
                    shard::Report::Owned(epoch) => format!("owned as {:?}", epoch.sequence),
                    shard::Report::Rival { sequence } => format!("another record, {sequence:?}"),
                    shard::Report::HandedOver { epoch, to } => {
                        format!("handed over to {}, {:?}", self.named(*to), epoch.sequence)
                    }
                    shard::Report::Kept { epoch } => format!("kept, {:?}", epoch.sequence),
                    shard::Report::Released { epoch } => format!("released, {:?}", epoch.sequence),
                    shard::Report::Lost { was: None, .. } => "not owned".to_owned(),
                    shard::Report::Lost { was: Some(was), .. } => {
                        format!("lost, was {:?}", was.sequence)
                    }
                    shard::Report::Failed { cause } => format!("failed, {cause}"),
                };
                self.say(name, &format!("reports {}: {what}", place_name(place)));
                self.job(name, run, part, Task::Report(report));
            }
            log::Effect::Note(log::Note::LostTail { was, now }) => {
                let text = format!("{} lost its tail: {was:?}, now {now:?}", place_name(place));
                self.say(name, &text);
            }
            log::Effect::Note(_) | log::Effect::AskWall | log::Effect::Dispatch { .. } => {}
            log::Effect::Halt(reason) => panic!("{name} {place:?} halts: {reason}"),
        }
    }
}
