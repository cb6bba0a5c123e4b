//! The nodes to which requests go, as the view says and as they answer.

use crate::format::FrameVersions;
use crate::id::Incarnation;
use crate::node::{Standing, View};
use crate::step::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    all: BTreeMap<Incarnation, Node>,
    /// The last view's; `None` before there was one.
    revision: Option<u64>,
}

/// One run of a node that is in the view.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// How many lanes it listens on; at least one.
    pub(super) lanes: u16,
    /// Whether there is a version of frames that both speak.
    pub(super) speaks: bool,
    standing: Standing,
    /// How many requests are on their way to it.
    pub(super) in_flight: usize,
    /// Whether somebody waits until fewer are on their way to it.
    pub(super) wanted: bool,
    /// Nothing is sent to it before then.
    quiet_until: Option<Time>,
    /// How long it was left alone last; none since it answered.
    delay: Option<Span>,
    /// Whether nobody listened at its address when it was asked last.
    silent: bool,
}

impl Nodes {
    pub(super) fn of(&self, incarnation: Incarnation) -> Option<&Node> {
        self.all.get(&incarnation)
    }

    pub(super) fn of_mut(&mut self, incarnation: Incarnation) -> Option<&mut Node> {
        self.all.get_mut(&incarnation)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there was a view at all.
    pub(super) fn are_known(&self) -> bool {
        self.revision.is_some()
    }

    /// Takes over a view, unless it is no newer than the last one: the runs that are gone with it.
    pub(super) fn see(&mut self, view: &View) -> Option<Vec<Incarnation>> {
        if self.revision.is_some_and(|last| last >= view.revision) {
            return None;
        }
        self.revision = Some(view.revision);
        let mut before = core::mem::take(&mut self.all);
        for peer in view.peers.values() {
            if peer.standing == Standing::Over {
                continue;
            }
            let fresh = Node {
                lanes: 1,
                speaks: true,
                standing: peer.standing,
                in_flight: 0,
                wanted: false,
                quiet_until: None,
                delay: None,
                silent: false,
            };
            let mut node = before.remove(&peer.incarnation).unwrap_or(fresh);
            node.lanes = peer.about.lanes.max(1);
            node.speaks = FrameVersions::THIS.common(peer.about.frames).is_some();
            if peer.standing == Standing::Living && node.standing != Standing::Living {
                node.quiet_until = None;
            }
            node.standing = peer.standing;
            self.all.insert(peer.incarnation, node);
        }
        Some(before.into_keys().collect())
    }

    /// When the first node that was left alone is to be asked again.
    pub(super) fn next(&self) -> Option<Time> {
        self.all.values().filter_map(|node| node.quiet_until).min()
    }

    /// Ends what has been left alone for long enough; whether something has.
    pub(super) fn wake(&mut self, now: Time) -> bool {
        let mut woken = false;
        for node in self.all.values_mut() {
            if node.quiet_until.is_some_and(|until| until <= now) {
                node.quiet_until = None;
                woken = true;
            }
        }
        woken
    }
}

impl Node {
    /// Whether nothing is sent to it for now.
    pub(super) fn is_quiet(&self, now: Time) -> bool {
        self.quiet_until.is_some_and(|until| until > now)
    }

    /// Leaves it alone for a while, twice as long as last time. `false` when it is already.
    pub(super) fn leave_alone(&mut self, now: Time, (min, max): (Span, Span)) -> bool {
        if self.is_quiet(now) {
            return false;
        }
        let delay = self
            .delay
            .map_or(min, |last| last.saturating_mul(2).min(max));
        self.delay = Some(delay);
        self.quiet_until = Some(now + delay);
        true
    }

    /// Nobody listened at its address.
    pub(super) fn fell_silent(&mut self) {
        self.silent = true;
    }

    /// It answered; whether nobody had listened before.
    pub(super) fn answered(&mut self) -> bool {
        self.delay = None;
        self.quiet_until = None;
        core::mem::take(&mut self.silent)
    }
}
