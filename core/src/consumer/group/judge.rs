//! Who runs which partition, and when: the rules of S14 to S17 (Q1, Q2, Q4, Q5).

use super::machine::{Group, Job, Phase};
use super::spot::{Hold, Spot};
use super::{Effect, Notice};
use crate::id::{GroupPart, Incarnation, Sequence};
use crate::node::{Peer, PeerState, Standing, View};
use crate::shard::ShardMap;
use crate::step::{Cx, Effects, Span, Time};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is to be done about a partition.
enum Verdict {
    /// Nothing, until something changes.
    Rest,
    /// Nothing before then.
    Wait(Time),
    /// Its owner is unknown: the members are listed first.
    Stranger,
    Claim,
    /// Its record names this run, which does not run it and is not to.
    Release,
    /// Let its consumer end, and hand it over.
    End,
}

impl Group {
    /// Whether a node takes partitions.
    pub(super) fn may_run(&self, peer: &Peer) -> bool {
        let me = peer.incarnation == self.config.incarnation;
        peer.about.groups.contains(&self.config.definition.name)
            && peer.state == PeerState::Up
            && peer.standing == Standing::Living
            && !(me && self.is_leaving())
    }

    pub(super) fn see(&mut self, cx: &mut Cx<'_>, view: Arc<View>) {
        let changed = self.view.revision != view.revision;
        self.view = view;
        let mine = self.view.peers.get(&self.config.node);
        let mine = mine.is_some_and(|peer| {
            let groups = &peer.about.groups;
            peer.incarnation == self.config.incarnation
                && groups.contains(&self.config.definition.name)
        });
        match (mine, self.claims_from) {
            (true, None) => self.claims_from = Some(self.settled(cx)),
            (false, Some(_)) => (self.claims_from, self.moves_from) = (None, None),
            (true, Some(_)) | (false, None) => {}
        }
        self.count_candidates(cx);
        if changed {
            self.doubt();
        }
    }

    /// Who takes partitions; a change of it has to settle before anything is moved (Q5).
    pub(super) fn count_candidates(&mut self, cx: &mut Cx<'_>) {
        let peers = self.view.peers.iter();
        let peers = peers.filter(|(_, peer)| self.may_run(peer));
        let candidates = ShardMap::new(peers.map(|(name, peer)| (name.clone(), peer.about.weight)));
        if candidates == self.candidates {
            return;
        }
        self.candidates = candidates;
        let name = &self.config.definition.name;
        for (part, spot) in (0_u16..).zip(&mut self.spots) {
            spot.best = self
                .candidates
                .owner_of(&key_of(name.as_str(), part))
                .cloned();
        }
        if self.claims_from.is_some() {
            self.moves_from = Some(self.settled(cx));
        }
    }

    /// When what changed now has settled; nodes that saw the same change do not all act at once.
    fn settled(&mut self, cx: &Cx<'_>) -> Time {
        let settle = self.limits.settle;
        let jitter = self.draw(cx, Span::from_nanos(settle.as_nanos() / 4));
        cx.now + settle + jitter
    }

    pub(super) fn hold_until(
        &mut self,
        cx: &mut Cx<'_>,
        lease: Option<Time>,
        out: &mut Effects<Effect>,
    ) {
        let had = self.lease.is_some();
        match lease.filter(|end| cx.now < *end) {
            Some(end) => {
                self.lease = Some(end);
                if !had {
                    // What happened meanwhile is to be seen before anything is taken up again.
                    self.doubt();
                }
            }
            None => self.lapse(out),
        }
    }

    /// The lease is over: nothing acts any more, from this step on (Q1).
    pub(super) fn lapse(&mut self, out: &mut Effects<Effect>) {
        self.lease = None;
        let parts = self.drop_all(out);
        if parts > 0 {
            out.push(Effect::Notice(Notice::LeaseOver { parts }));
        }
    }

    /// The node is another run from now on, and owns nothing of what the former one had.
    pub(super) fn become_run(&mut self, run: Incarnation, out: &mut Effects<Effect>) {
        self.lapse(out);
        self.config.incarnation = run;
        for spot in &mut self.spots {
            // What is stored late names a run that is over.
            spot.late = None;
        }
        (self.claims_from, self.moves_from) = (None, None);
        self.doubt();
    }

    /// Has nothing act any more. A claim or a release of unknown end shows itself in the record, when
    /// there is a lease again, or to the others.
    pub(super) fn drop_all(&mut self, out: &mut Effects<Effect>) -> usize {
        let mut dropped = 0;
        for (part, spot) in (0_u16..).zip(&mut self.spots) {
            let part = GroupPart(part);
            match &mut spot.hold {
                Hold::No | Hold::Ending { release: false } => continue,
                Hold::Held(_) | Hold::Ending { release: true } => {
                    dropped += 1;
                    spot.hold = Hold::Ending { release: false };
                    out.push(Effect::Drop { part });
                }
                Hold::Claiming(pending) => {
                    let over = pending.over;
                    spot.leave_late(over);
                    spot.hold = Hold::No;
                    self.asks.abandon(Job::Write(part));
                }
                Hold::Settling | Hold::Releasing(_) => {
                    spot.hold = Hold::No;
                    self.asks.abandon(Job::Write(part));
                }
            }
        }
        dropped
    }

    /// Does what is to be done about each partition.
    pub(super) fn act(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if !self.may_read() {
            return;
        }
        let parts = 0..self.config.partitions;
        let verdicts = parts.zip(&self.spots);
        let verdicts = verdicts.map(|(part, spot)| (GroupPart(part), self.judge(cx.now, spot)));
        let verdicts: Vec<_> = verdicts.collect();
        let listed = self.view.listed;
        for (part, verdict) in verdicts {
            match verdict {
                Verdict::Rest => {}
                Verdict::Wait(until) => self.wake_at(until),
                Verdict::Stranger => {
                    self.stranger = true;
                    let known = self.spot(part).and_then(|spot| spot.known.as_mut());
                    if let Some(known) = known {
                        known.met = Some(listed);
                    }
                }
                Verdict::Claim => self.claim(cx, part, out),
                Verdict::Release => self.release(cx, part, out),
                Verdict::End => self.let_end(cx, part, out),
            }
        }
    }

    fn let_end(&mut self, cx: &mut Cx<'_>, part: GroupPart, out: &mut Effects<Effect>) {
        let patience = cx.now + self.limits.hand_over_patience;
        let until = match self.phase {
            Phase::Leaving { until, .. } => until,
            Phase::Waiting | Phase::Naming | Phase::Running | Phase::Over | Phase::Halted => {
                patience
            }
        };
        let Some(spot) = self.spot(part) else { return };
        spot.hold = Hold::Ending { release: true };
        let to = spot.best.clone();
        out.push(Effect::End { part, until });
        out.push(Effect::Notice(Notice::HandingOver { part, to }));
    }

    fn judge(&self, now: Time, spot: &Spot) -> Verdict {
        if self.lease.is_none() {
            return Verdict::Rest;
        }
        match &spot.hold {
            Hold::Held(_) => self.judge_held(now, spot),
            Hold::Claiming(_) | Hold::Ending { .. } | Hold::Releasing(_) => Verdict::Rest,
            // Its record is read first.
            Hold::Settling if self.stale => Verdict::Rest,
            Hold::Settling => Verdict::Release,
            Hold::No if self.stale || spot.unreadable => Verdict::Rest,
            Hold::No => {
                let verdict = self.judge_free(now, spot);
                // In which life of the group it would be is not known.
                let blind = self.orders.unreadable && matches!(verdict, Verdict::Claim);
                if blind { Verdict::Rest } else { verdict }
            }
        }
    }

    fn judge_held(&self, now: Time, spot: &Spot) -> Verdict {
        if self.is_leaving() || !self.is_candidate() {
            return Verdict::End;
        }
        if spot
            .known
            .as_ref()
            .is_some_and(|known| known.record.generation < self.life())
        {
            // The group was rewound: the claim that follows begins its next life here (Q7).
            return Verdict::End;
        }
        match (&spot.best, self.moves_from) {
            (Some(best), Some(from)) if *best != self.config.node => {
                // Nodes that see different candidates pass a partition on no faster than that.
                let from = from.max(spot.taken + self.limits.settle);
                match from > now {
                    true => Verdict::Wait(from),
                    false => Verdict::End,
                }
            }
            (Some(_) | None, Some(_) | None) => Verdict::Rest,
        }
    }

    /// Whether this node takes partitions, as it says itself.
    pub(super) fn is_candidate(&self) -> bool {
        let mine = self.view.peers.get(&self.config.node);
        // One that the view lacks for a moment has its lease, and keeps what it has.
        mine.is_none_or(|peer| peer.state == PeerState::Up)
    }

    /// A partition that this node does not run: may it be claimed?
    fn judge_free(&self, now: Time, spot: &Spot) -> Verdict {
        let owner = spot.owner();
        let mine = spot.best.as_ref() == Some(&self.config.node) && !self.is_leaving();
        if !mine {
            // What may still be stored over the record that is there is stored now, and released.
            let at = spot.known.as_ref().map_or(Sequence::NONE, |known| known.at);
            let late = self.is_leaving() && spot.is_late(at);
            return match (owner == Some(self.config.incarnation), late) {
                (true, _) => Verdict::Release,
                (false, true) => Verdict::Claim,
                (false, false) => Verdict::Rest,
            };
        }
        match self.claims_from {
            None => return Verdict::Rest,
            Some(from) if from > now => return Verdict::Wait(from),
            Some(_) => {}
        }
        let Some(known) = &spot.known else {
            return match spot.was_there {
                true => Verdict::Rest,
                false => Verdict::Claim,
            };
        };
        match owner {
            None => Verdict::Claim,
            Some(owner) if owner == self.config.incarnation => Verdict::Claim,
            Some(owner) => match self.view.standing(owner) {
                Some(Standing::Living | Standing::Hinted) => Verdict::Rest,
                Some(Standing::Over) => Verdict::Claim,
                None => match known.met {
                    None => Verdict::Stranger,
                    // Two lists later one was asked for after it was met, and lacks it.
                    Some(met) if self.view.listed >= met + 2 => Verdict::Claim,
                    Some(_) => Verdict::Rest,
                },
            },
        }
    }
}

/// A partition as it is drawn for: `g`, the group's name, and its number.
pub(super) fn key_of(group: &str, part: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + group.len() + 2);
    key.push(b'g');
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}
