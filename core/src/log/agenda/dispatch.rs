//! Messages of commits, from their acknowledgement until they are done (G3).

use super::fire::hash128;
use super::{Stage, backed_off};
use crate::format::{Commit, Intent, IntentPlace, LayoutKey};
use crate::id::{CommandId, OpId, Sequence};
use crate::log::shard::{Shard, Turn};
use crate::log::{Delivery, Dispatch, Effect, Note};
use crate::name::KindName;
use crate::reached;

impl Shard {
    /// Sends what may be sent.
    pub(super) fn dispatch_ready(&mut self, t: &mut Turn<'_, '_>) {
        let most = self.limits.dispatches_max;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        agenda.intents.wake(t.cx.now);
        while let Some(agenda) = &mut self.agenda
            && agenda.intents.flying() < most
            && let Some((place, dispatch)) = agenda.intents.next_ready()
        {
            let op = self.new_op();
            if let Some(agenda) = &mut self.agenda {
                agenda.intents.fly(op, place);
            }
            t.out.push(Effect::Dispatch { op, dispatch });
        }
    }

    /// A message came to an end, or is sent again.
    pub(in crate::log) fn on_dispatched(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        delivery: Delivery,
    ) {
        let (min, max) = (self.limits.retry_delay_min, self.limits.later_delay_max);
        let failed_max = self.limits.undone_max;
        let now = t.cx.now;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let Some(place) = agenda.intents.land(op) else {
            // Sent when this node owned the shard before: whoever owns it now sends it again.
            return;
        };
        let again = match &delivery {
            Delivery::Again => true,
            Delivery::Undeliverable { .. } => agenda.intents.failed() >= failed_max,
            Delivery::Done | Delivery::Rejected { .. } => false,
        };
        if again {
            reached!(t.cx, "later: a message is sent again");
            if let Some(tries) = agenda.intents.try_again(place) {
                let at = now + backed_off(tries, min, max);
                agenda.intents.wait(place, at);
            }
            return;
        }
        let Some(dispatch) = agenda.intents.remove(place) else {
            return;
        };
        agenda.changed(now);
        let entity = dispatch.intent.entity.clone();
        match delivery {
            Delivery::Done => {
                reached!(t.cx, "later: a message was delivered");
                t.note(Note::IntentDone { entity });
            }
            Delivery::Rejected { cause } => {
                reached!(t.cx, "later: a message was rejected");
                t.note(Note::IntentRejected { entity, cause });
            }
            Delivery::Undeliverable { cause } => {
                reached!(t.cx, "later: a message cannot be delivered");
                agenda.intents.fail(place, *dispatch, cause.clone());
                t.note(Note::IntentFailed { entity, cause });
            }
            Delivery::Again => {}
        }
    }

    /// Takes in the messages of a stored commit; whether there was room for all.
    pub(super) fn take_sends(
        &mut self,
        kind: &KindName,
        sequence: Sequence,
        commit: &Commit,
    ) -> bool {
        let (key, most) = (self.config.key, self.limits.undone_max);
        let Some(agenda) = &mut self.agenda else {
            return true;
        };
        let Some(later) = &commit.later else {
            return true;
        };
        let held = agenda.intents.held();
        if held > 0 && held + later.sends.len() > most {
            return false;
        }
        for (index, intent) in (0..).zip(&later.sends) {
            let place = IntentPlace { sequence, index };
            agenda
                .intents
                .add(place, dispatch(key, kind, commit, (index, intent)));
        }
        true
    }

    /// Takes in those messages of a commit that the index had as undone.
    pub(super) fn take_wanted(&mut self, kind: &KindName, sequence: Sequence, commit: &Commit) {
        let key = self.config.key;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let wanted = agenda.intents.take_wanted(sequence);
        let sends = commit.later.as_ref().map_or(&[][..], |later| &later.sends);
        for (index, intent) in (0..).zip(sends).filter(|(index, _)| wanted.contains(index)) {
            let place = IntentPlace { sequence, index };
            agenda
                .intents
                .add(place, dispatch(key, kind, commit, (index, intent)));
        }
    }

    /// Whether messages of a page that is behind have room.
    pub(super) fn has_room(&self) -> bool {
        let most = self.limits.undone_max;
        let agenda = self.agenda.as_deref();
        agenda.is_some_and(|agenda| match &agenda.stage {
            Stage::Behind(behind) => {
                let held = agenda.intents.held();
                held == 0 || (held <= most / 2 && !behind.full)
            }
            Stage::Off | Stage::Index(_) | Stage::Live => true,
        })
    }
}

/// A message of a commit on its way.
fn dispatch(
    key: LayoutKey,
    kind: &KindName,
    commit: &Commit,
    (index, intent): (u32, &Intent),
) -> Dispatch {
    Dispatch {
        id: intent_id(key, commit, index),
        kind: kind.clone(),
        sender: commit.entity.clone(),
        intent: intent.clone(),
        tries: 0,
    }
}

/// Made of the commit's id, which is 128 random bits and the same over all attempts, and not of its
/// sequence: after a lost tail a stream gives sequences again.
fn intent_id(key: LayoutKey, commit: &Commit, index: u32) -> CommandId {
    let mut bytes = commit.id.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&index.to_be_bytes());
    CommandId::new(commit.time, hash128(key, b'i', bytes))
}
