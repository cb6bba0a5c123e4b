//! What a shard of an import has to do later: its timers, and its messages that are not done.

use super::{ImportPlan, TransferFault};
use crate::format::{ExportedCommit, IntentPlace, Receiver, ShardIndex, ShelvedReceiver, Unknown};
use crate::id::{Sequence, ShardId};
use crate::log::ArmedTimers;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a shard has to do later.
#[derive(Clone, Debug, Default)]
pub(super) struct Fold {
    timers: ArmedTimers,
    undone: Vec<IntentPlace>,
    failed: Vec<(IntentPlace, String)>,
    /// What is known of receivers of which later messages were left in the log.
    lines: BTreeMap<Receiver, Line>,
    /// The last commit that has timers or messages, or deletes its entity.
    pub(super) later: Sequence,
}

/// Messages to one receiver.
#[derive(Clone, Debug, Default)]
struct Line {
    /// The last commit with one that is done, or failed.
    done: Sequence,
    undone: Vec<IntentPlace>,
}

impl Fold {
    /// Takes in a commit that was read back: which of its messages are not done, and who was away.
    pub(super) fn take(
        &mut self,
        plan: &ImportPlan,
        (undone, away): (&[(u32, Option<String>)], &BTreeSet<Receiver>),
        exported: &ExportedCommit,
    ) {
        let commit = &exported.commit;
        if commit.tombstone {
            self.timers.clear(&exported.kind, &commit.entity);
        }
        if let Some(later) = &commit.later {
            let whose = (&exported.kind, &commit.entity);
            let most = plan.target.limits.shard_timers_max;
            self.timers.absorb(whose, later, most);
        }
        if commit.tombstone || commit.later.is_some() {
            self.later = self.later.max(exported.sequence);
        }
        let sends = commit.later.as_ref().map_or(&[][..], |later| &later.sends);
        for (index, intent) in (0..).zip(sends) {
            let place = IntentPlace {
                sequence: exported.sequence,
                index,
            };
            let key = plan.target.layout.key;
            let receiver = || Receiver::of(key, &intent.kind, &intent.entity);
            let receiver = (!away.is_empty()).then(receiver);
            let receiver = receiver.filter(|receiver| away.contains(receiver));
            let line = receiver.map(|receiver| self.lines.entry(receiver).or_default());
            let left = undone.iter().find(|(at, _)| *at == index);
            match (left, line) {
                (Some((_, None)), Some(line)) => line.undone.push(place),
                (Some((_, None)), None) => self.undone.push(place),
                (Some((_, Some(cause))), line) => {
                    self.failed.push((place, cause.clone()));
                    line.into_iter().for_each(|line| line.reach(place.sequence));
                }
                (None, line) => line.into_iter().for_each(|line| line.reach(place.sequence)),
            }
        }
    }

    /// Leaves in the log what was left there for receivers that are away, as far as nothing after it is done:
    /// so many receivers at most, those with the most messages.
    fn leave(&mut self, receivers_max: usize) -> Vec<ShelvedReceiver> {
        let mut lines: Vec<_> = core::mem::take(&mut self.lines).into_iter().collect();
        lines.sort_by_key(|(_, line)| core::cmp::Reverse(line.undone.len()));
        let mut shelved = Vec::new();
        for (receiver, line) in lines {
            if shelved.len() == receivers_max {
                self.undone.extend(line.undone);
                continue;
            }
            let (listed, after) = line.split();
            self.undone.extend(listed);
            shelved.extend(after.map(|after| ShelvedReceiver { receiver, after }));
        }
        self.undone.sort_unstable();
        shelved.sort_by_key(|shelved| shelved.receiver);
        shelved
    }

    /// The shard's index. Timers that have no room are found again in the log.
    pub(super) fn index(
        mut self,
        plan: &ImportPlan,
        shard: ShardId,
        watermark: Sequence,
    ) -> Result<Bytes, TransferFault> {
        let bytes_max = plan.target.bytes_max();
        let shelved = self.leave(plan.target.limits.receivers_shelved_max);
        let mut index = ShardIndex {
            layout: plan.target.layout.id,
            watermark,
            horizon: self.timers.horizon(),
            timers: self.timers.all(),
            undone: self.undone,
            failed: self.failed,
            shelved,
            unknown: Unknown::default(),
        };
        index.cut(bytes_max);
        let bytes = index.encoded_len_max();
        if bytes > bytes_max {
            return Err(TransferFault::IndexTooLarge {
                shard,
                bytes,
                bytes_max,
            });
        }
        Ok(index.encode())
    }
}

impl Line {
    fn reach(&mut self, sequence: Sequence) {
        self.done = self.done.max(sequence);
    }

    /// The messages that are listed one by one, and the commit after which all are left in the log.
    fn split(mut self) -> (Vec<IntentPlace>, Option<Sequence>) {
        self.undone.sort_unstable();
        let first = self.undone.partition_point(|it| it.sequence <= self.done);
        let left = self.undone.split_off(first);
        let before = |it: &IntentPlace| Sequence(it.sequence.0.saturating_sub(1));
        let after = left.first().map(|first| self.done.max(before(first)));
        (self.undone, after)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fold, Line};
    use crate::format::{IntentPlace, Receiver, ShelvedReceiver};
    use crate::id::Sequence;
    use alloc::vec;
    use alloc::vec::Vec;

    fn places(sequences: &[u64]) -> Vec<IntentPlace> {
        let place = |at: &u64| IntentPlace {
            sequence: Sequence(*at),
            index: 0,
        };
        sequences.iter().map(place).collect()
    }

    fn line(done: u64, undone: &[u64]) -> Line {
        Line {
            done: Sequence(done),
            undone: places(undone),
        }
    }

    #[test]
    fn what_is_after_all_that_is_done_is_left_in_the_log() {
        let left = line(0, &[7, 5, 9]).split();
        assert_eq!(left, (vec![], Some(Sequence(4))));
        let left = line(6, &[7, 5, 9]).split();
        assert_eq!(left, (places(&[5]), Some(Sequence(6))));
        let left = line(9, &[7, 5, 9]).split();
        assert_eq!(left, (places(&[5, 7, 9]), None));
    }

    #[test]
    fn receivers_for_which_there_is_no_room_are_listed() {
        let lines = [
            (1, line(0, &[3])),
            (2, line(0, &[4, 8])),
            (3, line(2, &[6])),
        ];
        let lines = lines.map(|(name, line)| (Receiver(name), line));
        let mut fold = Fold {
            lines: lines.into(),
            ..Fold::default()
        };
        let shelved = |name, after| ShelvedReceiver {
            receiver: Receiver(name),
            after: Sequence(after),
        };
        assert_eq!(fold.leave(2), [shelved(1, 2), shelved(2, 3)]);
        assert_eq!(fold.undone, places(&[6]));
    }
}
