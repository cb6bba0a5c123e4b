//! What machines ask of the network between nodes, and what comes from it, as data.
//!
//! A node listens on one core subject for each of its lanes. Nothing here is stored, and nothing is
//! certain: a frame may be lost, come late or come twice (S21).

use super::Subject;
use crate::id::{OpId, Sequence};
use bytes::Bytes;

/// What comes to a lane that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Delivery {
    /// A frame of another lane, of this node or another.
    Frame(Bytes),
    /// Nobody listened where the frame that was sent under this operation went: it was never taken
    /// in. The server says so; a network without servers may too (S15, S21).
    NoResponders(OpId),
}

/// What came on a core subject: a message as its stream announced it when it was stored (`republish`), or
/// what somebody cast there. A reason to look, never a proof: it may be late, lost, or of a message that is
/// gone (S16).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Heard {
    /// The core subject on which it came.
    pub subject: Subject,
    /// Its sequence in its stream; [`Sequence::NONE`] for what is in none.
    pub sequence: Sequence,
    /// Its payload.
    pub payload: Bytes,
}

/// A frame was not handed to the network; it was not sent, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SendRefused {
    /// The link is down (S8: nothing is queued for a link that is not there).
    #[error("there is no connection")]
    NotConnected,
    /// The link's queue is full.
    #[error("the connection's queue is full")]
    Full,
    /// It is larger than the server takes.
    #[error("a frame of {bytes} bytes is larger than the {bytes_max} that the server takes")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
}
