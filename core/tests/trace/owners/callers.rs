//! The callers of a story about ownership: they ask one node, which sends them to who owns what they
//! want, as it knows; and what they are told is held against the log.

use super::{Cluster, event_stream, place_name};
use crate::bank::Order as Wish;
use tenure_core::id::{Ticket, Version};
use tenure_core::log::{self, Freshness, Reply};
use tenure_core::shard::Place;
use tenure_core::{Span, Time};

/// A caller: which node it asks, and what.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) at: String,
    place: Place,
    wish: Wish,
    freshness: Freshness,
    deadline: Time,
    /// The version that was acknowledged last before it asked.
    floor: Version,
    /// Where its request is.
    served_by: Option<String>,
}

impl Cluster {
    /// A caller asks a node for something of a place.
    pub(crate) fn ask(
        &mut self,
        at: &str,
        ticket: Ticket,
        place: Place,
        wish: Wish,
        freshness: Freshness,
        patience: Span,
    ) {
        let caller = Caller {
            at: at.to_owned(),
            place,
            wish,
            freshness,
            deadline: self.now + patience,
            floor: self.acknowledged.get(&place).copied().unwrap_or_default(),
            served_by: None,
        };
        self.callers.insert(ticket, caller);
        self.route(Some(at));
    }

    /// Sends callers that wait to who owns their place, as their node knows it. One that was sent
    /// away waits until its node knows of another epoch.
    pub(super) fn route(&mut self, only: Option<&str>) {
        let waiting: Vec<_> = self.callers.iter().map(|(t, c)| (*t, c.clone())).collect();
        for (ticket, caller) in waiting {
            if caller.served_by.is_some() || only.is_some_and(|only| only != caller.at) {
                continue;
            }
            let row = self.nodes[&caller.at]
                .table
                .rows
                .get(&caller.place)
                .copied();
            let to = row.map(|row| self.named(row.owner));
            let Some(to) = to.filter(|to| self.nodes.contains_key(to)) else {
                continue;
            };
            if self.stopped.contains(&to) {
                continue;
            }
            if let Some(waits) = self.callers.get_mut(&ticket) {
                waits.served_by = Some(to.clone());
            }
            let input = self.nodes.get_mut(&to).expect("a node").request(
                caller.place,
                ticket,
                caller.wish,
                caller.freshness,
                caller.deadline,
            );
            if to != caller.at {
                self.say(&caller.at, &format!("sends {ticket:?} to {to}"));
            }
            self.step_log(&to, caller.place, input);
        }
    }

    pub(super) fn reply(&mut self, name: &str, place: Place, ticket: Ticket, reply: &Reply) {
        let node = self.nodes.get_mut(name).expect("a node");
        let said = node.answer(place, ticket, reply);
        if *reply == Reply::Refused(log::Refusal::NotOwner) {
            self.say(
                name,
                &format!(
                    "sends {ticket:?} away: it does not own {}",
                    place_name(place)
                ),
            );
            let Some(caller) = self.callers.get_mut(&ticket) else {
                return;
            };
            caller.served_by = None;
            let (at, place) = (caller.at.clone(), caller.place);
            let row = self.nodes[&at].table.rows.get(&place).copied();
            if row.is_some_and(|row| self.named(row.owner) != name) {
                self.route(Some(&at));
            }
            return;
        }
        let text = self.names.reply(reply, said);
        if let Some(caller) = self.callers.remove(&ticket) {
            self.judge(&caller, ticket, reply);
        }
        self.say(name, &format!("answers {ticket:?}: {text}"));
    }

    /// What a caller is told is in the log (P1), once (P2), and new enough (P5).
    fn judge(&mut self, caller: &Caller, ticket: Ticket, reply: &Reply) {
        match reply {
            Reply::Committed { version, sequence } => {
                let before = self.acknowledged.insert(caller.place, *version);
                assert!(
                    before < Some(*version),
                    "{ticket:?}: {before:?}, {version:?}"
                );
                let subject = format!("bank.ev.{}.", caller.place.shard.0);
                let stored = self.store.messages(&event_stream()).any(|message| {
                    message.sequence == *sequence && message.subject.starts_with(&subject)
                });
                assert!(stored, "{ticket:?} is not in the log");
            }
            Reply::Read { version, freshness } | Reply::Nothing { version, freshness } => {
                let fresh = *freshness == Freshness::Local || *version >= caller.floor;
                assert!(
                    fresh,
                    "{ticket:?}: {version:?} is older than {:?}",
                    caller.floor
                );
            }
            Reply::Found { .. } | Reply::Refused(_) => {}
        }
    }
}
