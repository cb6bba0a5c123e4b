//! The raw peer on NATS: the bare client's public API and nothing of Tenure.
//!
//! An operation is a publish that names the stream and the last sequence of its own subject, and
//! waits for the acknowledgement: the least that an optimistic write costs. The streams have the
//! settings of Tenure's, the subjects their number and length, the payloads the mean size of the
//! commits that Tenure stored in the block before.
//!
//! A subject has one publish in flight, because the next one's expectation is its acknowledgement.
//! Who draws a subject in use waits for its turn, as Tenure's callers do; the others go on. By itself
//! the client stores one message for each operation, where Tenure folds those that wait for one
//! entity into one commit. How many messages each side stored is printed. With `--raw-fold` the peer
//! folds as well, more than Tenure does: a caller finds a subject in use before its request has
//! reached another task. That is no bare client any more, and the strictest peer there is.

use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tenure_examples::Failure;
use tenure_examples::bare;
use tenure_examples::load::Side;
use tokio::sync::oneshot;

/// Operations that one folded publish stands for at most: Tenure's `commit_commands_max`.
const FOLD_MAX: usize = 128;

#[derive(Debug)]
pub(crate) struct RawNats {
    context: Context,
    subjects: Vec<Mutex<Subject>>,
    payload_bytes: AtomicUsize,
    fold_max: usize,
    published: AtomicU64,
}

#[derive(Debug)]
struct Subject {
    name: String,
    stream: String,
    in_use: bool,
    last: u64,
    waiting: Vec<oneshot::Sender<Turn>>,
}

/// What one who waited for a subject is told.
#[derive(Debug)]
enum Turn {
    /// Publish for yourself and for these.
    Publish(Vec<oneshot::Sender<Turn>>),
    /// Another's publish stood for you, too.
    Acknowledged,
}

/// The names of what the peer writes to, and what it is modelled on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// The namespace whose event streams are copied.
    pub(crate) model: &'a str,
    /// What the copies' names begin with instead.
    pub(crate) own: &'a str,
}

impl RawNats {
    /// Makes the peer's streams, with the settings of the model's, and one subject for each id.
    pub(crate) async fn new(
        url: &str,
        names: Names<'_>,
        ids: &[String],
        fold: bool,
    ) -> Result<Self, Failure> {
        let context = bare::connect(url).await?;
        let mut streams = Vec::new();
        for model in bare::event_streams(&context, names.model).await? {
            let mut config = model.cached_info().config.clone();
            let rename = |name: &mut String| *name = name.replacen(names.model, names.own, 1);
            rename(&mut config.name);
            config.subjects.iter_mut().for_each(rename);
            if let Some(republish) = &mut config.republish {
                rename(&mut republish.source);
                rename(&mut republish.destination);
            }
            context.create_stream(&config).await?;
            streams.push(config);
        }
        let mut subjects = Vec::with_capacity(ids.len());
        for (user, id) in ids.iter().enumerate() {
            let shard = format!("{}.ev.{}.", names.own, user % 256);
            let all = format!("{}.ev.>", names.own);
            let takes = |config: &&Config| {
                let mut filters = config.subjects.iter();
                filters.any(|filter| *filter == all || filter.starts_with(&shard))
            };
            let stream = streams.iter().find(takes).ok_or("no stream for a shard")?;
            subjects.push(Mutex::new(Subject {
                name: format!("{shard}counter.{id}"),
                stream: stream.name.clone(),
                in_use: false,
                last: 0,
                waiting: Vec::new(),
            }));
        }
        Ok(Self {
            context,
            subjects,
            payload_bytes: AtomicUsize::new(0),
            fold_max: if fold { FOLD_MAX } else { 1 },
            published: AtomicU64::new(0),
        })
    }

    /// From now on payloads have this size.
    pub(crate) fn payload_bytes(&self, bytes: usize) {
        self.payload_bytes.store(bytes, Ordering::Relaxed);
    }

    /// How many messages were stored.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    fn subject(&self, user: usize) -> MutexGuard<'_, Subject> {
        let subject = self.subjects[user].lock();
        subject.unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish(&self, user: usize) -> Result<u64, Failure> {
        let payload = Bytes::from(vec![0; self.payload_bytes.load(Ordering::Relaxed)]);
        let (name, message) = {
            let subject = self.subject(user);
            let message = PublishMessage::build()
                .payload(payload)
                .expected_stream(&subject.stream)
                .expected_last_subject_sequence(subject.last);
            (subject.name.clone(), message)
        };
        let acknowledged = self.context.send_publish(name, message).await?.await?;
        self.published.fetch_add(1, Ordering::Relaxed);
        Ok(acknowledged.sequence)
    }
}

impl Side for RawNats {
    async fn operate(&self, user: usize) -> Result<(), Failure> {
        let turn = {
            let mut subject = self.subject(user);
            if subject.in_use {
                let (turn, told) = oneshot::channel();
                subject.waiting.push(turn);
                Some(told)
            } else {
                subject.in_use = true;
                None
            }
        };
        let folded = match turn {
            None => Vec::new(),
            Some(told) => match told.await? {
                Turn::Publish(others) => others,
                Turn::Acknowledged => return Ok(()),
            },
        };
        let sequence = self.publish(user).await?;
        for one in folded {
            let _ = one.send(Turn::Acknowledged);
        }
        let mut subject = self.subject(user);
        subject.last = sequence;
        let fold = subject.waiting.len().min(self.fold_max);
        let mut next = subject.waiting.drain(..fold);
        match next.next() {
            Some(first) => {
                let _ = first.send(Turn::Publish(next.collect()));
            }
            None => {
                drop(next);
                subject.in_use = false;
            }
        }
        Ok(())
    }
}
