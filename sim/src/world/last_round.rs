//! After everything healed and every late byte has landed: each shard gets an owner, each node is
//! asked for each entity once more, and everything must be served.

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

/// How long each part of the last round may take.
const PART: Span = Span::from_secs(10);

impl World {
    pub(super) fn schedule_last_round(&mut self) {
        let mut quiet = Plan::LATE_MAX + Span::from_secs(2);
        if self.plan.cluster.is_some() {
            quiet = Plan::LATE_MAX + self.convergence();
            self.at(quiet, Event::Converged);
        } else {
            self.at(quiet, Event::LastClaims);
        }
        self.at(quiet + PART, Event::LastCommands);
        self.at(quiet + PART + PART, Event::LastReads);
        self.at(quiet + PART + PART + PART, Event::End);
    }

    pub(super) fn last_claims(&mut self) -> Result<(), Violation> {
        for shard in 0..self.plan.shards.len() {
            if self.plan.shards[shard] == WriteMode::Owned {
                let node = self.draws.below(What::Claim, 3, self.nodes.len() as u64);
                let node = usize::try_from(node).expect("an index fits");
                let life = self.nodes[node].life;
                let part = Part::Log(shard);
                self.deliver(Place { node, life, part }, Input::Claim)?;
            }
        }
        Ok(())
    }

    pub(super) fn last_commands(&mut self) -> Result<(), Violation> {
        let command = Command {
            style: Style::Add,
            amount: 1,
            padding: 0,
        };
        self.last_questions(Some(command))
    }

    pub(super) fn last_reads(&mut self) -> Result<(), Violation> {
        self.last_questions(None)
    }

    fn last_questions(&mut self, command: Option<Command>) -> Result<(), Violation> {
        for entity in 0..self.entities.len() {
            for node in 0..self.nodes.len() {
                let wish = Wish {
                    entity,
                    command,
                    id: None,
                    expected: Expected::Any,
                    freshness: Freshness::Linearizable,
                };
                self.ask(node, wish, 0, Span::from_secs(8))?;
            }
        }
        Ok(())
    }
}
