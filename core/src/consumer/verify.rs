//! The streams that a consumer writes to or reads beside the log: looked at at each connection, before
//! anything in them counts (S3).

use super::Source;
use super::take::Misfit;
use crate::port::{StoreDone, StoreReply, StoreRequest};
use crate::space::{Absent, Next, SpaceError, SpaceWish, StreamTask};
use crate::step::Outcome;
use alloc::boxed::Box;

/// How often a stream that was there is asked for again before it counts as lost.
const LOST_TRIES: u32 = 8;

/// How far they were looked at, at this connection.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Verify {
    /// Not at all yet.
    Idle,
    /// The store is asked what it is.
    Capabilities,
    /// The stream of the consumers, and then that of the bus, for who reads it.
    Stream(Box<StreamTask>, Option<Box<StreamTask>>),
    Done,
}

/// What comes next.
pub(super) enum Verified {
    /// The stream is asked for.
    Stream,
    /// The same is asked on.
    Ask,
    /// The same is asked again after a wait.
    Again,
    Done,
    Fail(SpaceError),
}

impl Verify {
    pub(super) fn request(&self) -> Option<StoreRequest> {
        match self {
            Self::Capabilities => Some(StoreRequest::Capabilities),
            Self::Stream(task, _) => Some(task.request()),
            Self::Idle | Self::Done => None,
        }
    }

    /// Takes in an answer. `known`: what this run read or wrote is in the stream, so it is not made
    /// anew; `tries`: how often this was asked before.
    pub(super) fn answered(
        &mut self,
        (wish, source): (&SpaceWish, &Source),
        (known, tries): (bool, u32),
        reply: StoreReply,
    ) -> Result<Verified, Misfit> {
        let next = match (&mut *self, reply) {
            (Self::Capabilities, Outcome::Done(StoreDone::Capabilities(capabilities))) => {
                let absent = |known| match (known, wish.create) {
                    (true, _) => Absent::Lost,
                    (false, true) => Absent::Create,
                    (false, false) => Absent::Missing,
                };
                let task = StreamTask::consumers(wish, &capabilities, absent(known));
                let bus = match source {
                    Source::Log => None,
                    Source::Bus(_) => Some(Box::new(StreamTask::bus(
                        wish,
                        &capabilities,
                        absent(false),
                    ))),
                };
                *self = Self::Stream(Box::new(task), bus);
                return Ok(Verified::Stream);
            }
            (Self::Capabilities, Outcome::Done(_)) => return Err(Misfit),
            (Self::Capabilities, Outcome::Refused(_) | Outcome::Unknown) => {
                return Ok(Verified::Again);
            }
            (Self::Stream(task, _), reply) => task.answered(reply),
            (Self::Idle | Self::Done, _) => return Err(Misfit),
        };
        Ok(match next {
            Next::Ask => Verified::Ask,
            Next::Wait(_) => Verified::Again,
            Next::Done(()) => {
                if let Self::Stream(_, bus) = self
                    && let Some(bus) = bus.take()
                {
                    *self = Self::Stream(bus, None);
                    return Ok(Verified::Stream);
                }
                *self = Self::Done;
                Verified::Done
            }
            // A server that lags may not know the stream yet.
            Next::Fail(SpaceError::StreamLost { .. }) if tries < LOST_TRIES => Verified::Again,
            Next::Fail(error) => Verified::Fail(error),
            Next::Wrong => return Err(Misfit),
        })
    }
}
