//! Reading the records of the others: lists with proof, and looks at what was announced (S11, S16, M7).

use super::ask::{Ask, Proof};
use super::machine::{Node, Phase, Turn};
use super::roster::Change;
use super::{Effect, JoinError, Note};
use crate::format::Member;
use crate::id::{OpId, Sequence};
use crate::name::NodeName;
use crate::port::{Heard, Message, Page, Refused, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{HaltReason, Outcome, Span, Time};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// How many records one list has at most. More than one page would prove nothing: a record moves to
/// the stream's end with each heartbeat, perhaps from behind the first page to before the second.
const PAGE_MAX: u32 = 1_000;

/// Why nothing goes on.
const SILENT: &str = "the store does not answer";

/// How soon a hurried list follows another.
const HURRY: Span = Span::from_millis(50);

/// Lists and looks on their way.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Lists {
    /// When the next list is wanted.
    pub(super) due: Time,
    /// What the next list must contain, once the heartbeat for it is acknowledged.
    wanted: Option<Proof>,
    busy: Option<(OpId, Time)>,
    /// So many more lists come as soon as may be.
    hurry: u32,
    tries: u32,
    pub(super) counted: u64,
    counted_at: Time,
    /// Names whose records were announced in a way that wants a look.
    looks: BTreeSet<NodeName>,
    look_busy: Option<(OpId, Time)>,
    look_due: Time,
    /// The marks of the others were told since the link came up.
    marks_told: bool,
    many_told: bool,
    unreadable: BTreeSet<NodeName>,
}

impl Lists {
    pub(super) fn new(now: Time) -> Self {
        Self {
            due: now,
            wanted: None,
            busy: None,
            hurry: 0,
            tries: 0,
            counted: 0,
            counted_at: now,
            looks: BTreeSet::new(),
            look_busy: None,
            look_due: now,
            marks_told: false,
            many_told: false,
            unreadable: BTreeSet::new(),
        }
    }

    pub(super) fn up(&mut self, now: Time) {
        self.due = now;
        self.look_due = now;
        self.tries = 0;
        self.marks_told = false;
        self.hurry = self.hurry.max(1);
    }

    /// The next two lists come as soon as may be.
    pub(super) fn look(&mut self, now: Time) {
        self.hurry = 2;
        self.due = self.due.min(now);
    }

    /// Whoever takes up work after a start meets many runs that nobody knows.
    pub(super) fn joined(&mut self, now: Time) {
        self.look(now);
        self.hurry = 3;
    }

    /// This node is another run from now on: what was asked by the former one counts no more.
    pub(super) fn renewed(&mut self, now: Time) {
        self.busy = None;
        self.wanted = None;
        self.tries = 0;
        self.due = now;
    }

    fn later(&mut self, at: Time) {
        self.tries = self.tries.saturating_add(1);
        self.due = at;
    }
}

impl Node {
    /// A heartbeat is acknowledged: a list that has it is new enough.
    pub(super) fn list_if_due(&mut self, t: &Turn<'_, '_>, proof: Proof) {
        if self.lists.due <= t.cx.now && self.lists.busy.is_none() {
            self.lists.wanted = Some(proof);
        }
    }

    /// When something is to be done about lists and looks.
    pub(super) fn list_at(&self) -> Option<Time> {
        self.link?;
        let list = match (&self.phase, self.lists.busy) {
            (Phase::Looking | Phase::Contending(_) | Phase::Member, Some((_, until))) => {
                Some(until)
            }
            (Phase::Looking | Phase::Contending(_), None) => Some(self.lists.due),
            (Phase::Member, None) => self.lists.wanted.map(|_| self.lists.due),
            (
                Phase::Renewing
                | Phase::Taking
                | Phase::Leaving { .. }
                | Phase::Ended
                | Phase::Halted,
                _,
            ) => None,
        };
        let look = match self.lists.look_busy {
            Some((_, until)) => Some(until),
            None if self.lists.looks.is_empty() => None,
            None => Some(self.lists.look_due),
        };
        list.into_iter().chain(look).min()
    }

    /// Lists the records, when it is time to.
    pub(super) fn list_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        if self.link.is_none() || self.lists.busy.is_some_and(|(_, until)| now < until) {
            return;
        }
        if self.lists.busy.take().is_some() {
            self.say(t, SILENT.to_string());
        }
        if now < self.lists.due {
            return;
        }
        let proof = match (&self.phase, self.lists.wanted.take()) {
            (Phase::Looking | Phase::Contending(_), _) => Proof {
                sent: now,
                revision: Sequence::NONE,
            },
            (Phase::Member, Some(proof)) => proof,
            (Phase::Member, None) => return self.hurry(now),
            (
                Phase::Renewing
                | Phase::Taking
                | Phase::Leaving { .. }
                | Phase::Ended
                | Phase::Halted,
                _,
            ) => return,
        };
        let request = StoreRequest::Scan {
            stream: self.config.namespace.member_stream(),
            filter: self.config.namespace.members_filter(),
            from: Sequence(1),
            messages_max: PAGE_MAX,
        };
        let op = self.store(t, Ask::List(proof), request);
        self.lists.busy = Some((op, now + self.patience()));
    }

    /// A list that is wanted soon waits for a heartbeat: sends one.
    fn hurry(&mut self, now: Time) {
        if self.lists.hurry > 0 {
            self.own.hurry(now);
        }
    }

    /// The store listed the records.
    pub(super) fn on_list(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        proof: Proof,
        reply: StoreReply,
    ) {
        if self.lists.busy.is_none_or(|(busy, _)| busy != op) {
            return;
        }
        self.lists.busy = None;
        let page = match reply {
            Outcome::Done(StoreDone::Page(page)) => page,
            Outcome::Done(_) => return self.halt(t, HaltReason::WrongAnswer(op)),
            Outcome::Refused(Refused::NotFound) => Page {
                messages: Vec::new(),
                more: false,
            },
            Outcome::Refused(refused) => {
                reached!(t.cx, "node: a list was refused for now");
                self.say(t, format!("the members cannot be listed: {refused}"));
                return self.list_later(t, proof);
            }
            Outcome::Unknown => {
                reached!(t.cx, "node: a list is not answered");
                self.say(t, SILENT.to_string());
                return self.list_later(t, proof);
            }
        };
        self.list(t, proof, page);
    }

    fn list(&mut self, t: &mut Turn<'_, '_>, proof: Proof, page: Page) {
        let now = t.cx.now;
        let mut whole = !page.more;
        if page.more && !core::mem::replace(&mut self.lists.many_told, true) {
            t.note(Note::TooManyMembers);
        }
        let mut present = BTreeSet::new();
        let mut own = None;
        let mut low = false;
        for message in page.messages.into_iter().filter(|m| !m.expired_marker) {
            self.roster.mark = self.roster.mark.max(message.sequence);
            let Some(name) = self.name_of(&message) else {
                continue;
            };
            match Member::decode(&message.payload) {
                Ok(member) if name == self.config.name => own = Some((message.sequence, member)),
                Ok(member) => {
                    low |= self.roster.is_low(&name, message.sequence, proof.sent);
                    self.observe(t, &name, message.sequence, member);
                }
                Err(error) if name == self.config.name && self.joins() => {
                    let cause = error.to_string();
                    return self.refuse(t, JoinError::Unreadable { name, cause });
                }
                Err(_) => {
                    whole = false;
                    self.unreadable(t, &name);
                }
            }
            present.insert(name);
        }
        match self.phase {
            Phase::Looking | Phase::Contending(_) => {
                self.lists.tries = 0;
                self.lists.due = now + self.look_every();
                return self.choose(t, own);
            }
            Phase::Member => {}
            Phase::Renewing
            | Phase::Taking
            | Phase::Leaving { .. }
            | Phase::Ended
            | Phase::Halted => return,
        }
        let mine = own.filter(|(sequence, member)| self.is_mine(*sequence, member));
        if mine.is_none_or(|(sequence, _)| sequence < proof.revision) {
            reached!(t.cx, "node: a list is too old");
            return self.list_later(t, proof);
        }
        if low {
            // It has this node's heartbeat, and not a record that was there before: the stream was
            // shorter meanwhile, and its sequences were given again.
            self.members_lost_tail(t);
            return self.list_later(t, proof);
        }
        self.lists.unreadable.retain(|name| present.contains(name));
        self.roster.absent(|name| present.contains(name));
        self.listed(t, proof, whole);
    }

    /// A list has what this node knows to be stored.
    fn listed(&mut self, t: &mut Turn<'_, '_>, proof: Proof, whole: bool) {
        let now = t.cx.now;
        self.lists.tries = 0;
        let quarter = Span::from_nanos(self.config.terms.ttl.as_nanos() / 4);
        self.lists.due = now + quarter + self.roll(t, quarter);
        if !whole {
            // No list counts until what it cannot take in is gone, so there is no hurry.
            self.lists.hurry = 0;
        } else if proof.sent >= self.lists.counted_at {
            self.lists.counted += 1;
            self.lists.counted_at = now;
            self.lists.hurry = self.lists.hurry.saturating_sub(1);
            self.dirty = true;
        }
        if self.lists.hurry > 0 {
            self.lists.due = now + HURRY;
            self.own.due = self.own.due.min(now + HURRY);
        }
        let marks = self.roster.marks();
        if !core::mem::replace(&mut self.lists.marks_told, true) && !marks.is_empty() {
            t.out.push(Effect::Marks(marks));
        }
    }

    fn list_later(&mut self, t: &mut Turn<'_, '_>, proof: Proof) {
        if self.is_member() {
            self.lists.wanted = Some(proof);
        }
        let delay = self.delay(t, self.lists.tries);
        self.lists.later(t.cx.now + delay);
    }

    /// Whether a record of this node's name is its own; else another run may have taken it.
    fn is_mine(&mut self, sequence: Sequence, member: &Member) -> bool {
        let mine = member.incarnation == self.config.incarnation && member.state.lives();
        if !mine && sequence > self.own.expect {
            self.own.read(sequence, self.own.due);
        }
        mine
    }

    fn name_of(&self, message: &Message) -> Option<NodeName> {
        let ns = self.config.namespace.as_str();
        let name = message.subject.strip_prefix(ns)?.strip_prefix(".mem.")?;
        NodeName::new(name).ok()
    }

    fn unreadable(&mut self, t: &mut Turn<'_, '_>, name: &NodeName) {
        if self.lists.unreadable.len() < PAGE_MAX as usize
            && self.lists.unreadable.insert(name.clone())
        {
            t.note(Note::Unreadable(name.clone()));
        }
    }

    /// A record of another name was received.
    pub(super) fn observe(
        &mut self,
        t: &mut Turn<'_, '_>,
        name: &NodeName,
        sequence: Sequence,
        member: Member,
    ) {
        let mine = self.config.terms;
        let change = self.roster.observe(name, sequence, member, mine, t.cx.now);
        let Change { dirty, notes } = change;
        self.dirty |= dirty;
        if notes.iter().any(|note| matches!(note, Note::Joined(..)))
            && let Some(note) = self.roster.other_kinds(name, &self.config.about)
        {
            t.note(note);
        }
        for note in notes {
            t.note(note);
        }
    }

    /// A record was announced. A newer heartbeat of a run that is known lets its watch begin anew,
    /// which only ever ends it later; everything else is looked at.
    pub(super) fn heard(&mut self, t: &mut Turn<'_, '_>, heard: &Heard) {
        let now = t.cx.now;
        let ns = self.config.namespace.as_str();
        let name = heard.subject.strip_prefix(ns);
        let name = name.and_then(|rest| rest.strip_prefix(".hb."));
        let Some(name) = name.and_then(|name| NodeName::new(name).ok()) else {
            return;
        };
        let member = Member::decode(&heard.payload).ok();
        if name == self.config.name {
            let mine = member.is_some_and(|m| m.incarnation == self.config.incarnation);
            if !mine && heard.sequence > self.own.expect {
                match self.phase {
                    Phase::Contending(_) | Phase::Looking => {
                        self.lists.due = now;
                    }
                    Phase::Taking | Phase::Member => self.own.read(heard.sequence, now),
                    Phase::Renewing | Phase::Leaving { .. } | Phase::Ended | Phase::Halted => {}
                }
            }
            return;
        }
        let known = self.roster.known.get(&name);
        if known.is_some_and(|known| heard.sequence <= known.watch.revision()) {
            return;
        }
        let run = known.and_then(|known| known.run.as_ref());
        match (member, run) {
            (Some(member), Some(run))
                if member.state.lives() && member.incarnation == run.incarnation =>
            {
                self.observe(t, &name, heard.sequence, member);
            }
            (Some(_) | None, _) => {
                if self.lists.looks.len() < PAGE_MAX as usize {
                    self.lists.looks.insert(name);
                }
                self.lists.due = self.lists.due.min(now);
            }
        }
    }

    /// Reads the records that were announced.
    pub(super) fn look_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        if self.link.is_none() || self.lists.look_busy.is_some_and(|(_, until)| now < until) {
            return;
        }
        self.lists.look_busy = None;
        if self.lists.looks.is_empty() || now < self.lists.look_due {
            return;
        }
        let mut looks = core::mem::take(&mut self.lists.looks);
        if let Some(beyond) = looks.iter().nth(PAGE_MAX as usize).cloned() {
            self.lists.looks = looks.split_off(&beyond);
        }
        let names: Vec<NodeName> = looks.into_iter().collect();
        let ns = &self.config.namespace;
        let request = StoreRequest::Latest {
            stream: ns.member_stream(),
            subjects: names.iter().map(|name| ns.member_subject(name)).collect(),
        };
        let op = self.store(t, Ask::Look { names }, request);
        self.lists.look_busy = Some((op, now + self.patience()));
    }

    /// The store read the records that were announced. What is not there yet comes with a list.
    pub(super) fn on_look(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        names: Vec<NodeName>,
        reply: StoreReply,
    ) {
        if self.lists.look_busy.is_some_and(|(busy, _)| busy == op) {
            self.lists.look_busy = None;
        }
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) => {
                for message in proof.messages.into_iter().filter(|m| !m.expired_marker) {
                    self.roster.mark = self.roster.mark.max(message.sequence);
                    match (self.name_of(&message), Member::decode(&message.payload)) {
                        (Some(name), Ok(member)) => {
                            self.observe(t, &name, message.sequence, member);
                        }
                        (Some(name), Err(_)) => self.unreadable(t, &name),
                        (None, _) => {}
                    }
                }
            }
            Outcome::Done(_) => self.halt(t, HaltReason::WrongAnswer(op)),
            Outcome::Refused(Refused::NotFound) => {}
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "node: a look at records is not told");
                self.lists.looks.extend(names);
                let delay = self.delay(t, 4);
                self.lists.look_due = t.cx.now + delay;
            }
        }
    }

    /// The record of a node is to be read.
    pub(super) fn look_at(&mut self, name: &NodeName) {
        self.lists.looks.insert(name.clone());
    }
}
