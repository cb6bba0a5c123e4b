//! The seat of a lane's actors: their scheduler, and the hosts of their kinds.

mod acts;
mod callers;
mod effects;
pub(crate) mod host;
pub(crate) mod permitted;
mod seat;
pub(crate) mod stage;
pub(crate) mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod waiting;
pub(crate) mod wire;

pub(crate) use seat::{ActorEnv, ActorEvent, ActorSeat, ActorSeatParts};
