//! What happens of itself at a true time.

use super::network::Frame;
use super::store::FlightId;
use super::world::{Home, State};
use crate::apart::Way;
use crate::deviation::Fault;
use tenure_core::id::OpId;
use tenure_core::port::{Heard, StoreReply, StoreRequest, Subject};
use tenure_mem::store::ProposalId;

/// What happens of itself.
#[derive(Debug)]
pub(super) enum Event {
    /// A request reaches the store.
    Reach(FlightId),
    /// Bytes of a write reach the store for which nobody waits any more.
    Straggle(Box<StoreRequest>),
    /// A quorum has what was proposed.
    Commit {
        proposal: ProposalId,
        flight: Option<FlightId>,
    },
    /// A node hears an answer, or its shell gives up waiting.
    Answer {
        flight: FlightId,
        reply: Box<StoreReply>,
    },
    /// A frame is where it was sent.
    Arrive(Box<Frame>),
    /// A node hears that nobody listened where its frame went.
    Nobody { to: Home, at: Subject, op: OpId },
    /// A node hears what was stored.
    Announced { to: Home, heard: Box<Heard> },
    /// A node's program is started.
    Boot(usize),
    /// A node has its link again.
    LinkUp(Home),
    /// A node reaches the store again, or is reached from there.
    Reaches(usize, Way),
    /// A node's link is free again.
    Unclog(usize, Way),
    /// The network is whole again.
    Reunite,
    /// A node's clock goes on.
    Thaw(Home),
    /// A node that stood still goes on.
    Resume(Home),
    /// A fault of a rhythm of its own.
    Befall(Fault),
    /// Nothing; what is broken is told.
    Look,
}

impl State {
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Reach(flight) => self.reach(flight),
            Event::Straggle(request) => self.straggle(&request),
            Event::Commit { proposal, flight } => self.commit(proposal, flight),
            Event::Answer { flight, reply } => self.answer(flight, *reply),
            Event::Arrive(frame) => self.arrive(*frame),
            Event::Nobody { to, at, op } => self.nobody(to, &at, op),
            Event::Announced { to, heard } => self.announced(to, &heard),
            Event::Boot(node) => self.boot(node),
            Event::LinkUp(home) => self.link_up(home),
            Event::Reaches(node, way) => self.reaches(node, way),
            Event::Unclog(node, way) => self.unclog(node, way),
            Event::Reunite => self.reunite(),
            Event::Thaw(home) => self.thaw(home),
            Event::Resume(home) => self.resume(home),
            Event::Befall(fault) => self.befall(fault),
            Event::Look => {}
        }
    }
}
