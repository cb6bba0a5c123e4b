//! Messages of commits on their way to whoever owns the shard.

use super::{Fate, Job, Task, World};
use crate::bank::Order;
use tenure_core::Span;
use tenure_core::id::{OpId, Sequence, Ticket};
use tenure_core::log::{Delivery, Dispatch, Expected, Input, KindIndex, Refusal, Reply, Submit};

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
        if intent.kind.as_str() != "account" {
            let cause = format!("no kind {}", intent.kind);
            return self.job(node, op, Task::Delivered(Delivery::Undeliverable { cause }));
        }
        if self.away.contains(intent.entity.as_str()) {
            return self.job(node, op, Task::Delivered(Delivery::Again));
        }
        let owners = self.nodes.iter();
        let owners = owners.filter_map(|(name, node)| Some((node.shard.epoch()?, name.clone())));
        let Some((_, owner)) = owners.max() else {
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
