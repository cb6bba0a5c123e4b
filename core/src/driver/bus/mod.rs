//! The bus in the driver: what is live goes past the lanes, from the shell into the subscriber's backlog;
//! what is durable is stored by a machine in a lane.

mod listening;
mod seat;

pub(crate) use listening::{Listening, Stopping};
pub(crate) use seat::{BusSeat, Publishing};

use super::handle::{Handle, NotSent};
use super::request::Request;
use super::shell::Shell;
use super::{Ear, counters::Counters};
use crate::bus::{Refusal, Topic};
use crate::format::Publication;
use crate::id::{PublicationId, Sequence};
use crate::port::{SendRefused, Subject};
use crate::step::{Purpose, Time};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// The network of a shell, without its type.
pub(crate) trait Air: Send + Sync {
    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused>;
    fn overhear(&self, filter: Subject, ear: Ear);
}

impl<S: Shell> Air for S {
    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        Shell::cast(self, to, payload)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        Shell::overhear(self, filter, ear);
    }
}

/// What is counted of what is live, over all lanes and subscriptions of a node.
#[derive(Debug, Default)]
pub(crate) struct BusCounts {
    pub(crate) cast: AtomicU64,
    pub(crate) heard: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl BusCounts {
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        counters.bus_cast = self.cast.load(Ordering::Relaxed);
        counters.bus_heard = self.heard.load(Ordering::Relaxed);
        counters.bus_dropped = self.dropped.load(Ordering::Relaxed);
    }
}

/// Why something was not stored.
#[derive(Clone, Debug)]
pub(crate) enum PublishFailure {
    Refused(Refusal),
    NotSent(NotSent),
    /// The node stopped, or the machine halted, before there was an answer: it may be stored.
    Cut,
}

impl Handle {
    /// A fresh id of an event.
    pub(crate) fn publication_id(&self) -> PublicationId {
        let ordinal = self.ids.fetch_add(1, Ordering::Relaxed);
        PublicationId(self.dice.roll128(Purpose::PublicationId, ordinal))
    }

    /// Publishes for whoever listens now.
    pub(crate) fn cast(&self, to: &Subject, publication: &Publication) -> Result<(), SendRefused> {
        self.air.cast(to, publication.encode())?;
        self.bus_counts.cast.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Stores what is published; where it is stored.
    pub(crate) async fn publish(
        &self,
        topic: Topic,
        publication: &Publication,
        keep_s: u32,
        deadline: Time,
    ) -> Result<Sequence, PublishFailure> {
        let hash = self.layout.key.hash(topic.as_str().as_bytes());
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hash % lanes).unwrap_or(0);
        let (done, answer) = oneshot::channel();
        let publishing = Publishing {
            wish: self.wish.clone(),
            topic,
            id: publication.id,
            payload: publication.encode(),
            keep_s,
            deadline,
            done,
        };
        let request = Request::Publish(Box::new(publishing));
        let sent = self.send(lane, request, deadline).await;
        sent.map_err(PublishFailure::NotSent)?;
        match answer.await {
            Ok(answer) => answer.map_err(PublishFailure::Refused),
            Err(_) => Err(PublishFailure::Cut),
        }
    }

    /// Listens on a core subject filter, until what is given back is dropped.
    pub(crate) fn listen(&self, filter: Subject, listening: &Arc<Listening>) {
        self.air.overhear(filter, Ear::new(listening.clone()));
    }

    pub(crate) fn bus_counts(&self) -> Arc<BusCounts> {
        Arc::clone(&self.bus_counts)
    }

    /// What tells that the node has stopped.
    pub(crate) fn stopping(&self) -> Stopping {
        Stopping(self.running.clone())
    }
}
