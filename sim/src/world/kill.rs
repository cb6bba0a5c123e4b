//! One node at a time dies, in silence or with somebody to say so, and what it owned is another's
//! within a stated time (P8).

use super::World;
use super::event::Event;
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::{Class, Violation};
use tenure_core::format::TakeOver;
use tenure_core::id::Incarnation;
use tenure_core::{Probe as _, Span, reached};

/// Three questions to a node that looks gone, so far apart, and a quarter of a second at least.
const CONFIRMED: Span = Span::from_millis(350);

/// What a claim takes, with its order and its report, and one of a node's after another.
const CLAIM: Span = Span::from_millis(25);

impl World {
    /// How long it takes until a shard of the fenced class is another's when its owner was killed and
    /// the network says that nobody listens: a question to the owner is due, it is confirmed, and
    /// claims are made one after another.
    fn hinted_after(&self) -> Span {
        let shards = self.plan.shards.len() as u64;
        self.plan.limits.probe_every + CONFIRMED + CLAIM.saturating_mul(shards + 4)
    }

    /// How long it takes when nobody says so, and in the leased class always: the lease is over on the
    /// slowest clock, its tombstone is written by one of the others, and claims are made.
    fn over_after(&self) -> Span {
        let cluster = self.plan.cluster.as_ref().expect("a plan of a cluster");
        let terms = cluster.terms;
        let shards = self.plan.shards.len() as u64;
        let slow = Span::from_nanos(self.plan.drift_over(terms.watch().as_nanos()));
        terms.watch() + slow + terms.margin + CLAIM.saturating_mul(shards + 8)
    }

    /// A node is killed or stands still, and stays so until what it owned is taken over.
    pub(super) fn kill(&mut self) -> Result<(), Violation> {
        let over = self.over_after();
        let left = self.plan.active().as_nanos().saturating_sub(self.now);
        if self.healed || left < over.as_nanos() {
            return Ok(());
        }
        let node = self.some_node(What::Crash);
        let run = self.nodes[node].seats().incarnation;
        let silent = self.plan.cluster.as_ref().is_some_and(|it| it.silent);
        let stands = self.draws.chance(What::Crash, 2, 400);
        let settled = self.plan.calm_from() + Span::from_secs(2);
        let dead = over + Span::from_millis(50);
        let due = self.due(Fault::Kill);
        self.at(dead + settled, Event::Kill);
        if !self.happens(due) {
            return Ok(());
        }
        if stands {
            reached!(self, "fault: a node stands still for longer than its lease");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} STANDS STILL")
            });
            self.stop(node, dead);
        } else {
            reached!(self, "fault: kill");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} is KILLED")
            });
            self.dies(node)?;
            self.at(dead, Event::Restart { node });
        }
        let fenced = if stands || silent {
            over
        } else {
            self.hinted_after()
        };
        let class = TakeOver::Fenced;
        self.at(fenced, Event::TakenOver { run, class });
        let class = TakeOver::Leased;
        self.at(over, Event::TakenOver { run, class });
        Ok(())
    }

    /// By now what a run owned must be another's.
    pub(super) fn taken_over(
        &mut self,
        run: Incarnation,
        class: TakeOver,
    ) -> Result<(), Violation> {
        for shard in 0..self.plan.shards.len() {
            if self.spot(shard).class != class {
                continue;
            }
            let claim = self.ledger.claims(self.ownership(shard)).last();
            if claim.is_some_and(|claim| claim.owner == Some(run)) {
                return Err(Violation {
                    class: Class::Liveness,
                    oracle: "taken over",
                    what: format!(
                        "s{shard} is still {:?}'s, which is gone for long enough",
                        self.lives.of(run)
                    ),
                });
            }
        }
        Ok(())
    }
}
