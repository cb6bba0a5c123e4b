//! Somebody with raw rights deletes the latest ownership record of a shard: of that shard nothing is
//! promised any more (P2, and what rests on it); of all others everything is.

use super::World;
use super::event::Event;
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use tenure_core::{Probe as _, reached};

impl World {
    /// The latest ownership record of some shard is deleted.
    pub(super) fn lose_record(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::LostRecord);
        let shard = self
            .draws
            .below(What::Record, 1, self.plan.shards.len() as u64);
        let shard = usize::try_from(shard).expect("an index fits");
        let subject = self.ownerships[shard].clone();
        let claim = self.ledger.claims(&subject).last();
        let last = claim.map(|claim| (claim.stream.clone(), claim.epoch.sequence));
        if let Some((stream, sequence)) = last
            && self.store.message(&stream, sequence).is_some()
            && self.happens(due)
        {
            reached!(self, "fault: an ownership record is deleted");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the ownership record of s{shard} at {sequence:?} is DELETED")
            });
            self.store.delete(&stream, sequence);
            self.ledger.forget_claim(&stream, &subject, sequence);
            self.unfenced.insert(shard);
        }
        let mean = self.plan.faults.lost_record;
        self.next_fault(What::Record, mean, Event::LostRecord);
    }
}
