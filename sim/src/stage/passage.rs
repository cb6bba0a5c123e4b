//! What befalls requests, frames and announcements on their way in a world with real links, and how its
//! store breaks its word where it does.

use super::setting::Setting;
use crate::deviation::Fault;
use crate::draw::What;
use crate::fate::{self, Fate, checks_itself};
use crate::tamper;
use tenure_core::id::Sequence;
use tenure_core::port::{Refused, StoreReply, StoreRequest};
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

/// The latest time after its sending at which the bytes of a request arrive.
const LATE_MAX: Span = Span::from_secs(8);

/// What befalls a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It never reaches the store.
    Lost,
    /// It reaches the store after so long, when nobody waits for an answer any more.
    Late(Span),
    /// It is refused. With `heard` another server that leads by then carries it out still.
    Refused {
        /// The refusal.
        refused: Refused,
        /// A successor carries it out.
        heard: bool,
    },
    /// A replica that lags, or a former leader, answers as of then.
    Stale {
        /// After so long.
        there: Span,
        /// The last message of its stream that it knows of.
        up_to: Sequence,
    },
    /// It is carried out.
    Taken {
        /// After so long.
        there: Span,
        /// Its bytes come again, so long after it.
        again: Option<Span>,
        /// How long the answer takes beside its way; `None`: it is lost.
        back: Option<Span>,
    },
}

/// Whether one node's frames get to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    Through,
    /// They are lost.
    Silent,
    /// Their sender hears wrongly that nobody listens.
    Denied,
}

impl Setting {
    /// What befalls a request of a node; `last`: the last message of the stream that it is about.
    pub fn passage(&mut self, node: usize, request: &StoreRequest, last: Sequence) -> Passage {
        let (part, faults) = (node as u64, self.plan.faults);
        let writes = request.writes();
        let quiet = (self.healed, false);
        let drawn = fate::draw(&mut self.draws, &faults, part, request, quiet);
        let slow = self.draws.span(
            What::Travel,
            part,
            Span::from_millis(5),
            Span::from_millis(200),
        );
        let after = self.draws.span(What::Late, part, slow, LATE_MAX);
        let again = (drawn.twice && checks_itself(request)).then_some(after);
        if drawn.late {
            reached!(self, "fault: late request");
            return Passage::Late(after.max(self.plan.limits.store_timeout));
        }
        if again.is_some() {
            reached!(self, "fault: request twice");
        }
        if drawn.slow_there {
            reached!(self, "fault: slow request");
        }
        let there = if drawn.slow_there { slow } else { Span::ZERO };
        let back = match drawn.fate {
            Fate::Lost => {
                reached!(self, "fault: lost request");
                return Passage::Lost;
            }
            Fate::Refused | Fate::Full => {
                if drawn.fate == Fate::Full {
                    reached!(self, "fault: refusal for good");
                } else {
                    reached!(self, "fault: refusal that passes");
                }
                let refused = fate::refusal(&mut self.draws, part, drawn.fate, request);
                let heard = self.heard_by_successor(node, &refused, request);
                return Passage::Refused { refused, heard };
            }
            Fate::Stale => {
                if writes {
                    reached!(self, "fault: a former leader answers a write");
                } else {
                    reached!(self, "fault: a replica answers from the past");
                }
                let up_to = fate::lag(&mut self.draws, part, last);
                return Passage::Stale { there, up_to };
            }
            Fate::Fine => Some(Span::ZERO),
            Fate::LostAnswer => {
                reached!(self, "fault: lost answer");
                None
            }
            // Its shell is what gives up here, so an answer that is held is a slow one.
            Fate::SlowAnswer | Fate::HeldAnswer => {
                reached!(self, "fault: slow answer");
                Some(slow)
            }
        };
        Passage::Taken { there, again, back }
    }

    /// Whether another server carries out what a node was refused: when one replaces another as leader
    /// both hear a publish, and what the former refuses the successor may store.
    pub fn heard_by_successor(
        &mut self,
        node: usize,
        refused: &Refused,
        request: &StoreRequest,
    ) -> bool {
        let row = (What::Successor, node as u64);
        let heard = !refused.settles(self.plan.replicated)
            && request.writes()
            && self.strikes(Fault::SuccessorHears, row, 500);
        if heard {
            reached!(self, "fault: a successor hears what its forerunner refused");
        }
        heard
    }

    /// How long it takes until a quorum has what was proposed.
    pub fn consensus(&mut self) -> Span {
        let (least, most) = (Span::from_millis(1), Span::from_millis(4));
        self.draws.span(What::Consensus, 0, least, most)
    }

    /// A proposal was lost with its leader.
    pub fn proposal_was_lost(&mut self) {
        reached!(self, "fault: a proposal was lost with its leader");
    }

    /// A write as the store takes it, which may break its word; `last`: the last message of its stream.
    /// `Err` is an answer without a deed.
    ///
    /// # Errors
    ///
    /// The answer.
    #[allow(
        clippy::result_large_err,
        reason = "it is the answer itself, as in the store"
    )]
    pub fn tampered(
        &mut self,
        last: Sequence,
        request: &StoreRequest,
    ) -> Result<StoreRequest, StoreReply> {
        let lies = self.plan.lies(self.now(), request);
        tamper::tampered(lies, &mut self.draws, last, request)
    }

    /// An answer as the store gives it, which may break its word; `as_of` is the one that it would have
    /// given when its stream ended there, and not at `last`.
    pub fn falsified(
        &mut self,
        last: Sequence,
        as_of: impl FnOnce(Sequence) -> StoreReply,
        (request, reply): (&StoreRequest, StoreReply),
    ) -> StoreReply {
        let lies = self.plan.lies(self.now(), request);
        tamper::falsified(lies, &mut self.draws, last, as_of, reply)
    }

    /// An answer as a node hears it: the body of a snapshot may be absent or damaged, and of what a fetch
    /// brings a message may be lost.
    pub fn heard(&mut self, node: usize, request: &StoreRequest, reply: StoreReply) -> StoreReply {
        let snapshots = self.namespace().snapshot_stream();
        let of_body = request.stream().is_some_and(|it| *it == snapshots);
        if self.healed {
            return reply;
        }
        let (faults, part) = (self.plan.faults, node as u64);
        if !of_body {
            return fate::delivered(&mut self.draws, &faults, part, &mut self.probe, reply);
        }
        fate::bodies(&mut self.draws, &faults, part, &mut self.probe, reply)
    }

    /// After how long, beside its way, each copy of a frame of a node is where it was sent.
    pub fn frame(&mut self, from: usize) -> Vec<Span> {
        let (row, faults) = ((from as u64) << 8, self.plan.faults);
        let lost = self.strikes(Fault::LostFrame, (What::Frame, row | 1), faults.lost_frame);
        let twice = self.strikes(
            Fault::FrameTwice,
            (What::Frame, row | 2),
            faults.frame_twice,
        );
        let late = self.strikes(Fault::LateFrame, (What::Frame, row | 3), faults.late_frame);
        let mut after = |longest| self.draws.span(What::Frame, row | 4, Span::ZERO, longest);
        let (wait, copy) = (after(Span::from_secs(2)), after(Span::from_millis(500)));
        let first = if late { wait } else { Span::ZERO };
        if lost || twice || late {
            // Whom it was for is seen by nobody here.
            self.voids.disordered(from, None, self.now());
        }
        if lost {
            reached!(self, "fault: lost frame");
        }
        if twice {
            reached!(self, "fault: frame twice");
        }
        if late {
            reached!(self, "fault: late frame");
        }
        match (lost, twice) {
            (true, _) => Vec::new(),
            (false, true) => vec![first, first + copy],
            (false, false) => vec![first],
        }
    }

    /// Whether a frame of one node gets to another.
    pub fn reach(&mut self, from: usize, to: usize) -> Reach {
        let reach = match (from, to) {
            way if self.apart.silent.contains(&way) => Reach::Silent,
            way if self.apart.denied.contains(&way) => Reach::Denied,
            _ => return Reach::Through,
        };
        self.voids.disordered(from, Some(to), self.now());
        reach
    }

    /// After how long, beside its way, each copy of an announcement is heard by a node.
    pub fn announcement(&mut self, to: usize) -> Vec<Span> {
        let (row, rate) = ((to as u64) << 8, self.plan.faults.lost_announcement);
        let row = |index| (What::Announce, row | index);
        let lost = self.strikes(Fault::LostAnnouncement, row(1), rate);
        let twice = self.strikes(Fault::AnnouncementTwice, row(2), rate / 2);
        let late = self.strikes(Fault::LateAnnouncement, row(3), rate);
        let (what, part) = row(4);
        let wait = self.draws.span(what, part, Span::ZERO, Span::from_secs(3));
        let first = if late { wait } else { Span::ZERO };
        if lost {
            reached!(self, "fault: lost announcement");
        }
        match (lost, twice) {
            (true, _) => Vec::new(),
            (false, true) => vec![first, first + Span::from_millis(5)],
            (false, false) => vec![first],
        }
    }
}
