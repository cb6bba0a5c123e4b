//! Messages of a stream to those who wait for them at its consumers, and what consumers do with time.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication, Text, status};
use super::consumer::Consumer;
use super::consumer_config::ConsumerConfig;
use super::{ConsumerKey, JetStream};
use crate::store::draft::Kept;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use tenure_core::id::WallTime;
use tenure_core::port::Subject;

/// A message that is next, and how often it was delivered with this time.
#[derive(Debug)]
struct Next {
    sequence: u64,
    times: u64,
    subject: Text,
    headers: Bytes,
    payload: Bytes,
    stored: WallTime,
}

impl JetStream {
    pub(super) fn stop_pushing(&mut self, to: &str, key: &ConsumerKey) {
        if let Some(consumers) = self.pushing.get_mut(to) {
            consumers.remove(key);
            if consumers.is_empty() {
                self.pushing.remove(to);
            }
        }
    }
}

impl Front {
    pub(super) fn take_consumer(&mut self, key: &ConsumerKey) -> Option<Consumer> {
        let there = self.jetstream.streams.get_mut(&key.0)?;
        there.consumers.remove(&key.1)
    }

    pub(super) fn put_consumer(&mut self, key: &ConsumerKey, consumer: Consumer) {
        if let Some(there) = self.jetstream.streams.get_mut(&key.0) {
            there.consumers.insert(key.1.clone(), consumer);
        }
    }

    /// Names the consumers that a new message is for.
    pub(super) fn signal(&mut self, stream: &str, sequence: u64, subject: &str) {
        let Some((name, there)) = self.jetstream.streams.get_key_value(stream) else {
            return;
        };
        let name = name.clone();
        if there.consumers.is_empty() {
            return;
        }
        let there = self.jetstream.streams.get_mut(stream);
        let all = there.into_iter().flat_map(|there| &mut there.consumers);
        // One that begins later does not wait for it.
        let wanting = all.filter(|(_, at)| at.next <= sequence && at.filter.takes_in(subject));
        for (consumer, at) in wanting {
            at.pending += 1;
            self.jetstream.work.insert((name.clone(), consumer.clone()));
        }
    }

    /// Tells a stream's consumers what was removed from it.
    pub(super) fn changed(&mut self, stream: &str) {
        let gone = self.store.take_removals(stream);
        self.removed(stream, &gone);
    }

    pub(super) fn removed(&mut self, stream: &str, gone: &[(u64, Subject)]) {
        if let Some(there) = self.jetstream.streams.get_mut(stream)
            && !gone.is_empty()
        {
            for consumer in there.consumers.values_mut() {
                for (sequence, subject) in gone {
                    consumer.gone(*sequence, subject);
                }
            }
        }
    }

    /// Does what there is to do for one consumer.
    pub(super) fn look_at(&mut self, key: &ConsumerKey) {
        let Some(mut consumer) = self.take_consumer(key) else {
            return;
        };
        let at = self.at;
        consumer.expire_acks(at);
        if consumer.config.pushes() {
            self.push_all(key, &mut consumer);
        } else {
            self.give_all(key, &mut consumer);
        }
        if consumer.idle_due.is_some_and(|due| due <= at) {
            // Who is gone waits for nothing.
            let pulls = &mut consumer.pulls;
            pulls.retain(|pull| self.router.listens(&pull.reply));
        }
        if consumer.is_over(at) {
            self.put_consumer(key, consumer);
            self.end_consumer(&key.0, &key.1);
            return;
        }
        let due = next_due(&consumer, at);
        if let Some(before) = core::mem::replace(&mut consumer.due, due) {
            self.jetstream.timers.remove(&(before, key.clone()));
        }
        if let Some(due) = due {
            self.jetstream.timers.insert((due, key.clone()));
        }
        self.put_consumer(key, consumer);
    }

    fn push_all(&mut self, key: &ConsumerKey, consumer: &mut Consumer) {
        let at = self.at;
        consumer.note_listener(self.hears(consumer), at);
        let heartbeat_ms = ConsumerConfig::millis(consumer.config.idle_heartbeat);
        let to = Text::from(consumer.config.deliver_subject.as_str());
        let mut sent = false;
        let stalls = |consumer: &Consumer| {
            is_paused(consumer, at) || (consumer.config.flow_control && consumer.flow.is_full())
        };
        let mut ended = self.router.removed();
        while consumer.flow.has_listener
            && !stalls(consumer)
            && let Some(next) = self.next(key, consumer)
        {
            let (message, bytes) = self.delivery(key, consumer, next);
            self.route_to(None, &message, &to);
            sent = true;
            if consumer.config.flow_control && consumer.flow.sent(bytes) {
                self.ask_flow(&key.0, &key.1, consumer);
            }
            // Who listened may have had the last message that he wanted.
            if core::mem::replace(&mut ended, self.router.removed()) != self.router.removed() {
                consumer.note_listener(self.hears(consumer), at);
            }
        }
        if heartbeat_ms == 0 || !consumer.flow.has_listener {
            return;
        }
        let due = WallTime(at.0 + heartbeat_ms);
        if sent {
            consumer.flow.beats = due;
        } else if consumer.flow.beats <= at {
            consumer.flow.beats = due;
            self.beat(consumer, &to);
        }
    }

    /// Whether somebody listens to what a consumer pushes.
    fn hears(&self, consumer: &Consumer) -> bool {
        let ConsumerConfig {
            deliver_subject: to,
            deliver_group,
            ..
        } = &consumer.config;
        let group = Some(deliver_group.as_str()).filter(|group| !group.is_empty());
        self.router.listens_in(to, group.map(Text::from).as_ref())
    }

    /// Tells who listens that a consumer lives, and where it is.
    fn beat(&mut self, consumer: &Consumer, to: &Text) {
        let (number, sequence) = (consumer.delivered.number, consumer.looked());
        let mut more: alloc::vec::Vec<(&str, &dyn core::fmt::Display)> = alloc::vec![
            ("Nats-Last-Consumer", &number),
            ("Nats-Last-Stream", &sequence),
        ];
        if let Some(asked) = &consumer.flow.asked {
            more.push(("Nats-Consumer-Stalled", asked));
        }
        self.send(to, status(100, "Idle Heartbeat", &more), Bytes::new());
    }

    fn give_all(&mut self, key: &ConsumerKey, consumer: &mut Consumer) {
        let at = self.at;
        self.end_pulls(consumer, |pull| pull.ends.is_some_and(|ends| ends <= at));
        while !is_paused(consumer, at)
            && !consumer.pulls.is_empty()
            && let Some(next) = self.next(key, consumer)
        {
            if !self.give(key, consumer, next) {
                break;
            }
        }
        if consumer.has_room() {
            // What does not wait has all that there is.
            self.end_pulls(consumer, |pull| {
                pull.no_wait && (pull.given > 0 || pull.ends.is_none())
            });
        }
        let mut pulls = core::mem::take(&mut consumer.pulls);
        for pull in &mut pulls {
            if pull.beats.is_some_and(|beats| beats <= at) {
                pull.beat(at);
                self.beat(consumer, &pull.reply);
            }
        }
        consumer.pulls = pulls;
    }

    /// Ends those pulls that are over: by their time, or with nothing.
    fn end_pulls(&mut self, consumer: &mut Consumer, over: impl Fn(&super::pull::Pull) -> bool) {
        if !consumer.pulls.iter().any(&over) {
            return;
        }
        let at = self.at;
        let pulls = core::mem::take(&mut consumer.pulls);
        let (ended, left) = pulls.into_iter().partition(over);
        consumer.pulls = left;
        let ended: alloc::collections::VecDeque<super::pull::Pull> = ended;
        for pull in ended {
            let told = match pull.ends.is_some_and(|ends| ends <= at) {
                true => pull.end(408, "Request Timeout"),
                false => status(404, "No Messages", &[]),
            };
            self.send(&pull.reply, told, Bytes::new());
        }
    }

    /// Gives a message to the pull whose turn it is; whether there was one that could take it.
    fn give(&mut self, key: &ConsumerKey, consumer: &mut Consumer, next: Next) -> bool {
        let pending = consumer.pending - u64::from(next.times == 1);
        let number = consumer.delivered.number + 1;
        let reply = ack_subject(key, &next, number, pending);
        let bytes = next.bytes(&reply, consumer.config.headers_only);
        while let Some(mut pull) = consumer.pulls.pop_front() {
            if !self.router.listens(&pull.reply) {
                continue;
            }
            if pull.bytes_left.is_some_and(|left| bytes > left) {
                let told = pull.end(409, "Message Size Exceeds MaxBytes");
                self.send(&pull.reply, told, Bytes::new());
                continue;
            }
            let to = pull.reply.clone();
            let (message, bytes) = self.delivery(key, consumer, next);
            self.route_to(None, &message, &to);
            let done = pull.take(bytes, self.at);
            if !done {
                consumer.pulls.push_back(pull);
            } else if pull.bytes_left.is_some_and(|left| left > 0) {
                self.send(&to, pull.end(409, "Batch Completed"), Bytes::new());
            }
            return true;
        }
        false
    }

    /// The message that a consumer gives next. What is gone meanwhile is passed over.
    fn next(&self, key: &ConsumerKey, consumer: &mut Consumer) -> Option<Next> {
        let stream = key.0.as_str();
        while let Some((sequence, before)) = consumer.next_again() {
            match self.store.kept(stream, sequence) {
                Some(kept) => return Some(self.next_of_kept(stream, kept, before + 1)),
                None => consumer.acknowledge(sequence),
            }
        }
        if consumer.pending == 0 {
            if consumer.first.is_empty() {
                consumer.next = consumer.next.max(self.store.last(stream).0 + 1);
            }
            return None;
        }
        if !consumer.has_room() {
            return None;
        }
        let kept = match consumer.first.first() {
            Some(first) => self.store.kept(stream, *first),
            None => self.seek(stream, consumer),
        };
        kept.map(|kept| self.next_of_kept(stream, kept, 1))
    }

    fn seek(&self, stream: &str, consumer: &Consumer) -> Option<Kept<'_>> {
        use super::consumer::Filter;
        match &consumer.filter {
            Filter::All => self.store.kept_from(stream, consumer.next).next(),
            Filter::One(subject) => self.next_of(stream, subject, consumer.next),
            Filter::Many(many) => {
                let mut all = self.store.kept_from(stream, consumer.next);
                all.find(|kept| many.takes_in(&kept.message.subject))
            }
        }
    }

    fn next_of_kept(&self, stream: &str, kept: Kept<'_>, times: u64) -> Next {
        let message = kept.message;
        Next {
            sequence: message.sequence.0,
            times,
            subject: message.subject.as_str().into(),
            headers: self.headers_of(stream, kept),
            payload: message.payload.clone(),
            stored: message.stored,
        }
    }

    /// The message as it goes out, and its size as pulls count it.
    fn delivery(
        &mut self,
        key: &ConsumerKey,
        consumer: &mut Consumer,
        next: Next,
    ) -> (Publication, usize) {
        let number = match next.times {
            1 => consumer.deliver(next.sequence, self.at),
            _ => consumer.deliver_again(next.sequence, self.at),
        };
        let reply = ack_subject(key, &next, number, consumer.pending);
        let bytes = next.bytes(&reply, consumer.config.headers_only);
        if !consumer.awaits_acks() {
            self.release(&key.0, next.sequence, &next.subject, Some(consumer));
        }
        let (headers, payload) = match consumer.config.headers_only {
            true => {
                let size = next.payload.len();
                let more: [(&str, &dyn core::fmt::Display); 1] = [("Nats-Msg-Size", &size)];
                (HeaderBlock::new(&next.headers).with(&more), Bytes::new())
            }
            false => (next.headers, next.payload),
        };
        let message = Publication {
            subject: next.subject,
            reply: Some(reply),
            headers,
            payload,
        };
        (message, bytes)
    }
}

impl Next {
    /// What it counts for in a pull's bytes.
    fn bytes(&self, reply: &str, headers_only: bool) -> usize {
        let payload = if headers_only { 0 } else { self.payload.len() };
        self.subject.len() + reply.len() + self.headers.len() + payload
    }
}

/// Where a message is acknowledged; it says what the message is.
fn ack_subject(key: &ConsumerKey, next: &Next, number: u64, pending: u64) -> Text {
    let (stream, consumer) = key;
    let Next {
        sequence,
        times,
        stored,
        ..
    } = next;
    let nanos = stored.0.saturating_mul(1_000_000);
    let subject: String =
        format!("$JS.ACK.{stream}.{consumer}.{times}.{sequence}.{number}.{nanos}.{pending}");
    subject.into()
}

fn is_paused(consumer: &Consumer, at: WallTime) -> bool {
    consumer.paused_until.is_some_and(|until| until > at)
}

/// When a consumer is to be looked at without a reason.
fn next_due(consumer: &Consumer, at: WallTime) -> Option<WallTime> {
    let beats = consumer.config.idle_heartbeat > 0 && consumer.flow.has_listener;
    let pulls = consumer
        .pulls
        .iter()
        .flat_map(|pull| [pull.ends, pull.beats]);
    let own = [
        consumer.first_due(),
        consumer.paused_until.filter(|until| *until > at),
        beats.then_some(consumer.flow.beats),
        consumer.idle_due,
    ];
    pulls.chain(own).flatten().min()
}
