//! The dead letters of a consumer.

use super::{ConsumerHandle, LetterError};
use crate::api::{Past, RawEvent};
use crate::consumer::{Answer, Command, LetterPage, LetterRefusal, UnreadableLetter};
use crate::format::{Commit, DeadLetter, EventPlace};
use crate::id::{Sequence, WallTime};

/// How many letters are asked for at once.
const PAGE: u32 = 256;

/// The events that a consumer put aside. They stay until they are handled or removed.
///
/// ```
/// # use tenure_core::api::consumer::*;
/// # async fn example(consumer: ConsumerHandle) -> Result<(), LetterError> {
/// let letters = consumer.dead_letters();
/// for letter in letters.all().await? {
///     println!("{} of {}: {}", letter.event, letter.entity, letter.text);
///     letters.replay(letter.place).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters<'a> {
    pub(super) consumer: &'a ConsumerHandle,
}

/// The event of a dead letter as it is stored.
pub type LetterEvent = Past<RawEvent>;

impl DeadLetters<'_> {
    /// All that can be read, by when they were put aside.
    ///
    /// # Errors
    ///
    /// When the consumer has ended, or the store refuses.
    pub async fn all(&self) -> Result<Vec<DeadLetter>, LetterError> {
        Ok(self.listed().await?.0)
    }

    /// Those that cannot be read: of a newer program, or damaged. They can be [removed](Self::remove).
    ///
    /// # Errors
    ///
    /// When the consumer has ended, or the store refuses.
    pub async fn unreadable(&self) -> Result<Vec<UnreadableLetter>, LetterError> {
        Ok(self.listed().await?.1)
    }

    /// All of them, those that can be read and those that cannot.
    async fn listed(&self) -> Result<(Vec<DeadLetter>, Vec<UnreadableLetter>), LetterError> {
        let (mut all, mut unreadable) = (Vec::new(), Vec::new());
        let mut after = Sequence::NONE;
        loop {
            let page = self.page(after).await?;
            all.extend(page.letters.into_iter().map(|(_, letter)| letter));
            unreadable.extend(page.unreadable);
            match page.more {
                Some(last) => after = last,
                None => return Ok((all, unreadable)),
            }
        }
    }

    /// Some of them.
    async fn page(&self, after: Sequence) -> Result<LetterPage, LetterError> {
        let command = move |ticket| Command::Letters {
            ticket,
            after,
            letters_max: PAGE,
        };
        match self.consumer.ask(command).await? {
            Answer::Letters(page) => Ok(page?),
            Answer::Obeyed(_) | Answer::Rewound(_) | Answer::Looked(_) | Answer::Removed(_) => {
                Err(self.consumer.error_now().into())
            }
        }
    }

    /// The event of a letter, as it is stored.
    ///
    /// # Errors
    ///
    /// When there is no such letter, its event is gone or cannot be read, or the consumer has ended.
    pub async fn look(&self, place: EventPlace) -> Result<LetterEvent, LetterError> {
        let command = move |ticket| Command::Look { ticket, place };
        match self.consumer.ask(command).await? {
            Answer::Looked(looked) => {
                let gone = || LetterRefusal::EventGone { place };
                Ok(event_of(*looked?, place).ok_or_else(gone)?)
            }
            Answer::Obeyed(_) | Answer::Rewound(_) | Answer::Letters(_) | Answer::Removed(_) => {
                Err(self.consumer.error_now().into())
            }
        }
    }

    /// Hands the event of a letter over once more, after what the handler has of its entity, and removes
    /// the letter when it is handled. It is not live then.
    ///
    /// # Errors
    ///
    /// [`LetterRefusal::Failed`] when it failed again; [`LetterRefusal::External`] where the checkpoint is
    /// with the handler's own state, as a projection's is. The letter stays.
    pub async fn replay(&self, place: EventPlace) -> Result<(), LetterError> {
        let command = move |ticket| Command::Replay { ticket, place };
        self.removed(self.consumer.ask(command).await?)
    }

    /// Replays all of them, one after another. How many were handled, and those that failed again.
    ///
    /// # Errors
    ///
    /// When the consumer has ended, the store refuses, or the checkpoint is with the handler's own state.
    pub async fn replay_all(&self) -> Result<(u64, Vec<DeadLetter>), LetterError> {
        let (mut handled, mut failed) = (0, Vec::new());
        for letter in self.all().await? {
            match self.replay(letter.place).await {
                Ok(()) => handled += 1,
                // Somebody else dealt with it meanwhile.
                Err(LetterError::Refused(LetterRefusal::None { .. })) => {}
                Err(error) if keeps_no_other(&error) => failed.push(letter),
                Err(error) => return Err(error),
            }
        }
        Ok((handled, failed))
    }

    /// Removes a letter; its event is not handled.
    ///
    /// # Errors
    ///
    /// When there is no such letter, or the consumer has ended.
    pub async fn remove(&self, place: EventPlace) -> Result<(), LetterError> {
        let command = move |ticket| Command::Remove { ticket, place };
        self.removed(self.consumer.ask(command).await?)
    }

    fn removed(&self, answer: Answer) -> Result<(), LetterError> {
        match answer {
            Answer::Removed(removed) => Ok(removed?),
            Answer::Obeyed(_) | Answer::Rewound(_) | Answer::Letters(_) | Answer::Looked(_) => {
                Err(self.consumer.error_now().into())
            }
        }
    }
}

/// The event at a place of its commit, which the store took then.
pub(super) fn event_of(
    (commit, stored): (Commit, WallTime),
    place: EventPlace,
) -> Option<LetterEvent> {
    let index = place.index as usize;
    let record = commit.events.get(index)?;
    let past = Past::of(&commit, (index, record), place.sequence, stored);
    let event = RawEvent::new(record.name.clone(), record.schema, record.data.clone());
    Some(past.with(event.at(record.version)))
}

/// Whether a letter that was not replayed is no reason to leave those behind it.
pub(super) fn keeps_no_other(error: &LetterError) -> bool {
    match error {
        LetterError::Elsewhere { .. } => true,
        LetterError::Refused(refusal) => match refusal {
            LetterRefusal::Failed { .. }
            | LetterRefusal::EventGone { .. }
            | LetterRefusal::Replaying { .. }
            | LetterRefusal::Foreign { .. } => true,
            LetterRefusal::None { .. }
            | LetterRefusal::OtherShard { .. }
            | LetterRefusal::External
            | LetterRefusal::Newer { .. }
            | LetterRefusal::Format(_)
            | LetterRefusal::Store(_)
            | LetterRefusal::Order(_) => false,
        },
        LetterError::NoPartition { .. } | LetterError::Consumer(_) => false,
    }
}
