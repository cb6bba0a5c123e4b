//! What a lane sends to other lanes: one frame for each in a turn, however much it says (S21).

use crate::format::{Call, FrameFull, FrameWriter, Return};
use crate::id::{Incarnation, OpId};
use crate::name::Namespace;
use crate::port::{SendRefused, Subject};
use crate::route::Address;
use crate::shard::Row;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Frames whose requests are remembered, so that it is known what was in one that nobody took in. The
/// server says so within a round trip.
const SENT_MAX: usize = 4_096;

/// What is kept of a frame for headers and the subject, in bytes.
const FRAME_HEAD_BYTES: usize = 512;

/// Entries for other lanes, until the end of the turn.
pub(crate) struct Post {
    here: Address,
    namespace: Namespace,
    subject: Subject,
    frame_bytes_max: usize,
    open: BTreeMap<Address, Open>,
    /// Lanes with something to send, each once.
    filled: Vec<Address>,
    full: Vec<Frame>,
    /// Numbers the frames.
    next: u64,
    sent: VecDeque<Sent>,
}

/// A frame that is being filled.
struct Open {
    to: Subject,
    writer: FrameWriter,
    /// The requests in it.
    requests: Vec<OpId>,
    is_noted: bool,
}

/// A frame that is ready.
struct Frame {
    to: Address,
    bytes: Bytes,
    entries: usize,
    requests: Vec<OpId>,
}

/// A frame that was sent.
struct Sent {
    op: OpId,
    to: Address,
    requests: Vec<OpId>,
}

/// What a frame that was to be sent held, and how that went.
pub(crate) struct Posted {
    pub(crate) entries: usize,
    /// Why it was not sent, if it was not; then these are the requests in it.
    pub(crate) refused: Option<SendRefused>,
    pub(crate) requests: Vec<OpId>,
}

impl Post {
    pub(crate) fn new(here: Address, namespace: Namespace) -> Self {
        Self {
            subject: namespace.lane_subject(here),
            here,
            namespace,
            frame_bytes_max: 0,
            open: BTreeMap::new(),
            filled: Vec::new(),
            full: Vec::new(),
            next: 0,
            sent: VecDeque::new(),
        }
    }

    /// Where this lane listens.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The largest message that the server takes now, in bytes.
    pub(crate) fn payload_bytes_max(&mut self, bytes: usize) {
        let frame_bytes_max = bytes.saturating_sub(FRAME_HEAD_BYTES);
        if frame_bytes_max != self.frame_bytes_max {
            self.frame_bytes_max = frame_bytes_max;
            self.close_all();
            self.open.clear();
        }
    }

    /// Keeps nothing for nodes that are gone.
    pub(crate) fn keep(&mut self, is_there: impl Fn(Incarnation) -> bool) {
        self.open
            .retain(|to, open| !open.writer.is_empty() || is_there(to.incarnation));
    }

    pub(crate) fn request(
        &mut self,
        to: Address,
        (op, ttl_ms): (OpId, u32),
        call: &Call<'_>,
        answered: bool,
    ) -> Result<(), FrameFull> {
        let write = |writer: &mut FrameWriter| {
            if answered {
                writer.request(op, ttl_ms, call)
            } else {
                writer.tell(op, ttl_ms, call)
            }
        };
        self.add(to, Some(op), write)
    }

    pub(crate) fn answer(
        &mut self,
        to: Address,
        op: OpId,
        returned: &Return<'_>,
    ) -> Result<(), FrameFull> {
        self.add(to, None, |writer| writer.answer(op, returned))
    }

    pub(crate) fn withdraw(&mut self, to: Address, op: OpId) {
        self.small(to, |writer| writer.withdraw(op));
    }

    pub(crate) fn not_owner(&mut self, to: Address, op: OpId, owner: Option<Row>) {
        self.small(to, |writer| writer.not_owner(op, owner));
    }

    pub(crate) fn ping(&mut self, to: Address, op: OpId) {
        self.small(to, |writer| writer.ping(op));
    }

    pub(crate) fn pong(&mut self, to: Address, op: OpId) {
        self.small(to, |writer| writer.pong(op));
    }

    /// Adds what fits every frame; before the first connection it is dropped.
    fn small(&mut self, to: Address, write: impl Fn(&mut FrameWriter) -> Result<(), FrameFull>) {
        let added = self.add(to, None, write);
        debug_assert!(added.is_ok() || self.frame_bytes_max == 0);
    }

    fn add(
        &mut self,
        to: Address,
        request: Option<OpId>,
        write: impl Fn(&mut FrameWriter) -> Result<(), FrameFull>,
    ) -> Result<(), FrameFull> {
        let open = self.open.entry(to).or_insert_with(|| Open {
            to: self.namespace.lane_subject(to),
            writer: FrameWriter::new(self.here, self.frame_bytes_max),
            requests: Vec::new(),
            is_noted: false,
        });
        if write(&mut open.writer).is_err() {
            if let Some(frame) = open.take(to) {
                self.full.push(frame);
            }
            write(&mut open.writer)?;
        }
        open.requests.extend(request);
        if !open.is_noted {
            open.is_noted = true;
            self.filled.push(to);
        }
        Ok(())
    }

    fn close_all(&mut self) {
        for to in self.filled.drain(..) {
            if let Some(open) = self.open.get_mut(&to) {
                open.is_noted = false;
                self.full.extend(open.take(to));
            }
        }
    }

    /// How many requests are to be sent.
    pub(crate) fn requests(&self) -> usize {
        let open = self.filled.iter().filter_map(|to| self.open.get(to));
        let open = open.map(|open| open.requests.len());
        open.chain(self.full.iter().map(|frame| frame.requests.len()))
            .sum()
    }

    /// Whether something is to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled.is_empty() && self.full.is_empty()
    }

    /// Sends all frames; tells of each.
    pub(crate) fn flush(
        &mut self,
        send: impl Fn(OpId, &Subject, &Subject, Bytes) -> Result<(), SendRefused>,
        mut posted: impl FnMut(Posted),
    ) {
        self.close_all();
        for Frame {
            to,
            bytes,
            entries,
            requests,
        } in self.full.drain(..)
        {
            self.next += 1;
            let op = OpId(self.next);
            let known = self.open.get(&to).map(|open| open.to.clone());
            let subject = known.unwrap_or_else(|| self.namespace.lane_subject(to));
            match send(op, &subject, &self.subject, bytes) {
                Ok(()) => {
                    if self.sent.len() == SENT_MAX {
                        self.sent.pop_front();
                    }
                    self.sent.push_back(Sent { op, to, requests });
                    posted(Posted {
                        entries,
                        refused: None,
                        requests: Vec::new(),
                    });
                }
                Err(refused) => {
                    tracing::debug!(to = %subject, %refused, "frame_not_sent");
                    posted(Posted {
                        entries,
                        refused: Some(refused),
                        requests,
                    });
                }
            }
        }
    }

    /// Nobody took in a frame: where it went, and the requests in it.
    pub(crate) fn no_responders(&mut self, op: OpId) -> Option<(Address, Vec<OpId>)> {
        let place = self.sent.binary_search_by_key(&op, |sent| sent.op).ok()?;
        let sent = self.sent.get_mut(place)?;
        Some((sent.to, std::mem::take(&mut sent.requests)))
    }
}

impl Open {
    fn take(&mut self, to: Address) -> Option<Frame> {
        let entries = self.writer.len();
        self.writer.take().map(|bytes| Frame {
            to,
            bytes,
            entries,
            requests: std::mem::take(&mut self.requests),
        })
    }
}
