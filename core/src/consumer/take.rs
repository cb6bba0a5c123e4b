//! Reading an event stream: its end, a consumer of the store, and what that sends (C1, C4, C6, C7).

use super::fault::may_pass;
use super::feed::{Feed, Way};
use super::machine::{Consumer, Job, Phase};
use super::queue::{Content, Item, Work};
use super::{Effect, Fault, Notice, Order, Reopened};
use crate::format::{EventSubject, Position, Witness};
use crate::id::{Sequence, ShardId};
use crate::name::{EntityId, KindName};
use crate::port::{
    self, ConsumerSettings, FETCH_MESSAGES_MAX, Fetched, Message, Refused, StoreDone, StoreReply,
    StoreRequest, StreamInfo, Subject,
};
use crate::space::SpaceError;
use crate::step::{Cx, Effects, Outcome, Purpose, Span, Time};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// An answer does not fit its question.
#[derive(Debug)]
pub(super) struct Misfit;

/// The shortest time from one fetch that brings nothing to the next.
const FETCH_EVERY: Span = Span::from_millis(10);

/// How long nothing is fetched before the end is looked at first: who is about to fetch needs none.
const LOOK_FIRST: Span = Span::from_millis(100);

/// A consumer of that name exists with other settings.
const NAME_TAKEN: u32 = 10_148;

impl Consumer {
    /// Reads a stream from a place on; what was fetched of it is forgotten.
    pub(super) fn begin_feed(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        place: Result<Position, port::Start>,
        out: &mut Effects<Effect>,
    ) {
        self.close_feed(cx, n, out);
        if let Some(feed) = self.feeds.get_mut(usize::from(n)) {
            feed.begin(place);
            if !feed.is_wanted() {
                return;
            }
            feed.way = Way::Looking;
        }
        self.ask_once(cx, Job::Look(n), out);
    }

    /// Reads a stream anew after the last message that came; what was fetched stays.
    pub(super) fn reopen(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        why: Reopened,
        out: &mut Effects<Effect>,
    ) {
        self.close_feed(cx, n, out);
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        feed.way = Way::Looking;
        let stream = feed.partition;
        self.watch.reopened += 1;
        self.notice(Notice::Reopened { stream, why }, out);
        match why {
            Reopened::Link => {
                self.asks.abandon(Job::Look(n));
                self.ask(cx, Job::Look(n), out);
            }
            // Each time longer, until a fetch is answered.
            Reopened::Gap | Reopened::Gone | Reopened::Unanswered => self.again(cx, Job::Look(n)),
        }
    }

    /// Lets go of the consumer of the store, if there is one.
    pub(super) fn close_feed(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        if !feed.is_wanted() {
            return;
        }
        let opening = feed.openings;
        let way = core::mem::replace(&mut feed.way, Way::Closed);
        self.asks.abandon(Job::Recall(n));
        self.asks.abandon(Job::Open(n, opening));
        self.asks.abandon(Job::Fetch(n, opening));
        match way {
            Way::Opening(consumer) | Way::Open { consumer, .. } => {
                self.closes += 1;
                self.closing.insert(self.closes, (n, consumer));
                self.ask(cx, Job::Close(self.closes), out);
            }
            Way::Unwanted | Way::Closed | Way::Looking => {}
        }
    }

    pub(super) fn close_request(&self, n: u64) -> Option<StoreRequest> {
        let (feed, consumer) = self.closing.get(&n)?;
        Some(StoreRequest::CloseConsumer {
            stream: self.feeds.get(usize::from(*feed))?.stream.clone(),
            consumer: consumer.clone(),
        })
    }

    pub(super) fn look_request(&self, n: u16) -> Option<StoreRequest> {
        let stream = self.feeds.get(usize::from(n))?.stream.clone();
        Some(StoreRequest::StreamInfo { stream })
    }

    pub(super) fn looked(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let job = Job::Look(n);
        match reply {
            Outcome::Done(StoreDone::Stream(info)) => self.seen(cx, n, &info, out),
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NoStream) => self.is_absent(cx, n, out),
            Outcome::Refused(refused) if may_pass(&refused) => self.again_after(cx, job, refused),
            Outcome::Refused(refused) => self.refused(cx, job, refused, out),
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: a look at a stream is not answered");
                self.again(cx, job);
            }
        }
        Ok(())
    }

    /// A stream is not there, as a server says that may not know of it yet.
    fn is_absent(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        let since = *feed.absent_since.get_or_insert(cx.now);
        if cx.now.since(since) < self.limits.absent_patience {
            return self.again_after(cx, Job::Look(n), Refused::NoStream);
        }
        let stream = feed.stream.as_str().into();
        self.fail(cx, Fault::Space(SpaceError::StreamLost { stream }), out);
    }

    /// Where a stream ends is known.
    fn seen(&mut self, cx: &mut Cx<'_>, n: u16, info: &StreamInfo, out: &mut Effects<Effect>) {
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        let (last, known) = (info.last, feed.known());
        feed.head = last;
        feed.absent_since = None;
        feed.replicated = info.settings.replicas > 1;
        if last < known {
            return self.short(cx, n, out);
        }
        feed.short_since = None;
        match &mut feed.way {
            Way::Looking => {
                let next = Sequence(feed.taken.0 + 1);
                let expired = match self.config.definition.source {
                    super::Source::Log => 0,
                    super::Source::Bus(_) if !feed.taken.is_some() => 0,
                    super::Source::Bus(_) => info.first.0.saturating_sub(next.0),
                };
                feed.live_after.get_or_insert(last);
                match feed.last_known() {
                    Some(_) => self.ask_once(cx, Job::Recall(n), out),
                    None => self.open(cx, n, out),
                }
                if expired > 0 {
                    crate::reached!(
                        cx,
                        "consumer: what was published expired before it was read"
                    );
                    self.watch.expired += expired;
                    self.notice(Notice::Expired { places: expired }, out);
                }
            }
            Way::Open { look, asked, .. } => {
                // What comes next is a fetch, which tells how much there is.
                let fetches = core::mem::take(look);
                // A fetch that is on its way may have been answered before.
                feed.looked = asked.is_none() && !feed.replicated;
                feed.told_at = cx.now;
                if !fetches {
                    feed.count_on();
                }
            }
            Way::Unwanted | Way::Closed | Way::Opening(_) => {}
        }
        self.rewind_looked(cx, n, out);
    }

    /// A stream ends before what was read of it, or before where it is to be read from.
    fn short(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        let name = self.config.definition.name.clone();
        if matches!(self.phase, Phase::Opening)
            && !self.watch.resumed
            && let Some(refusal) = self.past_head(n)
        {
            return self.fail(cx, Fault::BadStart { name, refusal }, out);
        }
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        let since = *feed.short_since.get_or_insert(cx.now);
        if cx.now.since(since) < self.limits.lost_tail_patience {
            // A new leader may not have all yet.
            return self.again(cx, Job::Look(n));
        }
        crate::reached!(cx, "consumer: a stream lost its tail");
        let fault = Fault::TailLost {
            name,
            stream: feed.stream.as_str().into(),
            position: feed.known(),
            last: feed.head,
        };
        self.fail(cx, fault, out);
    }

    /// The stream is the one that was read before.
    pub(super) fn open(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        if let Some(feed) = self.feeds.get_mut(usize::from(n)) {
            feed.openings += 1;
            let opening = feed.openings;
            self.ask(cx, Job::Open(n, opening), out);
        }
    }

    /// Each attempt has a name of its own: of two under one name nobody knows which moved it.
    pub(super) fn open_request(
        &mut self,
        cx: &Cx<'_>,
        n: u16,
        opening: u32,
    ) -> Option<StoreRequest> {
        let draw = cx.dice.roll(Purpose::ConsumerName, self.rolls);
        let name = &self.config.definition.name;
        let ns = &self.config.wish.namespace;
        let feed = self.feeds.get_mut(usize::from(n))?;
        if feed.openings != opening {
            return None;
        }
        self.rolls += 1;
        let consumer = format!("{ns}-{name}-{n}-{draw:016x}");
        let consumer = port::ConsumerName::from(consumer);
        feed.way = Way::Opening(consumer.clone());
        Some(StoreRequest::OpenConsumer(ConsumerSettings {
            stream: feed.stream.clone(),
            name: consumer,
            filters: feed.filters.clone(),
            from: feed
                .from
                .unwrap_or(port::Start::Sequence(Sequence(feed.taken.0 + 1))),
            idle: self.config.pace.idle,
        }))
    }

    pub(super) fn opened(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        opening: u32,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let job = Job::Open(n, opening);
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return Err(Misfit);
        };
        match reply {
            Outcome::Done(StoreDone::Consumer(info)) => {
                let Way::Opening(consumer) = feed.way.clone() else {
                    return Err(Misfit);
                };
                if feed.from.take().is_some() {
                    feed.stand(Position::whole(info.after));
                }
                feed.count(info.pending);
                feed.told_at = cx.now;
                feed.falls_behind();
                feed.looked = !feed.replicated;
                feed.dry = false;
                feed.way = Way::Open {
                    consumer,
                    number: 1,
                    fetch_at: cx.now,
                    asked: None,
                    look: false,
                };
                self.asks.done(job);
                self.all_open(cx, out);
            }
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NoStream) => {
                feed.way = Way::Looking;
                self.asks.abandon(job);
                self.again(cx, Job::Look(n));
            }
            // Somebody else's has the name that was drawn; the next one is another.
            Outcome::Refused(Refused::Other {
                code: NAME_TAKEN, ..
            }) => self.again(cx, job),
            Outcome::Refused(refused) if may_pass(&refused) => self.again_after(cx, job, refused),
            Outcome::Refused(refused) => self.refused(cx, job, refused, out),
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: the outcome of an opening is unknown");
                self.again(cx, job);
            }
        }
        Ok(())
    }

    /// Whether more may be fetched.
    pub(super) fn may_fetch(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Commits and bytes that one stream may have fetched.
    fn share(&self) -> (u64, u64) {
        let wanted = self.feeds.iter().filter(|feed| feed.is_wanted());
        let feeds = wanted.count().max(1) as u64;
        let pace = &self.config.pace;
        let commits = u64::from(pace.prefetch_commits_max) / feeds;
        let bytes = u64::from(pace.prefetch_bytes_max) / feeds;
        (commits.max(1), bytes.max(1))
    }

    /// When a stream is to be fetched from next, or looked at while there is no room; `None` when something else
    /// comes before.
    pub(super) fn fetch_at(&self, n: u16, feed: &Feed) -> Option<Time> {
        let Way::Open {
            fetch_at,
            asked: None,
            look,
            ..
        } = &feed.way
        else {
            return None;
        };
        let fetch = Job::Fetch(n, feed.openings);
        // A look for the lag alone holds no fetch up.
        let has_room = self.has_room(feed);
        let looks = self.asks.busy(Job::Look(n)) && (*look || !has_room);
        if !self.may_fetch() || looks || self.asks.busy(fetch) {
            return None;
        }
        Some(match *look || has_room {
            true => *fetch_at,
            // Its lag grows all the same.
            false => feed.told_at + self.look_after(feed),
        })
    }

    /// How long after it was fetched from or looked at a stream is looked at for its lag.
    fn look_after(&self, feed: &Feed) -> Span {
        match feed.is_counted_on() {
            true => self.config.pace.look_every,
            false => self.config.pace.look_every.min(LOOK_FIRST),
        }
    }

    /// A few large fetches rather than many small ones.
    fn has_room(&self, feed: &Feed) -> bool {
        let (commits_max, bytes_max) = self.share();
        feed.items.len() as u64 <= commits_max / 2 && feed.bytes <= bytes_max / 2
    }

    /// Fetches where there is room, and looks at the end of a stream that brings nothing or has none.
    pub(super) fn feed(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        for n in 0..self.config.layout.streams {
            let Some(feed) = self.feeds.get(usize::from(n)) else {
                return;
            };
            if self.fetch_at(n, feed).is_none_or(|at| at > cx.now) {
                continue;
            }
            let looks = matches!(feed.way, Way::Open { look: true, .. });
            let job = match looks || !self.has_room(feed) {
                true => Job::Look(n),
                false => Job::Fetch(n, feed.openings),
            };
            if self.asks.busy(Job::Look(n)) {
                self.asks.abandon(Job::Look(n));
            }
            self.ask(cx, job, out);
        }
    }

    pub(super) fn fetch_request(
        &mut self,
        cx: &Cx<'_>,
        n: u16,
        opening: u32,
    ) -> Option<StoreRequest> {
        let (commits_max, bytes_max) = self.share();
        let wait = self.config.pace.fetch_wait;
        let feed = self.feeds.get_mut(usize::from(n))?;
        let held = feed.items.len() as u64;
        let room = held < commits_max && feed.bytes < bytes_max;
        let Way::Open {
            consumer, asked, ..
        } = &mut feed.way
        else {
            return None;
        };
        if feed.openings != opening || !room {
            return None;
        }
        *asked = Some(cx.now);
        let messages = (commits_max - held).min(u64::from(FETCH_MESSAGES_MAX));
        Some(StoreRequest::Fetch {
            stream: feed.stream.clone(),
            consumer: consumer.clone(),
            messages_max: u32::try_from(messages).unwrap_or(FETCH_MESSAGES_MAX),
            bytes_max: u32::try_from(bytes_max - feed.bytes).unwrap_or(u32::MAX),
            wait,
        })
    }

    pub(super) fn fetched(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        opening: u32,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let job = Job::Fetch(n, opening);
        match reply {
            Outcome::Done(StoreDone::Fetched(fetched)) => {
                self.asks.done(job);
                self.take_in(cx, n, fetched, out);
            }
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NoConsumer | Refused::NoResponders | Refused::NoStream) => {
                crate::reached!(cx, "consumer: its part at the store is gone");
                self.reopen(cx, n, Reopened::Gone, out);
            }
            Outcome::Refused(refused) if may_pass(&refused) => self.again_after(cx, job, refused),
            Outcome::Refused(refused) => self.refused(cx, job, refused, out),
            // What was on its way is lost. The next message would tell by its number, but there may be none.
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: an answer with messages may be lost");
                self.reopen(cx, n, Reopened::Unanswered, out);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, cx: &mut Cx<'_>, n: u16, fetched: Fetched, out: &mut Effects<Effect>) {
        let Fetched { messages, pending } = fetched;
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        let Way::Open {
            number,
            fetch_at,
            asked,
            look,
            ..
        } = &mut feed.way
        else {
            return;
        };
        let began = asked.take().unwrap_or(cx.now);
        let nothing = messages.is_empty() && pending == 0;
        feed.dry |= nothing;
        // What brings nothing and is held up on its way does not say how much there is.
        let counts = nothing || !messages.is_empty();
        *fetch_at = cx.now;
        if messages.is_empty() {
            *fetch_at = cx.now.max(began + FETCH_EVERY);
            *look = true;
        }
        let (mut next, mut taken, mut gap) = (*number, Vec::new(), false);
        let mut last = feed.taken;
        for delivered in messages {
            let message = delivered.message;
            if delivered.number != next || message.sequence <= last {
                gap = true;
                break;
            }
            next += 1;
            last = message.sequence;
            taken.push(message);
        }
        *number = next;
        feed.told_at = cx.now;
        if counts {
            feed.count(pending);
        }
        if !gap || !taken.is_empty() {
            self.asks.done(Job::Look(n));
        }
        for message in taken {
            self.take(cx.now, n, message);
        }
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        if gap {
            crate::reached!(cx, "consumer: messages were lost on the way");
            feed.settle();
            return self.reopen(cx, n, Reopened::Gap, out);
        }
        // What the store said at first was a hint, and what it counted may be gone.
        feed.behind = feed.behind.min(feed.pending);
        if core::mem::take(&mut feed.looked) && nothing {
            feed.quiet = feed.quiet.max(feed.head);
        }
        feed.settle();
    }

    /// Takes in one message.
    fn take(&mut self, now: Time, n: u16, message: Message) {
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        feed.came(message.sequence);
        let base = match feed.position.sequence == message.sequence {
            true => feed.position.events,
            false => 0,
        };
        let ns = &self.config.wish.namespace;
        let source = &self.config.definition.source;
        let (subject, content) = match source.subject(ns, &message.subject) {
            Ok(subject) => match self.config.definition.filter.wants_entity(&subject) {
                true => {
                    let content = self.read(&subject, &message, base);
                    (subject, content)
                }
                false => return self.pass_over(now),
            },
            Err(error) => (
                foreign(&message.subject),
                Some(Content::Broken(error.to_string())),
            ),
        };
        let Some(content) = content else {
            return self.pass_over(now);
        };
        let key = match self.config.definition.order {
            Order::Serial => Subject::from(""),
            Order::PerEntity { .. } => message.subject.clone(),
        };
        let item = Item {
            subject: Arc::new(subject),
            stored: message.stored,
            bytes: message.payload.len() as u64,
            content,
            base,
            next: 0,
            tries: 0,
        };
        self.watch.matched();
        self.queue.events += item.left() as u64;
        self.queue.commits += 1;
        self.queue.bytes += item.bytes;
        if let Some(feed) = self.feeds.get_mut(usize::from(n)) {
            feed.bytes += item.bytes;
            if let Content::Commit { commit, .. } = &item.content {
                feed.witnessed(Witness::of(message.sequence, commit.id));
            }
            feed.items.insert(message.sequence, item);
        }
        self.queue.push(&key, Work::Commit(n, message.sequence));
    }

    /// A commit of which nothing is wanted.
    fn pass_over(&mut self, now: Time) {
        self.record.unsaved_since.get_or_insert(now);
    }

    /// What is wanted of a commit; `None` when nothing is.
    fn read(&self, subject: &EventSubject, message: &Message, base: u32) -> Option<Content> {
        let (source, layout) = (&self.config.definition.source, self.config.layout.id);
        let commit = match source.commit(layout, subject, &message.payload) {
            Ok(commit) => commit,
            Err(error) => return Some(Content::Broken(error.to_string())),
        };
        if commit.layout != self.config.layout.id {
            let text = format!(
                "it was written under layout {}, and this namespace has {}",
                commit.layout, self.config.layout.id
            );
            return Some(Content::Broken(text));
        }
        let filter = &self.config.definition.filter;
        let events = 0..commit.events.len();
        let wanted = events.filter(|index| filter.wants_event(&commit, *index));
        let wanted = wanted.filter_map(|index| u32::try_from(index).ok());
        let wanted: Vec<u32> = wanted.filter(|index| *index >= base).collect();
        (!wanted.is_empty()).then(|| Content::Commit {
            commit: Arc::new(commit),
            wanted,
        })
    }
}

/// Stands for the entity of a message that is none of Tenure's.
fn foreign(subject: &str) -> EventSubject {
    let mut text = String::from(subject);
    while text.len() > EntityId::BYTES_MAX {
        text.pop();
    }
    EventSubject {
        shard: ShardId(0),
        kind: KindName::new("unreadable").expect("a kind's name"),
        id: EntityId::new(&text).expect("a subject has a character"),
    }
}
