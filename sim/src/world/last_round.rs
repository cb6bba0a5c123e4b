//! After everything healed and every late byte has landed: each shard gets an owner, each node that is
//! well is asked for each entity once more, and everything must be served.

use super::World;
use super::event::{Event, Part, Place};
use crate::draw::What;
use crate::history::Wish;
use crate::host::{Command, Style};
use crate::oracle::Violation;
use crate::profile::Plan;
use tenure_core::Span;
use tenure_core::format::WriteMode;
use tenure_core::log::{Expected, Freshness, Input};

/// What lies between two of the last questions in a cluster.
const LAST_EVERY: Span = Span::from_millis(10);

impl World {
    pub(super) fn schedule_last_round(&mut self) {
        let mut quiet = Plan::LATE_MAX + Span::from_secs(2);
        if self.plan.cluster.is_some() {
            quiet = Plan::LATE_MAX + self.convergence();
            self.at(quiet, Event::Converged);
        } else {
            self.at(quiet, Event::LastClaims);
        }
        let asked = (self.entities.len() * self.core().len()) as u64;
        let part = self.last_patience() + LAST_EVERY.saturating_mul(asked) + Span::from_secs(1);
        self.at(quiet + part, Event::LastCommands);
        self.at(quiet + part + part, Event::LastReads);
        self.at(quiet + part + part + part, Event::End);
    }

    /// How long the last questions may take. In a cluster that has converged nothing is to be found
    /// out first.
    fn last_patience(&self) -> Span {
        match self.plan.cluster {
            Some(_) => Span::from_secs(3),
            None => Span::from_secs(8),
        }
    }

    pub(super) fn last_claims(&mut self) -> Result<(), Violation> {
        let core = self.core();
        for shard in 0..self.plan.shards.len() {
            if self.plan.shards[shard] == WriteMode::Owned {
                let node = self.some_claimant(shard, &core);
                let life = self.nodes[node].life;
                let part = Part::Log(shard);
                self.deliver(Place { node, life, part }, Input::Claim)?;
            }
        }
        Ok(())
    }

    /// Who is to own a shard: not one that takes itself for its owner, and was succeeded without having
    /// heard of it. It would not claim anything.
    fn some_claimant(&mut self, shard: usize, core: &[usize]) -> usize {
        let claim = self.ledger.claims(self.ownership(shard)).last();
        let latest = claim.map(|claim| claim.epoch);
        let mut free = core.to_vec();
        free.retain(|node| {
            let running = self.nodes[*node].shards.get(shard);
            let epoch = running.and_then(|it| it.seat.machine.epoch());
            epoch.is_none() || epoch == latest
        });
        let some = if free.is_empty() { core } else { &free };
        self.draws.pick(What::Claim, 3, some)
    }

    pub(super) fn last_commands(&mut self) -> Result<(), Violation> {
        self.last_questions(true)
    }

    pub(super) fn last_reads(&mut self) -> Result<(), Violation> {
        self.last_questions(false)
    }

    fn last_questions(&mut self, commands: bool) -> Result<(), Violation> {
        let mut wait = Span::ZERO;
        let core = self.core();
        for entity in 0..self.entities.len() {
            for node in core.iter().copied() {
                if self.plan.cluster.is_none() {
                    self.last_ask(node, entity, commands)?;
                    continue;
                }
                // The limits of routing are for all that a node asks at once.
                wait = wait + LAST_EVERY;
                let ask = Event::LastAsk {
                    node,
                    entity,
                    commands,
                };
                self.at(wait, ask);
            }
        }
        Ok(())
    }

    pub(super) fn last_ask(
        &mut self,
        node: usize,
        entity: usize,
        commands: bool,
    ) -> Result<(), Violation> {
        let command = Command {
            style: Style::Add,
            amount: 1,
            padding: 0,
            later: None,
        };
        let wish = Wish {
            row: (entity << 8 | node) as u64,
            entity,
            command: commands.then_some(command),
            id: None,
            expected: Expected::Any,
            freshness: Freshness::Linearizable,
        };
        self.ask(node, wish, 0, self.last_patience())
    }
}
