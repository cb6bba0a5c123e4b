//! Who acts on a place, and how: the rules of S14, S15 and S17, place by place.

use super::owners::{Owners, Turn};
use super::spot::{Hold, Spot};
use super::{Note, Order, Place};
use crate::format::TakeOver;
use crate::id::{Incarnation, Sequence};
use crate::node::{Peer, Standing};
use crate::sometimes;
use crate::step::Time;

/// What is to be done about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Verdict {
    /// Nothing, until something changes.
    Rest,
    /// Nothing before then.
    Wait(Time),
    /// Its owner is unknown: the members are listed first.
    Stranger,
    Claim {
        over: Sequence,
        from: Option<Incarnation>,
        hint: bool,
    },
    Adopt,
    /// Hand over, or release when there is nobody.
    Leave,
    Drop,
}

impl Owners {
    /// Whether a node may own shards of a class now.
    pub(super) fn may_own(&self, peer: &Peer, class: TakeOver) -> bool {
        let leaving = self.draining && peer.incarnation == self.config.incarnation;
        peer.may_own(class) && !leaving
    }

    /// Orders what is to be done, as far as the limits allow.
    pub(super) fn act(&mut self, t: &mut Turn<'_, '_>) {
        let count = |hold: fn(&Hold) -> bool| {
            let spots = self.spots.values();
            spots.filter(|spot| hold(&spot.hold)).count()
        };
        let mut taking = count(|hold| matches!(hold, Hold::Taking));
        let mut leaving = count(|hold| matches!(hold, Hold::Leaving));
        let listed = self.view.listed;
        let mut spots = core::mem::take(&mut self.spots);
        for (place, spot) in &mut spots {
            let place = *place;
            match self.judge(t.cx.now, place, spot) {
                Verdict::Rest => {}
                Verdict::Wait(until) => self.wake_at(until),
                Verdict::Stranger => {
                    if let Some(record) = &mut spot.record {
                        record.met = Some(listed);
                    }
                    self.stranger = true;
                }
                Verdict::Claim { .. } | Verdict::Adopt if taking >= self.limits.claims_max => {
                    sometimes!(t.cx, true, "owners: a claim waits for others to end");
                }
                Verdict::Claim { over, from, hint } => {
                    taking += 1;
                    spot.hold = Hold::Taking;
                    t.order(place, Order::Claim { over });
                    if let Some(from) = from {
                        t.note(Note::TakingOver { place, from, hint });
                    }
                }
                Verdict::Adopt => {
                    let Some(record) = spot.record else { continue };
                    taking += 1;
                    spot.hold = Hold::Taking;
                    t.order(place, Order::Adopt(record.epoch()));
                    t.note(Note::Adopted { place });
                }
                Verdict::Leave if leaving >= self.limits.hand_overs_max => {
                    sometimes!(t.cx, true, "owners: a hand-over waits for others to end");
                }
                Verdict::Leave => {
                    leaving += 1;
                    spot.hold = Hold::Leaving;
                    self.moved = true;
                    self.order_leave(t, place, spot);
                }
                Verdict::Drop => {
                    spot.gone = false;
                    spot.hold = Hold::Dropping;
                    self.moved = true;
                    t.order(place, Order::Drop);
                }
            }
        }
        self.spots = spots;
    }

    fn order_leave(&self, t: &mut Turn<'_, '_>, place: Place, spot: &Spot) {
        let best = spot.best.as_ref();
        let peer = best.and_then(|name| self.view.peers.get_key_value(name));
        match peer {
            None => t.order(place, Order::Release),
            Some((name, peer)) => {
                let to = peer.incarnation;
                let node = name.clone();
                t.order(place, Order::HandOver { to, node });
                t.note(Note::HandingOver { place, to });
            }
        }
    }

    fn judge(&self, now: Time, place: Place, spot: &Spot) -> Verdict {
        let me = self.config.incarnation;
        let named = spot.record.and_then(|record| record.owner);
        if let (Hold::Held(epoch), Some(record)) = (spot.hold, spot.record)
            && record.sequence >= epoch.sequence
            && record.epoch() != epoch
        {
            // What the log's own seal made is reported in a moment. What is not came back from another
            // owner, of whom nothing was heard.
            let reported_by = spot.changed + self.limits.settle;
            if named == Some(me) && now < reported_by {
                return Verdict::Wait(reported_by);
            }
            // A change notice: nothing is answered from this epoch any more (S17).
            return Verdict::Drop;
        }
        if spot.gone && matches!(spot.hold, Hold::Held(_)) {
            return Verdict::Drop;
        }
        let (Some(claims_from), true, true) = (self.claims_from, self.up, self.lease.is_some())
        else {
            return Verdict::Rest;
        };
        match spot.hold {
            _ if self.abandoning => Verdict::Rest,
            Hold::Taking | Hold::Leaving | Hold::Dropping => Verdict::Rest,
            Hold::Held(_) => self.judge_held(now, spot),
            Hold::No if !spot.is_sure() => Verdict::Rest,
            Hold::No if spot.not_before > now => Verdict::Wait(spot.not_before),
            // It is adopted even by a node that is leaving, which then hands it on.
            Hold::No if named == Some(me) => Verdict::Adopt,
            Hold::No if spot.best.as_ref() != Some(&self.config.name) => Verdict::Rest,
            Hold::No => {
                let verdict = self.judge_free(place, spot);
                let claims = matches!(verdict, Verdict::Claim { .. });
                if claims && claims_from > now {
                    return Verdict::Wait(claims_from);
                }
                verdict
            }
        }
    }

    /// A place that this node owns: planned hand-overs are its own alone (H11).
    fn judge_held(&self, now: Time, spot: &Spot) -> Verdict {
        let wanted = self.wants_to_leave(now, spot);
        if wanted == Verdict::Leave && spot.leave_from > now {
            return Verdict::Wait(spot.leave_from);
        }
        wanted
    }

    fn wants_to_leave(&self, now: Time, spot: &Spot) -> Verdict {
        if self.draining {
            return Verdict::Leave;
        }
        match (&spot.best, self.moves_from) {
            (Some(best), Some(from)) if *best != self.config.name => {
                // Nodes that see different candidates pass a shard on no faster than that.
                let from = from.max(spot.taken + self.limits.settle);
                if from > now {
                    Verdict::Wait(from)
                } else {
                    Verdict::Leave
                }
            }
            (Some(_) | None, Some(_) | None) => Verdict::Rest,
        }
    }

    /// A place that is this node's by the map: may it be claimed?
    fn judge_free(&self, place: Place, spot: &Spot) -> Verdict {
        let Some(record) = spot.record else {
            let (over, from, hint) = (Sequence::NONE, None, false);
            return Verdict::Claim { over, from, hint };
        };
        let claim = |hint| Verdict::Claim {
            over: record.sequence,
            from: record.owner,
            hint,
        };
        let Some(owner) = record.owner else {
            return claim(false);
        };
        match (self.view.standing(owner), place.class) {
            (Some(Standing::Living), _) => Verdict::Rest,
            (Some(Standing::Hinted), TakeOver::Fenced) => {
                // A record that came after the hint tells that its owner was there then: else two that
                // look gone to each other would take a shard from each other for ever.
                let hinted = self.hinted.get(&owner).copied();
                match (record.fresh, hinted) {
                    (Some(fresh), Some(hinted)) if fresh >= hinted => Verdict::Rest,
                    (Some(_) | None, Some(_) | None) => claim(true),
                }
            }
            (Some(Standing::Hinted), TakeOver::Leased) => Verdict::Rest,
            (Some(Standing::Over), _) => claim(false),
            (None, _) => match record.met {
                None => Verdict::Stranger,
                // Two lists later one was asked for after it was met, and lacks it.
                Some(met) if self.view.listed >= met + 2 => claim(false),
                Some(_) => Verdict::Rest,
            },
        }
    }
}
