//! Wall clocks that are asked, and messages of commits on their way to their receivers' owners.

use super::World;
use super::bootstrap::kind_text;
use super::corrupt::Corruption;
use super::event::{Part, Place};
use crate::deviation::Fault;
use crate::draw::What;
use crate::host::{Command, Style, Wished, message_ticket};
use crate::oracle::Violation;
use tenure_core::format::WriteMode;
use tenure_core::id::{OpId, Sequence, Ticket, WallTime};
use tenure_core::log::{Delivery, Dispatch, Expected, Input, Refusal, Reply, Submit};
use tenure_core::{Probe as _, Span, reached};

/// The tickets under which logs know messages.
const TICKETS: u64 = 1 << 45;

/// How long a sender waits before it sends again.
const PATIENCE: Span = Span::from_millis(1_500);

/// A message that is with its receiver's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Underway {
    sender: Place,
    op: OpId,
    /// The sender will not hear of it.
    lost: bool,
}

impl World {
    /// A log asks what its node's wall clock says.
    pub(super) fn ask_wall(&mut self, place: Place) {
        let wall = self.wall_of(place.node);
        let wall = match self.corruption {
            Some(Corruption::Unfired) => WallTime(0),
            Some(Corruption::Early) => WallTime(wall.0 + 600_000),
            Some(_) | None => wall,
        };
        let delay = self.moment(What::Within, place.row());
        self.deliver_after(delay, place, Input::Wall(wall));
    }

    /// A message sets out for whoever owns its receiver, or seems to.
    pub(super) fn dispatch(
        &mut self,
        sender: Place,
        op: OpId,
        dispatch: Dispatch,
    ) -> Result<(), Violation> {
        if self.corruption == Some(Corruption::Unsent) {
            return Ok(());
        }
        // Whatever becomes of it, in the end the sender hears something.
        let delivery = Delivery::Again;
        self.deliver_after(PATIENCE, sender, Input::Dispatched { op, delivery });
        let row = sender.row() << 1;
        let Dispatch { id, intent, .. } = dispatch;
        let receiver = self
            .entities
            .iter()
            .position(|it| it.id == intent.entity && kind_text(it) == intent.kind.as_str());
        let receiver = receiver.expect("messages are sent to entities of the run");
        let entity = self.entities[receiver].clone();
        let row_of = |index| (What::Frame, row << 2 | index);
        let lost = self.strikes(Fault::LostDelivery, row_of(0), 60);
        let stray = self.strikes(Fault::StrayDelivery, row_of(1), 100);
        let (what, any) = row_of(2);
        let any = self.draws.below(what, any, self.nodes.len() as u64);
        let any = usize::try_from(any).expect("an index fits");
        let node = match self.owners[entity.shard] {
            Some((owner, _)) if !stray => owner,
            Some(_) | None => any,
        };
        if !self.nodes[node].running() {
            return Ok(());
        }
        reached!(self, "world: a message came to a node");
        let ticket = Ticket(TICKETS + self.next_ticket);
        self.next_ticket += 1;
        self.underway.insert(ticket, Underway { sender, op, lost });
        let life = self.nodes[node].life;
        let part = Part::Log(entity.shard);
        let place = Place { node, life, part };
        let command = Command {
            style: Style::Add,
            amount: 1,
            padding: 0,
            later: None,
        };
        let host = &mut self.nodes[node].shards[entity.shard].host;
        host.take(ticket, message_ticket(&intent.message), command);
        let submit = Submit {
            ticket,
            kind: entity.kind,
            entity: entity.id,
            id: (self.corruption != Some(Corruption::Nameless)).then_some(id),
            expected: Expected::Any,
            metadata: None,
            wall: self.wall_of(node),
            at_least: Sequence::NONE,
            deadline: self.nodes[node].clock(self.now) + Span::from_secs(1),
        };
        let wait = self.moment(What::Within, row);
        self.deliver_after(wait, place, Input::Submit(submit));
        Ok(())
    }

    /// Whether a reply is to a message, and what it tells its sender.
    pub(super) fn message_ended(&mut self, ticket: Ticket, reply: &Reply) -> bool {
        let Some(underway) = self.underway.remove(&ticket) else {
            return false;
        };
        let delivery = match reply {
            Reply::Committed { .. } | Reply::Found { .. } => Delivery::Done,
            Reply::Nothing { .. } | Reply::Read { .. } => Delivery::Again,
            Reply::Refused(Refusal::Expired { .. }) => {
                // Whether it took effect is not known any more, and nobody will try again.
                reached!(
                    self,
                    "world: a message was older than its receiver remembers"
                );
                self.expired_messages = true;
                Delivery::Undeliverable {
                    cause: "expired".into(),
                }
            }
            Reply::Refused(_) => Delivery::Again,
        };
        if !underway.lost {
            let op = underway.op;
            let wait = self.moment(What::Within, underway.sender.row());
            self.deliver_after(wait, underway.sender, Input::Dispatched { op, delivery });
        }
        true
    }

    /// What a command leaves to be done later, now and then.
    pub(super) fn some_later(&mut self, entity: usize, row: u64) -> Option<Wished> {
        let of = &self.entities[entity];
        if !self.plan.later || of.mode != WriteMode::Owned {
            return None;
        }
        let slot = u8::try_from(self.draws.below(What::Later, row, 2)).expect("a small number");
        Some(match self.draws.below(What::Later, row, 10) {
            0..=3 => {
                let wait = self.draws.range(What::Later, row, 0, 2_500);
                let node = self.draws.below(What::Later, row, self.nodes.len() as u64);
                let wall = self.wall_of(usize::try_from(node).expect("an index fits"));
                let again = self.draws.chance(What::Later, row, 150);
                Wished::Arm {
                    slot,
                    due: WallTime(wall.0 + wait),
                    period_ms: if again { 700 } else { 0 },
                    rejected: self.draws.chance(What::Later, row, 100),
                }
            }
            4 => Wished::Cancel { slot },
            _ => {
                let owned = |at: &usize| self.entities[*at].mode == WriteMode::Owned;
                let owned: Vec<_> = (0..self.entities.len()).filter(owned).collect();
                let to = self.draws.below(What::Later, row, owned.len() as u64);
                let to = owned[usize::try_from(to).expect("an index fits")];
                let of = &self.entities[to];
                let number = (to as u64) % self.plan.entities;
                Wished::Send {
                    kind: kind_text(of),
                    shard: of.shard,
                    number,
                }
            }
        })
    }

    /// The lowest and the highest that any wall clock shows.
    pub(super) fn walls(&self) -> (WallTime, WallTime) {
        let walls = || (0..self.nodes.len()).map(|node| self.wall_of(node));
        let (min, max) = (walls().min(), walls().max());
        (min.unwrap_or_default(), max.unwrap_or_default())
    }
}
