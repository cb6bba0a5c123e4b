//! Callers: what they ask, of whom, and when they ask again.

use super::World;
use super::event::{Event, Part, Place};
use super::story::{Kind, Lane};
use crate::deviation::Deviation;
use crate::draw::What;
use crate::history::{Asked, Wish};
use crate::host::{Command, Style};
use crate::oracle::Violation;
use crate::profile::Operation;
use tenure_core::format::{TakeOver, WriteMode};
use tenure_core::id::{CommandId, Sequence, Ticket, Version};
use tenure_core::log::{Expected, Freshness, Input, Read, Refusal, Reply, Submit};
use tenure_core::{Probe as _, Span, reached};

/// How often a caller asks again.
const AGAIN_MAX: u32 = 4;

impl World {
    /// A client asks one or several things, and goes on later.
    pub(super) fn ask_something(&mut self, client: u64, number: u64) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let pace = self.plan.pace.saturating_mul(2);
        let wait = self.draws.span(What::Pace, client, Span::ZERO, pace);
        let next = number + 1;
        self.at(
            wait,
            Event::Ask {
                client,
                number: next,
            },
        );
        if !self.happens(Deviation::Ask { client, number }) {
            return Ok(());
        }
        // Each question has rows of its own, so that one more or less leaves the others as they are.
        let row = client << 40 | number << 8;
        let entity = self.draws.below(What::Ask, row, self.entities.len() as u64);
        let entity = usize::try_from(entity).expect("an index fits");
        let node = self.some_asked_node(entity, (What::Ask, row));
        // Several at once are what group commit is for.
        let several = self.draws.chance(What::Ask, row, 200) && self.do_callers(Operation::Several);
        let count = if several {
            self.draws.range(What::Ask, row, 2, 6)
        } else {
            1
        };
        let mut wish = self.wish(entity, row);
        for number in 0..count {
            // Now and then a caller sends the same command twice.
            if number > 0 && !self.draws.chance(What::Again, row, 100) {
                wish = self.wish(entity, row | number);
            }
            let patience = self.draws.span(
                What::Ask,
                row,
                Span::from_millis(50),
                Span::from_millis(4_000),
            );
            if let Some(node) = node {
                self.ask(node, wish, 0, patience)?;
            }
        }
        Ok(())
    }

    /// Asks a node.
    pub(super) fn ask(
        &mut self,
        node: usize,
        wish: Wish,
        again: u32,
        patience: Span,
    ) -> Result<(), Violation> {
        if !self.nodes[node].alive {
            return Ok(());
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let entity = self.entities[wish.entity].clone();
        let life = self.nodes[node].life;
        let part = Part::Log(entity.shard);
        let place = Place { node, life, part };
        let in_cluster = self.plan.cluster.is_some();
        let asked_node = &mut self.nodes[node];
        let deadline = asked_node.clock(self.now) + patience;
        let due = asked_node.clock.when(deadline);
        // While the clock stands still nobody knows; the question is an untimed one.
        let due = due.unwrap_or(self.now + patience.as_nanos());
        if let Some(command) = wish.command
            && !in_cluster
        {
            let host = &mut asked_node.shards[entity.shard].host;
            host.take(ticket, ticket, command);
        }
        let stopped = asked_node
            .stopped_until
            .map_or(0, |until| until.saturating_sub(self.now));
        let at_least = self.mark(node, entity.shard);
        let input = match wish.command {
            None => Input::Read(Read {
                ticket,
                kind: entity.kind,
                entity: entity.id.clone(),
                freshness: wish.freshness,
                at_least,
                deadline,
            }),
            Some(_) => Input::Submit(Submit {
                ticket,
                kind: entity.kind,
                entity: entity.id.clone(),
                id: wish.id,
                expected: wish.expected,
                metadata: crate::host::metadata(ticket),
                wall: self.wall_of(node),
                at_least,
                deadline,
            }),
        };
        self.tell(Lane::Callers, Kind::Does, || {
            format!("{ticket:?} asks n{node} {:?}", wish.command)
        });
        self.history.ask(Asked {
            ticket,
            place: (node, life),
            wish,
            at: self.now,
            due,
            acknowledged: Sequence::NONE,
            again,
            last_round: self.healed && again == 0,
            owner: in_cluster || self.owners[entity.shard] == Some((node, life)),
            lost: false,
            stopped,
            voided: false,
            untimed: self.is_untimed() || self.nodes[node].pace.is_slow(self.now),
            told: None,
            entity,
        });
        if in_cluster {
            let asked = self.history.asked(ticket).cloned();
            return self.ask_cluster(place, &asked.expect("it was just asked"), deadline);
        }
        self.deliver(place, input)
    }

    /// A caller heard an answer, and may have reason to ask again.
    pub(super) fn heard(&mut self, ticket: Ticket) {
        let Some(asked) = self.history.asked(ticket) else {
            return;
        };
        let Some(told) = &asked.told else {
            return;
        };
        let owed = match &told.reply {
            Reply::Refused(Refusal::Unknown) => asked.wish.id.is_some(),
            // Nothing happened, so it may be sent again without an id too (H13).
            Reply::Refused(
                Refusal::NotOwner
                | Refusal::Overloaded
                | Refusal::Deadline
                | Refusal::Undelivered(_),
            ) => true,
            Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Found { .. } => {
                asked.wish.id.is_some() && self.draws.chance(What::Again, asked.wish.row, 30)
            }
            Reply::Read { .. } | Reply::Refused(_) => false,
        };
        if owed {
            self.may_ask_again(ticket);
        }
    }

    /// Callers of a node that is gone ask again if their commands have ids.
    pub(super) fn callers_lost(&mut self, place: (usize, u32)) {
        let open: Vec<_> = self
            .history
            .iter()
            .filter(|asked| asked.place == place && asked.told.is_none() && asked.wish.id.is_some())
            .map(|asked| asked.ticket)
            .collect();
        for ticket in open {
            self.may_ask_again(ticket);
        }
    }

    fn may_ask_again(&mut self, ticket: Ticket) {
        let Some(asked) = self.history.asked(ticket) else {
            return;
        };
        let (again, row) = (asked.again, asked.wish.row);
        let never = again >= AGAIN_MAX || self.healed || !self.do_callers(Operation::Again);
        if never || self.draws.chance(What::Again, row, 200) {
            return;
        }
        let longest = Span::from_millis(800);
        let wait = self.draws.span(What::Again, row, Span::ZERO, longest);
        self.at(wait, Event::AskAgain { ticket });
    }

    pub(super) fn ask_again(&mut self, ticket: Ticket) -> Result<(), Violation> {
        let Some(asked) = self.history.asked(ticket) else {
            return Ok(());
        };
        if self.healed {
            return Ok(());
        }
        reached!(self, "world: a caller asked again");
        let (wish, again) = (asked.wish, asked.again + 1);
        let Some(node) = self.some_asked_node(wish.entity, (What::Again, wish.row)) else {
            return Ok(());
        };
        let patience = self.draws.span(
            What::Again,
            wish.row,
            Span::from_millis(50),
            Span::from_millis(2_000),
        );
        self.ask(node, wish, again, patience)
    }

    fn do_callers(&self, operation: Operation) -> bool {
        self.plan.operations.contains(&operation)
    }

    /// The owner mostly, where the shard has one; else any node.
    fn some_asked_node(&mut self, entity: usize, (what, row): (What, u64)) -> Option<usize> {
        let shard = self.entities[entity].shard;
        let any = self.draws.below(what, row, self.nodes.len() as u64);
        let any = usize::try_from(any).expect("an index fits");
        if self.plan.cluster.is_some() {
            return self.nodes[any].alive.then_some(any);
        }
        let stray = self.draws.chance(what, row, 150);
        let node = match (self.plan.shards[shard], self.owners[shard]) {
            (WriteMode::Owned, Some((owner, _))) if !stray => owner,
            (WriteMode::Owned | WriteMode::Direct, _) => any,
        };
        self.nodes[node].alive.then_some(node)
    }

    fn wish(&mut self, entity: usize, row: u64) -> Wish {
        let read = self.draws.chance(What::Ask, row, 200) && self.do_callers(Operation::Read);
        let command = (!read).then(|| self.command(entity, row));
        let named = self.draws.chance(What::Ask, row, 600) && self.do_callers(Operation::Id);
        let bits = self.draws.bits(What::CommandId, row);
        let ahead = self.draws.chance(What::Ask, row, 10);
        let maker = self
            .draws
            .below(What::CommandId, row, self.nodes.len() as u64);
        let mut wall = self.wall_of(usize::try_from(maker).expect("an index fits"));
        if ahead {
            wall.0 += 2 * self.plan.limits.id_ahead_max_ms;
        }
        let id = (named && !read).then(|| CommandId::new(wall, bits));
        let near = self.draws.range(What::Ask, row, 0, 3);
        let expected = match self.draws.below(What::Ask, row, 10) {
            0 => {
                let version = self.ledger.state(&self.entities[entity].subject).version;
                let version = version.0 + u64::from(near == 1);
                Expected::Exactly(Version(version.saturating_sub(u64::from(near == 2))))
            }
            1 => Expected::Present,
            _ => Expected::Any,
        };
        Wish {
            row,
            entity,
            command,
            id,
            expected: if read || !self.do_callers(Operation::Version) {
                Expected::Any
            } else {
                expected
            },
            freshness: self.freshness(entity, row),
        }
    }

    /// How fresh an answer a reader wants: in a cluster anything that there is.
    fn freshness(&mut self, entity: usize, row: u64) -> Freshness {
        if self.plan.cluster.is_none() {
            return Freshness::Linearizable;
        }
        let choices: &[Freshness] = match self.entities[entity].class {
            TakeOver::Fenced => &[Freshness::Linearizable, Freshness::Local],
            TakeOver::Leased => &[
                Freshness::Linearizable,
                Freshness::Leased,
                Freshness::Leased,
                Freshness::Local,
            ],
        };
        self.draws.pick(What::Fresh, row, choices)
    }

    fn command(&mut self, entity: usize, row: u64) -> Command {
        let draw = self.draws.below(What::Ask, row, 1_000);
        let count = self.draws.range(What::Ask, row, 2, 4);
        let (operation, style) = match draw {
            400..=649 => (Some(Operation::Take), Style::Take),
            650..=759 => (Some(Operation::Burst), Style::Burst(count)),
            760..=809 => (Some(Operation::Jump), Style::Jump(count)),
            810..=879 => (Some(Operation::Look), Style::Look),
            880..=949 => (Some(Operation::Record), Style::Record),
            950..=969 => (Some(Operation::Fall), Style::Fall),
            970.. => (Some(Operation::Fail), Style::Fail),
            0..=399 => (None, Style::Add),
        };
        let style = match operation {
            Some(operation) if !self.do_callers(operation) => Style::Add,
            Some(_) | None => style,
        };
        let amount = self.draws.range(What::Ask, row, 1, 9);
        let large = self.draws.chance(What::Ask, row, 10) && self.do_callers(Operation::Large);
        let later = self.plan.later && self.draws.chance(What::Later, row, 350);
        let later = match later && self.do_callers(Operation::Later) {
            true => self.some_later(entity, row),
            false => None,
        };
        Command {
            later,
            style,
            amount: i64::try_from(amount).expect("a small number"),
            padding: if large {
                self.plan.payload_bytes_max
            } else {
                0
            },
        }
    }
}
