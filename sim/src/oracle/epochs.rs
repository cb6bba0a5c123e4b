//! Epochs rise: each ownership record of a shard follows the one before it and is of a claim of its own,
//! and so do the epochs under which an entity's commits stand (P2, S6). A run hands over or releases what
//! is its own, and nothing else (S17, L7).

use super::{Happened, Oracle, Seen, View};
use crate::ledger::{Claim, Placed};
use tenure_core::id::{Incarnation, Sequence};

#[derive(Debug)]
pub(super) struct Epochs;

impl Oracle for Epochs {
    fn name(&self) -> &'static str {
        "epochs"
    }

    fn judge(&mut self, _: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Cluster(Happened::Claimed { shard, claims }) => claimed(shard, claims),
            Seen::Cluster(Happened::Departs {
                shard,
                run,
                over,
                claims,
            }) => departs(shard, run, over, claims),
            Seen::Stored {
                placed,
                previous: Some(previous),
                ..
            } => committed(previous, placed),
            Seen::Cluster(_)
            | Seen::Stored { .. }
            | Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::End => Ok(()),
        }
    }
}

fn claimed(shard: usize, claims: &[Claim]) -> Result<(), String> {
    let Some((now, before)) = claims.split_last() else {
        return Ok(());
    };
    let follows = before
        .last()
        .is_none_or(|last| last.epoch.sequence < now.epoch.sequence);
    let own = before
        .iter()
        .all(|claim| claim.epoch.claim != now.epoch.claim);
    match follows && own {
        true => Ok(()),
        false => Err(format!(
            "s{shard} is claimed by {:?} after {:?}",
            now.epoch,
            before.last().map(|last| last.epoch)
        )),
    }
}

fn departs(shard: usize, run: Incarnation, over: Sequence, claims: &[Claim]) -> Result<(), String> {
    let mut there = claims.iter().filter(|claim| claim.epoch.sequence == over);
    let own = there.any(|claim| claim.owner == Some(run));
    match own {
        true => Ok(()),
        false => Err(format!(
            "{run:?} ends the ownership of s{shard} over {over:?}, which is not its own"
        )),
    }
}

fn committed(previous: &Placed, placed: &Placed) -> Result<(), String> {
    let (before, now) = (previous.commit.epoch, placed.commit.epoch);
    if before.map(|epoch| epoch.sequence) <= now.map(|epoch| epoch.sequence) {
        return Ok(());
    }
    Err(format!(
        "{} has a commit of {now:?} at {:?}, after one of {before:?}",
        placed.subject, placed.sequence
    ))
}

#[cfg(test)]
mod tests {
    use super::{claimed, departs};
    use crate::ledger::Claim;
    use tenure_core::id::{ClaimId, Epoch, Incarnation, Sequence};

    fn claim(sequence: u64, id: u128) -> Claim {
        Claim {
            stream: "s".into(),
            epoch: Epoch {
                sequence: Sequence(sequence),
                claim: ClaimId(id),
            },
            owner: None,
            at: 0,
        }
    }

    #[test]
    fn a_claim_that_falls_back_or_is_stored_twice_is_told() {
        assert_eq!(claimed(0, &[claim(3, 1), claim(7, 2)]), Ok(()));
        assert!(claimed(0, &[claim(7, 1), claim(7, 2)]).is_err());
        assert!(claimed(0, &[claim(3, 1), claim(5, 2), claim(7, 1)]).is_err());
    }

    #[test]
    fn a_run_that_ends_what_is_not_its_own_is_told() {
        let (one, other) = (Incarnation(1), Incarnation(2));
        let mut claims = [claim(3, 1), claim(7, 2)];
        claims[0].owner = Some(one);
        claims[1].owner = Some(other);
        assert_eq!(departs(0, one, Sequence(3), &claims), Ok(()));
        assert!(departs(0, one, Sequence(7), &claims).is_err());
        assert!(departs(0, one, Sequence(9), &claims).is_err());
    }
}
