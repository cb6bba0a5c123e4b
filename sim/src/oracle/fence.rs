//! No commit is stored after a later claim of its shard (P2), so one epoch at a time can commit
//! (P3); direct commits carry no epoch.

use super::{Oracle, Seen, View};
use tenure_core::format::WriteMode;

#[derive(Debug)]
pub(super) struct Fence;

impl Oracle for Fence {
    fn name(&self) -> &'static str {
        "fence"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored {
                placed,
                mode,
                ownership,
                ..
            } => {
                let owed = match mode {
                    WriteMode::Direct => None,
                    WriteMode::Owned => view.ledger.epoch_before(ownership, placed.sequence),
                };
                if placed.commit.epoch == owed {
                    return Ok(());
                }
                Err(format!(
                    "{} at {:?} was stored under {:?}; the shard's epoch there is {owed:?}",
                    placed.subject, placed.sequence, placed.commit.epoch
                ))
            }
            Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}
