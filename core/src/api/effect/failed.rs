//! Messages and effects that could not be delivered as things were, for people and programs.

use crate::api::projection::keeper::{Keeper, Undone};
use crate::api::{Message, Tenure};
use crate::driver::NotSent;
use crate::format::{IntentPlace, TakeOver};
use crate::id::{Sequence, ShardId};
use crate::log::{FailedIntent, FailedListing, FailedListingFault, FailedOrder, FailedThen};
use bytes::Bytes;

/// Where messages are listed: by the lane that a text hashes to.
const LANE: &str = "failed messages";

/// What the kinds of effects begin with.
const OUTSIDE: &str = "effect-";

/// Messages and effects that could not be delivered as things were: no build that owned their shard takes them,
/// they cannot be decoded, or they are older than what their receiver remembers. They are kept, and hold up nobody
/// else; the next owner of their shard tries them again by itself.
///
/// ```
/// # use tenure_core::api::{Tenure, effect::FailedMessagesError};
/// # async fn example(tenure: Tenure) -> Result<(), FailedMessagesError> {
/// let failed = tenure.failed_messages();
/// for message in failed.all().await? {
///     println!("{} to {}: {}", message.name, message.to_id, message.cause);
/// }
/// failed.retry_all().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FailedMessages {
    tenure: Tenure,
}

/// A message or an effect that could not be delivered as things were.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedMessage {
    /// Where it is: of no other one.
    pub place: FailedPlace,
    /// Why it was not delivered.
    pub cause: String,
    /// The kind of the entity whose decision sent it; this and what follows is empty when its commit is gone or
    /// cannot be read.
    pub kind: String,
    /// That entity.
    pub id: String,
    /// Whether it is an effect.
    pub is_effect: bool,
    /// The kind that it goes to, or the effect's name.
    pub to_kind: String,
    /// The entity that it goes to, or the effect's name.
    pub to_id: String,
    /// Its stable name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
    /// Its value, in the codec of its receiver: an effect's is CBOR.
    pub data: Bytes,
}

/// Where a message that was not delivered is: the shard of who sent it, its commit, and its place in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FailedPlace {
    /// The class of the shard.
    pub class: TakeOver,
    /// The shard.
    pub shard: ShardId,
    /// The commit.
    pub sequence: Sequence,
    /// The how manieth of its messages it is, from 0.
    pub index: u32,
}

/// Why messages that were not delivered are not listed, or nothing becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailedMessagesError {
    /// They cannot be listed.
    #[error(transparent)]
    Store(#[from] FailedListingFault),
    /// The store did not answer in time.
    #[error("the store did not answer in time: look whether it is there, and ask again")]
    Timeout,
    /// Too many requests wait in this node. Nothing happened.
    #[error("too many requests wait in this node: ask again")]
    Overloaded,
    /// The node has stopped.
    #[error("the node has stopped")]
    NodeStopped,
}

impl Tenure {
    /// Messages and effects that could not be delivered as things were.
    pub fn failed_messages(&self) -> FailedMessages {
        FailedMessages {
            tenure: self.clone(),
        }
    }
}

impl FailedMessages {
    /// All of the namespace, as their owners have stored it: what came a moment ago may not be there yet, and what
    /// went may still be.
    ///
    /// # Errors
    ///
    /// When the store refuses, or does not answer within the node's time-out.
    pub async fn all(&self) -> Result<Vec<FailedMessage>, FailedMessagesError> {
        let inner = &self.tenure.inner;
        let layout = inner.handle.layout().clone();
        let mut listing = FailedListing::new(self.tenure.namespace().clone(), layout);
        let (keeper, patience) = (Keeper::of(&self.tenure), Some(inner.timeout));
        let (request, answered) = (FailedListing::request, FailedListing::answered);
        let found = keeper.drive(LANE, patience, &mut listing, request, answered);
        let mut found: Vec<_> = found.await?.into_iter().map(FailedMessage::of).collect();
        found.sort_by_key(|message| message.place);
        Ok(found)
    }

    /// Has one sent again at once, if this node owns its shard; whether it does and the message was there. It fails
    /// again where nothing has changed.
    ///
    /// # Errors
    ///
    /// When this node is overloaded or has stopped.
    pub async fn retry(&self, place: FailedPlace) -> Result<bool, FailedMessagesError> {
        Ok(self.order(Some(place), FailedThen::Retry).await? > 0)
    }

    /// Has all of the shards that this node owns sent again; how many there were. Other nodes are asked themselves.
    ///
    /// # Errors
    ///
    /// As [`retry`](Self::retry).
    pub async fn retry_all(&self) -> Result<u64, FailedMessagesError> {
        self.order(None, FailedThen::Retry).await
    }

    /// Discards one, which is never delivered then, if this node owns its shard; whether it does and the message was
    /// there. An owner that dies before it has stored that leaves it to the next one.
    ///
    /// # Errors
    ///
    /// As [`retry`](Self::retry).
    pub async fn discard(&self, place: FailedPlace) -> Result<bool, FailedMessagesError> {
        Ok(self.order(Some(place), FailedThen::Discard).await? > 0)
    }

    async fn order(
        &self,
        place: Option<FailedPlace>,
        then: FailedThen,
    ) -> Result<u64, FailedMessagesError> {
        let inner = &self.tenure.inner;
        let deadline = inner.handle.now() + inner.timeout;
        let of = place.map(|place| IntentPlace {
            sequence: place.sequence,
            index: place.index,
        });
        let shard = place.map(|place| (place.class, place.shard));
        let ordered = inner
            .handle
            .order_failed(shard, FailedOrder { of, then }, deadline);
        ordered.await.map_err(|not_sent| match not_sent {
            NotSent::Overloaded => FailedMessagesError::Overloaded,
            NotSent::Stopped => FailedMessagesError::NodeStopped,
        })
    }
}

impl FailedMessage {
    fn of(failed: FailedIntent) -> Self {
        let FailedIntent {
            class,
            shard,
            place,
            cause,
            sent,
        } = failed;
        let place = FailedPlace {
            class,
            shard,
            sequence: place.sequence,
            index: place.index,
        };
        let message = Self {
            place,
            cause,
            kind: String::new(),
            id: String::new(),
            is_effect: false,
            to_kind: String::new(),
            to_id: String::new(),
            name: String::new(),
            version: 0,
            data: Bytes::new(),
        };
        let Some((kind, id, intent)) = sent else {
            return message;
        };
        let effect = intent.kind.as_str().strip_prefix(OUTSIDE);
        Self {
            kind: kind.to_string(),
            id: id.as_str().to_owned(),
            is_effect: effect.is_some(),
            to_kind: effect.unwrap_or(intent.kind.as_str()).to_owned(),
            to_id: intent.entity.as_str().to_owned(),
            name: intent.message.name.to_string(),
            version: intent.message.schema,
            data: intent.message.data,
            ..message
        }
    }

    /// What was to be done, of an effect.
    ///
    /// # Errors
    ///
    /// When it is of another type, or of another version of it.
    pub fn decode<M: Message>(&self) -> Result<M, crate::api::bus::DecodeError> {
        crate::api::bus::decode(&self.name, self.version, &self.data)
    }
}

impl From<Undone<FailedListingFault>> for FailedMessagesError {
    fn from(undone: Undone<FailedListingFault>) -> Self {
        match undone {
            Undone::Fault(fault) => Self::Store(fault),
            Undone::Late => Self::Timeout,
            Undone::NodeStopped => Self::NodeStopped,
        }
    }
}
