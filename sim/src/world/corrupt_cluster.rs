//! The tests' own test, in clusters: nodes that break their word about leases, owners and callers.

use super::World;
use super::corrupt::Corruption;
use super::event::{Input, Part, Place};
use super::story::{Kind, Lane};
use crate::clock::Clock;
use std::sync::Arc;
use tenure_core::format::TakeOver;
use tenure_core::id::Incarnation;
use tenure_core::log::{self, Refusal, Reply};
use tenure_core::node::{PeerState, Standing, View};
use tenure_core::shard::{self, Order};
use tenure_core::{Probe as _, Span, Time, reached};

/// A clock that runs so much too fast or too slow breaks every lease, in millionths.
const WILD_PPM: i64 = 600_000;

impl World {
    /// The clock of a node that starts.
    pub(super) fn clock_of(&mut self, node: usize) -> Clock {
        let cluster = self.plan.cluster.as_ref();
        let drift_ppm = cluster.map_or(0, |it| it.drift_ppm[node]);
        match self.corruption {
            Some(Corruption::WildClocks) if node.is_multiple_of(2) => {
                Clock::new(self.now, WILD_PPM)
            }
            Some(Corruption::WildClocks) => Clock::new(self.now, -WILD_PPM),
            Some(_) | None => {
                let faults = &self.plan.faults;
                let clock = Clock::start(&mut self.draws, faults, (node, self.now), drift_ppm);
                if clock != Clock::new(self.now, 0) {
                    reached!(self, "fault: a clock drifts");
                }
                clock
            }
        }
    }

    /// What a machine of a corrupted node takes in; `None`: nothing.
    pub(super) fn misheard(&mut self, place: Place, input: Input) -> Option<Input> {
        let after = |deadline: &mut Time| *deadline = *deadline + Span::from_secs(20);
        match (self.corruption, input) {
            (Some(Corruption::EndlessLease), Input::Log(log::Input::Lease(Some(_)))) => {
                let never = Time::from_nanos(u64::MAX / 4);
                Some(log::Input::Lease(Some(never)).into())
            }
            (Some(Corruption::EndlessLease), Input::Log(log::Input::Lease(None))) => None,
            (Some(Corruption::EndlessLease), Input::Log(log::Input::Order(Order::Drop)))
                if self.is_leased(place) =>
            {
                None
            }
            (Some(Corruption::HintedLease), Input::Owners(shard::Input::View(view))) => {
                let mut view = View::clone(&view);
                let hinted: Vec<_> = view
                    .peers
                    .iter()
                    .filter(|(_, peer)| peer.standing == Standing::Hinted)
                    .map(|(name, peer)| (name.clone(), peer.incarnation))
                    .collect();
                for (name, run) in hinted {
                    view.peers.remove(&name);
                    view.lingering.insert(run, Standing::Over);
                }
                for standing in view.lingering.values_mut() {
                    *standing = Standing::Over;
                }
                Some(shard::Input::View(Arc::new(view)).into())
            }
            (Some(Corruption::Endless), Input::Log(log::Input::Submit(mut submit))) => {
                after(&mut submit.deadline);
                Some(log::Input::Submit(submit).into())
            }
            (Some(Corruption::Disobedient), Input::Log(log::Input::Order(_))) if self.healed => {
                None
            }
            (Some(Corruption::Heirless), Input::Log(log::Input::Order(Order::Claim { over })))
                if over.is_some() =>
            {
                None
            }
            (_, input) => Some(input),
        }
    }

    fn is_leased(&self, place: Place) -> bool {
        match place.part {
            Part::Log(shard) => self.spot(shard).class == TakeOver::Leased,
            Part::Member | Part::Owners | Part::Router(_) => false,
        }
    }

    /// A log's reply as a corrupted node tells it.
    pub(super) fn misreplied(&self, reply: Reply) -> Reply {
        match (self.corruption, reply) {
            (Some(Corruption::LyingNotOwner), Reply::Committed { version, .. })
                if version.0.is_multiple_of(5) =>
            {
                Reply::Refused(Refusal::NotOwner)
            }
            (_, reply) => reply,
        }
    }

    /// A node that lives and is the owner of a shard by its record, and another that lives.
    fn owner_and_other(&self, shard: usize) -> Option<(Place, Place)> {
        let owner = self.ledger.claims(self.ownership(shard)).last()?.owner?;
        let (node, life) = self.lives.of(owner);
        let part = Part::Log(shard);
        let place = Place { node, life, part };
        let rests = |node: usize| {
            let seats = self.nodes[node].seats.as_ref();
            let stays = seats.is_some_and(|it| !it.draining && it.member.machine.is_member());
            stays && self.nodes[node].running()
        };
        let other = (0..self.nodes.len()).find(|other| *other != node && rests(*other))?;
        let life = self.nodes[other].life;
        let other = Place {
            node: other,
            life,
            part,
        };
        (self.living(place) && rests(node)).then_some((place, other))
    }

    /// A node claims a leased shard from its living owner.
    pub(super) fn usurp(&mut self) -> Option<()> {
        let mut leased = (0..self.plan.shards.len()).rev();
        let shard = leased.find(|shard| self.owner_and_other(*shard).is_some())?;
        let (_, other) = self.owner_and_other(shard)?;
        let claims = self.ledger.claims(self.ownership(shard));
        let over = claims.last()?.epoch.sequence;
        self.tell(Lane::Store, Kind::Fault, || {
            format!("CORRUPTION: {other} takes what another owns")
        });
        self.post_within(other, log::Input::Order(Order::Claim { over }));
        Some(())
    }

    /// A shard is handed over between two nodes that stay.
    pub(super) fn hand_on(&mut self) -> Option<()> {
        let mut shards = 0..self.plan.shards.len();
        let shard = shards.find(|shard| self.owner_and_other(*shard).is_some())?;
        let (owner, other) = self.owner_and_other(shard)?;
        let to: Incarnation = self.nodes[other.node].seats().incarnation;
        let node = self.name_of(other.node);
        let view = self.nodes[owner.node].seats().member.machine.view();
        let known = view.peers.get(&node)?;
        if known.state != PeerState::Up {
            return None;
        }
        self.tell(Lane::Store, Kind::Fault, || {
            format!("CORRUPTION: {owner} hands over to {other}")
        });
        self.post_within(owner, log::Input::Order(Order::HandOver { to, node }));
        Some(())
    }
}
