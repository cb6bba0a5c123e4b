//! The network between nodes: letters with parcels of one lane for another, which may be lost, late,
//! doubled and out of order, and what streams announce (S15, S16, S21).

use super::World;
use super::cluster::{Came, Ended};
use super::event::{Event, Part, Place};
use super::story::{Kind, Lane};
use crate::apart::Apart;
use crate::brief;
use crate::clog::Clogs;
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::Violation;
use tenure_core::id::{OpId, Sequence, Ticket};
use tenure_core::port::{Heard, SendRefused};
use tenure_core::route::{Address, Input, Returned, Target};
use tenure_core::shard::Row;
use tenure_core::{Probe as _, Span, node, reached, shard};

/// A frame.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) from: Address,
    pub(super) to: Address,
    parcels: Vec<Parcel>,
    /// It came before: that nobody takes in this one says nothing of the other.
    copy: bool,
}

/// An entry of a frame.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Request {
        op: OpId,
        target: Target,
        ttl: Span,
        caller: Ticket,
        at_least: Sequence,
        /// When, in true nanoseconds.
        sent: u64,
    },
    Answer {
        op: OpId,
        ended: Box<Ended>,
    },
    NotOwner {
        op: OpId,
        owner: Option<Row>,
    },
    Withdraw {
        op: OpId,
    },
    Ping,
    Pong,
}

/// What holds between nodes.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) apart: Apart,
    /// What waits at links that are clogged, each with the event in which it was caused.
    pub(super) clogs: Clogs<(u64, Event)>,
    /// Until when the store takes no write, in true nanoseconds.
    pub(super) election_until: u64,
}

impl World {
    /// A lane has something for another one.
    pub(super) fn post_parcel(&mut self, from: Place, to: Address, parcel: Parcel) {
        let Part::Router(lane) = from.part else {
            unreachable!("lanes send letters")
        };
        let outbox = &mut self.nodes[from.node].seats_mut().outbox;
        let parcels = outbox.entry((lane, to)).or_default();
        parcels.push(parcel);
        if parcels.len() == 1 {
            let wait = self.moment(What::Within, from.row());
            self.at(wait, Event::Post { from, to });
        }
    }

    /// What was gathered goes out.
    pub(super) fn post(&mut self, from: Place, to: Address) -> Result<(), Violation> {
        if !self.living(from) {
            return Ok(());
        }
        if let Some(until) = self.nodes[from.node].stopped_until {
            let wait = Span::from_nanos(until.saturating_sub(self.now) + 1);
            self.at(wait, Event::Post { from, to });
            return Ok(());
        }
        let Part::Router(lane) = from.part else {
            unreachable!("lanes send letters")
        };
        let linked = self.nodes[from.node].linked;
        let seats = self.nodes[from.node].seats_mut();
        let Some(parcels) = seats.outbox.remove(&(lane, to)) else {
            return Ok(());
        };
        if !linked {
            return self.not_sent(from, &parcels);
        }
        let incarnation = seats.incarnation;
        let letter = Letter {
            from: Address { incarnation, lane },
            to,
            parcels,
            copy: false,
        };
        self.tell(from, Kind::Does, || {
            format!("{from} ~> {}", brief_letter(&letter))
        });
        self.travels(from.node, letter);
        Ok(())
    }

    fn not_sent(&mut self, from: Place, parcels: &[Parcel]) -> Result<(), Violation> {
        for parcel in parcels {
            if let Parcel::Request { op, .. } = parcel {
                let (op, refused) = (*op, SendRefused::NotConnected);
                self.deliver(from, Input::NotSent { op, refused })?;
            }
        }
        Ok(())
    }

    fn travels(&mut self, node: usize, letter: Letter) {
        let row = node as u64;
        let faults = self.plan.faults;
        let mut drawn = |fault, index: u64, rate| {
            let row = (What::Frame, row << 8 | index);
            self.strikes(fault, row, rate)
        };
        let lost = drawn(Fault::LostFrame, 1, faults.lost_frame);
        let late = drawn(Fault::LateFrame, 3, faults.late_frame);
        if lost {
            reached!(self, "fault: lost frame");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("{} is lost", brief_letter(&letter))
            });
            return;
        }
        let mut wait = self.travel(row << 8 | 5);
        if late {
            reached!(self, "fault: late frame");
            wait = self
                .draws
                .span(What::Frame, row << 8 | 6, wait, Span::from_secs(2));
        }
        let letter = Box::new(letter);
        self.at(wait, Event::Arrive { letter });
    }

    /// A letter is where it was sent.
    pub(super) fn arrive(&mut self, letter: Letter) -> Result<(), Violation> {
        let from = self.lives.of(letter.from.incarnation);
        let (node, life) = self.lives.of(letter.to.incarnation);
        let pair = (from.0, node);
        if self.network.apart.silent.contains(&pair) {
            reached!(self, "fault: a frame is lost between parts of the network");
            return Ok(());
        }
        let there = &self.nodes[node];
        let run = there.seats.as_ref().map(|seats| seats.incarnation);
        let gone = !there.alive || there.life != life || run != Some(letter.to.incarnation);
        if gone || !there.linked || self.network.apart.denied.contains(&pair) {
            if !gone {
                reached!(self, "fault: a wrong no-responders");
            }
            return self.nobody_there(letter);
        }
        let lanes = there.seats().lanes();
        if letter.to.lane >= lanes {
            return self.nobody_there(letter);
        }
        let to = Place {
            node,
            life,
            part: Part::Router(letter.to.lane),
        };
        self.comes_again(from.0, &letter);
        for parcel in letter.parcels {
            self.unpack(to, letter.from, parcel)?;
        }
        Ok(())
    }

    /// A letter that was taken in may come a second time.
    fn comes_again(&mut self, from: usize, letter: &Letter) {
        let (row, rate) = (from as u64, self.plan.faults.frame_twice);
        if letter.copy || !self.strikes(Fault::FrameTwice, (What::Frame, row << 8 | 2), rate) {
            return;
        }
        reached!(self, "fault: frame twice");
        let longest = Span::from_millis(500);
        let wait = self
            .draws
            .span(What::Frame, row << 8 | 4, Span::ZERO, longest);
        let letter = Box::new(Letter {
            copy: true,
            ..letter.clone()
        });
        self.at(wait, Event::Arrive { letter });
    }

    fn unpack(&mut self, to: Place, from: Address, parcel: Parcel) -> Result<(), Violation> {
        let Part::Router(lane) = to.part else {
            unreachable!("lanes get letters")
        };
        match parcel {
            Parcel::Request {
                op,
                target,
                ttl,
                caller,
                at_least,
                sent,
            } => {
                let came = Came {
                    caller,
                    at_least,
                    sent,
                };
                let seats = self.nodes[to.node].seats_mut();
                seats.came.insert((lane, from, op), came);
                let input = Input::Request {
                    from,
                    op,
                    target,
                    ttl,
                };
                self.deliver(to, input)
            }
            Parcel::Answer { op, ended } => self.came_back(to, lane, op, *ended),
            Parcel::NotOwner { op, owner } => {
                let returned = Returned::NotOwner(owner);
                self.deliver(to, Input::Returned { op, returned })
            }
            Parcel::Withdraw { op } => self.deliver(to, Input::Withdrawn { from, op }),
            Parcel::Ping => {
                if self.nodes[to.node].running() {
                    self.post_parcel(to, from, Parcel::Pong);
                }
                Ok(())
            }
            Parcel::Pong => {
                let of = from.incarnation;
                self.deliver(to.beside(Part::Member), node::Input::Alive { of })
            }
        }
    }

    /// Nobody listens where a letter went; a network with servers says so.
    fn nobody_there(&mut self, letter: Letter) -> Result<(), Violation> {
        let cluster = self.plan.cluster.as_ref();
        if letter.copy || cluster.is_some_and(|cluster| cluster.silent) {
            return Ok(());
        }
        let wait = self.travel(letter.from.lane.into());
        let letter = Box::new(letter);
        self.at(wait, Event::Nobody { letter });
        Ok(())
    }

    /// A lane hears that nobody listens where its letter went.
    pub(super) fn nobody(&mut self, letter: &Letter) -> Result<(), Violation> {
        let (node, life) = self.lives.of(letter.from.incarnation);
        let to = Place {
            node,
            life,
            part: Part::Router(letter.from.lane),
        };
        if !self.nodes[node].linked {
            return Ok(());
        }
        for parcel in &letter.parcels {
            match parcel {
                Parcel::Request { op, .. } => self.deliver(to, Input::NoResponders(*op))?,
                Parcel::Ping => {
                    let of = letter.to.incarnation;
                    let to = to.beside(Part::Member);
                    self.deliver(to, node::Input::NoResponders { of })?;
                }
                Parcel::Answer { .. }
                | Parcel::NotOwner { .. }
                | Parcel::Withdraw { .. }
                | Parcel::Pong => {}
            }
        }
        Ok(())
    }

    /// What was stored is announced to every node that listens.
    pub(super) fn announce(&mut self) {
        for announcement in self.store.take_announcements() {
            let heard = Heard {
                subject: announcement.subject.as_str().into(),
                sequence: announcement.message.sequence,
                payload: announcement.message.payload,
            };
            for node in 0..self.nodes.len() {
                let row = node as u64;
                let faults = self.plan.faults;
                let mut drawn = |fault, index: u64, rate| {
                    let row = (What::Announce, row << 8 | index);
                    self.strikes(fault, row, rate)
                };
                let rate = faults.lost_announcement;
                let lost = drawn(Fault::LostAnnouncement, 1, rate);
                let twice = drawn(Fault::AnnouncementTwice, 2, rate / 2);
                let late = drawn(Fault::LateAnnouncement, 3, rate);
                if lost {
                    reached!(self, "fault: lost announcement");
                    continue;
                }
                let mut wait = self.travel(row << 8 | 7);
                if late {
                    wait = self
                        .draws
                        .span(What::Announce, row << 8 | 4, wait, Span::from_secs(3));
                }
                if twice {
                    let heard = Box::new(heard.clone());
                    self.at(
                        wait + Span::from_millis(5),
                        Event::Announced { node, heard },
                    );
                }
                let heard = Box::new(heard.clone());
                self.at(wait, Event::Announced { node, heard });
            }
        }
    }

    /// A node hears an announcement.
    pub(super) fn announced(&mut self, node: usize, heard: Heard) -> Result<(), Violation> {
        let there = &self.nodes[node];
        if !there.alive || !there.linked || self.network.apart.is_deaf(node) {
            return Ok(());
        }
        let life = there.life;
        let of_members = self.namespace.members_heard_filter();
        let prefix = of_members.as_str().trim_end_matches('*');
        let part = if heard.subject.starts_with(prefix) {
            Part::Member
        } else {
            Part::Owners
        };
        let place = Place { node, life, part };
        match part {
            Part::Member => self.deliver(place, node::Input::Heard(heard)),
            Part::Log(_) | Part::Owners | Part::Router(_) => {
                self.deliver(place, shard::Input::Heard(heard))
            }
        }
    }
}

fn brief_letter(letter: &Letter) -> String {
    let mut line = format!("{:?}", letter.to);
    for parcel in &letter.parcels {
        let text = match parcel {
            Parcel::Request { op, caller, .. } => format!("request {op:?} of {caller:?}"),
            Parcel::Answer { op, ended } => format!("answer {op:?} {}", brief::reply(&ended.0)),
            Parcel::NotOwner { op, owner } => format!("not owner {op:?} {owner:?}"),
            Parcel::Withdraw { op } => format!("withdraw {op:?}"),
            Parcel::Ping => "ping".into(),
            Parcel::Pong => "pong".into(),
        };
        line.push_str(" | ");
        line.push_str(&text);
    }
    line
}
