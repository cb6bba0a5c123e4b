//! Deciding: which commands go into one commit, and what their verdicts lead to (S5, S19).

use super::agenda::Sent;
use super::entity::{Caller, Command, Draft, Held, Member, Moment, Phase, Promise, Stage, Why};
use super::ids::Known;
use super::shard::{Op, Shard, Turn};
use super::{Decided, Expected, Firing, Freshness, NewEvent, Refusal, Reply, Verdict, Work};
use crate::format::{
    CommandRecord, Commit, EventRecord, Later, MetadataRecord, TakeOver, Unknown, WriteMode,
};
use crate::id::{CommitId, Sequence, Slot, Ticket, Version, WallTime};
use crate::reached;
use crate::step::Purpose;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a message's headers take at most, beside its body: expectations, stream, batch.
pub(crate) const HEADER_BYTES_MAX: usize = 768;

impl Draft {
    /// An attempt leaves, while the stream is known to reach so far.
    pub(super) fn leaves(&mut self, moment: Moment, high_water: Sequence) {
        self.sent = Some(moment);
        self.sent_above = high_water;
        if !self.doubt {
            self.stored_above = high_water;
        }
    }

    /// A caller does not wait any more.
    pub(super) fn part_with(&mut self, ticket: Ticket) {
        for member in &mut self.members {
            member.gone |= member.command.ticket == ticket;
        }
    }

    /// Nobody waits any more.
    pub(super) fn is_alone(&self) -> bool {
        self.members.iter().all(|member| member.gone)
    }
}

/// What one round of verdicts comes to.
struct Round {
    members: Vec<Member>,
    /// The first command that can never be stored, which is no member any more, and why. What was
    /// decided after it rests on what it led to, which never will be (L2).
    barred: Option<(Ticket, Refusal)>,
    events: Vec<EventRecord>,
    commands: Vec<CommandRecord>,
    metadata: Vec<MetadataRecord>,
    later: Option<Box<Later>>,
    stored: usize,
    /// It deletes the entity, and has no other member.
    delete: bool,
}

impl Round {
    fn of(members: Vec<Member>) -> Self {
        let count = members.len();
        Self {
            members,
            barred: None,
            events: Vec::with_capacity(count),
            commands: Vec::with_capacity(count),
            metadata: Vec::new(),
            later: None,
            stored: 0,
            delete: false,
        }
    }
}

impl Shard {
    /// Hands the commands at the front of an entity's queue to the host.
    pub(super) fn decide(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let direct = self.config.mode == WriteMode::Direct;
        let commands_max = self.limits.commit_commands_max;
        let waiting = self.entity(slot).queue.len();
        let mut members: Vec<Member> = Vec::with_capacity(waiting.min(commands_max));
        while members.len() < commands_max {
            let entity = self.entity(slot);
            let (Some(held), Some(Caller::Command(command))) = (&entity.held, entity.queue.front())
            else {
                break;
            };
            if held.is_deleted() && !members.is_empty() {
                // The host sees no version of it, and so cannot count on from one (V3).
                break;
            }
            if let Some(due) = &command.firing {
                if !members.is_empty() {
                    // A firing is decided alone.
                    break;
                }
                let (ticket, version) = (command.ticket, held.version);
                let Some(timer) = held.timers.armed(&due.name, due.due) else {
                    // Cancelled, or armed anew, or it fired before (G2).
                    entity.queue.pop_front();
                    let freshness = Freshness::Linearizable;
                    t.reply(self, ticket, Reply::Nothing { version, freshness });
                    continue;
                };
                let firing = due.firing(timer);
                return self.decide_firing(t, slot, firing);
            }
            if let Some(id) = command.id {
                if members.iter().any(|other| other.command.id == Some(id)) {
                    reached!(t.cx, "log: a command came twice at once");
                    break;
                }
                let ticket = command.ticket;
                let known = match held.ids.look(id) {
                    Known::Found { version, outcome } => {
                        reached!(t.cx, "log: a command was found in the entity");
                        Some(Reply::Found { version, outcome })
                    }
                    Known::Expired if direct && held.confirmed < command.arrived => {
                        // A commit of somebody else may have it; look before saying no.
                        if members.is_empty() {
                            return self.load(t, slot, Why::Open, Sequence::NONE);
                        }
                        break;
                    }
                    Known::Expired => {
                        reached!(t.cx, "log: a command id is expired");
                        let horizon = held.ids.horizon();
                        Some(Reply::Refused(Refusal::Expired { horizon }))
                    }
                    Known::New => None,
                };
                if let Some(reply) = known {
                    entity.queue.pop_front();
                    t.reply(self, ticket, reply);
                    continue;
                }
            }
            if let Some(Caller::Command(command)) = entity.queue.pop_front() {
                members.push(Member::undecided(command));
            }
        }
        if members.is_empty() {
            return self.next(t, slot);
        }
        if members.len() > 1 {
            reached!(t.cx, "log: a commit takes several commands");
        }
        self.hand_over(t, slot, members);
    }

    /// Lets the host decide commands.
    fn hand_over(&mut self, t: &mut Turn<'_, '_>, slot: Slot, members: Vec<Member>) {
        let commands = members.iter().map(|member| &member.command);
        let commands = commands.map(|command| (command.ticket, command.expected));
        let commands = commands.collect();
        let entity = self.entity(slot);
        entity.phase = Phase::Decide { members };
        let work = Work::Decide {
            slot,
            provisional: core::mem::take(&mut entity.provisional),
            version: entity.shown(),
            commands,
        };
        self.run(t, Op::Decide(slot), work);
    }

    /// Hands the firing at the front of an entity's queue to the host.
    fn decide_firing(&mut self, t: &mut Turn<'_, '_>, slot: Slot, firing: Firing) {
        let entity = self.entity(slot);
        let Some(Caller::Command(command)) = entity.queue.pop_front() else {
            return;
        };
        let members = alloc::vec![Member::undecided(command)];
        entity.phase = Phase::Decide { members };
        let work = Work::Fire {
            slot,
            provisional: core::mem::take(&mut entity.provisional),
            version: entity.shown(),
            firing: firing.into(),
        };
        self.run(t, Op::Decide(slot), work);
    }

    /// The host decided.
    pub(super) fn on_decided(&mut self, t: &mut Turn<'_, '_>, slot: Slot, decided: Vec<Decided>) {
        let Phase::Decide { members } =
            core::mem::replace(&mut self.entity(slot).phase, Phase::Idle)
        else {
            return t.halt("the host decided without being asked to");
        };
        let asked = members.iter().map(|member| member.command.ticket);
        if !asked.eq(decided.iter().map(|decided| decided.ticket)) {
            return t.halt("the host decided other commands than it was asked to");
        }
        // The state may have been dropped meanwhile (a lost tail, a lost shard), or is to be checked.
        if self.is_turned_away() || !self.is_checked(slot) {
            self.requeue(slot, members);
            return self.next(t, slot);
        }
        let mut decided = decided;
        if let [alone] = &mut decided[..] {
            self.spare(slot, &mut alone.verdict);
        }
        let deletion = decided.iter().position(|it| it.verdict.deletes());
        if let Some(place) = deletion
            && members.len() > 1
        {
            return self.delete_alone(t, slot, members, place);
        }
        if deletion.is_some() {
            let sent = self.sent(slot);
            if !matches!(sent, Sent::Delivered) {
                return self.step_aside(t, slot, members, &sent);
            }
        }
        let round = self.round(slot, members, decided);
        if let Some((ticket, refusal)) = round.barred {
            reached!(t.cx, "log: a command that can never be stored");
            t.reply(self, ticket, Reply::Refused(refusal));
            self.requeue(slot, round.members);
            return self.next(t, slot);
        }
        if round.stored == 0 && round.members.iter().all(|it| it.command.firing.is_some()) {
            // It failed, and nobody rests on that.
            self.release(t, round.members, Sequence::NONE);
            return self.next(t, slot);
        }
        if round.stored == 0 {
            return self.nothing_stored(t, slot, round.members);
        }
        self.draft(t, slot, round);
    }

    /// One of several commands deletes the entity: what comes before it is stored first, and what comes
    /// after it is decided on what it left (V1).
    fn delete_alone(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        mut members: Vec<Member>,
        place: usize,
    ) {
        reached!(t.cx, "log: a deletion is stored alone");
        let rest = members.split_off(place.max(1));
        self.requeue(slot, rest);
        self.hand_over(t, slot, members);
    }

    fn round(&mut self, slot: Slot, members: Vec<Member>, decided: Vec<Decided>) -> Round {
        let mut round = Round::of(members);
        let mut last = self.entity(slot).version();
        for (place, Decided { verdict, .. }) in decided.into_iter().enumerate() {
            match self.take_in(slot, &mut round, place, verdict, last) {
                Ok(version) => last = version,
                Err(refusal) => {
                    let member = round.members.remove(place);
                    round.barred = Some((member.command.ticket, refusal));
                    break;
                }
            }
        }
        round
    }

    /// Takes in the verdict on one member, decided at a version; the version that it leads to.
    fn take_in(
        &mut self,
        slot: Slot,
        round: &mut Round,
        place: usize,
        verdict: Verdict,
        at: Version,
    ) -> Result<Version, Refusal> {
        let firing = self.firing_of(slot, &round.members[place].command);
        let rejected = firing.is_some() && verdict == Verdict::Rejected;
        let verdict = match firing {
            Some(firing) => self.fired(&firing, verdict),
            None => verdict,
        };
        let held = self.entity(slot).held.as_ref();
        // What a deleted entity is at is told to nobody (V3).
        let shown = match held.is_some_and(Held::is_deleted) {
            true => Version::ABSENT,
            false => at,
        };
        let (version, promise) = match verdict {
            Verdict::Accepted {
                events,
                outcome,
                record,
                later,
                delete,
            } => {
                let later = later.filter(|later| !later.is_empty());
                if events.is_empty() && !record && later.is_none() && !delete {
                    (at, Promise::nothing(shown))
                } else {
                    if let Some(refusal) = self.too_much_later(slot, round, later.as_deref()) {
                        return Err(refusal);
                    }
                    let (bytes, bytes_max) = (outcome.len(), self.limits.outcome_bytes_max);
                    let command = &round.members[place].command;
                    if command.id.is_some() && bytes > bytes_max {
                        return Err(Refusal::OutcomeTooLarge { bytes, bytes_max });
                    }
                    let first = round.events.len();
                    let version = numbered(at, events, &mut round.events)?;
                    match (&mut round.later, later) {
                        (Some(so_far), Some(later)) => so_far.extend(*later),
                        (so_far @ None, later) => *so_far = later,
                        (Some(_), None) => {}
                    }
                    let metadata = command.metadata.clone().map(|metadata| MetadataRecord {
                        command: command.id.map(|_| round.commands.len()),
                        first,
                        events: round.events.len() - first,
                        metadata,
                    });
                    round.metadata.extend(metadata);
                    let firing = command.firing.as_ref().filter(|_| !rejected);
                    let id = command.id.or(firing.map(|due| due.id));
                    round.commands.extend(id.map(|id| CommandRecord {
                        id,
                        version,
                        outcome,
                    }));
                    round.stored += 1;
                    round.delete |= delete;
                    (version, Promise::Stored(version))
                }
            }
            Verdict::Rejected => (at, Promise::nothing(shown)),
            Verdict::Conflict(actual) => {
                let refusal = Refusal::Conflict { actual };
                (at, Promise::Other(Reply::Refused(refusal).into()))
            }
            Verdict::Failed(text) => {
                let refusal = Refusal::Failed(text);
                (at, Promise::Other(Reply::Refused(refusal).into()))
            }
        };
        round.members[place].reply = promise;
        Ok(version)
    }

    /// The timer that a command is, as it is armed.
    fn firing_of(&mut self, slot: Slot, command: &Command) -> Option<Firing> {
        let due = command.firing.as_ref()?;
        let held = self.entity(slot).held.as_ref()?;
        Some(due.firing(held.timers.armed(&due.name, due.due)?))
    }

    /// What is stored of a firing: whatever its message led to, the timer is cleared or armed for its
    /// next period by the same commit. A failure stores nothing.
    fn fired(&mut self, firing: &Firing, verdict: Verdict) -> Verdict {
        let rejected = verdict == Verdict::Rejected;
        let (events, later, delete) = match verdict {
            Verdict::Accepted {
                events,
                later,
                delete,
                ..
            } => (events, later, delete),
            Verdict::Rejected => (Vec::new(), None, false),
            failed @ (Verdict::Conflict(_) | Verdict::Failed(_)) => return failed,
        };
        if rejected {
            self.reject_firing(firing.ticket);
        }
        Verdict::Accepted {
            events,
            outcome: Bytes::new(),
            record: true,
            later: Some(firing.later(later, rejected || delete)),
            delete,
        }
    }

    /// Why a decision may not have its timers and messages.
    fn too_much_later(
        &mut self,
        slot: Slot,
        round: &Round,
        later: Option<&Later>,
    ) -> Option<Refusal> {
        let later = later?;
        let (sends, sends_max) = (later.sends.len(), self.limits.sends_max);
        let timers_max = self.limits.entity_timers_max;
        if self.agenda.is_none() {
            return Some(Refusal::Unowned);
        }
        if sends > sends_max {
            return Some(Refusal::TooManySends { sends, sends_max });
        }
        if later.armed.is_empty() {
            return None;
        }
        let mut all = Later::default();
        for later in round.later.as_deref().into_iter().chain([later]) {
            all.extend(Later {
                sends: Vec::new(),
                ..later.clone()
            });
        }
        let held = self.entity(slot).held.as_ref();
        let timers = held.map_or(0, |held| held.timers.count_after(&all));
        (timers > timers_max).then_some(Refusal::TooManyTimers { timers, timers_max })
    }

    /// Replies that stored nothing leave when the state they rest on is sure to be the latest (L3).
    fn nothing_stored(&mut self, t: &mut Turn<'_, '_>, slot: Slot, members: Vec<Member>) {
        let confirmed = self
            .entity(slot)
            .held
            .as_ref()
            .map(|h| h.confirmed)
            .unwrap_or_default();
        if members
            .iter()
            .all(|member| member.command.arrived <= confirmed)
        {
            self.release(t, members, Sequence::NONE);
            return self.next(t, slot);
        }
        let members = match self.kind_of(slot).local_replies {
            true => self.release_local(t, members),
            false => members,
        };
        if members.is_empty() {
            return self.next(t, slot);
        }
        match self.config.mode {
            WriteMode::Direct => {
                self.load(t, slot, Why::Confirm(members), Sequence::NONE);
            }
            WriteMode::Owned => self.pledge_replies(t, slot, members),
        }
    }

    /// Sends the replies of the domain at once, marked `Local`; what is left are refusals.
    fn release_local(&mut self, t: &mut Turn<'_, '_>, members: Vec<Member>) -> Vec<Member> {
        let (local, rest): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|member| member.reply.is_nothing());
        for mut member in local {
            member.reply.mark_local();
            self.release(t, alloc::vec![member], Sequence::NONE);
        }
        rest
    }

    fn draft(&mut self, t: &mut Turn<'_, '_>, slot: Slot, round: Round) {
        let ordinal = self.draw();
        let kind = self.kind_of(slot).record.id;
        let (layout, class) = (self.config.layout, self.config.class);
        let bytes_max = self.shape.payload_bytes_max;
        let (snapshot, earlier) = match round.delete {
            true => (None, Arc::default()),
            false => self.name_snapshot(slot, t.cx.now),
        };
        let (gone, carried) = match round.delete {
            true => (self.sent_to_itself(slot), self.carried(slot)),
            false => (Vec::new(), Vec::new()),
        };
        let entity = self.entity(slot);
        let Some(held) = &entity.held else { return };
        let after = held.sequence;
        let stamps = round.members.iter().map(|member| member.command.wall);
        let time = stamps.max().unwrap_or(WallTime(0));
        let last = round
            .events
            .last()
            .map_or(held.version, |event| event.version);
        let mut commands = round.commands;
        // What it sent to itself goes with it: a copy that is on its way finds that.
        for id in gone {
            let is_new = held.ids.look(id) == Known::New;
            if is_new && commands.iter().all(|command| command.id != id) {
                commands.push(CommandRecord {
                    id,
                    version: held.version,
                    outcome: Bytes::new(),
                });
            }
        }
        let mut later = round.later;
        if !carried.is_empty() {
            reached!(t.cx, "log: a tombstone has messages go on");
            later.get_or_insert_default().carry(carried);
        }
        if let Some(later) = &mut later {
            later.leased = class == TakeOver::Leased;
        }
        // Made where it stays, because it is large.
        let mut draft = Box::new(Draft {
            commit: Commit {
                id: CommitId(t.cx.dice.roll128(Purpose::CommitId, ordinal)),
                layout,
                kind,
                entity: entity.id.clone(),
                epoch: None,
                time,
                before: held.version,
                last,
                earlier,
                snapshot,
                horizon: held.ids.horizon(),
                commands,
                events: round.events,
                tombstone: round.delete,
                metadata: round.metadata,
                later,
                unknown: Unknown::default(),
            },
            after,
            members: round.members,
            doubt: false,
            refused: None,
            lost: false,
            sent: None,
            sent_above: Sequence::NONE,
            stored_above: Sequence::NONE,
            sent_epoch: None,
        });
        let bytes = draft.commit.encoded_len_max() + HEADER_BYTES_MAX;
        if round.delete {
            held.ids
                .bequeath(&mut draft.commit, bytes_max.saturating_sub(bytes));
        }
        if bytes > bytes_max {
            let mut members = draft.members;
            if round.delete {
                // Some of what was to go on is delivered instead.
                members = match self.carry_fewer(t, slot, members, bytes - bytes_max) {
                    Ok(()) => return,
                    Err(members) => members,
                };
            }
            return self.too_large(t, slot, members, round.stored, bytes);
        }
        entity.phase = Phase::Commit(draft, Stage::Ready);
        self.send(t, slot);
    }

    /// A commit is larger than one message: fewer commands, or no for the only one.
    fn too_large(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        members: Vec<Member>,
        stored: usize,
        bytes: usize,
    ) {
        let bytes_max = self.shape.payload_bytes_max;
        if stored > 1 {
            reached!(t.cx, "log: a commit of several commands is too large");
            // Decide the first stored one alone, whatever stands around it; the rest follows.
            let alone = members
                .iter()
                .position(|m| matches!(m.reply, Promise::Stored(_)));
            let rest = alone.map_or(0, |place| place + 1);
            let mut first = members;
            let rest = first.split_off(rest);
            self.requeue(slot, rest);
            return self.hand_over(t, slot, first);
        }
        reached!(t.cx, "log: a command is too large for a message");
        let (large, rest): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|m| matches!(m.reply, Promise::Stored(_)));
        for member in large {
            let refusal = Refusal::TooLarge { bytes, bytes_max };
            t.reply(self, member.command.ticket, Reply::Refused(refusal));
        }
        self.requeue(slot, rest);
        self.next(t, slot);
    }

    /// Others were first: the commands are decided again on the state that they left.
    pub(super) fn decide_again(&mut self, t: &mut Turn<'_, '_>, slot: Slot, members: Vec<Member>) {
        let tries_max = self.limits.conflict_tries_max;
        let mut again = Vec::new();
        for mut member in members {
            member.command.conflicts += 1;
            let tries = member.command.conflicts;
            let fixed = match member.command.expected {
                Expected::Exactly(_) => false,
                Expected::Any | Expected::Present => tries >= tries_max,
            };
            if fixed {
                reached!(t.cx, "log: a command lost too often");
                let refusal = Refusal::Contended { tries };
                t.reply(self, member.command.ticket, Reply::Refused(refusal));
            } else {
                self.conflicts += 1;
                again.push(member);
            }
        }
        self.requeue(slot, again);
        self.next(t, slot);
    }

    /// Puts commands back to the front of the queue, in their order; those that are gone stay away.
    pub(super) fn requeue(&mut self, slot: Slot, members: Vec<Member>) {
        let entity = self.entity(slot);
        for member in members.into_iter().rev().filter(|member| !member.gone) {
            entity.queue.push_front(Caller::Command(member.command));
        }
    }

    /// A caller gave up before its commit was sent: the others are decided without it.
    pub(super) fn withdraw(&mut self, t: &mut Turn<'_, '_>, slot: Slot, ticket: Ticket) {
        reached!(
            t.cx,
            "log: a caller's deadline passed before its commit was sent"
        );
        t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
        let phase = core::mem::replace(&mut self.entity(slot).phase, Phase::Idle);
        if let Phase::Commit(mut draft, _) = phase {
            draft.part_with(ticket);
            self.requeue(slot, draft.members);
        }
        self.next(t, slot);
    }

    /// Sends the replies whose ground is sure.
    pub(super) fn release(
        &mut self,
        t: &mut Turn<'_, '_>,
        members: Vec<Member>,
        sequence: Sequence,
    ) {
        for member in members.into_iter().filter(|member| !member.gone) {
            let reply = match member.reply {
                Promise::Undecided => Reply::Refused(Refusal::Unknown),
                Promise::Stored(version) => Reply::Committed { version, sequence },
                Promise::Other(reply) => *reply,
            };
            t.reply(self, member.command.ticket, reply);
        }
    }

    /// Nobody can find out whether a commit was stored.
    pub(super) fn give_up(&mut self, t: &mut Turn<'_, '_>, draft: Box<Draft>) {
        self.lost_sight(&draft);
        for member in draft.members.into_iter().filter(|member| !member.gone) {
            t.reply(
                self,
                member.command.ticket,
                Reply::Refused(Refusal::Unknown),
            );
        }
    }
}

impl Promise {
    fn nothing(version: Version) -> Self {
        let freshness = Freshness::Linearizable;
        Self::Other(Reply::Nothing { version, freshness }.into())
    }

    fn is_nothing(&self) -> bool {
        match self {
            Self::Other(reply) => matches!(**reply, Reply::Nothing { .. }),
            Self::Undecided | Self::Stored(_) => false,
        }
    }

    fn mark_local(&mut self) {
        if let Self::Other(reply) = self
            && let Reply::Nothing { freshness, .. } = &mut **reply
        {
            *freshness = Freshness::Local;
        }
    }
}

impl Member {
    fn undecided(command: Command) -> Self {
        Self {
            command,
            reply: Promise::Undecided,
            gone: false,
        }
    }
}

/// Gives events their versions; the last one.
fn numbered(
    mut last: Version,
    events: Vec<NewEvent>,
    into: &mut Vec<EventRecord>,
) -> Result<Version, Refusal> {
    let begin = into.len();
    for event in events {
        let version = event.version.or_else(|| last.after(1)).unwrap_or(last);
        if version <= last {
            into.truncate(begin);
            return Err(Refusal::VersionNotRising {
                last,
                given: version,
            });
        }
        last = version;
        let NewEvent {
            name, schema, data, ..
        } = event;
        into.push(EventRecord {
            version,
            name,
            schema,
            data,
        });
    }
    Ok(last)
}
