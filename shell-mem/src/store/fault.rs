//! What a store does when the world is against it: it answers from the past, or loses its end.

use super::Store;
use super::check::{self, Not};
use super::proposal::NOTHING;
use super::{batch, form};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Publish, Refused, StoreReply, StoreRequest};
use tenure_core::step::Outcome;

impl Store {
    /// When a stream comes back without its end, after a power loss or from a backup: what was
    /// acknowledged after `keep_up_to` vanishes, and its sequences are given again (K3, S13).
    ///
    /// Its consumers are gone: they were kept by what ended.
    ///
    /// Messages that the lost end had removed come back as far as the model still knows them
    /// ([`StoreConfig::removed_max`](super::StoreConfig)).
    pub fn lose_tail(&mut self, stream: &str, keep_up_to: Sequence) {
        self.drop_proposals_of(stream);
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.cut(keep_up_to.0);
        }
    }

    /// When somebody with raw rights deletes a message by its sequence; whether it was there. Each later
    /// state of the stream lacks it, and its subject ends with the message before it.
    pub fn delete(&mut self, stream: &str, sequence: Sequence) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else {
            return false;
        };
        let by = stream.last() + 1;
        stream.remove(sequence.0, by).is_some()
    }

    /// When a replica lags, or a leader that was replaced does not know it yet: the answer from the
    /// stream as it was when `up_to` was its last sequence (K2).
    ///
    /// A write that such a leader would refuse is refused from the old state, with an `actual` that
    /// may be below what the caller expects; one that it would take never gets its quorum, so its
    /// outcome is unknown (K5).
    ///
    /// The same bytes may reach the old leader and the new one, as both listen on the stream's
    /// subjects. The old one's refusal can then arrive first, for a write that the new one stores:
    /// a world that hands a request to both shows it. Nothing that a replicated stream refuses is
    /// sure not to be stored until the subject is read with proof, or the epoch is sealed.
    pub fn answer_as_of(
        &self,
        at: WallTime,
        up_to: Sequence,
        request: &StoreRequest,
    ) -> StoreReply {
        if let Err(refused) = form::check(&self.config.capabilities, request) {
            return Outcome::Refused(refused);
        }
        if let Some(reply) = self.answer_server(request) {
            return reply;
        }
        match request {
            StoreRequest::Publish(publish) => {
                self.old_check(at, up_to, core::slice::from_ref(publish), false)
            }
            StoreRequest::Batch { messages, .. } => self.old_check(at, up_to, messages, true),
            StoreRequest::CreateStream(_)
            | StoreRequest::Latest { .. }
            | StoreRequest::Get { .. }
            | StoreRequest::Scan { .. }
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => self.read(request, Some(up_to)),
        }
    }

    fn old_check(
        &self,
        at: WallTime,
        up_to: Sequence,
        messages: &[Publish],
        as_batch: bool,
    ) -> StoreReply {
        let stream = messages.last().and_then(|last| self.stream_of(last));
        let Some(stream) = stream.and_then(|name| self.streams.get(&name)) else {
            return Outcome::Refused(Refused::NoResponders);
        };
        let view = stream.as_of(up_to.0);
        let checked = match messages {
            [publish] if !as_batch => check::replicated(view, at, &NOTHING, publish),
            messages => batch::check(view, at, &NOTHING, messages).map_err(Not::Refused),
        };
        match checked {
            Ok(()) => Outcome::Unknown,
            Err(not) => not.into(),
        }
    }
}
