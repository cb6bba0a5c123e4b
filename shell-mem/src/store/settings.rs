//! Creating streams: what the server fills in, and what it refuses.

use super::Store;
use super::filter;
use super::stream::Stream;
use alloc::string::String;
use alloc::vec;
use tenure_core::id::WallTime;
use tenure_core::port::{Persist, Refused, StoreDone, StoreReply, StreamSettings};
use tenure_core::step::Outcome;

/// The server's deduplication window where none is asked for: two minutes.
const DEDUP_WINDOW_NS: u64 = 120_000_000_000;
/// The shortest one that the server takes.
const DEDUP_WINDOW_NS_MIN: u64 = 100_000_000;

impl Store {
    pub(super) fn create_stream(&mut self, at: WallTime, asked: &StreamSettings) -> StoreReply {
        let settings = match self.complete(asked) {
            Ok(settings) => settings,
            Err(refused) => return Outcome::Refused(refused),
        };
        if let Some(stream) = self.streams.get(&settings.name) {
            return if stream.settings == settings {
                Outcome::Done(StoreDone::Stream(stream.now().info()))
            } else {
                Outcome::Refused(Refused::StreamExists)
            };
        }
        if self.takes_subjects_of_others(&settings) {
            return Outcome::Refused(Refused::SubjectOverlap);
        }
        if settings.replicas > self.config.servers {
            let text = "no suitable peers for placement".into();
            return Outcome::Refused(Refused::Other { code: 10_005, text });
        }
        let stream = Stream::new(settings, at, self.config.removed_max);
        let info = stream.now().info();
        self.streams.insert(info.settings.name.clone(), stream);
        Outcome::Done(StoreDone::Stream(info))
    }

    /// Whether a stream of these settings would take in what another one does.
    pub(super) fn takes_subjects_of_others(&self, settings: &StreamSettings) -> bool {
        let mut others = self
            .streams
            .iter()
            .filter(|(name, _)| **name != settings.name);
        others.any(|(_, other)| {
            let mut new = settings.subjects.iter();
            new.any(|new| other.filters.overlaps(new))
        })
    }

    /// The settings with what the server fills in.
    pub(super) fn complete(&self, asked: &StreamSettings) -> Result<StreamSettings, Refused> {
        let mut settings = asked.clone();
        if settings.subjects.is_empty() {
            settings.subjects = vec![settings.name.as_str().into()];
        }
        for limit in [
            &mut settings.messages_max,
            &mut settings.messages_per_subject_max,
            &mut settings.bytes_max,
        ] {
            *limit = if *limit > 0 { *limit } else { -1 };
        }
        if settings.message_bytes_max <= 0 {
            settings.message_bytes_max = -1;
        }
        if settings.marker_ttl_s > 0 {
            settings.allow_ttl = true;
            settings.allow_rollup = true;
        }
        if settings.dedup_window_ns == 0 {
            settings.dedup_window_ns = match settings.age_max_ns {
                0 => DEDUP_WINDOW_NS,
                age_max_ns => age_max_ns.min(DEDUP_WINDOW_NS),
            };
        }
        settings.replicas = settings.replicas.max(1);
        if contradicts_itself(&settings) {
            return Err(Refused::Forbidden);
        }
        if settings.replicas > 1 && !self.config.capabilities.clustered {
            let text = "replicas > 1 not supported in non-clustered mode".into();
            return Err(Refused::Other { code: 10_074, text });
        }
        Ok(settings)
    }
}

/// Whether the server refuses the settings as they are (10052).
fn contradicts_itself(settings: &StreamSettings) -> bool {
    let subjects = &settings.subjects;
    let twice = filter::first_overlap(subjects.iter().map(String::as_str)).is_some();
    let cycle = settings.republish.as_ref().is_some_and(|republish| {
        subjects
            .iter()
            .any(|subject| filter::overlap(&republish.destination, subject))
    });
    let age_max_ns = settings.age_max_ns;
    subjects
        .iter()
        .any(|subject| !filter::valid(subject) || filter::overlap(subject, "$JS.>"))
        || twice
        || cycle
        || (settings.allow_rollup && settings.deny_purge)
        || (settings.allow_atomic && settings.persist == Persist::Async)
        || (age_max_ns > 0 && settings.dedup_window_ns > age_max_ns)
        || settings.dedup_window_ns < DEDUP_WINDOW_NS_MIN
}
