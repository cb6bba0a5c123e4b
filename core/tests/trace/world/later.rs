//! Messages of commits on their way to whoever owns the shard.

use super::{Fate, Job, Task, World};
use crate::bank::Order;
use tenure_core::id::{OpId, Sequence, Ticket};
use tenure_core::log::{
    Delivery, Dispatch, Expected, Input, KindIndex, LaterCounts, Refusal, Reply, Submit, Work,
};
use tenure_core::{Limits, Span};

/// Tickets from here on are of messages.
const DISPATCHED: u64 = 5_000_000;

impl World {
    /// A message comes to the owner of the shard, who takes it as a command.
    pub(super) fn deliver(
        &mut self,
        node: &str,
        op: OpId,
        dispatch: Box<Dispatch>,
        fate: Option<Fate>,
    ) {
        match fate {
            None | Some(Fate::AnswerLost) => {}
            Some(Fate::Held) => {
                self.line(node, 'x', &format!("{op:?} is held up"));
                return self.held.push(Job {
                    node: node.to_owned(),
                    op,
                    task: Task::Dispatch(dispatch),
                    released: true,
                });
            }
            Some(Fate::Lost) => {
                self.line(node, 'x', &format!("{op:?} is lost"));
                return self.job(node, op, Task::Delivered(Delivery::Again));
            }
            Some(other) => panic!("a message is held, lost, or its answer is: not {other:?}"),
        }
        let Dispatch { id, intent, .. } = *dispatch;
        if intent.kind.as_str().starts_with("effect-") {
            let delivery = match self.away.contains(intent.entity.as_str()) {
                true => Delivery::Failed,
                false => Delivery::Done,
            };
            return self.job(node, op, Task::Delivered(delivery));
        }
        if intent.kind.as_str() != "account" {
            let cause = format!("no kind {}", intent.kind);
            return self.job(node, op, Task::Delivered(Delivery::Undeliverable { cause }));
        }
        if self.away.contains(intent.entity.as_str()) {
            return self.job(node, op, Task::Delivered(Delivery::Again));
        }
        let Some(owner) = self.owner() else {
            return self.job(node, op, Task::Delivered(Delivery::Again));
        };
        let ticket = Ticket(DISPATCHED + self.dispatched.len() as u64);
        self.dispatched.insert(ticket, (node.to_owned(), op));
        if fate == Some(Fate::AnswerLost) {
            self.line(node, 'x', &format!("the answer to {op:?} is lost"));
            self.dispatched.insert(ticket, (String::new(), op));
            self.job(node, op, Task::Delivered(Delivery::Again));
        }
        let order = Order::of_message(&intent.message);
        self.arrive(&owner, ticket, order.expect("an order of the bank's"));
        let submit = Submit {
            ticket,
            kind: KindIndex(0),
            entity: intent.entity,
            id: Some(id),
            expected: Expected::Any,
            metadata: intent.metadata,
            wall: self.wall(),
            at_least: Sequence::NONE,
            deadline: self.now + Span::from_secs(5),
        };
        self.step(&owner, Input::Submit(submit));
    }

    /// The node that became the shard's owner last, if it knows no better.
    pub(crate) fn owner(&self) -> Option<String> {
        let owners = self.nodes.iter();
        let owners = owners.filter_map(|(name, node)| Some((node.shard.epoch()?, name.clone())));
        owners.max().map(|(_, owner)| owner)
    }

    /// What a node has in mind of what its shard is to do later.
    #[allow(dead_code, reason = "stories show what is done of it")]
    pub(crate) fn later_counts(&self, node: &str) -> LaterCounts {
        self.nodes[node].shard.later_counts()
    }

    /// A node begins anew: nobody answers the messages that are at it, and it asks for none that it sent.
    pub(super) fn forget_messages(&mut self, node: &str) {
        let mut unanswered = Vec::new();
        for (ticket, (sender, op)) in &mut self.dispatched {
            if sender == node {
                sender.clear();
            } else if self.callers.get(ticket).is_some_and(|at| at == node) {
                unanswered.push((std::mem::take(sender), *op));
            }
        }
        for (sender, op) in unanswered.into_iter().filter(|it| !it.0.is_empty()) {
            self.job(&sender, op, Task::Delivered(Delivery::Again));
        }
    }

    /// A node becomes the shard's owner: what it sent as one before is not its own any more.
    pub(super) fn stray(&mut self, node: &str) {
        let of = self.jobs.iter().chain(&self.held);
        let of = of.filter(|job| job.node == node);
        self.strays.extend(of.map(|job| (node.to_owned(), job.op)));
    }

    /// Checks that no more is on its way than may be at once.
    pub(super) fn check_ways(&self, node: &str) {
        let of = self.jobs.iter().chain(&self.held);
        let of =
            of.filter(|job| job.node == node && !self.strays.contains(&(node.to_owned(), job.op)));
        let (mut messages, mut timers) = (0, 0);
        for job in of {
            match &job.task {
                Task::Dispatch(_) | Task::Delivered(_) => messages += 1,
                Task::Work(Work::Fire { .. }) => timers += 1,
                Task::Store(_) | Task::Work(_) | Task::Wall => {}
            }
        }
        let Limits {
            dispatches_max,
            firings_max,
            ..
        } = self.setup.limits;
        assert!(messages <= dispatches_max, "{messages} messages at once");
        assert!(timers <= firings_max, "{timers} timers fire at once");
    }

    /// The receiver's owner answered.
    pub(super) fn delivered(&mut self, owner: &str, ticket: Ticket, reply: &Reply) {
        self.callers.remove(&ticket);
        let bank = &mut self.nodes.get_mut(owner).expect("a node").bank;
        let said = bank.answer(ticket, reply);
        let rejected = said.as_ref().is_some_and(|it| it.starts_with("rejected"));
        let Some((sender, op)) = self.dispatched.get(&ticket).cloned() else {
            return;
        };
        if sender.is_empty() {
            return;
        }
        let delivery = match reply {
            Reply::Nothing { .. } if rejected => Delivery::Rejected {
                cause: said.unwrap_or_default(),
            },
            Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Found { .. } => Delivery::Done,
            Reply::Refused(Refusal::Undelivered(_)) => Delivery::Waits,
            Reply::Read { .. } | Reply::Refused(_) => Delivery::Again,
        };
        self.job(&sender, op, Task::Delivered(delivery));
    }
}
