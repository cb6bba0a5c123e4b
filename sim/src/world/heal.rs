//! Faults end: some of the nodes become well, and the rest stays broken for good, dead or out of reach.
//! What is promised of those that are well does not need the others (P8).

use super::World;
use super::bars::Sort;
use super::corrupt::Corruption;
use super::node::breach;
use super::story::{Kind, Lane};
use crate::apart::Way;
use crate::deviation::{Deviation, Fault};
use crate::draw::What;
use crate::oracle::{Class, Violation};
use tenure_core::{Probe as _, reached};

impl World {
    /// No fault comes any more; what was broken is repaired, but for the nodes that are given up.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        let rest = self.some_to_give_up();
        self.healed = true;
        self.heal_network();
        self.thaw_all();
        self.unclog_all();
        self.speed_up()?;
        for node in rest {
            self.give_up(node)?;
        }
        let core = self.core();
        self.tell(Lane::World, Kind::Note, || {
            format!("EVERYTHING HEALS of {core:?}")
        });
        for node in core.iter().copied() {
            if self.nodes[node].alive {
                if let Some(until) = self.nodes[node].stopped_until.as_mut() {
                    let early = until.saturating_sub(self.now);
                    *until = self.now;
                    if early > 0 {
                        self.resume(node)?;
                    }
                }
                self.link_up(node)?;
            } else if !self.is_away(node) {
                self.restart(node)?;
            }
        }
        if self.corruption == Some(Corruption::HalfHealed) {
            let last = core.last().copied().unwrap_or_default();
            self.network.apart.cut(last, Way::Both);
        }
        let idle = |node: &usize| !self.nodes[*node].running() && !self.is_away(*node);
        if core.iter().any(idle) {
            return Err(breach(Class::Liveness, "a node does not run".into()));
        }
        self.schedule_last_round();
        Ok(())
    }

    /// The nodes that are well, or will be, once everything healed.
    pub(super) fn core(&self) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        nodes.filter(|node| !self.given_up.contains(node)).collect()
    }

    /// Who is not to become well: nobody in half of the seeds, and never all who may own something.
    fn some_to_give_up(&mut self) -> Vec<usize> {
        let whole = self.draws.chance(What::Core, 1, 500);
        let mut order: Vec<usize> = (0..self.nodes.len())
            .filter(|node| !self.is_away(*node))
            .collect();
        self.draws.shuffle(What::Core, 2, &mut order);
        let cluster = self.plan.cluster.as_ref();
        // Of two nodes under one name only one is a member: which one is to stay is not known.
        let twin = cluster.is_some_and(|it| it.twin);
        let asks = cluster.is_some_and(|it| it.client);
        let owner = |node: usize| !asks || node + 1 < self.nodes.len();
        let stays = |node: &usize| owner(*node) && !self.is_leaving(*node);
        let Some(first) = order.iter().position(stays) else {
            return Vec::new();
        };
        order.swap(0, first);
        let core = self.draws.range(What::Core, 3, 1, order.len() as u64);
        if whole || twin || !self.plan.profile.breaks_for_good() {
            return Vec::new();
        }
        let mut rest = order.split_off(usize::try_from(core).expect("an index fits"));
        rest.sort_unstable();
        rest.retain(|node| {
            self.draws.deviations.happens(Deviation::Fault {
                fault: Fault::GivenUp,
                row: *node as u64,
                number: 1,
            })
        });
        rest
    }

    /// A node stays broken: dead, or where it reaches neither the store nor another node.
    fn give_up(&mut self, node: usize) -> Result<(), Violation> {
        self.given_up.insert(node);
        let dead = self.draws.chance(What::Core, 4 + node as u64, 500);
        if dead || !self.nodes[node].alive {
            reached!(self, "fault: a node is dead for good");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} is DEAD for good")
            });
            if self.nodes[node].alive {
                self.dies(node)?;
            }
            return Ok(());
        }
        reached!(self, "fault: a node is out of reach for good");
        self.tell(Lane::Node(node), Kind::Fault, || {
            format!("n{node} reaches NOBODY any more")
        });
        self.lasts(Lane::Node(node), Sort::Fault, "out of reach", None);
        let apart = &mut self.network.apart;
        apart.cut(node, Way::Both);
        for other in 0..self.nodes.len() {
            apart.silent.insert((node, other));
            apart.silent.insert((other, node));
        }
        Ok(())
    }
}
