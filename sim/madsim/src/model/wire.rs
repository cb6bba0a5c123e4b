//! What a node and the store's server tell each other over a link. Both ends are of one build, so it
//! goes as it is, without bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use tenure_core::id::OpId;
use tenure_core::port::{Capabilities, Delivery, Heard, StoreReply, StoreRequest, Subject};

/// Where the server is.
pub(crate) const SERVER: &str = "10.0.0.1:4222";

/// Names a request of a shell.
pub(crate) type AskId = u64;

/// Names who listens or hears at a shell.
pub(crate) type EarId = u64;

/// What a node tells the server.
#[derive(Debug)]
pub(crate) enum Up {
    /// Which node it is.
    Hello(usize),
    /// All listeners were told.
    Ready,
    Ask(AskId, StoreRequest),
    Listen(EarId, Subject),
    Hear(EarId, Subject),
    /// Nobody listens or hears there any more.
    Deaf(EarId),
    Frame {
        op: OpId,
        to: Subject,
        back: Subject,
        bytes: Bytes,
        /// Where the story tells of it.
        event: u64,
    },
    /// For whoever hears it now.
    Cast(Subject, Bytes),
    Ping,
}

/// What the server tells a node.
#[derive(Debug)]
pub(crate) enum Down {
    /// It heard all that was told before `Ready`.
    Welcome(Capabilities),
    /// With where the story tells of it.
    Answer(AskId, StoreReply, u64),
    Delivered(EarId, Delivery),
    Heard(EarId, Heard),
    Pong,
}

/// A frame on its way through the server: who sent it, and who is to hear when it is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    pub(crate) from: usize,
    pub(crate) op: OpId,
    /// Where the story tells of it.
    pub(crate) event: u64,
    pub(crate) back: Subject,
    pub(crate) bytes: Bytes,
}

impl Passing {
    /// As the bytes of a frame.
    pub(crate) fn wrapped(&self) -> Bytes {
        let back = self.back.as_bytes();
        let mut wrapped = BytesMut::with_capacity(32 + back.len() + self.bytes.len());
        wrapped.put_u64(self.from as u64);
        wrapped.put_u64(self.op.0);
        wrapped.put_u64(self.event);
        wrapped.put_u64(back.len() as u64);
        wrapped.put_slice(back);
        wrapped.put_slice(&self.bytes);
        wrapped.freeze()
    }

    /// From the bytes of a frame; `None` when no server wrapped it.
    pub(crate) fn unwrapped(mut wrapped: Bytes) -> Option<Self> {
        let mut number = || {
            let (head, _) = wrapped.split_at_checked(8)?;
            let number = u64::from_be_bytes(head.try_into().ok()?);
            wrapped = wrapped.slice(8..);
            Some(number)
        };
        let (from, op, event, len) = (number()?, number()?, number()?, number()?);
        let len = usize::try_from(len).ok()?;
        let back = str::from_utf8(wrapped.get(..len)?).ok()?;
        Some(Self {
            from: usize::try_from(from).ok()?,
            op: OpId(op),
            event,
            back: back.into(),
            bytes: wrapped.slice(len..),
        })
    }
}
