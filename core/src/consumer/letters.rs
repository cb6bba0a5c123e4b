//! Dead letters: stored, told, looked into, replayed and removed.

use super::fault::may_pass;
use super::machine::{Consumer, Job};
use super::queue::Work;
use super::take::Misfit;
use super::{
    Answer, Effect, Failure, Given, Handled, LetterPage, LetterRefusal, Notice, Order,
    OrderRefusal, UnreadableLetter,
};
use crate::format::{DeadLetter, EventPlace};
use crate::id::{Partition, Sequence, Ticket};
use crate::name::{ConsumerName, Namespace};
use crate::port::{
    Expect, Message, Page, Publish, Refused, Rollup, Source, StoreDone, StoreReply, StoreRequest,
    Subject,
};
use crate::step::{Cx, Effects, Outcome};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use bytes::Bytes;

/// For how long what removed a dead letter stays, in seconds.
const REMOVED_TTL_S: u32 = 60;

/// How often an event that is absent from the log is looked for again.
const ABSENT_TRIES: u32 = 6;

/// A dead letter that is being stored.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Put {
    key: Subject,
    at: (u16, Sequence),
    letter: DeadLetter,
    failure: Failure,
}

/// What somebody wants of dead letters.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct LetterTask {
    want: Want,
    /// Where the letter is in the consumers' stream.
    found: Option<Sequence>,
    /// How often its event was tried.
    tries: u32,
    /// Its event, when it is to be handed over.
    given: Option<Box<Given>>,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Want {
    List { after: Sequence, letters_max: u32 },
    Look(EventPlace),
    Replay(EventPlace),
    Remove(EventPlace),
}

impl Want {
    fn place(self) -> Option<EventPlace> {
        match self {
            Self::List { .. } => None,
            Self::Look(place) | Self::Replay(place) | Self::Remove(place) => Some(place),
        }
    }

    pub(super) fn refused(self, refusal: LetterRefusal) -> Answer {
        match self {
            Self::List { .. } => Answer::Letters(Err(refusal)),
            Self::Look(_) => Answer::Looked(Err(refusal)),
            Self::Replay(_) | Self::Remove(_) => Answer::Removed(Err(refusal)),
        }
    }
}

impl Consumer {
    /// Stores a dead letter; the event's key is busy until then.
    pub(super) fn put(
        &mut self,
        cx: &mut Cx<'_>,
        key: Subject,
        at: (u16, Sequence),
        letter: DeadLetter,
        failure: Failure,
        out: &mut Effects<Effect>,
    ) {
        let place = letter.place;
        let put = Put {
            key,
            at,
            letter,
            failure,
        };
        self.puts.insert(place, put);
        self.ask(cx, Job::Put(place), out);
    }

    /// The same letter again replaces itself, and so does that of a later life of the consumer.
    pub(super) fn put_request(&self, place: EventPlace) -> Option<StoreRequest> {
        let payload = self.puts.get(&place)?.letter.encode();
        let (ns, name) = (&self.config.wish.namespace, &self.config.definition.name);
        let put = (Expect::Nothing, None);
        Some(letter_publish(ns, name, place, put, payload))
    }

    pub(super) fn was_put(
        &mut self,
        cx: &mut Cx<'_>,
        place: EventPlace,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let job = Job::Put(place);
        match reply {
            Outcome::Done(StoreDone::Published(_)) => {
                self.asks.done(job);
                if let Some(put) = self.puts.remove(&place) {
                    crate::reached!(cx, "consumer: a poison event is put aside");
                    self.watch.dead_lettered += 1;
                    self.pass(cx, &put.key, put.at);
                    self.notice(Notice::DeadLettered(put.failure), out);
                }
            }
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(refused) if may_pass(&refused) => self.again_after(cx, job, refused),
            Outcome::Refused(refused) => {
                self.puts.remove(&place);
                self.refused(cx, job, refused, out);
            }
            // It replaces itself.
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: a dead letter's outcome is unknown");
                self.again(cx, job);
            }
        }
        Ok(())
    }

    pub(super) fn begin_letters(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        want: Want,
        out: &mut Effects<Effect>,
    ) {
        if self.letters.len() >= self.config.pace.letters_max as usize {
            let answer = want.refused(OrderRefusal::Busy.into());
            return out.push(Effect::Answer { ticket, answer });
        }
        if matches!(want, Want::Replay(_)) && self.is_external() {
            // Its place is behind what the state has taken in (P6).
            let answer = want.refused(LetterRefusal::External);
            return out.push(Effect::Answer { ticket, answer });
        }
        if let Want::Replay(place) = want
            && self.is_replaying(place)
        {
            let answer = want.refused(LetterRefusal::Replaying { place });
            return out.push(Effect::Answer { ticket, answer });
        }
        let task = LetterTask {
            want,
            found: None,
            tries: 0,
            given: None,
        };
        self.letters.insert(ticket, task);
        let job = match want {
            Want::List { .. } => Job::List(ticket),
            Want::Look(_) | Want::Replay(_) | Want::Remove(_) => Job::Letter(ticket),
        };
        self.ask(cx, job, out);
    }

    /// Whether somebody else wants an event to be handed over, too: two would have it done twice.
    fn is_replaying(&self, place: EventPlace) -> bool {
        let mut tasks = self.letters.values();
        tasks.any(|task| matches!(task.want, Want::Replay(of) if of == place))
    }

    pub(super) fn letter_request(&self, job: Job, ticket: Ticket) -> Option<StoreRequest> {
        let task = self.letters.get(&ticket)?;
        let ns = &self.config.wish.namespace;
        let name = &self.config.definition.name;
        match (job, task.want) {
            (Job::List(_), Want::List { after, letters_max }) => Some(StoreRequest::Scan {
                stream: ns.consumer_stream(),
                filter: ns.dead_letters_filter(name),
                from: Sequence(after.0 + 1),
                messages_max: letters_max.clamp(1, 1_000),
            }),
            (Job::Letter(_), want) => Some(StoreRequest::Latest {
                stream: ns.consumer_stream(),
                subjects: vec![ns.dead_letter_subject(name, want.place()?)],
            }),
            (Job::Commit(_), want) => {
                let place = want.place()?;
                let odd = self.asks.tries(job) % 2 == 1;
                Some(StoreRequest::Get {
                    stream: self.config.definition.source.stream(ns, place.partition),
                    sequence: place.sequence,
                    source: if odd { Source::Leader } else { Source::Replica },
                })
            }
            // Only if it is the one that was read: a newer one stays.
            (Job::Remove(_), want) => Some(removal(ns, name, want.place()?, task.found?)),
            (_, _) => None,
        }
    }

    pub(super) fn letter_answered(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        ticket: Ticket,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let Some(task) = self.letters.get(&ticket) else {
            self.asks.done(job);
            return Ok(());
        };
        let want = task.want;
        // One that was there and is not any more was removed by an attempt that was in doubt.
        let gone = match (want, &task.found) {
            (Want::Remove(_), Some(_)) => Answer::Removed(Ok(())),
            (_, _) => want.refused(LetterRefusal::None {
                place: want.place().unwrap_or_else(nowhere),
            }),
        };
        match (job, reply) {
            (Job::List(_), Outcome::Done(StoreDone::Page(page))) => {
                self.tell(ticket, Answer::Letters(Ok(listed(&page))), out);
            }
            (Job::List(_), Outcome::Refused(Refused::NotFound)) => {
                self.tell(ticket, Answer::Letters(Ok(LetterPage::default())), out);
            }
            (Job::Letter(_), Outcome::Done(StoreDone::Latest(proof))) => {
                let message = proof.messages.into_iter().next();
                match message.filter(|message| !is_removed(message)) {
                    Some(message) => self.letter_found(cx, ticket, want, &message, out),
                    None => self.tell(ticket, gone, out),
                }
            }
            (Job::Letter(_), Outcome::Refused(Refused::NotFound)) => self.tell(ticket, gone, out),
            (Job::Commit(_), Outcome::Done(StoreDone::Message(message))) => {
                self.commit_found(ticket, want, &message, out);
            }
            (Job::Commit(_), Outcome::Refused(Refused::NotFound)) => {
                if self.asks.tries(job) < ABSENT_TRIES {
                    // A replica that lags says so, too.
                    self.again(cx, job);
                    return Ok(());
                }
                let place = want.place().unwrap_or_else(nowhere);
                self.tell(
                    ticket,
                    want.refused(LetterRefusal::EventGone { place }),
                    out,
                );
            }
            (Job::Remove(_), Outcome::Done(StoreDone::Published(_))) => {
                self.tell(ticket, Answer::Removed(Ok(())), out);
            }
            // It is not the one that was read: mine of an attempt that was in doubt, or a newer letter.
            (Job::Remove(_), Outcome::Refused(Refused::WrongLast { .. })) => {
                self.reread(cx, ticket, out);
            }
            (_, Outcome::Done(_)) => return Err(Misfit),
            (_, Outcome::Refused(refused)) if may_pass(&refused) => {
                self.again_after(cx, job, refused);
                return Ok(());
            }
            (_, Outcome::Refused(refused)) => {
                self.tell(ticket, want.refused(LetterRefusal::Store(refused)), out);
            }
            (_, Outcome::Unknown) => {
                crate::reached!(cx, "consumer: an ask about dead letters is not answered");
                self.again(cx, job);
                return Ok(());
            }
        }
        self.asks.done(job);
        Ok(())
    }

    fn letter_found(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        want: Want,
        message: &Message,
        out: &mut Effects<Effect>,
    ) {
        let Some(task) = self.letters.get_mut(&ticket) else {
            return;
        };
        let before = task.found.replace(message.sequence);
        if let Want::Remove(place) = want {
            // One that came meanwhile is another one, of a later failure.
            if before.is_some_and(|before| before != message.sequence) {
                return self.tell(ticket, want.refused(LetterRefusal::Newer { place }), out);
            }
            // Whatever it says.
            return self.ask(cx, Job::Remove(ticket), out);
        }
        let letter = match DeadLetter::decode(&message.payload) {
            Ok(letter) => letter,
            Err(error) => {
                return self.tell(ticket, want.refused(LetterRefusal::Format(error)), out);
            }
        };
        let (layout, name) = (self.config.layout.id, &self.config.definition.name);
        if letter.layout != layout || letter.consumer != *name || want.place() != Some(letter.place)
        {
            let foreign = LetterRefusal::Foreign {
                consumer: letter.consumer,
                layout: letter.layout,
            };
            return self.tell(ticket, want.refused(foreign), out);
        }
        task.tries = letter.tries;
        self.ask(cx, Job::Commit(ticket), out);
    }

    /// A removal met something else: when nothing is left there, it is done.
    fn reread(&mut self, cx: &mut Cx<'_>, ticket: Ticket, out: &mut Effects<Effect>) {
        let Some(task) = self.letters.get_mut(&ticket) else {
            return;
        };
        if matches!(task.want, Want::Replay(_)) {
            // The event was handled; a letter of a later failure is another one.
            return self.tell(ticket, Answer::Removed(Ok(())), out);
        }
        self.ask(cx, Job::Letter(ticket), out);
    }

    fn commit_found(
        &mut self,
        ticket: Ticket,
        want: Want,
        message: &Message,
        out: &mut Effects<Effect>,
    ) {
        let failed = |text| want.refused(LetterRefusal::Failed { text });
        let (config, source) = (&self.config, &self.config.definition.source);
        let read = source
            .subject(&config.wish.namespace, &message.subject)
            .and_then(|subject| {
                let commit = source.commit(config.layout.id, &subject, &message.payload)?;
                Ok((subject, commit))
            });
        let (subject, commit) = match read {
            Ok(read) => read,
            Err(error) => return self.tell(ticket, failed(error.to_string()), out),
        };
        let place = match want {
            Want::Replay(place) => place,
            Want::Look(_) | Want::Remove(_) | Want::List { .. } => {
                let looked = Box::new((commit, message.stored));
                return self.tell(ticket, Answer::Looked(Ok(looked)), out);
            }
        };
        let shards = &self.config.definition.filter.shards;
        if !shards.is_empty() && !shards.contains(&subject.shard) {
            // What it has of the entity is with another partition, so the order is, too.
            let shard = subject.shard;
            let refusal = LetterRefusal::OtherShard { place, shard };
            return self.tell(ticket, Answer::Removed(Err(refusal)), out);
        }
        if commit.events.get(place.index as usize).is_none() {
            let text = "its commit has no such event".to_string();
            return self.tell(ticket, failed(text), out);
        }
        let key = match self.config.definition.order {
            Order::Serial => Subject::from(""),
            Order::PerEntity { .. } => message.subject.clone(),
        };
        if let Some(task) = self.letters.get_mut(&ticket) {
            let tries = task.tries;
            task.given = Some(Box::new(Given {
                place,
                subject: Arc::new(subject),
                commit: Arc::new(commit),
                stored: message.stored,
                live: false,
                attempt: tries.saturating_add(1),
            }));
        }
        self.queue.push(&key, Work::Letter(ticket));
    }

    /// The event of a dead letter, when it is to be handed over.
    pub(super) fn letter_event(&self, ticket: Ticket) -> Option<Given> {
        let task = self.letters.get(&ticket)?;
        task.given.as_deref().cloned()
    }

    /// The handler is done with the event of a dead letter.
    pub(super) fn letter_handled(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        handled: Handled,
        out: &mut Effects<Effect>,
    ) {
        self.watch.progress(cx.now);
        match handled {
            Handled::Done => {
                crate::reached!(cx, "consumer: a dead letter was handled");
                self.ask(cx, Job::Remove(ticket), out);
            }
            Handled::Failed { text, .. } => {
                let failed = LetterRefusal::Failed { text };
                self.tell(ticket, Answer::Removed(Err(failed)), out);
            }
        }
    }

    fn tell(&mut self, ticket: Ticket, answer: Answer, out: &mut Effects<Effect>) {
        if self.letters.remove(&ticket).is_some() {
            for job in [Job::List, Job::Letter, Job::Commit, Job::Remove] {
                self.asks.abandon(job(ticket));
            }
            out.push(Effect::Answer { ticket, answer });
        }
    }

    /// Gives some up that wait.
    pub(super) fn give_up_letters(
        &mut self,
        tickets: impl IntoIterator<Item = Ticket>,
        why: OrderRefusal,
        out: &mut Effects<Effect>,
    ) {
        for ticket in tickets {
            if let Some(task) = self.letters.get(&ticket) {
                let answer = task.want.refused(why.into());
                self.tell(ticket, answer, out);
            }
        }
    }
}

fn letter_publish(
    ns: &Namespace,
    consumer: &ConsumerName,
    place: EventPlace,
    (expect, ttl_s): (Expect, Option<u32>),
    payload: Bytes,
) -> StoreRequest {
    StoreRequest::Publish(Publish {
        stream: ns.consumer_stream(),
        subject: ns.dead_letter_subject(consumer, place),
        expect,
        rollup: Rollup::Subject,
        dedup: None,
        ttl_s,
        payload,
    })
}

/// What removed a letter, or what the store left of that.
pub(super) fn is_removed(message: &Message) -> bool {
    message.payload.is_empty() || message.expired_marker
}

/// What removes the letter of an event that is at this place of the consumers' stream, and no other one.
pub(crate) fn removal(
    ns: &Namespace,
    consumer: &ConsumerName,
    place: EventPlace,
    at: Sequence,
) -> StoreRequest {
    let (expect, ttl_s) = (Expect::OwnLast(at), Some(REMOVED_TTL_S));
    letter_publish(ns, consumer, place, (expect, ttl_s), Bytes::new())
}

/// The letters of a page of the consumers' stream.
pub(crate) fn listed(page: &Page) -> LetterPage {
    let last = page.messages.last().map(|message| message.sequence);
    let mut listed = LetterPage {
        more: last.filter(|_| page.more),
        ..LetterPage::default()
    };
    for message in page.messages.iter().filter(|message| !is_removed(message)) {
        match DeadLetter::decode(&message.payload) {
            Ok(letter) => listed.letters.push((message.sequence, letter)),
            // One that cannot be read keeps nobody from the others.
            Err(error) => listed.unreadable.push(UnreadableLetter {
                place: place_in(&message.subject),
                sequence: message.sequence,
                error,
            }),
        }
    }
    listed
}

/// The place that the subject of a dead letter ends with.
fn place_in(subject: &str) -> Option<EventPlace> {
    let mut tokens = subject.rsplit('.');
    let index = tokens.next()?.parse().ok()?;
    let sequence = Sequence(tokens.next()?.parse().ok()?);
    let partition = Partition(tokens.next()?.parse().ok()?);
    Some(EventPlace {
        partition,
        sequence,
        index,
    })
}

fn nowhere() -> EventPlace {
    EventPlace {
        partition: Partition(0),
        sequence: Sequence::NONE,
        index: 0,
    }
}
