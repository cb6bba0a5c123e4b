//! Streams that keep a message only for as long as somebody is to have it.

use super::super::front::Front;
use super::config::WireRetention;
use super::consumer::Consumer;
use super::consumer_config::AckPolicy;
use alloc::vec::Vec;
use tenure_core::port::Subject;

impl Consumer {
    /// Whether what it delivered waits for an acknowledgement.
    pub(super) fn awaits_acks(&self) -> bool {
        self.config.ack_policy != AckPolicy::None
    }
}

impl Front {
    /// Lets go of a message that a consumer is done with, where the stream keeps none of those. `done` is that
    /// consumer while it is looked at.
    pub(super) fn release(
        &mut self,
        stream: &str,
        sequence: u64,
        subject: &str,
        done: Option<&Consumer>,
    ) {
        let Some(there) = self.jetstream.streams.get(stream) else {
            return;
        };
        let goes = match there.config.retention {
            WireRetention::Limits => false,
            WireRetention::WorkQueue => true,
            WireRetention::Interest => {
                let mut others = there.consumers.values().chain(done);
                !others.any(|other| other.needs(sequence, subject))
            }
        };
        if goes && self.store.delete_message(stream, sequence) {
            self.changed(stream);
        }
    }

    /// Lets go of a new message that nobody is to have.
    pub(super) fn release_unwanted(&mut self, stream: &str, sequence: u64, subject: &str) {
        if self.needs_interest(stream) {
            self.release(stream, sequence, subject, None);
        }
    }

    fn needs_interest(&self, stream: &str) -> bool {
        let there = self.jetstream.streams.get(stream);
        there.is_some_and(|there| there.config.retention == WireRetention::Interest)
    }

    /// Lets go of what nobody is to have, when a consumer is gone.
    pub(super) fn release_all(&mut self, stream: &str) {
        if !self.needs_interest(stream) {
            return;
        }
        let all = self.store.kept_from(stream, 1);
        let all: Vec<(u64, Subject)> = all
            .map(|kept| (kept.message.sequence.0, kept.message.subject.clone()))
            .collect();
        for (sequence, subject) in all {
            self.release(stream, sequence, &subject, None);
        }
    }
}
