//! Who may act for a leased place: whoever holds its epoch, and only while its lease lasts (S14, S16).
//! This is what an actor's host would go by, before each turn.

use crate::oracle::{Happened, Seen, Violation};
use crate::world::World;
use crate::world::event::Place;
use std::collections::BTreeMap;
use tenure_core::Time;
use tenure_core::format::{Ownership, TakeOver};
use tenure_core::log::{self, Reply, Work};
use tenure_core::port::{Expect, StoreRequest};
use tenure_core::shard::{Order, Report};

/// What one node's lanes know of what they may do.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct Holds {
    of: BTreeMap<usize, Hold>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hold {
    owned: bool,
    /// Its log was told to let go: a new epoch of it, by a seal, is for what is in flight alone.
    leaving: bool,
    /// Until when the node may act, on its own clock.
    lease: Option<Time>,
}

impl World {
    /// What a log is told of its lease and its epoch, as far as it concerns who acts beside it.
    pub(in crate::world) fn holds_by_input(
        &mut self,
        place: Place,
        shard: usize,
        input: &log::Input,
    ) -> Result<(), Violation> {
        match input {
            log::Input::Lease(lease) => {
                let lease = *lease;
                self.change_hold(place, shard, |hold| hold.lease = lease)
            }
            // Whoever acts is stopped before the log is told to let go.
            log::Input::Order(Order::HandOver { .. } | Order::Release | Order::Drop)
            | log::Input::Run(_) => self.change_hold(place, shard, |hold| {
                (hold.owned, hold.leaving) = (false, true);
            }),
            log::Input::Order(Order::Claim { .. } | Order::Adopt(_)) => {
                self.change_hold(place, shard, |hold| hold.leaving = false)
            }
            log::Input::Tick
            | log::Input::Up(_)
            | log::Input::Down
            | log::Input::Kind(_)
            | log::Input::Claim
            | log::Input::Evict
            | log::Input::Wall(_)
            | log::Input::Dispatched { .. }
            | log::Input::Failed(_)
            | log::Input::Submit(_)
            | log::Input::Read(_)
            | log::Input::Ran { .. }
            | log::Input::Stored { .. } => Ok(()),
        }
    }

    pub(super) fn holds_by_report(
        &mut self,
        place: Place,
        shard: usize,
        report: &Report,
    ) -> Result<(), Violation> {
        let owned = match report {
            Report::Owned(_) => true,
            Report::HandedOver { .. }
            | Report::Released { .. }
            | Report::Lost { .. }
            | Report::Rival { .. }
            | Report::Kept { .. }
            | Report::Failed { .. } => false,
        };
        self.change_hold(place, shard, |hold| hold.owned = owned && !hold.leaving)
    }

    /// What a log answers readers by its lease, as far as it concerns who acts beside it.
    pub(in crate::world) fn answers_by_effect(
        &mut self,
        place: Place,
        shard: usize,
        effect: &log::Effect,
    ) -> Result<(), Violation> {
        if self.nodes[place.node].seats.is_none() || self.spot(shard).class != TakeOver::Leased {
            return Ok(());
        }
        let node = (place.node, place.life);
        if let log::Effect::Run {
            work: Work::Answer { tickets, .. },
            ..
        } = effect
        {
            return self.judge(Seen::Cluster(Happened::Answers {
                shard,
                node,
                at: self.now,
                readers: tickets,
            }));
        }
        let log::Effect::Reply {
            ticket,
            reply: Reply::Read { freshness, .. },
        } = effect
        else {
            return Ok(());
        };
        self.judge(Seen::Cluster(Happened::Answered {
            node,
            reader: *ticket,
            freshness: *freshness,
        }))
    }

    /// A log that ends its ownership does so with a record that names another run, or none.
    pub(in crate::world) fn departs_by_effect(
        &mut self,
        place: Place,
        shard: usize,
        effect: &log::Effect,
    ) -> Result<(), Violation> {
        let node = &self.nodes[place.node];
        if node.seats.is_none() {
            return Ok(());
        }
        let log::Effect::Store {
            request: StoreRequest::Publish(publish),
            ..
        } = effect
        else {
            return Ok(());
        };
        // That of the log, which hears later than its node that it is another one.
        let run = node.shards[shard].seat.machine.config().incarnation;
        let subject = self.ownership(shard);
        let Expect::OwnLast(over) = publish.expect else {
            return Ok(());
        };
        if publish.subject != *subject {
            return Ok(());
        }
        let record = Ownership::decode(&publish.payload);
        if record.is_ok_and(|record| record.owner == Some(run)) {
            return Ok(());
        }
        let claims = self.ledger.claims(subject).to_vec();
        self.judge(Seen::Cluster(Happened::Departs {
            shard,
            run,
            over,
            claims: &claims,
        }))
    }

    fn change_hold(
        &mut self,
        place: Place,
        shard: usize,
        change: impl FnOnce(&mut Hold),
    ) -> Result<(), Violation> {
        if self.spot(shard).class != TakeOver::Leased {
            return Ok(());
        }
        let node = &mut self.nodes[place.node];
        let clock = node.clock;
        let hold = node.seats_mut().holds.of.entry(shard).or_default();
        change(hold);
        let until = match (hold.owned, hold.lease) {
            (true, Some(lease)) => clock.when(lease),
            (true, None) | (false, _) => None,
        };
        self.may_act(place, shard, until);
        self.judge(Seen::Cluster(Happened::Acts {
            shard,
            node: (place.node, place.life),
            at: self.now,
            until,
        }))
    }
}
