//! The consumers that are fetched from over one shell, each with its tap.

use super::formed;
use super::tap::{Ask, Tap};
use crate::link::Link;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::port::{ConsumerName, Refused, StoreReply, StreamName, wrong_fetch};
use tenure_core::step::Outcome;
use tokio::time::Instant;

/// A tap that nobody fetched from for so long is let go of: its pulls have ended, and whoever had it
/// has forgotten it.
const UNUSED_MAX: Duration = Duration::from_secs(120);

/// Longer than anybody waits.
const LONG: Duration = Duration::from_secs(24 * 3_600);

type Key = (StreamName, ConsumerName);

/// The taps of one shell.
#[derive(Debug, Default)]
pub(crate) struct Taps(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    serial: u64,
    taps: BTreeMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    used: Instant,
    /// One fetch at a time has it; none before the first.
    tap: Arc<tokio::sync::Mutex<Option<Tap>>>,
}

/// How much a fetch takes, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch {
    pub(crate) messages_max: u32,
    pub(crate) bytes_max: u32,
    pub(crate) wait: Duration,
}

impl Taps {
    /// Answers a fetch.
    pub(crate) async fn fetch(&self, link: &Link, key: Key, fetch: Fetch) -> StoreReply {
        if let Err(refused) = formed(&key.0, &key.1) {
            return Outcome::Refused(refused);
        }
        if let Some(wrong) = wrong_fetch(fetch.messages_max) {
            return Outcome::Refused(Refused::BadRequest(wrong));
        }
        let now = Instant::now();
        let ask = Ask {
            messages_max: fetch.messages_max,
            bytes_max: fetch.bytes_max,
            // What is later than any clock shows is as good as that.
            until: now.checked_add(fetch.wait).unwrap_or(now + LONG),
        };
        let (serial, entry) = self.entry(&key, now);
        let Ok(mut tap) = entry.try_lock() else {
            let text = format!("another fetch of {} is on its way", key.1);
            return Outcome::Refused(Refused::BadRequest(text));
        };
        // Listening ends before it begins anew.
        tap.take_if(|tap| tap.is_over(link));
        let tap = match &mut *tap {
            Some(tap) => tap,
            none => match Tap::new(link, (&key.0, &key.1), serial).await {
                Ok(new) => none.insert(new),
                Err(refused) => return Outcome::Refused(refused),
            },
        };
        let reply = tap.fetch(link, ask).await;
        if tap.is_over(link) {
            self.remove(&key, serial);
        }
        reply
    }

    /// Lets go of a consumer's tap and of all that came by it.
    pub(crate) fn close(&self, stream: &StreamName, consumer: &ConsumerName) {
        let key = (stream.clone(), consumer.clone());
        self.table().taps.remove(&key);
    }

    fn entry(&self, key: &Key, now: Instant) -> (u64, Arc<tokio::sync::Mutex<Option<Tap>>>) {
        let mut table = self.table();
        if let Some(entry) = table.taps.get_mut(key) {
            entry.used = now;
            return (entry.serial, Arc::clone(&entry.tap));
        }
        // One that a fetch has is in use, however long it waits.
        let unused = |entry: &Entry| now.saturating_duration_since(entry.used) > UNUSED_MAX;
        table
            .taps
            .retain(|_, entry| Arc::strong_count(&entry.tap) > 1 || !unused(entry));
        table.serial += 1;
        let serial = table.serial;
        let tap = Arc::default();
        let entry = Entry {
            serial,
            used: now,
            tap: Arc::clone(&tap),
        };
        table.taps.insert(key.clone(), entry);
        (serial, tap)
    }

    fn remove(&self, key: &Key, serial: u64) {
        let mut table = self.table();
        if table
            .taps
            .get(key)
            .is_some_and(|entry| entry.serial == serial)
        {
            table.taps.remove(key);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
