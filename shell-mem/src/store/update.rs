//! Other settings for a stream that is there, and what follows from them for its messages.

use super::Store;
use super::draft::header;
use super::filter::{FilterSet, Republished};
use super::stay::Stay;
use super::stream::Stream;
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::port::{Refused, StreamSettings};

impl Store {
    /// Changes a stream's settings, and removes what is beyond its new limits.
    ///
    /// # Errors
    ///
    /// When there is none, its subjects are another stream's, or what does not change would.
    pub(crate) fn update_stream(&mut self, asked: &StreamSettings) -> Result<(), Refused> {
        let settings = self.complete(asked)?;
        if self.takes_subjects_of_others(&settings) {
            return Err(Refused::SubjectOverlap);
        }
        let stream = self.streams.get_mut(&settings.name);
        stream.ok_or(Refused::NoStream)?.set(settings);
        Ok(())
    }
}

impl Stream {
    /// Takes other settings, and what follows from them for what is there.
    fn set(&mut self, settings: StreamSettings) {
        let before = core::mem::replace(&mut self.settings, settings);
        let settings = &self.settings;
        self.filters = FilterSet::new(settings.subjects.iter().map(String::as_str));
        let republish = settings.republish.as_ref();
        self.republished = republish.map(|it| Republished::new(&it.source, &it.destination));
        if before.age_max_ns != settings.age_max_ns {
            self.age_anew();
        }
        self.enforce_all_limits();
    }

    /// Says anew when each message's time is over.
    fn age_anew(&mut self) {
        let sequences: Vec<u64> = self.messages().map(|message| message.sequence.0).collect();
        for sequence in sequences {
            let Some(stored) = self.now().at(sequence) else {
                continue;
            };
            let headers = stored.headers.as_deref().map(|block| &block[..]);
            let wish = headers.and_then(|block| header(block, "Nats-TTL"));
            let expires = match wish.map(Stay::read) {
                Some(Stay::Always) => None,
                Some(Stay::Seconds(ttl_s)) => self.expires(stored.message.stored, Some(ttl_s)),
                None if stored.message.expired_marker => {
                    let ttl_s = u32::try_from(self.settings.marker_ttl_s).unwrap_or(u32::MAX);
                    self.expires(stored.message.stored, Some(ttl_s))
                }
                None => self.expires(stored.message.stored, None),
            };
            self.set_expiry(sequence, expires);
        }
    }
}
