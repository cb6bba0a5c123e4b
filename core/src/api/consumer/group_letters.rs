//! The dead letters of a group.

use super::letters::keeps_no_other;
use super::{GroupHandle, LetterError, LetterEvent};
use crate::consumer::group::part_of;
use crate::consumer::{LetterRefusal, UnreadableLetter};
use crate::format::{DeadLetter, EventPlace};

/// The events that a group put aside, on whichever node. Every node that runs a partition can list, look
/// into and remove them; the one that runs the partition of an event's entity can replay it, since the
/// order of the entity's events is with that one.
///
/// ```
/// # use tenure_core::api::consumer::*;
/// # async fn example(group: GroupHandle) -> Result<(), LetterError> {
/// let (handled, left) = group.dead_letters().replay_all().await?;
/// println!("{handled} were handled, {} are left", left.len());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GroupLetters<'a> {
    pub(super) group: &'a GroupHandle,
}

impl GroupLetters<'_> {
    /// All that can be read, by when they were put aside.
    ///
    /// # Errors
    ///
    /// [`LetterError::NoPartition`] when this node runs no partition, or the store refuses.
    pub async fn all(&self) -> Result<Vec<DeadLetter>, LetterError> {
        self.any()?.dead_letters().all().await
    }

    /// Those that cannot be read: of a newer program, or damaged. They can be [removed](Self::remove).
    ///
    /// # Errors
    ///
    /// [`LetterError::NoPartition`] when this node runs no partition, or the store refuses.
    pub async fn unreadable(&self) -> Result<Vec<UnreadableLetter>, LetterError> {
        self.any()?.dead_letters().unreadable().await
    }

    /// The event of a letter, as it is stored.
    ///
    /// # Errors
    ///
    /// When there is no such letter, its event is gone or cannot be read, or this node runs no partition.
    pub async fn look(&self, place: EventPlace) -> Result<LetterEvent, LetterError> {
        self.any()?.dead_letters().look(place).await
    }

    /// Hands the event of a letter over once more, after what the handler has of its entity, and removes
    /// the letter when it is handled. It is not live then.
    ///
    /// # Errors
    ///
    /// [`LetterError::Elsewhere`] when another node runs the partition of its entity;
    /// [`LetterRefusal::Failed`] when it failed again. The letter stays.
    pub async fn replay(&self, place: EventPlace) -> Result<(), LetterError> {
        let shard = match self.any()?.dead_letters().replay(place).await {
            Err(LetterError::Refused(LetterRefusal::OtherShard { shard, .. })) => shard,
            replayed => return replayed,
        };
        let part = part_of(shard, self.group.partitions());
        match self.group.consumers().get(&part) {
            Some(consumer) => consumer.dead_letters().replay(place).await,
            None => {
                let status = self.group.status();
                let known = status.partitions.get(usize::from(part.0));
                Err(LetterError::Elsewhere {
                    group: self.group.name().to_owned(),
                    place,
                    part,
                    node: known.and_then(|known| known.best.clone()),
                })
            }
        }
    }

    /// Replays those of this node's partitions, one after another. How many were handled, and those that
    /// are left: that failed again, are for another node's partitions, are being replayed for somebody else, or
    /// are of another consumer or log.
    ///
    /// # Errors
    ///
    /// When this node runs no partition, or the store refuses.
    pub async fn replay_all(&self) -> Result<(u64, Vec<DeadLetter>), LetterError> {
        let (mut handled, mut left) = (0, Vec::new());
        for letter in self.all().await? {
            match self.replay(letter.place).await {
                Ok(()) => handled += 1,
                // Somebody else dealt with it meanwhile.
                Err(LetterError::Refused(LetterRefusal::None { .. })) => {}
                Err(error) if keeps_no_other(&error) => left.push(letter),
                Err(error) => return Err(error),
            }
        }
        Ok((handled, left))
    }

    /// Removes a letter; its event is not handled.
    ///
    /// # Errors
    ///
    /// When there is no such letter, or this node runs no partition.
    pub async fn remove(&self, place: EventPlace) -> Result<(), LetterError> {
        self.any()?.dead_letters().remove(place).await
    }

    /// The consumer of any partition that this node runs.
    fn any(&self) -> Result<super::ConsumerHandle, LetterError> {
        let consumers = self.group.consumers();
        match consumers.into_values().next() {
            Some(consumer) => Ok(consumer),
            None if self.group.is_over() => Err(self.group.error_now().into()),
            None => Err(LetterError::NoPartition {
                group: self.group.name().to_owned(),
            }),
        }
    }
}
