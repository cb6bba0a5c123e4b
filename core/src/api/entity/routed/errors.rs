//! What became of a request that has no answer, or one that says no.

use super::Head;
use crate::api::entity::RouteError;
use crate::driver::cluster::Unrouted;
use crate::driver::host::Answer;
use crate::format::Denial;
use crate::log::{Refusal, Reply};
use crate::route;

/// Why a request has no answer of its entity's log.
pub(super) enum NoAnswer {
    /// It reached no owner; nothing happened.
    Route(RouteError),
    /// As of a request to this node's own log.
    As(Answer),
}

impl From<RouteError> for NoAnswer {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl NoAnswer {
    fn refused(refusal: Refusal) -> Self {
        Self::As(Answer::Reply(Reply::Refused(refusal)))
    }

    /// What another node said.
    pub(super) fn denied(head: &Head, (denial, node): (Denial, String)) -> Self {
        Self::refused(match denial {
            Denial::UnknownKind { .. } => {
                return Self::Route(RouteError::NotServed {
                    kind: head.facts.kind.clone(),
                    shard: head.shard,
                    node,
                });
            }
            Denial::Log(refusal) => refusal,
            Denial::Overloaded => Refusal::Overloaded,
            Denial::Deadline => Refusal::Deadline,
            // What it was for may have happened.
            Denial::Newer { .. } => Refusal::Unknown,
            Denial::Halted { reason } => return Self::As(Answer::Refused(reason)),
            denial @ (Denial::UnknownMessage { .. }
            | Denial::WrongSchema { .. }
            | Denial::Undecodable { .. }
            | Denial::Panicked { .. }
            | Denial::Failed { .. }
            | Denial::Reply { .. }
            | Denial::Start { .. }
            | Denial::Dropped(_)
            | Denial::Cycle { .. }
            | Denial::ChainTooLong { .. }
            | Denial::NoLease
            | Denial::Stopping
            | Denial::Unusable { .. }) => return Self::Route(RouteError::from(denial)),
        })
    }

    /// What routing said.
    pub(super) fn unrouted(head: &Head, why: Unrouted) -> Self {
        match why {
            Unrouted::Route(refusal) => Self::lost(head, refusal),
            Unrouted::Unencodable(cause) => Self::Route(RouteError::Unencodable(cause)),
            Unrouted::Halted(reason) => Self::As(Answer::Refused(reason)),
            Unrouted::Stopped => Self::As(Answer::Stopped),
            Unrouted::Cut => Self::As(Answer::Cut),
        }
    }

    fn lost(head: &Head, refusal: route::Refusal) -> Self {
        match refusal {
            route::Refusal::NoOwner(_) => Self::Route(RouteError::NoOwner {
                kind: head.facts.kind.clone(),
                shard: head.shard,
            }),
            route::Refusal::NoNode(node) => Self::Route(RouteError::NoNode {
                node: node.to_string(),
            }),
            route::Refusal::NoCommonVersion(node) => Self::Route(RouteError::NoCommonVersion {
                node: node.to_string(),
            }),
            route::Refusal::TooLarge { bytes, bytes_max } => {
                Self::Route(RouteError::TooLarge { bytes, bytes_max })
            }
            route::Refusal::Overloaded => Self::refused(Refusal::Overloaded),
            route::Refusal::Deadline => Self::refused(Refusal::Deadline),
            route::Refusal::Unknown(_) => Self::refused(Refusal::Unknown),
        }
    }
}
