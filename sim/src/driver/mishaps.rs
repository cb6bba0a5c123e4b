//! What the faults do that befall nodes, clocks and the store as a whole, each with its story.

use super::event::Event;
use super::world::{Home, State};
use crate::apart::Way;
use crate::rhythm::Mishap;
use crate::stage::ownership_records;
use crate::world::Lane;
use tenure_core::id::{Partition, Sequence};
use tenure_core::port::Message;
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

impl State {
    pub(super) fn crashes(&mut self, it: &Mishap) -> Option<String> {
        let wait = self.how_long(it, Span::from_millis(1), Span::from_millis(1_500));
        self.home_of(it.node)?;
        reached!(self, "fault: crash");
        self.dies(it.node);
        self.at(wait, Event::Boot(it.node));
        Some("is killed".into())
    }

    pub(super) fn is_killed(&mut self, it: &Mishap) -> Option<String> {
        let ttl = self.plan.terms.ttl;
        let wait = self.how_long(it, ttl, ttl.saturating_mul(3));
        self.home_of(it.node)?;
        reached!(self, "fault: kill");
        self.dies(it.node);
        self.at(wait, Event::Boot(it.node));
        Some("is killed for longer than its lease".into())
    }

    pub(super) fn pauses(&mut self, it: &Mishap) -> Option<String> {
        let length = self.within_two_leases(it, Span::from_millis(1));
        self.home_of(it.node)?;
        reached!(self, "fault: pause");
        self.stand_still(it.node, length);
        Some(format!("stands still for {length}"))
    }

    pub(super) fn is_suspended(&mut self, it: &Mishap) -> Option<String> {
        let ttl = self.plan.terms.ttl;
        let length = self.how_long(it, ttl, ttl.saturating_mul(3));
        self.home_of(it.node)?;
        reached!(self, "fault: suspend");
        self.nodes[it.node].suspended = true;
        self.stand_still(it.node, length);
        Some(format!("is suspended for {length}"))
    }

    pub(super) fn slows_down(&mut self, it: &Mishap) -> Option<String> {
        let length = self.within_two_leases(it, Span::from_millis(100));
        reached!(self, "fault: slow node");
        self.nodes[it.node].slow_until = self.now + length.as_nanos();
        self.band(Lane::Node(it.node), "slow", length);
        Some(format!("is slow for {length}"))
    }

    pub(super) fn loses_link(&mut self, it: &Mishap) -> Option<String> {
        let wait = self.how_long(it, Span::from_millis(1), Span::from_millis(1_000));
        let home = self.home_of(it.node)?;
        reached!(self, "fault: link down");
        self.unlink(home);
        self.at(wait, Event::LinkUp(home));
        Some("loses its link".into())
    }

    pub(super) fn is_cut(&mut self, it: &Mishap, way: Way) -> Option<String> {
        let wait = self.within_two_leases(it, Span::from_millis(10));
        let story = match way {
            Way::Both => {
                reached!(self, "fault: cut from the store");
                "does not reach the store"
            }
            Way::In => {
                reached!(self, "fault: nothing is heard of the store");
                "hears nothing of the store"
            }
            Way::Out => {
                reached!(self, "fault: requests do not reach the store");
                "hears the store, and does not reach it"
            }
        };
        self.network.apart.cut(it.node, way);
        self.band(Lane::Node(it.node), story, wait);
        self.at(wait, Event::Reaches(it.node, way));
        Some(format!("{story} for {wait}"))
    }

    pub(super) fn clogs(&mut self, it: &Mishap) -> Option<String> {
        let length = self.how_long(it, Span::from_millis(10), Span::from_millis(1_000));
        let way = it.way(&mut self.draws);
        self.home_of(it.node)?;
        reached!(self, "fault: a link is clogged");
        self.network.clogs.begin(it.node, way);
        self.band(Lane::Node(it.node), "clogged", length);
        self.at(length, Event::Unclog(it.node, way));
        Some(format!("has its link clogged ({way:?}) for {length}"))
    }

    pub(super) fn parts(&mut self, it: &Mishap) -> Option<String> {
        let wait = self.within_two_leases(it, Span::from_millis(50));
        let shape = it.shape.as_ref()?;
        reached!(self, "fault: partition");
        self.network.apart.part(shape);
        for node in (0..self.nodes.len()).filter(|node| shape.has(*node)) {
            self.band(Lane::Node(node), "parted", wait);
        }
        self.at(wait, Event::Reunite);
        Some(format!("and others are parted: {shape}"))
    }

    pub(super) fn elects(&mut self, it: &Mishap) -> Option<String> {
        let length = self.how_long(it, Span::from_secs(4), Span::from_secs(8));
        reached!(self, "fault: election");
        self.wire.electing_until = self.now + length.as_nanos();
        self.band(Lane::Store, "election", length);
        Some(format!("sees the servers elect for {length}"))
    }

    pub(super) fn changes_leader(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.some_stream(it);
        reached!(self, "fault: leader change");
        self.store.drop_proposals_of(&stream);
        Some(format!("sees another leader of {stream}"))
    }

    pub(super) fn loses_tail(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.some_stream(it);
        reached!(self, "fault: lost tail");
        let before: Vec<Message> = self.store.messages(&stream).cloned().collect();
        let story = self.lose(it, &stream, 12);
        let last = self.store.last(&stream);
        self.written.cut(&stream, last);
        let lost = before.iter().filter(|message| message.sequence > last);
        self.voids.lost(&self.namespace, lost, self.now);
        Some(story)
    }

    pub(super) fn loses_members(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.namespace.member_stream().as_str().to_owned();
        reached!(self, "fault: the membership stream loses its tail");
        Some(self.lose(it, &stream, 40))
    }

    pub(super) fn loses_bodies(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.namespace.snapshot_stream();
        let lost = it.lost(&mut self.draws, 6);
        reached!(self, "fault: lost bodies");
        let keep_up_to = Sequence(self.store.last(&stream).0.saturating_sub(lost));
        self.store.lose_tail(&stream, keep_up_to);
        Some(format!("sees {stream} end at {keep_up_to:?}"))
    }

    /// Somebody with raw rights deletes the latest ownership record of some shard (P2's condition).
    pub(super) fn loses_record(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.some_stream(it);
        let latest = ownership_records(&self.namespace, self.store.messages(&stream));
        let (what, rows) = it.rows;
        let index = self.draws.below(what, rows | 5, latest.len() as u64);
        let (subject, sequence) = latest.into_iter().nth(usize::try_from(index).ok()?)?;
        reached!(self, "fault: an ownership record is deleted");
        // What was stored until then is judged as of then.
        if let Err(violation) = self.log() {
            self.broken.get_or_insert(violation);
        }
        self.store.delete(&stream, sequence);
        self.voids.deleted(&subject, self.now);
        Some(format!("sees {subject} at {sequence:?} deleted"))
    }

    pub(super) fn sets_wall(&mut self, it: &Mishap) -> Option<String> {
        let ahead_ms = it.ahead_ms(&mut self.draws);
        reached!(self, "fault: a wall clock is set");
        self.nodes[it.node].skew_ms = ahead_ms;
        Some(format!("has its wall clock set {ahead_ms} ms ahead"))
    }

    pub(super) fn sets_store_wall(&mut self, it: &Mishap) -> Option<String> {
        let ahead_ms = it.ahead_ms(&mut self.draws);
        reached!(self, "fault: the store's wall clock is set");
        self.store_skew_ms = ahead_ms;
        Some(format!("sees the store's wall clock {ahead_ms} ms ahead"))
    }

    pub(super) fn clock_jumps(&mut self, it: &Mishap) -> Option<String> {
        let by = self.within_two_leases(it, Span::from_millis(10));
        self.home_of(it.node)?;
        reached!(self, "fault: a clock jumps");
        let now = self.now;
        self.nodes[it.node].clock.jump(now, by);
        Some(format!("has its clock jump by {by}"))
    }

    pub(super) fn clock_stops(&mut self, it: &Mishap) -> Option<String> {
        let length = self.within_two_leases(it, Span::from_millis(10));
        let home = self.home_of(it.node)?;
        reached!(self, "fault: a clock stands still");
        let now = self.now;
        self.nodes[it.node].clock.freeze(now, true);
        self.band(Lane::Node(it.node), "clock stands still", length);
        self.at(length, Event::Thaw(home));
        Some(format!("has its clock stand still for {length}"))
    }

    pub(super) fn is_drained(&mut self, it: &Mishap) -> Option<String> {
        let wait = self.how_long(it, Span::from_millis(200), Span::from_millis(3_000));
        let home = self.home_of(it.node)?;
        let tenure = self.nodes[it.node].tenure.clone()?;
        reached!(self, "fault: a node is drained");
        let world = self.world.clone();
        self.spawn(
            home,
            Box::pin(async move {
                tenure.stop().await;
                drop(tenure);
                if let Some(world) = world.upgrade() {
                    let mut state = world.state();
                    if state.lives(home) {
                        state.dies(home.node);
                        state.at(wait, Event::Boot(home.node));
                    }
                }
            }),
        );
        Some("is stopped".into())
    }

    pub(super) fn forgets_consumers(&mut self, it: &Mishap) -> Option<String> {
        let stream = self.some_stream(it);
        let now = self.store_wall();
        self.store.consumers(now, &stream).next()?;
        reached!(self, "fault: consumers are forgotten");
        self.store.forget_consumers_of(&stream);
        Some(format!("sees the consumers of {stream} forgotten"))
    }

    /// A fault that lasts, for the picture of a run.
    fn band(&mut self, lane: Lane, label: &str, length: Span) {
        let until = self.now + length.as_nanos();
        self.trace.lasts(lane, label, self.now, until);
    }

    fn how_long(&mut self, it: &Mishap, least: Span, most: Span) -> Span {
        it.length(&mut self.draws, least, most)
    }

    fn within_two_leases(&mut self, it: &Mishap, least: Span) -> Span {
        let most = self.plan.terms.ttl.saturating_mul(2);
        self.how_long(it, least, most)
    }

    fn some_stream(&mut self, it: &Mishap) -> String {
        let stream = it.stream(&mut self.draws, self.plan.streams);
        let stream = self.namespace.event_stream(Partition(stream));
        stream.as_str().to_owned()
    }

    /// A stream comes back without its end: every link goes down before and up after (S13).
    fn lose(&mut self, it: &Mishap, stream: &str, lost_max: u64) -> String {
        let (what, rows) = it.rows;
        let lost = it.lost(&mut self.draws, lost_max);
        let keep_up_to = Sequence(self.store.last(stream).0.saturating_sub(lost).max(1));
        let homes: Vec<Home> = (0..self.nodes.len())
            .filter_map(|node| self.home_of(node))
            .collect();
        for home in &homes {
            self.unlink(*home);
        }
        self.drop_flights();
        self.store.lose_tail(stream, keep_up_to);
        for home in homes {
            let (least, most) = (Span::from_millis(1), Span::from_millis(50));
            let wait = self.draws.span(what, rows | 6, least, most);
            self.at(wait, Event::LinkUp(home));
        }
        format!("sees {stream} end at {keep_up_to:?}")
    }
}
