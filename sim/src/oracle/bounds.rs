//! What a commit holds is within the limits of its writer, and what a shard has on its way as well: one
//! commit of an entity (L1), so many of the shard, and on a replicated stream one batch (S7, K1).

use super::{Oracle, Seen, View};
use crate::ledger::Placed;
use tenure_core::format::WriteMode;
use tenure_core::id::OpId;
use tenure_core::port::{StoreRequest, Subject};
use tenure_core::step::Limits;

#[derive(Debug)]
pub(super) struct Bounds;

impl Oracle for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, .. } => holds(&view.plan.limits, placed),
            Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

fn holds(limits: &Limits, placed: &Placed) -> Result<(), String> {
    let commit = &placed.commit;
    let later = commit.later.as_deref();
    let outcomes = commit.commands.iter().map(|command| command.outcome.len());
    let counts = [
        ("earlier commits", commit.earlier.len(), limits.chain_max),
        (
            "commands",
            commit.commands.len(),
            limits.commit_commands_max,
        ),
        (
            "bytes in an outcome",
            outcomes.max().unwrap_or(0),
            limits.outcome_bytes_max,
        ),
        (
            "messages",
            later.map_or(0, |later| later.sends.len()),
            limits.sends_max.saturating_mul(limits.commit_commands_max),
        ),
    ];
    match counts.iter().find(|(_, count, most)| count > most) {
        None => Ok(()),
        Some((what, count, most)) => Err(format!(
            "{} at {:?} has {count} {what}; {most} are the most",
            placed.subject, placed.sequence
        )),
    }
}

/// The writes of entities that one shard of a node has on their way.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    writes: Vec<(OpId, Vec<Subject>)>,
}

impl InFlight {
    /// A request leaves the machine.
    pub(crate) fn leaves(
        &mut self,
        limits: &Limits,
        mode: WriteMode,
        op: OpId,
        request: &StoreRequest,
    ) -> Result<(), String> {
        let of_entity = |subject: &Subject| subject.split('.').nth(1) == Some("ev");
        let subjects: Vec<Subject> = match request {
            StoreRequest::Publish(publish) if of_entity(&publish.subject) => {
                vec![publish.subject.clone()]
            }
            StoreRequest::Batch { messages, .. } => messages
                .iter()
                .map(|message| &message.subject)
                .filter(|subject| of_entity(subject))
                .cloned()
                .collect(),
            StoreRequest::Publish(_)
            | StoreRequest::Latest { .. }
            | StoreRequest::Get { .. }
            | StoreRequest::Scan { .. }
            | StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => return Ok(()),
        };
        let twice = self
            .writes
            .iter()
            .find_map(|(_, others)| others.iter().find(|other| subjects.contains(other)));
        if let Some(subject) = twice {
            return Err(format!("two commits of {subject} are on their way (L1)"));
        }
        let batch = matches!(request, StoreRequest::Batch { .. });
        let most = match (batch, mode) {
            (true, _) => 1,
            (false, WriteMode::Owned) => limits.commits_in_flight_max,
            // The queues of its entities bound it.
            (false, WriteMode::Direct) => usize::MAX,
        };
        if batch && subjects.len() > limits.batch_messages_max {
            return Err(format!("{} commits in one batch", subjects.len()));
        }
        self.writes.push((op, subjects));
        match self.writes.len() <= most {
            true => Ok(()),
            false => Err(format!(
                "{} writes of entities are on their way; {most} are the most",
                self.writes.len()
            )),
        }
    }

    /// The machine heard what came of a request.
    pub(crate) fn answered(&mut self, op: OpId) {
        self.writes.retain(|(other, _)| *other != op);
    }
}

#[cfg(test)]
mod tests {
    use super::InFlight;
    use tenure_core::format::WriteMode;
    use tenure_core::id::{OpId, Sequence};
    use tenure_core::port::{Expect, Publish, Rollup, StoreRequest};
    use tenure_core::step::Limits;

    fn write(subject: &str) -> Publish {
        Publish {
            stream: "s".into(),
            subject: subject.into(),
            expect: Expect::OwnLast(Sequence(1)),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: bytes::Bytes::new(),
        }
    }

    #[test]
    fn a_second_commit_of_an_entity_and_one_too_many_are_told() {
        let mut limits = Limits::default();
        limits.commits_in_flight_max = 2;
        let mut way = InFlight::default();
        let leaves = |way: &mut InFlight, op, subject: &str| {
            let request = StoreRequest::Publish(write(subject));
            way.leaves(&limits, WriteMode::Owned, OpId(op), &request)
        };
        assert_eq!(leaves(&mut way, 1, "n.ev.a"), Ok(()));
        assert_eq!(leaves(&mut way, 2, "n.own.1"), Ok(()), "no entity's");
        let twice = leaves(&mut way, 3, "n.ev.a").unwrap_err();
        assert!(twice.contains("L1"), "{twice}");
        way.answered(OpId(1));
        assert_eq!(leaves(&mut way, 4, "n.ev.a"), Ok(()));
        assert_eq!(leaves(&mut way, 5, "n.ev.b"), Ok(()));
        let many = leaves(&mut way, 6, "n.ev.c").unwrap_err();
        assert!(many.contains("2 are the most"), "{many}");
    }
}
