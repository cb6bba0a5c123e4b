//! One stream: look, create where it is absent and may be, verify, anchor (S3, N1, N3, N4).

use super::record::{Next, Record, Settled, no_answer, refused_to};
use super::{SpaceError, SpaceWish};
use crate::format::{Anchor, Layout, Unknown};
use crate::id::{Partition, Sequence};
use crate::name::Namespace;
use crate::port::{
    Capabilities, Expect, Publish, Refused, Rollup, Source, StoreDone, StoreReply, StoreRequest,
    StreamInfo, StreamSettings,
};
use crate::step::Outcome;
use alloc::format;
use bytes::Bytes;

/// The server has no room for that many replicas now (a cluster that is just coming up).
const NO_PEERS: u32 = 10_005;

/// A single server keeps one replica.
const NOT_CLUSTERED: u32 = 10_074;

/// What to do about a stream that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Absent {
    /// Create it.
    Create,
    /// Say how to provide it.
    Missing,
    /// Say that it was lost.
    Lost,
}

/// One stream on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct StreamTask {
    wanted: StreamSettings,
    absent: Absent,
    anchor: Option<(Record, Anchor)>,
    /// Nothing is made: what is absent is fine, and any anchor is.
    survey: bool,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    Look,
    Create,
    /// Verified; its anchor is next. Holds the number of replicas.
    Anchor(u32),
    Ready(u32),
}

impl StreamTask {
    fn new(wanted: StreamSettings, absent: Absent, anchor: Option<(Record, Anchor)>) -> Self {
        Self {
            wanted,
            absent,
            anchor,
            survey: false,
            stage: Stage::Look,
        }
    }

    /// The stream of layout and kind records.
    pub(super) fn control(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.control_stream_subjects();
        let wanted = StreamSettings::control(ns.control_stream(), subjects, replicas);
        Self::new(wanted, absent, None)
    }

    /// The stream of snapshot bodies. It can be lost without loss: each body can be made anew.
    pub(super) fn snapshots(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.snapshot_stream_subjects();
        let wanted = StreamSettings::snapshots(ns.snapshot_stream(), subjects, replicas);
        Self::new(wanted, absent, None)
    }

    /// The stream of membership records. It holds what lives alone, and each node writes it again.
    pub(super) fn members(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.member_stream_subjects();
        let mut wanted = StreamSettings::members(ns.member_stream(), subjects, replicas);
        wanted.republish = Some(ns.member_notices());
        Self::new(wanted, absent, None)
    }

    /// The stream of what consumers know: checkpoints and dead letters.
    pub(crate) fn consumers(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.consumer_stream_subjects();
        let wanted = StreamSettings::consumers(ns.consumer_stream(), subjects, replicas);
        Self::new(wanted, absent, None)
    }

    /// The bucket of the values of projections.
    #[cfg(feature = "driver")]
    pub(crate) fn values(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.value_stream_subjects();
        Self::new(
            StreamSettings::values(ns.value_stream(), subjects, replicas),
            absent,
            None,
        )
    }

    /// The stream of what is published durably. What it holds goes by itself.
    pub(crate) fn bus(wish: &SpaceWish, capabilities: &Capabilities, absent: Absent) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let mut wanted = StreamSettings::bus(ns.bus_stream(), ns.bus_stream_subjects(), replicas);
        wanted.republish = Some(ns.bus_notices());
        Self::new(wanted, absent, None)
    }

    /// An event stream.
    pub(super) fn events(
        wish: &SpaceWish,
        capabilities: &Capabilities,
        layout: &Layout,
        partition: Partition,
        absent: Absent,
    ) -> Self {
        let ns = &wish.namespace;
        let replicas = replicas(wish, capabilities);
        let subjects = ns.event_stream_subjects(layout, partition);
        let mut wanted = StreamSettings::event_log(ns.event_stream(partition), subjects, replicas);
        wanted.republish = Some(ns.ownership_notices());
        let anchor = Anchor {
            layout: layout.id,
            stream: partition,
            unknown: Unknown::default(),
        };
        let record = anchor_record(ns, partition, anchor.encode(), absent == Absent::Lost);
        Self::new(wanted, absent, Some((record, anchor)))
    }

    /// The same, but only looked at.
    pub(super) fn surveyed(self) -> Self {
        Self {
            survey: true,
            ..self
        }
    }

    /// Whether it is absent and to be created next.
    pub(super) fn creates(&self) -> bool {
        self.stage == Stage::Create
    }

    /// The number of replicas, when the stream is ready.
    pub(crate) fn ready(&self) -> Option<u32> {
        match self.stage {
            Stage::Ready(replicas) => Some(replicas),
            Stage::Look | Stage::Create | Stage::Anchor(_) => None,
        }
    }

    pub(crate) fn request(&self) -> StoreRequest {
        let stream = || self.wanted.name.clone();
        match (&self.stage, &self.anchor) {
            (Stage::Create, _) => StoreRequest::CreateStream(self.wanted.clone()),
            (Stage::Anchor(_), Some((record, _))) => record.request(),
            (Stage::Look | Stage::Anchor(_) | Stage::Ready(_), _) => {
                StoreRequest::StreamInfo { stream: stream() }
            }
        }
    }

    pub(crate) fn answered(&mut self, reply: StoreReply) -> Next<()> {
        match self.stage {
            Stage::Look => self.looked(reply),
            Stage::Create => self.created(reply),
            Stage::Anchor(replicas) => self.anchored(replicas, reply),
            Stage::Ready(_) => Next::Wrong,
        }
    }

    fn looked(&mut self, reply: StoreReply) -> Next<()> {
        let what = || format!("look at stream {:?}", self.wanted.name);
        match reply {
            Outcome::Done(StoreDone::Stream(info)) => self.verify(&info),
            Outcome::Done(
                StoreDone::Published(_)
                | StoreDone::Latest(_)
                | StoreDone::Message(_)
                | StoreDone::Page(_)
                | StoreDone::Capabilities(_)
                | StoreDone::Consumer(_)
                | StoreDone::Fetched(_)
                | StoreDone::Closed,
            ) => Next::Wrong,
            Outcome::Refused(Refused::NoStream) if self.survey => {
                self.stage = Stage::Ready(0);
                Next::Done(())
            }
            Outcome::Refused(Refused::NoStream) => match self.absent {
                Absent::Create => {
                    self.stage = Stage::Create;
                    Next::Ask
                }
                Absent::Missing => Next::Fail(self.missing()),
                Absent::Lost => Next::Fail(SpaceError::StreamLost {
                    stream: self.wanted.name.clone().into(),
                }),
            },
            Outcome::Refused(refused) => refused_to(what(), refused),
            Outcome::Unknown => no_answer(&what()),
        }
    }

    fn created(&mut self, reply: StoreReply) -> Next<()> {
        let what = format!("create stream {:?}", self.wanted.name);
        match reply {
            Outcome::Done(StoreDone::Stream(info)) => self.verify(&info),
            Outcome::Done(
                StoreDone::Published(_)
                | StoreDone::Latest(_)
                | StoreDone::Message(_)
                | StoreDone::Page(_)
                | StoreDone::Capabilities(_)
                | StoreDone::Consumer(_)
                | StoreDone::Fetched(_)
                | StoreDone::Closed,
            ) => Next::Wrong,
            // Another process was faster, with other settings: they are verified.
            Outcome::Refused(Refused::StreamExists) => {
                self.stage = Stage::Look;
                Next::Ask
            }
            Outcome::Refused(Refused::SubjectOverlap) => Next::Fail(SpaceError::Overlap {
                stream: self.wanted.name.clone().into(),
                subjects: self.wanted.subjects.join(", "),
            }),
            Outcome::Refused(Refused::Denied(_)) => Next::Fail(self.missing()),
            Outcome::Refused(Refused::Other {
                code: NOT_CLUSTERED,
                ..
            }) => Next::Fail(self.less_durable(1)),
            Outcome::Refused(Refused::Other {
                code: NO_PEERS,
                text,
            }) => {
                self.stage = Stage::Look;
                Next::Wait(format!(
                    "to {what} with {} replicas: {text}",
                    self.wanted.replicas
                ))
            }
            Outcome::Refused(refused) => refused_to(what, refused),
            Outcome::Unknown => {
                self.stage = Stage::Look;
                no_answer(&what)
            }
        }
    }

    fn verify(&mut self, info: &StreamInfo) -> Next<()> {
        let mismatches = info.settings.mismatches(&self.wanted);
        match mismatches.as_slice() {
            [] => {}
            [only] if only.setting == "num_replicas" => {
                return Next::Fail(self.less_durable(info.settings.replicas));
            }
            [_, ..] => return Next::Fail(SpaceError::Settings(mismatches)),
        }
        let replicas = info.settings.replicas;
        let empty = self.survey && !info.last.is_some();
        if self.anchor.is_some() && !empty {
            self.stage = Stage::Anchor(replicas);
            Next::Ask
        } else {
            self.stage = Stage::Ready(replicas);
            Next::Done(())
        }
    }

    fn anchored(&mut self, replicas: u32, reply: StoreReply) -> Next<()> {
        let Some((record, wanted)) = &mut self.anchor else {
            return Next::Wrong;
        };
        let answered = record.answered(reply);
        if self.survey && matches!(answered, Next::Ask | Next::Done(_)) {
            self.stage = Stage::Ready(replicas);
            return Next::Done(());
        }
        let stored = match answered {
            Next::Done(Settled::Mine) => Ok(wanted.clone()),
            Next::Done(Settled::Stored(bytes)) => Anchor::decode(&bytes),
            Next::Ask => return Next::Ask,
            Next::Wait(last) => return Next::Wait(last),
            Next::Fail(error) => return Next::Fail(error),
            Next::Wrong => return Next::Wrong,
        };
        match stored {
            Err(error) => Next::Fail(SpaceError::Format(error)),
            Ok(stored) if stored.layout != wanted.layout => Next::Fail(SpaceError::OtherLayout {
                what: format!("stream {:?}", self.wanted.name),
                expected: wanted.layout,
                found: stored.layout,
            }),
            Ok(stored) if stored.stream != wanted.stream => Next::Fail(SpaceError::WrongPlace {
                stream: self.wanted.name.clone().into(),
                found: stored.stream,
            }),
            Ok(_) => {
                self.stage = Stage::Ready(replicas);
                Next::Done(())
            }
        }
    }

    fn missing(&self) -> SpaceError {
        SpaceError::StreamMissing {
            stream: self.wanted.name.clone().into(),
            config: self.wanted.to_json(),
        }
    }

    fn less_durable(&self, actual: u32) -> SpaceError {
        let (stream, wanted) = (self.wanted.name.clone(), self.wanted.replicas);
        SpaceError::LessDurable {
            stream: stream.into(),
            wanted,
            actual,
        }
    }
}

/// An anchor is read by its place, since it is the stream's first message, and written on the
/// condition that the stream is empty (N3).
fn anchor_record(ns: &Namespace, partition: Partition, payload: Bytes, fixed: bool) -> Record {
    let stream = ns.event_stream(partition);
    let read = StoreRequest::Get {
        stream: stream.clone(),
        sequence: Sequence(1),
        source: Source::Replica,
    };
    let write = Publish {
        stream: stream.clone(),
        subject: ns.anchor_subject(partition),
        expect: Expect::StreamLast(Sequence::NONE),
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload,
    };
    Record::new(
        format!("the anchor of stream {stream:?}"),
        read,
        write,
        fixed,
    )
}

fn replicas(wish: &SpaceWish, capabilities: &Capabilities) -> u32 {
    wish.replicas
        .unwrap_or(if capabilities.clustered { 3 } else { 1 })
}
