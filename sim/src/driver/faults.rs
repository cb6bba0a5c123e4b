//! Faults that befall nodes, clocks and the store as a whole, by name. Each kind has its own rhythm,
//! which no other kind disturbs; what each does is in `mishaps`.

use super::event::Event;
use super::world::{Home, State};
use crate::apart::Shape;
use crate::deviation::{Deviation, Fault};
use crate::draw::What;
use crate::profile::Faults;
use crate::world::{Kind, Lane};
use tenure_core::step::Span;

/// One time that a fault comes.
#[derive(Debug)]
pub(super) struct Mishap {
    /// The fault's row, and the rows that this time has of its own, so that one less leaves the others
    /// as they are.
    pub(super) rows: (What, u64),
    /// Whom it befalls, where it befalls a node.
    pub(super) node: usize,
    /// How the network parts, where it does.
    pub(super) shape: Option<Shape>,
}

/// A kind of fault with a rhythm of its own.
pub(crate) struct Rhythm {
    pub(crate) what: What,
    /// How long it is between two of it, on average; zero is never.
    pub(crate) mean: Span,
    /// What it does, and the story of it; `None` when there is nobody whom it befalls.
    befalls: fn(&mut State, &Mishap) -> Option<String>,
}

impl State {
    /// The first fault of each kind with a rhythm.
    pub(super) fn schedule_faults(&mut self) {
        for fault in Fault::ALL {
            self.next_fault(fault);
        }
    }

    fn next_fault(&mut self, fault: Fault) {
        let Some(Rhythm { what, mean, .. }) = rhythm(fault, &self.plan.faults) else {
            return;
        };
        if mean == Span::ZERO || self.healed {
            return;
        }
        let wait = self.draws.span(what, 0, Span::ZERO, mean.saturating_mul(2));
        self.at(wait, Event::Befall(fault));
    }

    /// A fault of a rhythm of its own.
    pub(super) fn befall(&mut self, fault: Fault) {
        let Some(Rhythm { what, befalls, .. }) = rhythm(fault, &self.plan.faults) else {
            return;
        };
        if self.healed {
            return;
        }
        let due = self.draws.deviations.due(fault);
        let Deviation::Fault { number, .. } = due else {
            unreachable!("a fault that is due is a fault");
        };
        let rows = number << 8;
        let node = self.draws.below(what, rows | 1, self.nodes.len() as u64);
        let node = usize::try_from(node).expect("an index fits");
        let parts = fault == Fault::Partition;
        let shape = parts.then(|| Shape::draw(&mut self.draws, self.nodes.len()));
        let mishap = Mishap {
            rows: (what, rows),
            node,
            shape,
        };
        if self.draws.deviations.happens(due) {
            match befalls(self, &mishap) {
                Some(story) => {
                    self.trace.note(6, &[fault as u64, node as u64]);
                    self.tell(Lane::Node(node), Kind::Fault, || {
                        format!("FAULT {fault}: n{node} {story}")
                    });
                }
                None => self.draws.deviations.take_back(due),
            }
        }
        self.next_fault(fault);
    }

    /// The network is whole again; who is cut off for good stays so.
    pub(super) fn reunite(&mut self) {
        if !self.healed {
            self.network.apart.reunite();
        }
    }

    /// A node reaches the store again, unless it is cut off for good.
    pub(super) fn reaches(&mut self, node: usize) {
        if !self.healed {
            self.network.apart.cut.remove(&node);
        }
    }

    pub(super) fn thaw(&mut self, home: Home) {
        let now = self.now;
        if let Some(node) = self.node_mut(home) {
            node.clock.freeze(now, false);
        }
    }

    /// No fault comes any more, and what was broken is well again, but for the nodes that are to stay
    /// as they are: dead, or cut off for good. Gives those that are well.
    pub(super) fn heal(&mut self, all: bool) -> Vec<usize> {
        self.healed = true;
        let nodes = self.nodes.len();
        let mut order: Vec<usize> = (0..nodes).collect();
        self.draws.shuffle(What::Core, 1, &mut order);
        let core = match all {
            true => nodes,
            false => {
                let core = self.draws.range(What::Core, 2, 1, nodes as u64);
                usize::try_from(core).expect("a small number")
            }
        };
        let (core, rest) = order.split_at(core);
        let (mut core, rest) = (core.to_vec(), rest.to_vec());
        core.sort_unstable();
        let now = self.now;
        self.tell(Lane::World, Kind::Note, || {
            format!("HEALS: {core:?} are well, {rest:?} never")
        });
        self.network.apart.reunite();
        self.wire.electing_until = 0;
        for node in &rest {
            self.nodes[*node].given_up = true;
            if self.draws.chance(What::Core, 3, 500) {
                // Dead for good, or where nobody hears of it.
                if self.home_of(*node).is_some() {
                    self.dies(*node);
                }
            } else {
                self.network.apart.cut.insert(*node);
                for other in 0..nodes {
                    self.network.apart.silent.insert((*node, other));
                    self.network.apart.silent.insert((other, *node));
                }
            }
        }
        for node in &core {
            self.nodes[*node].slow_until = 0;
            self.nodes[*node].suspended = false;
            match self.home_of(*node) {
                Some(home) => {
                    self.nodes[*node].busy_until = now;
                    self.thaw(home);
                    self.link_up(home);
                }
                None => self.boot(*node),
            }
        }
        core
    }
}

/// The faults with a rhythm of their own; the others befall single requests and frames, or belong to the
/// pure world.
pub(crate) fn rhythm(fault: Fault, faults: &Faults) -> Option<Rhythm> {
    let every = |what, mean, befalls| {
        Some(Rhythm {
            what,
            mean,
            befalls,
        })
    };
    match fault {
        Fault::Crash => every(What::Crash, faults.crash, State::crashes),
        Fault::Kill => every(What::Exit, faults.kill, State::is_killed),
        Fault::Pause => every(What::Pause, faults.pause, State::pauses),
        Fault::Suspend => every(What::Suspend, faults.suspend, State::is_suspended),
        Fault::SlowNode => every(What::SlowNode, faults.slow_node, State::slows_down),
        Fault::LinkDown => every(What::Link, faults.link_down, State::loses_link),
        Fault::Cut => every(What::Cut, faults.cut, State::is_cut),
        Fault::Partition => every(What::Partition, faults.partition, State::parts),
        Fault::Election => every(What::Election, faults.election, State::elects),
        Fault::LeaderChange => every(What::Leader, faults.leader_change, State::changes_leader),
        Fault::LostTail => every(What::Tail, faults.lost_tail, State::loses_tail),
        Fault::LostMembers => every(What::Members, faults.lost_members, State::loses_members),
        Fault::LostBodies => every(What::Bodies, faults.lost_bodies, State::loses_bodies),
        Fault::LostRecord => every(What::Record, faults.lost_record, State::loses_record),
        Fault::WallStep => every(What::WallStep, faults.wall_step, State::sets_wall),
        Fault::StoreStep => every(What::StoreStep, faults.store_step, State::sets_store_wall),
        Fault::ClockJump => every(What::ClockJump, faults.clock_jump, State::clock_jumps),
        Fault::ClockFreeze => every(What::ClockFreeze, faults.clock_freeze, State::clock_stops),
        Fault::Drain => every(What::Drain, faults.drain, State::is_drained),
        Fault::Join
        | Fault::LostRequest
        | Fault::LostAnswer
        | Fault::LateRequest
        | Fault::RequestTwice
        | Fault::Slow
        | Fault::Refusal
        | Fault::Full
        | Fault::StaleRead
        | Fault::OldLeader
        | Fault::SuccessorHears
        | Fault::BadSnapshot
        | Fault::AbsentBody
        | Fault::DamagedBody
        | Fault::LostWithLink
        | Fault::WrongClaim
        | Fault::Pressure
        | Fault::LostFrame
        | Fault::FrameTwice
        | Fault::LateFrame
        | Fault::LostAnnouncement
        | Fault::LateAnnouncement
        | Fault::AnnouncementTwice
        | Fault::LostDelivery
        | Fault::StrayDelivery
        | Fault::HeldAnswer
        | Fault::Overload
        | Fault::SlowWork
        | Fault::RemovedMember
        | Fault::LateLink
        | Fault::GivenUp => None,
    }
}
