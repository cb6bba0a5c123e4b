//! The effects that were put aside, for people and programs.

use super::aside::{Aside, DeadEffect, List, Look, Remove, Replay};
use crate::api::{AskError, EntityRef, Freshness, Message, Never, ReadError, Tenure};
use std::fmt;

/// The effects of one type that failed for the last time. They stay until they are replayed or removed.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tenure_core::api::{Tenure, effect::DeadEffectError};
/// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
/// # #[message(name = "mail", version = 1, crate = "tenure_core::api")]
/// # struct Mail { to: String }
/// # async fn example(tenure: Tenure) -> Result<(), DeadEffectError> {
/// let mails = tenure.dead_effects::<Mail>();
/// for mail in mails.all().await? {
///     println!("{} of {} {}: {}", mail.key, mail.kind, mail.id, mail.text);
///     mails.replay(&mail.key).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DeadEffects {
    entity: EntityRef<Aside>,
    effect: String,
}

impl fmt::Debug for DeadEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadEffects").field(&self.effect).finish()
    }
}

/// Why what was put aside cannot be told or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadEffectError {
    /// It cannot be told.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was not replayed, or nobody knows.
    #[error(transparent)]
    Replay(#[from] AskError<String>),
    /// It was not removed, or nobody knows.
    #[error(transparent)]
    Remove(#[from] AskError<Never>),
}

impl Tenure {
    /// The effects of a type that were put aside. Some node of the namespace was built with a handler of
    /// effects; this one need not be.
    pub fn dead_effects<M: Message>(&self) -> DeadEffects {
        DeadEffects {
            entity: self.entity::<Aside>(M::NAME),
            effect: M::NAME.to_owned(),
        }
    }

    /// The effects of a stable name that were put aside, for who has no type of them.
    pub fn dead_effects_named(&self, effect: impl AsRef<str>) -> DeadEffects {
        DeadEffects {
            entity: self.entity::<Aside>(effect.as_ref()),
            effect: effect.as_ref().to_owned(),
        }
    }
}

impl DeadEffects {
    /// All of them, by their keys.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn all(&self) -> Result<Vec<DeadEffect>, DeadEffectError> {
        let mut all: Vec<DeadEffect> = Vec::new();
        loop {
            let after = all.last().map(|letter| letter.key.clone());
            let read = self.entity.read(List { after });
            let page = read.freshness(Freshness::Linearizable).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// One of them, by its key; none where it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn get(&self, key: &str) -> Result<Option<DeadEffect>, DeadEffectError> {
        let key = key.to_owned();
        let read = self.entity.read(Look { key });
        Ok(read.freshness(Freshness::Linearizable).await?)
    }

    /// Has one called again, with its key, as often as its policy says; whether it was there.
    ///
    /// # Errors
    ///
    /// When it was not replayed, or nobody knows.
    pub async fn replay(&self, key: &str) -> Result<bool, DeadEffectError> {
        let key = key.to_owned();
        Ok(self.entity.ask(Replay { key }).await?)
    }

    /// Replays all that are there now; how many.
    ///
    /// # Errors
    ///
    /// As [`replay`](Self::replay); those before are replayed.
    pub async fn replay_all(&self) -> Result<u64, DeadEffectError> {
        let mut replayed = 0;
        for letter in self.all().await? {
            replayed += u64::from(self.replay(&letter.key).await?);
        }
        Ok(replayed)
    }

    /// Removes all that are there now, which are never done then; how many.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove); those before are removed.
    pub async fn remove_all(&self) -> Result<u64, DeadEffectError> {
        let mut removed = 0;
        for letter in self.all().await? {
            removed += u64::from(self.remove(&letter.key).await?);
        }
        Ok(removed)
    }

    /// Removes one, which is never done then; whether it was there.
    ///
    /// # Errors
    ///
    /// When it was not removed, or nobody knows.
    pub async fn remove(&self, key: &str) -> Result<bool, DeadEffectError> {
        let key = key.to_owned();
        Ok(self.entity.ask(Remove { key }).await?)
    }
}
