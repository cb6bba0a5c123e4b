//! After everything healed: by a stated time each shard has an owner that is well, and all nodes that are
//! well see the same members and the same owners (P8).

use super::World;
use crate::oracle::{Class, Happened, Seen, Violation};
use tenure_core::id::Incarnation;
use tenure_core::node::Standing;
use tenure_core::{Probe as _, Span, reached};

impl World {
    /// How long it takes at most until everything has converged, after the last late byte has landed:
    /// the end of a lease that began last is seen and its tombstone written, twice where the node
    /// that was to take over was such a one itself; what changed by it settles and is moved, so many
    /// shards at a time; and each node reads the records again.
    pub(super) fn convergence(&self) -> Span {
        let cluster = self.plan.cluster.as_ref().expect("a plan of a cluster");
        let limits = &self.plan.limits;
        let over = cluster.terms.watch() + cluster.terms.margin + limits.retry_delay_max;
        let settled = limits.settle + Span::from_nanos(limits.settle.as_nanos() / 4);
        let rounds = self
            .plan
            .shards
            .len()
            .div_ceil(limits.hand_overs_max.max(1)) as u64;
        let moved = (limits.retry_delay_max + Span::from_millis(100)).saturating_mul(rounds + 2);
        let reread = limits.owners_reread.saturating_mul(2);
        over + over + settled + moved + reread + Span::from_secs(2)
    }

    /// An ownership record was stored.
    pub(super) fn claimed(&mut self, subject: &str, index: usize) -> Result<(), Violation> {
        let shard = self.ownerships.iter().position(|it| it == subject);
        let shard = shard.expect("a record of a shard");
        let claims = self.ledger.claims(subject)[..=index].to_vec();
        self.judge(Seen::Cluster(Happened::Claimed {
            shard,
            claims: &claims,
        }))
    }

    /// By now everything must have converged.
    pub(super) fn converged(&mut self) -> Result<(), Violation> {
        reached!(self, "world: a cluster converged");
        let mut living = self.core();
        living.retain(|node| self.nodes[*node].alive);
        let runs: Vec<Incarnation> = living
            .iter()
            .map(|node| self.nodes[*node].seats().incarnation)
            .collect();
        for shard in 0..self.plan.shards.len() {
            let claim = self.ledger.claims(self.ownership(shard)).last();
            let owner = claim.and_then(|claim| claim.owner);
            let Some(node) = owner.and_then(|owner| runs.iter().position(|run| *run == owner))
            else {
                return Err(unconverged(format!(
                    "s{shard} is owned by nobody who lives"
                )));
            };
            let node = living[node];
            let spot = self.spot(shard);
            let row = self.nodes[node]
                .seats()
                .owners
                .machine
                .table()
                .rows
                .get(&spot)
                .copied();
            let epoch = claim.map(|claim| claim.epoch);
            if row.map(|row| row.epoch) != epoch {
                return Err(unconverged(format!(
                    "n{node} is named for s{shard} at {epoch:?}, and knows {row:?}"
                )));
            }
        }
        let first = living[0];
        for node in &living {
            let seats = self.nodes[*node].seats();
            if !seats.member.machine.is_member() {
                return Err(unconverged(format!("n{node} is no member")));
            }
            let view = seats.member.machine.view();
            let members: Vec<_> = view.peers.values().map(|peer| peer.incarnation).collect();
            let well = view
                .peers
                .values()
                .all(|peer| peer.standing == Standing::Living);
            let mut owed = runs.clone();
            let mut seen = members.clone();
            owed.sort_unstable();
            seen.sort_unstable();
            if seen != owed || !well {
                return Err(unconverged(format!("n{node} sees {view:?}, not {owed:?}")));
            }
            let (one, two) = (
                &self.nodes[first].seats().owners.machine.table().rows,
                &seats.owners.machine.table().rows,
            );
            if one != two {
                return Err(unconverged(format!(
                    "n{first} and n{node} differ: {one:?}, {two:?}"
                )));
            }
        }
        Ok(())
    }
}

fn unconverged(what: String) -> Violation {
    Violation {
        class: Class::Liveness,
        oracle: "converged",
        what,
    }
}
