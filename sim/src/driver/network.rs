//! The network between nodes: frames that may be lost, late, doubled and out of order, who listens
//! where, and what streams announce (S15, S16, S21).

use super::event::Event;
use super::world::{Home, State};
use crate::apart::{Apart, Way};
use crate::brief;
use crate::clog::Clogs;
use crate::deviation::Fault;
use crate::draw::What;
use crate::stage::{Given, Hears};
use crate::world::Kind;
use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::driver::{DELIVERIES_MAX, Ear, Inbound};
use tenure_core::id::{OpId, Sequence};
use tenure_core::port::{Delivery, Heard, SendRefused, Subject};
use tenure_core::step::Span;
use tenure_core::{Outcome, Probe as _, reached};
use tenure_mem::store::matches;
use tokio::sync::mpsc;

/// A frame on its way.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    from: Home,
    op: OpId,
    to: Subject,
    back: Subject,
    bytes: Bytes,
    /// It came before: that nobody takes in this one says nothing of the other.
    copy: bool,
}

/// Who listens, who hears, and who does not reach whom.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) apart: Apart,
    listeners: BTreeMap<Subject, Vec<(Home, mpsc::Sender<Delivery>)>>,
    /// What waits at links that are clogged, each with what led to it.
    pub(super) clogs: Clogs<(u64, Event)>,
    hearers: Vec<(Home, Subject, Ear)>,
    /// What the links of each node gave those who listen to the bus.
    pub(super) given: Given,
    /// When the last frame of a node gets to a subject: they keep their order.
    latest: BTreeMap<(Home, Subject), u64>,
    keys: u64,
}

impl Network {
    /// A number that nobody had before.
    pub(super) fn next_key(&mut self) -> u64 {
        self.keys += 1;
        self.keys
    }
}

impl State {
    pub(super) fn inbox(&mut self, home: Home) -> mpsc::Receiver<Inbound> {
        let (to, inbox) = mpsc::channel(256);
        let capabilities = self.store.config().capabilities.clone();
        if let Some(node) = self.node_mut(home) {
            let news = match node.linked {
                true => Inbound::Connected(capabilities, node.link),
                false => Inbound::Disconnected,
            };
            // The channel is empty, and its receiver is here.
            let _ = to.try_send(news);
            node.inboxes.push(to);
        }
        inbox
    }

    pub(super) fn listen(&mut self, home: Home, at: Subject) -> mpsc::Receiver<Delivery> {
        let (to, listening) = mpsc::channel(DELIVERIES_MAX);
        if self.lives(home) {
            let ears = self.network.listeners.entry(at).or_default();
            ears.retain(|(_, ear)| !ear.is_closed());
            ears.push((home, to));
        }
        listening
    }

    pub(super) fn overhear(&mut self, home: Home, filter: Subject, ear: Ear) {
        if self.lives(home) {
            self.network.hearers.retain(|(_, _, ear)| !ear.is_closed());
            self.network.hearers.push((home, filter, ear));
        }
    }

    /// A node publishes for whoever hears it.
    pub(super) fn cast(
        &mut self,
        from: Home,
        to: &Subject,
        payload: Bytes,
    ) -> Result<(), SendRefused> {
        self.may_send(from, payload.len())?;
        self.trace.note(7, &[from.node as u64]);
        self.trace.bytes(&payload);
        self.tell(from, Kind::Does, || {
            format!("{from} casts {} bytes on {to}", payload.len())
        });
        self.spread(&Heard {
            subject: to.clone(),
            sequence: Sequence::NONE,
            payload,
        });
        Ok(())
    }

    /// Whether a node may hand so many bytes to the network now.
    fn may_send(&self, from: Home, bytes: usize) -> Result<(), SendRefused> {
        if !self.node(from).is_some_and(|node| node.linked) {
            return Err(SendRefused::NotConnected);
        }
        let bytes_max = self.store.config().capabilities.payload_bytes_max;
        match bytes > bytes_max {
            true => Err(SendRefused::TooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    /// What a node hears after its link was gone may have a gap before it.
    pub(super) fn hears_again(&mut self, home: Home) {
        self.network.given.gives(home.node, Hears::Missed);
        for (of, _, ear) in &self.network.hearers {
            if *of == home {
                ear.missed();
            }
        }
    }

    /// A node that ended listens no more.
    pub(super) fn deaf(&mut self, home: Home) {
        self.network.given.gives(home.node, Hears::Ended);
        for ears in self.network.listeners.values_mut() {
            ears.retain(|(of, _)| *of != home);
        }
        self.network.listeners.retain(|_, ears| !ears.is_empty());
        self.network.hearers.retain(|(of, _, _)| *of != home);
        self.network.latest.retain(|(of, _), _| *of != home);
    }

    /// A node hands a frame over.
    pub(super) fn frame(
        &mut self,
        from: Home,
        op: OpId,
        (to, back): (&Subject, &Subject),
        bytes: Bytes,
    ) -> Result<(), SendRefused> {
        self.may_send(from, bytes.len())?;
        self.trace.note(4, &[from.node as u64, op.0]);
        self.trace.bytes(&bytes);
        self.tell(from, Kind::Does, || {
            format!("{from} ~> {to} {op:?}: {}", brief::frame(&bytes))
        });
        let frame = Frame {
            from,
            op,
            to: to.clone(),
            back: back.clone(),
            bytes,
            copy: false,
        };
        self.travels(frame);
        Ok(())
    }

    fn travels(&mut self, frame: Frame) {
        let row = frame.from.node as u64;
        let faults = self.plan.faults;
        let mut drawn =
            |fault, index: u64, rate| self.strikes(fault, (What::Frame, row << 8 | index), rate);
        let lost = drawn(Fault::LostFrame, 1, faults.lost_frame);
        let late = drawn(Fault::LateFrame, 3, faults.late_frame);
        if lost || late {
            self.disorders(&frame);
        }
        if lost {
            reached!(self, "fault: lost frame");
            let (from, op) = (frame.from, frame.op);
            self.tell(from, Kind::Fault, || format!("the frame {op:?} is lost"));
            return;
        }
        let mut wait = self.travel(row << 8 | 5);
        if late {
            reached!(self, "fault: late frame");
            let longest = Span::from_secs(2);
            wait = self.draws.span(What::Frame, row << 8 | 6, wait, longest);
        } else {
            // Frames of one node to one listener keep their order.
            let at = self.now + wait.as_nanos();
            let way = (frame.from, frame.to.clone());
            let latest = self.network.latest.entry(way).or_default();
            *latest = at.max(*latest + 1);
            wait = Span::from_nanos(*latest - self.now);
        }
        self.at(wait, Event::Arrive(Box::new(frame)));
    }

    /// What befalls a frame may put those between the two nodes into another order.
    fn disorders(&mut self, frame: &Frame) {
        let ears = self.network.listeners.get(&frame.to);
        for (home, _) in ears.into_iter().flatten() {
            let (from, to) = (frame.from.node, home.node);
            self.voids.disordered(from, Some(to), self.now);
        }
    }

    /// A frame is where it was sent.
    pub(super) fn arrive(&mut self, frame: Frame) {
        let ears = self.network.listeners.get(&frame.to);
        let ears: Vec<_> = ears.into_iter().flatten().cloned().collect();
        let mut taken = false;
        let mut silent = false;
        for (home, ear) in ears {
            let way = (frame.from.node, home.node);
            if self.network.apart.silent.contains(&way) {
                self.voids.disordered(way.0, Some(way.1), self.now);
                reached!(self, "fault: a frame is lost between parts of the network");
                let op = frame.op;
                self.tell(home, Kind::Fault, || {
                    format!("the frame {op:?} is lost before {home}")
                });
                silent = true;
                continue;
            }
            if self.network.apart.denied.contains(&way) {
                self.voids.disordered(way.0, Some(way.1), self.now);
                reached!(self, "fault: a wrong no-responders");
                continue;
            }
            if self.node(home).is_some_and(|node| node.linked) {
                let (from, op) = (frame.from, frame.op);
                self.tell(home, Kind::Takes, || {
                    format!("{home} hears {op:?} of {from}")
                });
                // A listener that is full loses it.
                taken |= ear.try_send(Delivery::Frame(frame.bytes.clone())).is_ok();
            }
        }
        if taken {
            self.comes_again(frame);
        } else if !silent && !frame.copy && !self.plan.silent {
            let wait = self.travel(frame.from.node as u64);
            let (to, at, op) = (frame.from, frame.back, frame.op);
            self.at(wait, Event::Nobody { to, at, op });
        }
    }

    /// A frame that was taken in may come a second time.
    fn comes_again(&mut self, mut frame: Frame) {
        let (row, rate) = (frame.from.node as u64, self.plan.faults.frame_twice);
        if frame.copy || !self.strikes(Fault::FrameTwice, (What::Frame, row << 8 | 2), rate) {
            return;
        }
        reached!(self, "fault: frame twice");
        self.disorders(&frame);
        let longest = Span::from_millis(500);
        let wait = self
            .draws
            .span(What::Frame, row << 8 | 4, Span::ZERO, longest);
        frame.copy = true;
        self.at(wait, Event::Arrive(Box::new(frame)));
    }

    /// What happens, unless it waits at a link that is clogged.
    pub(super) fn held_up(&mut self, cause: u64, event: Event) -> Option<Event> {
        let (node, way) = match &event {
            Event::Reach(flight) => (self.asker(*flight)?, Way::Out),
            Event::Answer { flight, reply } if **reply != Outcome::Unknown => {
                (self.asker(*flight)?, Way::In)
            }
            Event::Arrive(frame)
                if self.network.clogs.link(frame.from.node, Way::Out).is_some() =>
            {
                (frame.from.node, Way::Out)
            }
            Event::Arrive(frame) => {
                let ears = self.network.listeners.get(&frame.to).into_iter().flatten();
                let mut nodes = ears.map(|(home, _)| home.node);
                let clogs = &mut self.network.clogs;
                match nodes.find(|node| clogs.link(*node, Way::In).is_some()) {
                    Some(node) => (node, Way::In),
                    None => return Some(event),
                }
            }
            Event::Nobody { to, .. } | Event::Announced { to, .. } => (to.node, Way::In),
            Event::Answer { .. }
            | Event::Straggle(_)
            | Event::Commit { .. }
            | Event::Boot(_)
            | Event::LinkUp(_)
            | Event::Reaches(..)
            | Event::Reunite
            | Event::Unclog(..)
            | Event::Thaw(_)
            | Event::Resume(_)
            | Event::Befall(_)
            | Event::Look => return Some(event),
        };
        let Some(waiting) = self.network.clogs.link(node, way) else {
            return Some(event);
        };
        waiting.push_back((cause, event));
        reached!(self, "fault: something waits at a link that is clogged");
        None
    }

    /// A node's link is free again: what waited comes, in its order.
    pub(super) fn unclog(&mut self, node: usize, way: Way) {
        for (cause, event) in self.network.clogs.end(node, way) {
            self.begins(cause);
            self.at(Span::ZERO, event);
        }
    }

    /// A node hears that nobody listened where its frame went.
    pub(super) fn nobody(&mut self, to: Home, at: &Subject, op: OpId) {
        if !self.node(to).is_some_and(|node| node.linked) {
            return;
        }
        self.tell(to, Kind::Takes, || {
            format!("{to} hears that nobody takes in {op:?}")
        });
        for (home, ear) in self.network.listeners.get(at).into_iter().flatten() {
            if *home == to {
                // One that is full loses it.
                let _ = ear.try_send(Delivery::NoResponders(op));
            }
        }
    }

    /// What was stored is announced to every node that hears it.
    pub(super) fn announce(&mut self) {
        for announcement in self.store.take_announcements() {
            let heard = Heard {
                subject: announcement.subject.as_str().into(),
                sequence: announcement.message.sequence,
                payload: announcement.message.payload,
            };
            self.spread(&heard);
        }
    }

    /// What comes on a core subject goes to every node that hears it.
    fn spread(&mut self, heard: &Heard) {
        let mut homes: Vec<Home> = Vec::new();
        for (home, filter, _) in &self.network.hearers {
            if matches(filter, &heard.subject) && !homes.contains(home) {
                homes.push(*home);
            }
        }
        for to in homes {
            let row = to.node as u64;
            let faults = self.plan.faults;
            let rate = faults.lost_announcement;
            let mut drawn = |fault, index: u64, rate| {
                self.strikes(fault, (What::Announce, row << 8 | index), rate)
            };
            let lost = drawn(Fault::LostAnnouncement, 1, rate);
            // What is cast comes once at most.
            let twice = heard.sequence.is_some() && drawn(Fault::AnnouncementTwice, 2, rate / 2);
            let late = drawn(Fault::LateAnnouncement, 3, rate);
            if lost {
                reached!(self, "fault: lost announcement");
                continue;
            }
            let mut wait = self.travel(row << 8 | 7);
            if late {
                let longest = Span::from_secs(3);
                wait = self.draws.span(What::Announce, row << 8 | 4, wait, longest);
            }
            let heard = Box::new(heard.clone());
            if twice {
                let heard = heard.clone();
                let later = wait + Span::from_millis(5);
                self.at(later, Event::Announced { to, heard });
            }
            self.at(wait, Event::Announced { to, heard });
        }
    }

    /// A node hears what was stored.
    pub(super) fn announced(&mut self, to: Home, heard: &Heard) {
        let cut = self.network.apart.is_deaf(to.node);
        if cut || !self.node(to).is_some_and(|node| node.linked) {
            return;
        }
        if heard.subject.split('.').nth(1) == Some("cast") {
            self.network
                .given
                .gives(to.node, Hears::Event(heard.clone()));
        }
        for (home, filter, ear) in &self.network.hearers {
            if *home == to && matches(filter, &heard.subject) {
                // One that is full loses it.
                ear.take(heard.clone());
            }
        }
    }
}
