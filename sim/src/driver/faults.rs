//! Faults that befall nodes, clocks and the store as a whole, by name. Each kind has its own rhythm,
//! which no other kind disturbs; what each does is in `mishaps`.

use super::event::Event;
use super::nodes::CONNECTING;
use super::world::{Home, State};
use crate::apart::Way;
use crate::deviation::Fault;
use crate::draw::What;
use crate::rhythm::{Mishap, Rhythm, Trouble};
use crate::world::{Kind, Lane, Sort};

impl State {
    /// The first fault of each kind with a rhythm.
    pub(super) fn schedule_faults(&mut self) {
        for fault in Fault::ALL {
            self.next_fault(fault);
        }
    }

    fn next_fault(&mut self, fault: Fault) {
        let rhythm = Rhythm::of(fault, &self.plan.faults).filter(|_| !self.healed);
        if let Some(wait) = rhythm.and_then(|rhythm| rhythm.wait(&mut self.draws)) {
            self.at(wait, Event::Befall(fault));
        }
    }

    /// A fault of a rhythm of its own.
    pub(super) fn befall(&mut self, fault: Fault) {
        let Some(rhythm) = Rhythm::of(fault, &self.plan.faults).filter(|_| !self.healed) else {
            return;
        };
        if let Some(mishap) = rhythm.comes(&mut self.draws, self.nodes.len()) {
            let node = mishap.node;
            match self.befalls(&mishap) {
                Some(story) => {
                    self.trace.note(6, &[fault as u64, node as u64]);
                    self.tell(Lane::Node(node), Kind::Fault, || {
                        format!("FAULT {fault}: n{node} {story}")
                    });
                }
                None => self.draws.deviations.take_back(mishap.due),
            }
        }
        self.next_fault(fault);
    }

    /// What it does, and the story of it; `None` when there is nobody whom it befalls.
    fn befalls(&mut self, it: &Mishap) -> Option<String> {
        match it.trouble {
            Trouble::Crash => self.crashes(it),
            Trouble::Kill => self.is_killed(it),
            Trouble::Pause => self.pauses(it),
            Trouble::Suspend => self.is_suspended(it),
            Trouble::SlowNode => self.slows_down(it),
            Trouble::LinkDown => self.loses_link(it),
            Trouble::Cut => self.is_cut(it, Way::Both),
            Trouble::CutIn => self.is_cut(it, Way::In),
            Trouble::CutOut => self.is_cut(it, Way::Out),
            Trouble::Clog => self.clogs(it),
            Trouble::Partition => self.parts(it),
            Trouble::Election => self.elects(it),
            Trouble::LeaderChange => self.changes_leader(it),
            Trouble::LostTail => self.loses_tail(it),
            Trouble::LostMembers => self.loses_members(it),
            Trouble::LostBodies => self.loses_bodies(it),
            Trouble::LostRecord => self.loses_record(it),
            Trouble::WallStep => self.sets_wall(it),
            Trouble::StoreStep => self.sets_store_wall(it),
            Trouble::ClockJump => self.clock_jumps(it),
            Trouble::ClockFreeze => self.clock_stops(it),
            Trouble::Drain => self.is_drained(it),
            Trouble::ConsumerLost => self.forgets_consumers(it),
        }
    }

    /// The network is whole again; who is cut off for good stays so.
    pub(super) fn reunite(&mut self) {
        if !self.healed {
            self.network.apart.reunite();
        }
    }

    /// A node reaches the store again, unless it is cut off for good.
    pub(super) fn reaches(&mut self, node: usize, way: Way) {
        if !self.healed {
            self.network.apart.mend(node, way);
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
        for node in self.network.clogs.nodes() {
            self.unclog(node, Way::Both);
        }
        for node in &rest {
            self.nodes[*node].given_up = true;
            if self.draws.chance(What::Core, 3, 500) {
                // Dead for good, or where nobody hears of it.
                if self.home_of(*node).is_some() {
                    self.dies(*node);
                }
            } else {
                self.network.apart.cut(*node, Way::Both);
                let lane = Lane::Node(*node);
                self.trace.lasts(lane, "reaches nobody", now, u64::MAX);
                for other in 0..nodes {
                    self.network.apart.silent.insert((*node, other));
                    self.network.apart.silent.insert((other, *node));
                }
            }
        }
        self.trace.bar_ends(Lane::Store, Sort::Fault, now);
        for node in &core {
            self.trace.bar_ends(Lane::Node(*node), Sort::Fault, now);
            self.nodes[*node].slow_until = 0;
            self.nodes[*node].suspended = false;
            match self.home_of(*node) {
                Some(home) => {
                    let healed = &mut self.nodes[*node];
                    healed.busy_until = now;
                    let stood_still = std::mem::take(&mut healed.still_until) > now;
                    self.thaw(home);
                    match stood_still {
                        true => self.at(CONNECTING, Event::LinkUp(home)),
                        false => self.link_up(home),
                    }
                }
                None => self.boot(*node),
            }
        }
        core
    }
}
