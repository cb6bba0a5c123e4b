//! What is known of one target, and which requests for it are on their way or wait.

use super::Target;
use super::list::List;
use crate::id::{Incarnation, Ticket};
use crate::places::Places;
use crate::shard::{Place, Row};
use crate::step::{Span, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// All targets, found in constant time where they are places.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    places: Places<Way>,
    nodes: BTreeMap<Incarnation, Way>,
    none: Way,
}

/// One target.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// Who owns it, as the table says.
    pub(super) row: Option<Row>,
    /// Who owns it, as a former owner said: newer than the table.
    pub(super) learned: Option<Row>,
    /// Since when nobody has been known who owns it and says so.
    pub(super) ownerless: Option<Time>,
    /// Nothing is sent before then: who should own it said that it does not.
    pub(super) retry_at: Option<Time>,
    /// How often in a row that was said.
    pub(super) denials: u32,
    /// Who is asked said last that it does not own it, and named nobody newer: one request at a time
    /// finds out whether that is so still.
    pub(super) doubted: bool,
    /// That one.
    pub(super) probe: Option<u32>,
    /// The requests that are on their way.
    pub(super) sent: List,
    /// To whom requests go; `None` when that is to be found out anew.
    pub(super) to: Option<Incarnation>,
    /// Rises with each change of that.
    pub(super) turn: u32,
    /// The requests that wait, in the order of their tickets.
    pub(super) queue: BTreeMap<Ticket, u32>,
    /// What is still on its way to a former owner, and what waits for that.
    pub(super) behind: Option<Box<Behind>>,
    /// When something of this is over.
    pub(super) alarm: Option<Time>,
}

/// Requests that are on their way to a former owner, and those that wait behind them (R4).
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// Of each key, how many are on their way there.
    pub(super) sent: BTreeMap<u64, u32>,
    /// What waits behind them.
    pub(super) held: BTreeMap<(u64, Ticket), u32>,
    /// When that ends in any case.
    pub(super) until: Time,
}

impl Ways {
    pub(super) fn of(&self, target: Target) -> &Way {
        let found = match target {
            Target::Place(place) => self.places.get(place),
            Target::Node(node) => self.nodes.get(&node),
        };
        found.unwrap_or(&self.none)
    }

    pub(super) fn of_mut(&mut self, target: Target) -> &mut Way {
        match target {
            Target::Place(place) => self.places.get_or_insert_with(place, Way::default),
            Target::Node(node) => self.nodes.entry(node).or_default(),
        }
    }

    /// Forgets a node for which nothing is under way.
    pub(super) fn forget(&mut self, target: Target) {
        if let Target::Node(node) = target
            && self.nodes.get(&node).is_some_and(Way::is_idle)
        {
            self.nodes.remove(&node);
        }
    }

    /// All places that there has been something to know of.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.places.keys()
    }
}

impl Way {
    /// Who owns it, as far as is known: the newer of what the table and a former owner said. What was said
    /// counts while the run that it names is there: an epoch that was lost with the end of its stream may be
    /// later than all that come after it.
    pub(super) fn owner(&self, is_there: impl Fn(Incarnation) -> bool) -> Option<Row> {
        match (self.row, self.learned) {
            (Some(row), Some(learned))
                if learned.epoch.sequence > row.epoch.sequence && is_there(learned.owner) =>
            {
                Some(learned)
            }
            (Some(row), _) => Some(row),
            (None, learned) => learned,
        }
    }

    /// Whether nothing is on its way and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_empty() && !self.has_waiting()
    }

    /// Whether a request waits.
    pub(super) fn has_waiting(&self) -> bool {
        let held = self.behind.as_ref().is_some_and(|b| !b.held.is_empty());
        held || !self.queue.is_empty()
    }

    /// The slots of what waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u32> {
        let held = self.behind.iter().flat_map(|behind| behind.held.values());
        self.queue.values().chain(held).copied()
    }

    /// Whether a request of a key has to wait for one that is on its way to a former owner.
    pub(super) fn is_behind(&self, key: u64) -> bool {
        let behind = self.behind.as_ref();
        behind.is_some_and(|behind| behind.sent.contains_key(&key))
    }

    /// Whether nothing is sent for now.
    pub(super) fn is_parked(&self, now: Time) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    /// Whether one request is asking whether another node takes any, and the others wait for it.
    pub(super) fn is_probed(&self) -> bool {
        self.doubted && self.probe.is_some()
    }

    /// The table says another owner than before, or none.
    pub(super) fn changed(&mut self, row: Option<Row>) {
        self.row = row;
        self.forget_denials();
        if self.owner(|_| true) == row {
            self.learned = None;
        }
    }

    /// Who was asked owns it, or another one is known who does.
    pub(super) fn forget_denials(&mut self) {
        (self.ownerless, self.retry_at, self.denials) = (None, None, 0);
        (self.doubted, self.probe) = (false, None);
    }

    /// Who should own it said that it does not, and named perhaps another one. `known`: who owns it as far as
    /// was known.
    pub(super) fn denied(
        &mut self,
        by: Incarnation,
        named: Option<Row>,
        now: Time,
        (min, max): (Span, Span),
        known: Option<Row>,
    ) {
        let newer = |named: &Row| {
            let known = known.map(|known| known.epoch.sequence);
            named.owner != by && known.is_none_or(|known| named.epoch.sequence > known)
        };
        if let Some(named) = named.filter(newer) {
            self.learned = Some(named);
            // The first time the one that was named is asked at once.
            self.ownerless = None;
            (self.doubted, self.probe) = (self.denials > 0, None);
            if self.denials > 0 {
                self.wait(now, (min, max));
            }
            self.denials += 1;
            return;
        }
        let asked = known.is_some_and(|known| known.owner == by);
        if !asked || self.is_parked(now) {
            return;
        }
        if self.learned == known {
            self.learned = None;
        }
        self.ownerless.get_or_insert(now);
        self.to = None;
        self.doubted = true;
        self.wait(now, (min, max));
        self.denials += 1;
    }

    fn wait(&mut self, now: Time, (min, max): (Span, Span)) {
        let delay = min.saturating_mul(1 << self.denials.min(20)).min(max);
        self.retry_at = Some(now + delay);
    }

    /// What is held goes back to what waits; nothing is behind anything any more.
    pub(super) fn release_all(&mut self) {
        if let Some(behind) = self.behind.take() {
            let held = behind.held.into_iter();
            self.queue
                .extend(held.map(|((_, ticket), slot)| (ticket, slot)));
        }
    }

    /// One request of a key is no longer on its way to a former owner. Whether others may go now.
    pub(super) fn one_less(&mut self, key: u64) -> bool {
        let Some(behind) = &mut self.behind else {
            return false;
        };
        let Some(count) = behind.sent.get_mut(&key) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        behind.sent.remove(&key);
        if behind.sent.is_empty() {
            self.release_all();
            return true;
        }
        let mut rest = behind.held.split_off(&(key, Ticket(0)));
        if let Some(above) = key.checked_add(1) {
            behind.held.append(&mut rest.split_off(&(above, Ticket(0))));
        }
        let released = !rest.is_empty();
        self.queue
            .extend(rest.into_iter().map(|((_, ticket), slot)| (ticket, slot)));
        released
    }
}
