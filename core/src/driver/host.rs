//! Where the user's states live: what the driver asks of them, type-erased.

use crate::api::Ciphered;
use crate::id::{Epoch, ShardId, Slot, Ticket, Version};
use crate::log::{
    Base, Decided, Expected, Firing, FoldError, KindConfig, Provisional, Reply, StoredCommit,
    Verdict,
};
use crate::name::EntityId;
use crate::shard::Place;
use crate::space::SpaceError;
use bytes::Bytes;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The user's states of one kind's entities in one shard.
///
/// The machine has at most one piece of work at a time per slot. User code that panics is caught
/// by the host and told as a value.
pub(crate) trait Host: Send {
    /// Takes in what a caller wants, under its ticket.
    fn admit(&mut self, ticket: Ticket, caller: Box<dyn Caller>);

    /// Builds or advances the committed state of a slot.
    fn fold(
        &mut self,
        slot: Slot,
        entity: &EntityId,
        base: &Base,
        commits: &[StoredCommit],
    ) -> Result<(), FoldError>;

    /// Decides commands one after another.
    fn decide(&mut self, turn: Turn, commands: &[(Ticket, Expected)]) -> Vec<Decided>;

    /// Decides a timer's message from the committed state, as a command of the entity to itself. A
    /// message that this build does not know is [`Verdict::Failed`]: the timer stays armed.
    fn fire(&mut self, turn: Turn, firing: &Firing) -> Verdict;

    /// Answers readers from the committed state.
    fn answer(&mut self, turn: Turn, tickets: &[Ticket]);

    /// Encodes the committed state; an error says why there is no snapshot.
    fn snapshot(&mut self, slot: Slot, provisional: Provisional) -> Result<Bytes, String>;

    /// Drops the state of a slot.
    fn forget(&mut self, slot: Slot);

    /// Tells a caller how it ended. An unknown ticket is ignored.
    fn finish(&mut self, ticket: Ticket, answer: Answer);

    /// Tells every caller that is left.
    fn finish_all(&mut self, answer: &Answer);

    /// Which of the user's code panicked last, and with what text, if nobody asked for it before.
    fn take_panic(&mut self) -> Option<(String, String)> {
        None
    }
}

/// In what state of things users' code of an entity runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) slot: Slot,
    /// What became of the state after the turn before.
    pub(crate) provisional: Provisional,
    /// The entity's version.
    pub(crate) version: Version,
    /// The epoch under which this node owns the shard; `None` in direct mode.
    pub(crate) epoch: Option<Epoch>,
}

/// A caller who waits: what it wants, and where its answer goes.
///
/// A caller that has gone away is told all the same, and the answer is discarded.
pub(crate) trait Caller: Send {
    /// Tells it how it ended.
    fn finish(self: Box<Self>, answer: Answer);

    /// Goes to the place where its host wants it: an `Option` of what the callers of that host are,
    /// which stays empty when it is none of them.
    fn enter(self: Box<Self>, place: &mut dyn Any);
}

/// How a caller's request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As the machine says.
    Reply(Reply),
    /// The shard's machine halted while the request was with it.
    Halted(String),
    /// The shard's machine had halted before; nothing happened.
    Refused(String),
    /// The namespace cannot be used any more; nothing happened.
    Unusable(SpaceError),
    /// The node stopped before the request was begun; nothing happened.
    Stopped,
    /// The node stopped while the request was under way.
    Cut,
}

/// A kind as the handles of this process use it.
pub(crate) struct KindEntry {
    /// What the machine is told.
    pub(crate) config: KindConfig,
    /// Whether its events are taken as they are, without an aggregate.
    pub(crate) raw: bool,
    /// What its entities' data goes through.
    pub(crate) cipher: Ciphered,
    /// Makes the host of one shard.
    pub(crate) host: Box<dyn Fn(ShardId) -> Box<dyn Host> + Send + Sync>,
}

impl KindEntry {
    /// The place of one of its shards.
    pub(crate) fn place(&self, shard: ShardId) -> Place {
        let class = self.config.record.class;
        Place { class, shard }
    }
}

impl fmt::Debug for KindEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindEntry")
            .field("config", &self.config)
            .field("raw", &self.raw)
            .finish_non_exhaustive()
    }
}

/// Runs code that may panic; a panic is its text.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // What was half changed is dropped or rebuilt by the caller of this function.
    catch_unwind(AssertUnwindSafe(run)).map_err(panic_text)
}

/// What a panic said.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}
