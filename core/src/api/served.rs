//! Who gave an answer, and under what.

use crate::id::{Epoch, ShardId};

/// An answer, and who gave it: what [`Ask::served`](super::Ask::served),
/// [`Read::served`](super::Read::served) and [`ActorAsk::served`](super::actor::ActorAsk::served)
/// end in.
///
/// ```
/// # use tenure_core::api::*;
/// # async fn example<A, C>(account: EntityRef<A>, deposit: C) -> Result<(), AskError<A::Error>>
/// # where A: Entity + Decide<C>, C: Message, A::Reply: std::fmt::Debug {
/// let served = account.ask(deposit).served().await?;
/// println!("{:?} at version {}", served.answer.reply, served.answer.version);
/// println!("by {} in {:?} under {:?}", served.node, served.shard, served.epoch);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served<T> {
    /// The answer: of a command its [`Receipt`](super::Receipt), of a query its
    /// [`ReadReply`](super::ReadReply), of an actor its reply.
    pub answer: T,
    /// The name of the node that gave it.
    pub node: String,
    /// The shard of whom it was asked; `None` for an actor that belongs to its node.
    pub shard: Option<ShardId>,
    /// The epoch of that shard under which it was given: of a command that stored something the one that
    /// its commit was stored under, also when it is told after a later one began. As far as is known: a
    /// lone process tells none.
    pub epoch: Option<Epoch>,
}
