//! After each event: what the store has more of goes to the ledger, and to every oracle.

use super::World;
use super::story::{Kind, Lane};
use crate::bodies::Change;
use crate::history::Told;
use crate::ledger::Entry;
use crate::oracle::{Class, Happened, Seen, View, Violation};
use tenure_core::format::TakeOver;
use tenure_core::id::Ticket;

/// After how many stored messages the whole store is compared with the ledger.
const COMPARE_EVERY: u64 = 64;

impl World {
    /// Follows the store and lets the oracles judge what is new.
    pub(super) fn watch(&mut self) -> Result<(), Violation> {
        if !self.store.changed() {
            return Ok(());
        }
        self.announce();
        self.watch_bodies()?;
        for index in 0..self.streams.len() {
            let stream = self.streams[index].clone();
            let entries = self
                .ledger
                .follow(&self.store, &stream, self.now)
                .map_err(gone_wrong)?;
            for entry in entries {
                match entry {
                    Entry::Commit { subject, index } => self.stored(&subject, index)?,
                    Entry::Claim { subject, index } => {
                        if self.plan.cluster.is_some() {
                            self.claimed(&subject, index)?;
                        }
                    }
                }
                self.stored_count += 1;
                if self.stored_count.is_multiple_of(COMPARE_EVERY) {
                    self.compare()?;
                }
            }
        }
        self.store.seen();
        Ok(())
    }

    fn watch_bodies(&mut self) -> Result<(), Violation> {
        let changes = self
            .bodies
            .follow(&self.store, &self.snapshots)
            .map_err(gone_wrong)?;
        for change in changes {
            match change {
                Change::Stored => {}
                Change::Deleted { entity, body } => self.judge(Seen::Deleted {
                    entity: &entity,
                    body: &body,
                })?,
            }
        }
        Ok(())
    }

    /// Whether everything that was ever stored is still there (P1).
    pub(super) fn compare(&mut self) -> Result<(), Violation> {
        self.ledger.compare(&self.store).map_err(gone_wrong)
    }

    /// A caller is told something.
    pub(super) fn told(&mut self, ticket: Ticket, told: Told) -> Result<(), Violation> {
        self.tell(Lane::Callers, Kind::Takes, || {
            format!("{ticket:?} is told {:?}", told.reply)
        });
        self.history.tell(ticket, told);
        let walls = (self.walls().0, self.wall_max);
        let (ledger, history, plan) = (&self.ledger, &self.history, &self.plan);
        let view = View {
            bodies: &self.bodies,
            ledger,
            history,
            plan,
            lives: &self.lives,
            walls,
            entities: &self.entities,
            tail_lost: self.tail_lost,
            unfenced: &self.unfenced,
            expired_messages: self.expired_messages,
        };
        let asked = history.asked(ticket).expect("a caller who was just told");
        let leased = asked.entity.class == TakeOver::Leased;
        let void = self.leased_void && leased || self.unfenced.contains(&asked.entity.shard);
        let promised = !void;
        for oracle in self.oracles.iter_mut().filter(|_| promised) {
            let judged = oracle.judge(view, Seen::Told(asked));
            judged.map_err(|what| violation(oracle.class(), oracle.name(), what))?;
        }
        self.heard(ticket);
        Ok(())
    }

    /// Lets the oracles judge something that concerns no single commit or caller.
    pub(super) fn judge(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        if let Seen::Cluster(Happened::Acts { shard, .. } | Happened::Answers { shard, .. }) = seen
            && (self.leased_void || self.unfenced.contains(&shard))
        {
            return Ok(());
        }
        let walls = (self.walls().0, self.wall_max);
        let view = View {
            ledger: &self.ledger,
            bodies: &self.bodies,
            history: &self.history,
            plan: &self.plan,
            lives: &self.lives,
            walls,
            entities: &self.entities,
            tail_lost: self.tail_lost,
            unfenced: &self.unfenced,
            expired_messages: self.expired_messages,
        };
        for oracle in &mut self.oracles {
            let judged = oracle.judge(view, seen);
            judged.map_err(|what| violation(oracle.class(), oracle.name(), what))?;
        }
        Ok(())
    }

    fn stored(&mut self, subject: &str, index: usize) -> Result<(), Violation> {
        let shard = self
            .entities
            .iter()
            .find(|entity| entity.subject == subject)
            .map(|entity| entity.shard)
            .ok_or_else(|| gone_wrong(format!("{subject} is no entity of this run")))?;
        let ownership = self.ownerships[shard].clone();
        let walls = (self.walls().0, self.wall_max);
        let view = View {
            ledger: &self.ledger,
            bodies: &self.bodies,
            history: &self.history,
            plan: &self.plan,
            lives: &self.lives,
            walls,
            entities: &self.entities,
            tail_lost: self.tail_lost,
            unfenced: &self.unfenced,
            expired_messages: self.expired_messages,
        };
        let history = view.ledger.history(subject);
        let seen = Seen::Stored {
            placed: &history[index],
            previous: index.checked_sub(1).map(|before| &history[before]),
            shard,
            mode: self.plan.shards[shard],
            ownership: &ownership,
        };
        let void = self.unfenced.contains(&shard);
        for oracle in self.oracles.iter_mut().filter(|it| !void || it.sees_all()) {
            let judged = oracle.judge(view, seen);
            judged.map_err(|what| violation(oracle.class(), oracle.name(), what))?;
        }
        Ok(())
    }
}

fn gone_wrong(what: String) -> Violation {
    violation(Class::Safety, "ledger", what)
}

fn violation(class: Class, oracle: &'static str, what: String) -> Violation {
    Violation {
        class,
        oracle,
        what,
    }
}
