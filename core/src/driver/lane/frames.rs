//! What other lanes send: frames, and that nobody took one in.

use super::Lane;
use crate::driver::cluster::{Along, Tiding, wire};
use crate::driver::shell::Shell;
use crate::format::{Answered, Body, Call, Denial, FrameReader, Return};
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
        let reader = match FrameReader::open(frame) {
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
        for entry in reader {
            match entry {
                Ok(entry) => self.entry(from, entry.op, entry.body),
                Err(cause) => {
                    self.counters.frames_unreadable += 1;
                    tracing::warn!(%cause, "frame_unreadable");
                }
            }
        }
    }

    fn entry(&mut self, from: Address, op: OpId, body: Body) {
        let Some(net) = &mut self.net else { return };
        self.counters.entries_received += 1;
        let input = match body {
            Body::Request { ttl_ms, call } => {
                return self.request(from, op, (ttl_ms, true), &call);
            }
            Body::Tell { ttl_ms, call } => {
                return self.request(from, op, (ttl_ms, false), &call);
            }
            Body::Answer { returned } if Return::turns_away(&returned) => {
                self.counters.not_owner += 1;
                let returned = route::Returned::NotOwner(None);
                route::Input::Returned { op, returned }
            }
            Body::Answer { returned } => {
                let answer = route::Input::Returned {
                    op,
                    returned: route::Returned::Answer,
                };
                return self.route_along(answer, Along::Answer(op, returned));
            }
            Body::NotOwner { owner } => {
                self.counters.not_owner += 1;
                route::Input::Returned {
                    op,
                    returned: route::Returned::NotOwner(owner),
                }
            }
            Body::Withdraw => route::Input::Withdrawn { from, op },
            Body::Ping => return net.post.pong(from, op),
            // That a frame came says that the node lives.
            Body::Pong => {
                let now = self.now;
                return net.tell(now, Tiding::Alive(from.incarnation));
            }
            Body::Newer { number } => {
                return tracing::debug!(number, "entry_of_a_newer_program");
            }
        };
        self.route(input);
    }

    /// A request of another lane, in its bytes.
    fn request(&mut self, from: Address, op: OpId, (ttl_ms, answered): (u32, bool), call: &Bytes) {
        let Some(net) = &mut self.net else { return };
        let call = match Call::decode(call) {
            Ok(call) => call,
            Err(cause) => {
                self.counters.frames_unreadable += 1;
                return self.unreadable(from, op, &cause.to_string());
            }
        };
        let target = wire::target(&call, net.here.incarnation);
        let request = route::Input::Request {
            from,
            op,
            target,
            ttl: Span::from_millis(u64::from(ttl_ms)),
        };
        self.route_along(request, Along::Request(Some(call), answered));
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
