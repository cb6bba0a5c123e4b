//! What a consumer reads: from where, which events, and in which order they are handed over.

use crate::bus::Pattern;
use crate::format::{Commit, EventSubject, FormatError, Layout, Position, Publication};
use crate::id::{LayoutId, Partition, ShardId, WallTime};
use crate::name::{ConsumerName, EntityId, KindName, Namespace};
use crate::port::{StreamName, Subject};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// Subject filters that one consumer of the store may have; where a filter would need more, what it
/// cannot say there is looked at after decoding.
const FILTERS_MAX: usize = 256;

/// How much a record tells of what a consumer reads, in bytes.
const READS_BYTES_MAX: usize = 512;

/// What a consumer is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Definition {
    /// Its name, which belongs to one definition.
    pub name: ConsumerName,
    /// Where its events are.
    pub source: Source,
    /// Which events it reads.
    pub filter: Filter,
    /// Which events may be handled at the same time.
    pub order: Order,
    /// Where it begins when it has no checkpoint.
    pub start: Start,
    /// Where its checkpoint is.
    pub keeping: Keeping,
}

/// Where a consumer's events are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Source {
    /// In the log: the event streams of the namespace.
    #[default]
    Log,
    /// On the bus: what is published durably on topics of this pattern. Each publication is handed over as
    /// a commit of one event of the entity that its topic stands for, in the order of its topic; the
    /// consumer's layout has one stream.
    Bus(Pattern),
}

/// What the events of the bus are handed over as the kind of.
pub const BUS_KIND: &str = "bus";

impl Source {
    /// The stream of a partition.
    pub(super) fn stream(&self, ns: &Namespace, partition: Partition) -> StreamName {
        match self {
            Self::Log => ns.event_stream(partition),
            Self::Bus(_) => ns.bus_stream(),
        }
    }

    /// Whose event a message is.
    pub(super) fn subject(
        &self,
        ns: &Namespace,
        subject: &str,
    ) -> Result<EventSubject, FormatError> {
        match self {
            Self::Log => ns.parse_event_subject(subject),
            Self::Bus(_) => {
                let topic = ns.parse_bus_subject(subject)?;
                Ok(EventSubject {
                    shard: ShardId(0),
                    kind: KindName::new(BUS_KIND).expect("a kind's name"),
                    id: EntityId::new(topic.as_str())
                        .expect("a topic is shorter than an id may be"),
                })
            }
        }
    }

    /// What a message says happened.
    pub(super) fn commit(
        &self,
        layout: LayoutId,
        subject: &EventSubject,
        payload: &Bytes,
    ) -> Result<Commit, FormatError> {
        match self {
            Self::Log => Commit::decode(payload),
            Self::Bus(_) => {
                let publication = Publication::decode(payload)?;
                Ok(publication.into_commit(layout, subject.id.clone()))
            }
        }
    }
}

/// Which events are read. What is empty lets everything through; of what is not, one must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Filter {
    /// The kinds.
    pub kinds: BTreeSet<KindName>,
    /// The entities.
    pub ids: BTreeSet<EntityId>,
    /// The stored names of events.
    pub events: BTreeSet<String>,
    /// Headers of metadata, each with the value that it must have, or any; all must fit.
    pub headers: BTreeMap<String, Option<String>>,
    /// The shards; for parts of a group.
    pub shards: BTreeSet<ShardId>,
}

/// Which events may be handled at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// One batch at a time, of all entities.
    Serial,
    /// One batch at a time of each entity.
    PerEntity {
        /// How many batches at once, at least 1.
        handlers_max: u32,
    },
}

/// Where a consumer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Start {
    /// With the first event.
    Beginning,
    /// After a position of each stream, by its number.
    After(Vec<Position>),
    /// With what the store took then or later, on its clock.
    At(WallTime),
    /// With what comes from now on.
    New,
}

/// Where a consumer's checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Keeping {
    /// In the namespace.
    Stored,
    /// With the handler's own state. The handler stores [`Batch::upto`](super::Batch::upto) together with
    /// what it makes of a batch, so the order is [`Order::Serial`], and no event is handed over out of it.
    External {
        /// Where the state stood; `None` when there is none yet.
        at: Option<Vec<Position>>,
        /// The how manieth life of the state this is, from 1.
        life: u64,
    },
}

impl Filter {
    /// The subject filters for one event stream.
    fn subjects(&self, ns: &Namespace, layout: &Layout, partition: Partition) -> Vec<Subject> {
        let narrow = !self.kinds.is_empty() || !self.ids.is_empty();
        // With one stream no filter needs to name shards; with several all of them, where it says more.
        let every = self.shards.is_empty() && (layout.streams == 1 || !narrow);
        let shards: Vec<Option<ShardId>> = if every {
            vec![None]
        } else {
            let shards = layout.shards_of(partition);
            let wanted = shards.filter(|s| self.shards.is_empty() || self.shards.contains(s));
            wanted.map(Some).collect()
        };
        let kinds: Vec<Option<&KindName>> = optional(&self.kinds);
        let ids: Vec<Option<&EntityId>> = optional(&self.ids);
        let product = |kinds: &[Option<&KindName>], ids: &[Option<&EntityId>]| {
            let count = shards.len().saturating_mul(kinds.len());
            if count.saturating_mul(ids.len()) > FILTERS_MAX {
                return None;
            }
            let mut all = Vec::new();
            for shard in &shards {
                for kind in kinds {
                    all.extend(ids.iter().map(|id| ns.events_filter(*shard, *kind, *id)));
                }
            }
            Some(all)
        };
        product(&kinds, &ids)
            .or_else(|| product(&kinds, &[None]))
            .or_else(|| product(&[None], &[None]))
            .unwrap_or_else(|| vec![ns.events_filter(None, None, None)])
    }

    /// Whether an entity's events are wanted.
    pub(super) fn wants_entity(&self, subject: &EventSubject) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&subject.kind))
            && (self.ids.is_empty() || self.ids.contains(&subject.id))
            && (self.shards.is_empty() || self.shards.contains(&subject.shard))
    }

    /// Whether an event of a commit is wanted.
    pub(super) fn wants_event(&self, commit: &Commit, index: usize) -> bool {
        let Some(event) = commit.events.get(index) else {
            return false;
        };
        if !self.events.is_empty() && !self.events.contains(event.name.as_ref()) {
            return false;
        }
        if self.headers.is_empty() {
            return true;
        }
        let Some(metadata) = commit.metadata_of(index) else {
            return false;
        };
        self.headers.iter().all(|(name, wanted)| {
            let value = metadata.header_value(name);
            value.is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
        })
    }
}

impl Definition {
    /// The subject filters for one stream.
    pub(super) fn subjects(
        &self,
        ns: &Namespace,
        layout: &Layout,
        partition: Partition,
    ) -> Vec<Subject> {
        match &self.source {
            Source::Log => self.filter.subjects(ns, layout, partition),
            Source::Bus(pattern) => vec![ns.bus_filter(pattern)],
        }
    }

    /// What it reads, in words, for people: as much of it as a record has room for.
    pub(crate) fn reads(&self) -> String {
        let mut text = match &self.source {
            Source::Log => "events".to_string(),
            Source::Bus(pattern) => alloc::format!("topics {pattern}"),
        };
        let filter = &self.filter;
        let mut add = |what: &str, all: &mut dyn Iterator<Item = &str>| {
            let mut between = what;
            for one in all {
                if text.len() > READS_BYTES_MAX {
                    return;
                }
                text.push_str(between);
                text.push_str(one);
                between = ", ";
            }
        };
        add(" named ", &mut filter.events.iter().map(String::as_str));
        add(" of ", &mut filter.kinds.iter().map(KindName::as_str));
        add(" with id ", &mut filter.ids.iter().map(EntityId::as_str));
        add(
            " with header ",
            &mut filter.headers.keys().map(String::as_str),
        );
        crate::text::cut(&mut text, READS_BYTES_MAX);
        text
    }

    /// Its hash under a layout: which events it reads. How fast, and what is done about failures, may
    /// change.
    pub(crate) fn hash(&self, layout: &Layout) -> u64 {
        let Filter {
            kinds,
            ids,
            events,
            headers,
            // A group's record says which shards each of its parts has.
            shards: _,
        } = &self.filter;
        let mut bytes = Vec::new();
        add_all(&mut bytes, kinds.iter().map(KindName::as_str));
        add_all(&mut bytes, ids.iter().map(EntityId::as_str));
        add_all(&mut bytes, events.iter().map(String::as_str));
        add_all(&mut bytes, headers.keys().map(String::as_str));
        for value in headers.values() {
            add_all(&mut bytes, value.iter().map(String::as_str));
        }
        if let Source::Bus(pattern) = &self.source {
            add_all(&mut bytes, [pattern.as_str()].into_iter());
        }
        layout.key.hash(&bytes)
    }
}

/// Adds texts so that no others come to the same bytes: how many, and each behind its length.
fn add_all<'t>(bytes: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = &'t str>) {
    bytes.extend_from_slice(&(texts.len() as u64).to_le_bytes());
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
}

/// Each of a set, or the one `None` that stands for all.
fn optional<T>(set: &BTreeSet<T>) -> Vec<Option<&T>> {
    if set.is_empty() {
        vec![None]
    } else {
        set.iter().map(Some).collect()
    }
}
