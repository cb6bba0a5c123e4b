//! How requests, answers and replies read in a story: short names, one line each.

use crate::world::WALL_START_MS;
use std::collections::BTreeMap;
use tenure_core::format::{Barrier, Commit, Intent, Later, Ownership, ShardIndex, Snapshot};
use tenure_core::id::{ClaimId, CommitId, Epoch, Sequence, WallTime};
use tenure_core::log::{Dispatch, Freshness, Note, Refusal, Reply};
use tenure_core::port::{
    Expect, Message, Publish, Refused, Rollup, Source, StoreDone, StoreReply, StoreRequest,
};
use tenure_core::shard::Report;
use tenure_core::step::Outcome;

/// Short names for random ids, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Names {
    commits: BTreeMap<CommitId, usize>,
    claims: BTreeMap<ClaimId, usize>,
}

/// What a request or a work is about, as scripts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Commit,
    Batch,
    Barrier,
    Claim,
    Snapshot,
    /// The message that deletes a snapshot's body.
    Erase,
    Latest,
    Body,
    /// The list of an entity's bodies.
    Sweep,
    Get,
    /// The index of the shard.
    Index,
    /// Commits of the shard.
    Tail,
    /// A message of a commit.
    Dispatch,
    /// Any work of the host's.
    Host,
}

impl Class {
    pub(crate) const ALL: [(&'static str, Self); 14] = [
        ("commit", Self::Commit),
        ("batch", Self::Batch),
        ("barrier", Self::Barrier),
        ("claim", Self::Claim),
        ("snapshot", Self::Snapshot),
        ("erase", Self::Erase),
        ("latest", Self::Latest),
        ("body", Self::Body),
        ("sweep", Self::Sweep),
        ("get", Self::Get),
        ("index", Self::Index),
        ("tail", Self::Tail),
        ("dispatch", Self::Dispatch),
        ("host", Self::Host),
    ];

    pub(crate) fn of(request: &StoreRequest) -> Self {
        let family = |subject: &str| subject.split('.').nth(1).map(str::to_owned);
        match request {
            StoreRequest::Publish(publish) => match family(&publish.subject).as_deref() {
                Some("ev") => Self::Commit,
                Some("own") => Self::Claim,
                Some("bar") => Self::Barrier,
                Some("idx") => Self::Index,
                Some("snap") if publish.payload.is_empty() => Self::Erase,
                Some("snap") => Self::Snapshot,
                other => panic!("a publish to {other:?}"),
            },
            StoreRequest::Batch { .. } => Self::Batch,
            StoreRequest::Latest { subjects, .. } => {
                let body = subjects.first().and_then(|subject| family(subject));
                match body.as_deref() {
                    Some("snap") => Self::Body,
                    _ => Self::Latest,
                }
            }
            StoreRequest::Get { .. } => Self::Get,
            StoreRequest::Scan { filter, .. } => match family(filter).as_deref() {
                Some("ev") => Self::Tail,
                _ => Self::Sweep,
            },
            StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => panic!("a log asked for {}", request.name()),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, class)| *class == self);
        named.map_or("", |(name, _)| name)
    }
}

/// A subject's short name: an entity's id, or the family.
pub(crate) fn subject(subject: &str) -> String {
    let tokens: Vec<_> = subject.split('.').collect();
    match tokens.as_slice() {
        [_, "ev", _, ">"] => "the shard".to_owned(),
        [_, "ev", _, _, id] => (*id).to_owned(),
        [_, "snap", _, _, id, "*", "*"] => format!("snapshots of {id}"),
        [_, "snap", _, _, id, version, _] => format!("snapshot {id} v{version}"),
        [_, family, ..] => (*family).to_owned(),
        _ => subject.to_owned(),
    }
}

impl Names {
    fn commit_id(&mut self, id: CommitId) -> String {
        let next = self.commits.len() + 1;
        format!("c{}", self.commits.entry(id).or_insert(next))
    }

    fn claim_id(&mut self, id: ClaimId) -> String {
        let next = self.claims.len() + 1;
        format!("k{}", self.claims.entry(id).or_insert(next))
    }

    fn ownership(&mut self, record: &Ownership) -> String {
        let claim = self.claim_id(record.claim);
        match record.owner {
            Some(_) => format!("{claim} of {}", record.node),
            None => format!("{claim} of nobody, by {}", record.node),
        }
    }

    /// What who orders is told; the node that a hand-over goes to has a name.
    pub(crate) fn report(&mut self, report: &Report, to: &str) -> String {
        match report {
            Report::Owned(epoch) => format!("reports: owned as {}", self.epoch(*epoch)),
            Report::Rival { sequence } => format!("reports: another record, {sequence:?}"),
            Report::HandedOver { epoch, .. } => {
                format!("reports: handed over to {to}, {}", self.epoch(*epoch))
            }
            Report::Kept { epoch } => format!("reports: kept, {}", self.epoch(*epoch)),
            Report::Released { epoch } => format!("reports: released, {}", self.epoch(*epoch)),
            Report::Lost { was: None, .. } => "reports: not owned".to_owned(),
            Report::Lost { was: Some(was), .. } => {
                format!("reports: lost, was {}", self.epoch(*was))
            }
            Report::Failed { cause } => format!("reports: failed, {cause}"),
        }
    }

    fn epoch(&mut self, epoch: Epoch) -> String {
        format!("{} at {:?}", self.claim_id(epoch.claim), epoch.sequence)
    }

    /// A request in one line, or several for a batch.
    pub(crate) fn request(&mut self, request: &StoreRequest) -> Vec<String> {
        match request {
            StoreRequest::Publish(publish) => vec![format!("store {}", self.publish(publish))],
            StoreRequest::Batch { messages, .. } => {
                let mut lines = vec![format!("store a batch of {}:", messages.len())];
                let each = messages.iter();
                lines.extend(each.map(|publish| format!("    {}", self.publish(publish))));
                lines
            }
            StoreRequest::Latest { subjects, .. } => {
                let subjects: Vec<_> = subjects.iter().map(|name| subject(name)).collect();
                vec![format!("read last of {}", subjects.join(", "))]
            }
            StoreRequest::Get {
                sequence, source, ..
            } => {
                let whom = match source {
                    Source::Replica => "a replica",
                    Source::Leader => "the leader",
                };
                vec![format!("read {sequence:?} from {whom}")]
            }
            StoreRequest::Scan {
                filter,
                from,
                messages_max,
                ..
            } => vec![format!(
                "list {messages_max} of {} from {from:?}",
                subject(filter)
            )],
            StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => vec![request.name().to_owned()],
        }
    }

    fn publish(&mut self, publish: &Publish) -> String {
        let target = subject(&publish.subject);
        let body = match Class::of(&StoreRequest::Publish(publish.clone())) {
            Class::Commit => match Commit::decode(&publish.payload) {
                Ok(commit) => format!("{target} {}", self.commit(&commit)),
                Err(error) => format!("{target} {error}"),
            },
            Class::Claim => match Ownership::decode(&publish.payload) {
                Ok(record) => format!("{target} {}", self.ownership(&record)),
                Err(error) => format!("{target} {error}"),
            },
            Class::Index => format!("{target} {}", index(&publish.payload)),
            Class::Barrier => format!("{target}{}", barrier(&publish.payload)),
            Class::Snapshot
            | Class::Erase
            | Class::Batch
            | Class::Latest
            | Class::Body
            | Class::Sweep
            | Class::Get
            | Class::Tail
            | Class::Dispatch
            | Class::Host => target.clone(),
        };
        let expect = match &publish.expect {
            Expect::Nothing => String::new(),
            Expect::OwnLast(Sequence::NONE) => format!(", if {target} is new"),
            Expect::OwnLast(sequence) => format!(", if {target} ends at {sequence:?}"),
            Expect::Fence(fence) => {
                let whose = subject(&fence.subject);
                format!(", if {whose} ends at {:?}", fence.sequence)
            }
            Expect::StreamLast(sequence) => format!(", if the stream ends at {sequence:?}"),
        };
        let life = match (publish.rollup, publish.ttl_s) {
            (Rollup::Subject | Rollup::Purge, Some(s)) => {
                format!(", instead of all of it, for {s} s")
            }
            (Rollup::No, Some(s)) => format!(", for {s} s"),
            (Rollup::Subject, None) if publish.subject.starts_with("bank.ev.") => {
                ", instead of all of it".to_owned()
            }
            (Rollup::Subject | Rollup::Purge | Rollup::No, None) => String::new(),
        };
        format!("{body}{expect}{life}")
    }

    /// A commit: its id, versions, events, commands, list and snapshot.
    pub(crate) fn commit(&mut self, commit: &Commit) -> String {
        let mut text = format!(
            "{} {:?}..{:?}",
            self.commit_id(commit.id),
            commit.before,
            commit.last
        );
        let event = |event: &tenure_core::format::EventRecord| {
            let data = match &*event.name {
                "wrote" => format!("{} bytes", event.data.len()),
                _ => String::from_utf8_lossy(&event.data).into_owned(),
            };
            format!("{} {data}", event.name).trim_end().to_owned()
        };
        let events: Vec<_> = commit.events.iter().map(event).collect();
        text += &format!(" [{}]", events.join(", "));
        if commit.tombstone {
            text += " tombstone";
        }
        if let Some(later) = &commit.later {
            text += &later_text(later);
        }
        if !commit.commands.is_empty() {
            text += &format!(" ids {}", commit.commands.len());
        }
        for record in &commit.metadata {
            let said = record.metadata.correlation_id().unwrap_or_default();
            let events = record.first..record.first + record.events;
            text += &format!(" said {said:?} of events {events:?}");
        }
        match commit.earlier.as_slice() {
            [] => {}
            [newest, .., oldest] if commit.earlier.len() > 4 => {
                let count = commit.earlier.len();
                text += &format!(" after {newest:?}..{oldest:?} ({count})");
            }
            earlier => {
                let earlier: Vec<_> = earlier.iter().map(|s| format!("{s:?}")).collect();
                text += &format!(" after {}", earlier.join(" "));
            }
        }
        if let Some(named) = &commit.snapshot {
            text += &format!(" snapshot {:?} of {:?}", named.version, named.sequence);
        }
        text
    }

    /// What a message holds.
    pub(crate) fn message(&mut self, message: &Message) -> String {
        let name = subject(&message.subject);
        let body = match message.subject.split('.').nth(1) {
            Some("ev") => Commit::decode(&message.payload).map(|commit| self.commit(&commit)),
            Some("own") => {
                let record = Ownership::decode(&message.payload);
                record.map(|r| self.ownership(&r))
            }
            Some("idx") => Ok(index(&message.payload)),
            Some("bar") => Ok(barrier(&message.payload).trim_start().to_owned()),
            Some("snap") if message.payload.is_empty() => Ok("deleted".to_owned()),
            Some("snap") => {
                let body = Snapshot::decode(&message.payload);
                body.map(|b| format!("of {:?}", b.sequence))
            }
            _ => Ok(String::new()),
        };
        let body = body.unwrap_or_else(|_| "unreadable".to_owned());
        format!("{:?} {name} {body}", message.sequence)
    }

    /// A message on its way.
    pub(crate) fn dispatch(&mut self, dispatch: &Dispatch) -> String {
        let Dispatch { sender, intent, .. } = dispatch;
        format!("send {} from {sender}", intent_text(intent))
    }

    /// The store's answer in one line.
    pub(crate) fn answer(&mut self, reply: &StoreReply) -> String {
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => format!("stored at {:?}", ack.sequence),
            Outcome::Done(StoreDone::Latest(proof)) => {
                let found: Vec<_> = proof.messages.iter().map(|m| self.message(m)).collect();
                let found: Vec<_> = found.iter().map(|m| m.trim_end()).collect();
                format!("as of {:?}: {}", proof.up_to, found.join("; "))
            }
            Outcome::Done(StoreDone::Message(message)) => self.message(message),
            Outcome::Done(StoreDone::Page(page)) => {
                let found: Vec<_> = page.messages.iter().map(|m| self.message(m)).collect();
                let more = if page.more { "; more" } else { "" };
                format!("found: {}{more}", found.join("; "))
            }
            Outcome::Done(other) => format!("{other:?}"),
            Outcome::Refused(Refused::WrongLast {
                actual: Some(actual),
            }) => format!("refused: 10071, it ends at {actual:?}"),
            Outcome::Refused(refused) => format!("refused: {refused}"),
            Outcome::Unknown => "unknown".to_owned(),
        }
    }

    /// What a caller is told.
    pub(crate) fn reply(&mut self, reply: &Reply, said: Option<String>) -> String {
        let said = said.unwrap_or_default();
        match reply {
            Reply::Committed { version, sequence } => {
                format!("committed {version:?} at {sequence:?}: {said}")
            }
            Reply::Nothing { version, freshness } => {
                format!(
                    "nothing stored at {version:?}{}: {said}",
                    ground(*freshness)
                )
            }
            Reply::Found { version, .. } => format!("found {version:?}: {said}"),
            Reply::Read { version, freshness } => {
                format!("read {version:?}{}: {said}", ground(*freshness))
            }
            Reply::Refused(refusal) => format!("refused: {}", refusal_text(refusal)),
        }
    }

    /// What operators are told.
    pub(crate) fn note(&mut self, note: &Note) -> String {
        match note {
            Note::LostTail { was, now } => {
                format!("the stream lost its tail: it reached {was:?}, now {now:?}")
            }
            Note::SnapshotStored { entity } => format!("snapshot of {entity} stored"),
            Note::SnapshotUsed { entity } => format!("snapshot of {entity} used"),
            Note::SnapshotDeleted { entity } => format!("snapshot of {entity} deleted"),
            Note::SnapshotIgnored { entity, cause } => {
                format!("snapshot of {entity} ignored: {cause}")
            }
            Note::SnapshotFailed { entity, cause } => {
                format!("snapshot of {entity} failed: {cause}")
            }
            Note::TimerFired { entity, timer } => format!("timer {timer} of {entity} fired"),
            Note::TimerRejected { entity, timer } => {
                format!("timer {timer} of {entity} was rejected")
            }
            Note::TimerFailed {
                entity,
                timer,
                cause,
            } => format!("timer {timer} of {entity} failed: {cause}"),
            Note::IntentDone { entity } => format!("message to {entity} done"),
            Note::IntentRejected { entity, cause } => {
                format!("message to {entity} rejected: {cause}")
            }
            Note::IntentFailed { entity, cause } => format!("message to {entity} failed: {cause}"),
            Note::IndexWritten => "index written".to_owned(),
            Note::IndexFailed { cause } => format!("index failed: {cause}"),
            Note::Claimed(epoch) => format!("owner as {}", self.epoch(*epoch)),
            Note::Sealed(epoch) => format!("sealed, owner as {}", self.epoch(*epoch)),
            Note::Superseded { was } => format!("superseded, was {}", self.epoch(*was)),
            other => format!("{other:?}"),
        }
    }
}

/// What an index says.
fn index(bytes: &bytes::Bytes) -> String {
    let Ok(index) = ShardIndex::decode(bytes) else {
        return "unreadable".to_owned();
    };
    let mut text = format!("up to {:?}", index.watermark);
    for timer in &index.timers {
        text += &format!(", {} of {} {}", timer.name, timer.entity, due(timer.due));
    }
    if let Some(horizon) = index.horizon {
        text += &format!(", not all {}", due(horizon));
    }
    for place in &index.undone {
        text += &format!(", undone {:?}.{}", place.sequence, place.index);
    }
    for (place, cause) in &index.failed {
        text += &format!(", failed {:?}.{} ({cause})", place.sequence, place.index);
    }
    for shelved in &index.shelved {
        text += &format!(", a receiver shelved after {:?}", shelved.after);
    }
    text
}

/// What a barrier says of timers and messages: up to where some are before its batch, and whether some
/// are in it.
fn barrier(bytes: &bytes::Bytes) -> String {
    match Barrier::decode(bytes) {
        Ok(barrier) if barrier.here => format!(" later up to {:?} and here", barrier.later),
        Ok(barrier) => format!(" later up to {:?}", barrier.later),
        Err(_) => String::new(),
    }
}

fn later_text(later: &Later) -> String {
    let mut text = String::new();
    for timer in &later.armed {
        text += &format!(" arms {} {}", timer.name, due(timer.due));
        if timer.period_ms > 0 {
            text += &format!(" each {} ms", timer.period_ms);
        }
    }
    for name in &later.cancelled {
        text += &format!(" clears {name}");
    }
    for (place, intent) in later.sends.iter().enumerate() {
        let on = if place < later.carried.len() {
            " on"
        } else {
            ""
        };
        text += &format!(" sends{on} {}", intent_text(intent));
    }
    text
}

fn intent_text(intent: &Intent) -> String {
    let data = String::from_utf8_lossy(&intent.message.data);
    format!("{} {data} to {}", intent.message.name, intent.entity)
}

/// When a timer is due, after the start.
fn due(wall: WallTime) -> String {
    let after_ms = wall.0.saturating_sub(WALL_START_MS);
    format!("at +{}.{:03}", after_ms / 1_000, after_ms % 1_000)
}

/// What an answer's state is known to be, where it is less than usual.
fn ground(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Local => " (local)",
        Freshness::Leased => " (leased)",
        Freshness::Linearizable | _ => "",
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Conflict { actual } => format!("conflict, the entity is at {actual:?}"),
        Refusal::Contended { tries } => format!("others won {tries} times"),
        Refusal::Unknown => "unknown whether it happened".to_owned(),
        Refusal::Deadline => "its deadline came, nothing happened".to_owned(),
        Refusal::Undelivered(undelivered) => {
            format!("its deadline came, nothing happened: {undelivered}")
        }
        Refusal::Expired { horizon } => {
            let ago_ms = WALL_START_MS.saturating_sub(horizon.0);
            format!("its id may be forgotten (horizon {ago_ms} ms before the start)")
        }
        Refusal::Ahead {
            ahead_ms,
            ahead_max_ms,
        } => format!("its id is {ahead_ms} ms ahead, {ahead_max_ms} are allowed"),
        Refusal::Overloaded => "too many wait".to_owned(),
        Refusal::TooLarge { bytes, bytes_max } => {
            format!("the commit has {bytes} bytes, {bytes_max} fit")
        }
        Refusal::OutcomeTooLarge { bytes, bytes_max } => {
            format!("the outcome has {bytes} bytes, {bytes_max} are kept")
        }
        Refusal::VersionNotRising { last, given } => {
            format!("version {given:?} does not rise above {last:?}")
        }
        Refusal::Metadata(error) => error.to_string(),
        Refusal::TooManyTimers { timers, timers_max } => {
            format!("{timers} timers, {timers_max} at most")
        }
        Refusal::TooManySends { sends, sends_max } => {
            format!("{sends} messages, {sends_max} at most")
        }
        Refusal::Unowned => "nobody owns what is in direct mode".to_owned(),
        Refusal::NotOwner => "not the owner".to_owned(),
        Refusal::NotLeased => "its kind has no lease".to_owned(),
        Refusal::Failed(text) => text.clone(),
        Refusal::Fold(error) => error.to_string(),
        Refusal::Damaged(damage) => damage.to_string(),
        Refusal::Store(refused) => refused.to_string(),
        other => format!("{other:?}"),
    }
}
