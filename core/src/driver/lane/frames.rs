//! What other lanes send: frames, and that nobody took one in.

use super::{Lane, PASS_MAX};
use crate::driver::cluster::{Along, Requested, Tiding, wire};
use crate::driver::shell::Shell;
use crate::format::{Answered, Body, Call, Denial, Entry, FrameReader, Return};
use crate::id::OpId;
use crate::port::Delivery;
use crate::route::{self, Address};
use crate::step::Span;
use bytes::Bytes;

/// What other lanes send.
impl<S: Shell> Lane<S> {
    pub(super) fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::NoResponders(op) => {
                self.counters.no_responders += 1;
                let now = self.now;
                let Some(net) = &mut self.net else { return };
                if let Some((to, requests)) = net.post.no_responders(op) {
                    net.tell(now, Tiding::NoResponders(to.incarnation));
                    net.due
                        .extend(requests.into_iter().map(route::Input::NoResponders));
                }
            }
            Delivery::Frame(frame) => self.frame(&frame),
        }
    }

    fn frame(&mut self, frame: &Bytes) {
        self.counters.frames_received += 1;
        let mut reader = match FrameReader::open(frame) {
            Ok(reader) => reader,
            Err(cause) => {
                self.counters.frames_unreadable += 1;
                return tracing::warn!(%cause, "frame_unreadable");
            }
        };
        let from = reader.sender();
        let now = self.now;
        if let Some(net) = &mut self.net
            && net.is_doubted(from.incarnation)
        {
            net.tell(now, Tiding::Alive(from.incarnation));
        }
        let mut entries = Vec::new();
        loop {
            for entry in reader.by_ref().take(PASS_MAX) {
                match entry {
                    Ok(entry) => entries.push(entry),
                    Err(cause) => {
                        self.counters.frames_unreadable += 1;
                        tracing::warn!(%cause, "frame_unreadable");
                    }
                }
            }
            if entries.is_empty() {
                return;
            }
            self.entries(from, &entries);
            entries.clear();
        }
    }

    /// Some entries of a frame: the router is stepped for all of them, and then what it wants is done.
    fn entries(&mut self, from: Address, entries: &[Entry]) {
        self.counters.entries_received += entries.len() as u64;
        let mut inputs = Vec::with_capacity(entries.len());
        let mut along = Along::default();
        for entry in entries {
            inputs.extend(self.entry(from, entry, &mut along));
        }
        self.route_all(inputs, along);
    }

    /// What an entry says to routing, if it does.
    fn entry<'a>(
        &mut self,
        from: Address,
        entry: &'a Entry,
        along: &mut Along<'a>,
    ) -> Option<route::Input> {
        let net = self.net.as_mut()?;
        let op = entry.op;
        let returned = match &entry.body {
            Body::Request { ttl_ms, call } => {
                return self.request(from, op, (*ttl_ms, true), call, along);
            }
            Body::Tell { ttl_ms, call } => {
                return self.request(from, op, (*ttl_ms, false), call, along);
            }
            Body::Answer { returned } if Return::turns_away(returned) => {
                self.counters.not_owner += 1;
                route::Returned::NotOwner(None)
            }
            Body::Answer { returned } => {
                along.answers.push_back((op, returned));
                route::Returned::Answer
            }
            Body::NotOwner { owner } => {
                self.counters.not_owner += 1;
                route::Returned::NotOwner(*owner)
            }
            Body::Withdraw => return Some(route::Input::Withdrawn { from, op }),
            Body::Ping => {
                net.post.pong(from, op);
                return None;
            }
            // That a frame came says that the node lives.
            Body::Pong => {
                net.tell(self.now, Tiding::Alive(from.incarnation));
                return None;
            }
            Body::Newer { number } => {
                tracing::debug!(number, "entry_of_a_newer_program");
                return None;
            }
        };
        Some(route::Input::Returned { op, returned })
    }

    /// A request of another lane, in its bytes.
    fn request<'a>(
        &mut self,
        from: Address,
        op: OpId,
        (ttl_ms, answered): (u32, bool),
        call: &'a Bytes,
        along: &mut Along<'a>,
    ) -> Option<route::Input> {
        let net = self.net.as_mut()?;
        let call = match Call::decode(call) {
            Ok(call) => call,
            Err(cause) => {
                self.counters.frames_unreadable += 1;
                self.unreadable(from, op, &cause.to_string());
                return None;
            }
        };
        let target = wire::target(&call, net.here.incarnation);
        along.requests.push_back(Requested { op, call, answered });
        let ttl = Span::from_millis(u64::from(ttl_ms));
        Some(route::Input::Request {
            from,
            op,
            target,
            ttl,
        })
    }

    /// A request whose target cannot be read goes past the router.
    fn unreadable(&mut self, from: Address, op: OpId, cause: &str) {
        tracing::warn!(cause, "request_unreadable");
        let Some(net) = &mut self.net else { return };
        let returned = Return::new(
            &self.facts.node,
            Answered::Refused(Denial::Undecodable {
                what: "the request".to_owned(),
                cause: cause.to_owned(),
            }),
        );
        let added = net.post.answer(from, op, &returned);
        debug_assert!(added.is_ok(), "a refusal fits a frame");
    }
}
