//! What the handler gets next, and what becomes of it (C1, C2).

use super::machine::{Consumer, Phase};
use super::policy::Then;
use super::queue::{Content, Item, Run, Work};
use super::{Batch, Effect, Failure, Fault, Given, Handled, Keeping, Notice, Order};
use crate::format::{Cause, DeadLetter, EventPlace, Position};
use crate::id::{OpId, Sequence};
use crate::port::Subject;
use crate::step::{Cx, Effects, HaltReason};
use alloc::string::String;
use alloc::sync::Arc;

use alloc::vec::Vec;

impl Consumer {
    /// Gives the handler as much as it may have.
    pub(super) fn dispatch(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let handlers_max = match self.config.definition.order {
            Order::Serial => 1,
            Order::PerEntity { handlers_max } => handlers_max.max(1) as usize,
        };
        while self.hands_over() && self.queue.running.len() < handlers_max {
            let Some(key) = self.queue.take_ready() else {
                return;
            };
            self.hand_over(cx, key, out);
        }
    }

    /// Gives the handler the next batch of a key; the key is busy.
    fn hand_over(&mut self, cx: &mut Cx<'_>, key: Subject, out: &mut Effects<Effect>) {
        let room_max = match self.alone {
            0 => self.config.pace.batch_events_max.max(1) as usize,
            _ => 1,
        };
        let (mut work, mut events) = (Vec::new(), Vec::new());
        let mut broken = None;
        let waiting: Vec<Work> = self.queue.work(&key).take(room_max).collect();
        for next in waiting {
            let (n, sequence) = match next {
                Work::Commit(n, sequence) => (n, sequence),
                Work::Letter(ticket) => {
                    if work.is_empty()
                        && let Some(given) = self.letter_event(ticket)
                    {
                        work.push((next, 1));
                        events.push(given);
                    }
                    break;
                }
            };
            let Some(item) = self.item(n, sequence) else {
                return self.halt(HaltReason::Broken("what is queued was fetched"), out);
            };
            if let Content::Broken(text) = &item.content {
                broken = work.is_empty().then(|| (n, sequence, text.clone()));
                break;
            }
            // What failed is tried alone, so that what follows it is not done with it again.
            let room = match item.tries {
                0 => room_max - events.len(),
                _ if work.is_empty() => 1,
                _ => break,
            };
            let before = events.len();
            self.give(n, sequence, item, room, &mut events);
            let given = events.len() - before;
            work.push((next, u32::try_from(given).unwrap_or(u32::MAX)));
            if events.len() >= room_max || item.tries > 0 || given < item.left() {
                break;
            }
        }
        if let Some((n, sequence, text)) = broken {
            return self.failed(cx, &key, (n, sequence), Cause::Undecodable, text, out);
        }
        if work.is_empty() {
            // A dead letter that was given up.
            self.queue.pop(&key);
            return self.queue.release(&key);
        }
        self.runs += 1;
        let op = OpId(self.runs);
        let upto = self.upto(&work);
        let since = cx.now;
        self.queue.running.insert(op, Run { key, since, work });
        let generation = self.record.generation;
        let batch = Batch {
            events,
            upto,
            generation,
        };
        out.push(Effect::Handle { op, batch });
    }

    fn give(&self, n: u16, sequence: Sequence, item: &Item, room: usize, events: &mut Vec<Given>) {
        let Content::Commit { commit, wanted } = &item.content else {
            return;
        };
        let feed = self.feeds.get(usize::from(n));
        let Some((feed, live_after)) = feed.and_then(|feed| Some((feed, feed.live_after?))) else {
            return;
        };
        for index in wanted.iter().skip(item.next).take(room) {
            events.push(Given {
                place: EventPlace {
                    partition: feed.partition,
                    sequence,
                    index: *index,
                },
                subject: Arc::clone(&item.subject),
                commit: Arc::clone(commit),
                stored: item.stored,
                live: sequence > live_after,
                attempt: item.tries + 1,
            });
        }
    }

    /// Where it will stand when all of this is handled; nothing where the checkpoint is its own.
    fn upto(&self, work: &[(Work, u32)]) -> Vec<Position> {
        if matches!(self.config.definition.keeping, Keeping::Stored) {
            return Vec::new();
        }
        let mut positions = self.positions();
        for (work, count) in work {
            let Work::Commit(n, sequence) = work else {
                continue;
            };
            let (Some(position), Some(item)) =
                (positions.get_mut(usize::from(*n)), self.item(*n, *sequence))
            else {
                continue;
            };
            let reached = match &item.content {
                Content::Commit { wanted, .. } => match wanted.get(item.next + *count as usize) {
                    Some(events) => Position {
                        sequence: *sequence,
                        events: *events,
                    },
                    None => Position::whole(*sequence),
                },
                Content::Broken(_) => Position::whole(*sequence),
            };
            *position = (*position).max(reached);
        }
        positions
    }

    fn item(&self, n: u16, sequence: Sequence) -> Option<&Item> {
        self.feeds.get(usize::from(n))?.items.get(&sequence)
    }

    /// The handler is done with a batch.
    pub(super) fn handled(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        handled: Handled,
        out: &mut Effects<Effect>,
    ) {
        let Some(run) = self.queue.running.remove(&op) else {
            return self.halt(HaltReason::UnknownOp(op), out);
        };
        let Run { key, work, .. } = run;
        if let [(Work::Letter(ticket), _)] = work.as_slice() {
            self.queue.pop(&key);
            self.queue.release(&key);
            return self.letter_handled(cx, *ticket, handled, out);
        }
        let all: u32 = work.iter().map(|(_, count)| count).sum();
        let mut done = match &handled {
            Handled::Done => all,
            Handled::Failed { done, .. } => (*done).min(all.saturating_sub(1)),
        };
        if done > 0 {
            self.watch.progress(cx.now);
        }
        if all > 1 && done == 0 && self.is_external() {
            crate::reached!(cx, "consumer: a batch failed, nobody knows by which event");
            self.alone = all;
            self.watch.failures += 1;
            let delay = self.config.pace.failing.delay(cx, self.rolls, 1);
            self.rolls += 1;
            return self.queue.retry_at(&key, cx.now + delay);
        }
        let mut at = None;
        for (work, count) in work {
            let Work::Commit(n, sequence) = work else {
                continue;
            };
            let here = count.min(done);
            for _ in 0..here {
                self.finish(cx, &key, n, sequence);
            }
            done -= here;
            if here < count {
                at = Some((n, sequence));
                break;
            }
        }
        match (handled, at) {
            (Handled::Failed { cause, text, .. }, Some(at)) => {
                self.failed(cx, &key, at, cause, text, out);
            }
            (Handled::Done | Handled::Failed { .. }, _) => self.queue.release(&key),
        }
    }

    /// Whether the handler keeps the checkpoint, and is done with a whole batch or with none of it.
    pub(super) fn is_external(&self) -> bool {
        matches!(self.config.definition.keeping, Keeping::External { .. })
    }

    /// The next event of a commit is done with.
    fn finish(&mut self, cx: &Cx<'_>, key: &Subject, n: u16, sequence: Sequence) {
        let Some(feed) = self.feeds.get_mut(usize::from(n)) else {
            return;
        };
        let Some(item) = feed.items.get_mut(&sequence) else {
            return;
        };
        item.next += 1;
        item.tries = 0;
        self.alone = self.alone.saturating_sub(1);
        self.queue.events -= 1;
        self.watch.handled += 1;
        if item.left() == 0 {
            self.queue.commits -= 1;
            self.queue.bytes -= item.bytes;
            feed.bytes -= item.bytes;
            feed.items.remove(&sequence);
            self.queue.pop(key);
        }
        feed.settle();
        self.count_unsaved(cx.now);
    }

    /// The next event of a commit was not handled: it is tried again, or what the policy says. Its key
    /// is busy.
    fn failed(
        &mut self,
        cx: &mut Cx<'_>,
        key: &Subject,
        (n, sequence): (u16, Sequence),
        cause: Cause,
        text: String,
        out: &mut Effects<Effect>,
    ) {
        let policy = match cause {
            Cause::Handler => self.config.pace.failing,
            Cause::Undecodable => self.config.pace.undecodable,
        };
        let feed = self.feeds.get_mut(usize::from(n));
        let Some(item) = feed.and_then(|feed| feed.items.get_mut(&sequence)) else {
            return self.halt(HaltReason::Broken("what failed was fetched"), out);
        };
        item.tries = item.tries.saturating_add(1);
        let tries = item.tries;
        self.watch.failures += 1;
        let Some(failure) = self.failure((n, sequence), cause, text) else {
            return;
        };
        if matches!(self.phase, Phase::Stopping { .. }) {
            // It may have failed because all is stopping: the next run tries it again.
            return self.queue.release(key);
        }
        if tries <= policy.retries_max {
            crate::reached!(cx, "consumer: an event is tried again");
            let delay = policy.delay(cx, self.rolls, tries);
            self.rolls += 1;
            self.queue.retry_at(key, cx.now + delay);
            return self.notice(Notice::Retrying { failure, delay }, out);
        }
        match policy.then {
            Then::Stop => {
                crate::reached!(cx, "consumer: stopped at a poison event");
                let name = self.config.definition.name.clone();
                self.fail(cx, Fault::Poison { name, failure }, out);
            }
            Then::Skip => {
                crate::reached!(cx, "consumer: a poison event is passed over");
                self.watch.skipped += 1;
                self.pass(cx, key, (n, sequence));
                self.notice(Notice::Skipped(failure), out);
            }
            Then::DeadLetter => {
                let letter = self.letter_of(&failure);
                self.put(cx, key.clone(), (n, sequence), letter, failure, out);
            }
        }
    }

    /// An event is done with though it was not handled.
    pub(super) fn pass(&mut self, cx: &Cx<'_>, key: &Subject, (n, sequence): (u16, Sequence)) {
        self.finish(cx, key, n, sequence);
        self.watch.handled -= 1;
        self.watch.progress(cx.now);
        self.queue.release(key);
    }

    fn failure(
        &self,
        (n, sequence): (u16, Sequence),
        cause: Cause,
        mut text: String,
    ) -> Option<Failure> {
        let item = self.item(n, sequence)?;
        crate::text::cut(&mut text, DeadLetter::TEXT_BYTES_MAX);
        Some(Failure {
            place: EventPlace {
                partition: self.feeds.get(usize::from(n))?.partition,
                sequence,
                index: item.index(),
            },
            subject: Arc::clone(&item.subject),
            cause,
            text,
            tries: item.tries,
        })
    }

    fn letter_of(&self, failure: &Failure) -> DeadLetter {
        let partition = failure.place.partition;
        let item = self.item(partition.0, failure.place.sequence);
        let event = item.and_then(|item| match &item.content {
            Content::Commit { commit, .. } => {
                let event = commit.events.get(failure.place.index as usize)?;
                Some((event.version, String::from(event.name.as_ref())))
            }
            Content::Broken(_) => None,
        });
        let (version, event) = event.unwrap_or_default();
        DeadLetter {
            layout: self.config.layout.id,
            consumer: self.config.definition.name.clone(),
            place: failure.place,
            kind: failure.subject.kind.clone(),
            entity: failure.subject.id.clone(),
            version,
            event,
            cause: failure.cause,
            text: failure.text.clone(),
            tries: failure.tries,
            time: self.wall,
            generation: self.record.generation,
            unknown: crate::format::Unknown::default(),
        }
    }

    /// The first event that the handler has of a run; for who asks why nothing moves.
    pub(super) fn first_of(&self, run: &Run) -> Option<EventPlace> {
        run.work.first().and_then(|(work, _)| match work {
            Work::Commit(n, sequence) => self.place_of(*n, *sequence),
            Work::Letter(_) => None,
        })
    }

    pub(super) fn place_of(&self, n: u16, sequence: Sequence) -> Option<EventPlace> {
        let item = self.item(n, sequence)?;
        Some(EventPlace {
            partition: self.feeds.get(usize::from(n))?.partition,
            sequence,
            index: item.index(),
        })
    }

    /// What of a key comes first, as the queue has it.
    pub(super) fn first_waiting(&self, key: &Subject) -> Option<(EventPlace, u32)> {
        match self.queue.work(key).next()? {
            Work::Commit(n, sequence) => {
                let tries = self.item(n, sequence)?.tries;
                Some((self.place_of(n, sequence)?, tries))
            }
            Work::Letter(_) => None,
        }
    }
}
