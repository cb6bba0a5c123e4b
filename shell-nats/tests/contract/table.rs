//! The table of the contract: each request, each class of its answers, and how that was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tenure_core::id::Sequence;
use tenure_core::port::{Expect, Publish, RefusedClass, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::Outcome;

/// A request without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Request {
    Publish,
    Batch,
    Latest,
    GetReplica,
    GetLeader,
    Scan,
    CreateStream,
    StreamInfo,
    Capabilities,
    OpenConsumer,
    Fetch,
    CloseConsumer,
}

/// An answer without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Done,
    Duplicate,
    Refused(RefusedClass),
    Unknown,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(pub Request, pub Answer);

impl Class {
    pub(crate) fn of(request: &StoreRequest, reply: &StoreReply) -> Self {
        let answer = match reply {
            Outcome::Done(StoreDone::Published(ack)) if ack.duplicate => Answer::Duplicate,
            Outcome::Done(_) => Answer::Done,
            Outcome::Refused(refused) => Answer::Refused(refused.class(expected(request))),
            Outcome::Unknown => Answer::Unknown,
        };
        Self(Request::of(request), answer)
    }

    fn all() -> impl Iterator<Item = Self> {
        let answers = [Answer::Done, Answer::Duplicate, Answer::Unknown];
        let answers = answers
            .into_iter()
            .chain(RefusedClass::ALL.map(Answer::Refused));
        let answers: Vec<_> = answers.collect();
        REQUESTS.into_iter().flat_map(move |request| {
            answers
                .clone()
                .into_iter()
                .map(move |answer| Self(request, answer))
        })
    }
}

impl Request {
    pub(crate) fn of(request: &StoreRequest) -> Self {
        use tenure_core::port::Source;
        match request {
            StoreRequest::Publish(_) => Self::Publish,
            StoreRequest::Batch { .. } => Self::Batch,
            StoreRequest::Latest { .. } => Self::Latest,
            StoreRequest::Get {
                source: Source::Replica,
                ..
            } => Self::GetReplica,
            StoreRequest::Get {
                source: Source::Leader,
                ..
            } => Self::GetLeader,
            StoreRequest::Scan { .. } => Self::Scan,
            StoreRequest::CreateStream(_) => Self::CreateStream,
            StoreRequest::StreamInfo { .. } => Self::StreamInfo,
            StoreRequest::Capabilities => Self::Capabilities,
            StoreRequest::OpenConsumer(_) => Self::OpenConsumer,
            StoreRequest::Fetch { .. } => Self::Fetch,
            StoreRequest::CloseConsumer { .. } => Self::CloseConsumer,
        }
    }
}

/// The sequence that a write expects; in a batch, that of the member that expects the highest.
fn expected(request: &StoreRequest) -> Option<Sequence> {
    let one = |publish: &Publish| match &publish.expect {
        Expect::Nothing => None,
        Expect::OwnLast(sequence) | Expect::StreamLast(sequence) => Some(*sequence),
        Expect::Fence(fence) => Some(fence.sequence),
    };
    match request {
        StoreRequest::Publish(publish) => one(publish),
        StoreRequest::Batch { messages, .. } => messages.iter().filter_map(one).max(),
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => None,
    }
}

const REQUESTS: [Request; 12] = [
    Request::Publish,
    Request::Batch,
    Request::Latest,
    Request::GetReplica,
    Request::GetLeader,
    Request::Scan,
    Request::CreateStream,
    Request::StreamInfo,
    Request::Capabilities,
    Request::OpenConsumer,
    Request::Fetch,
    Request::CloseConsumer,
];

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    unreplicated: BTreeMap<Class, u64>,
    replicated: BTreeMap<Class, u64>,
    /// By the front, at random and in scenes.
    front: BTreeMap<Class, u64>,
    scenes: BTreeMap<Class, BTreeSet<String>>,
}

impl Table {
    /// A random request got an answer that the model allows.
    pub(crate) fn seen(&mut self, replicated: bool, class: Class) {
        let seen = if replicated {
            &mut self.replicated
        } else {
            &mut self.unreplicated
        };
        *seen.entry(class).or_default() += 1;
    }

    /// A scene brought an answer about, and the model gives it as well.
    pub(crate) fn scene(&mut self, name: &str, class: Class) {
        self.scenes.entry(class).or_default().insert(name.into());
    }

    /// A scene brought an answer about that is not the store's: the model has no connection, no
    /// users and no disk. The simulation's network and shell give these.
    pub(crate) fn around(&mut self, name: &str, class: Class) {
        self.scenes
            .entry(class)
            .or_default()
            .insert(format!("[{name}]"));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (class, count) in other.unreplicated {
            *self.unreplicated.entry(class).or_default() += count;
        }
        for (class, count) in other.replicated {
            *self.replicated.entry(class).or_default() += count;
        }
        for (class, count) in other.front {
            *self.front.entry(class).or_default() += count;
        }
        for (class, names) in other.scenes {
            self.scenes.entry(class).or_default().extend(names);
        }
    }

    /// The same as what the front answered.
    pub(crate) fn of_front(mut self) -> Self {
        for (class, scenes) in core::mem::take(&mut self.scenes) {
            *self.unreplicated.entry(class).or_default() += scenes.len() as u64;
        }
        Self {
            front: self.unreplicated,
            ..Self::default()
        }
    }

    /// The classes that random requests can reach and have not.
    pub(crate) fn missing(&self, replicated: bool) -> Vec<Class> {
        let seen = if replicated {
            &self.replicated
        } else {
            &self.unreplicated
        };
        let wanted = Class::all().filter(|class| crate::reach::random(*class, replicated));
        wanted.filter(|class| !seen.contains_key(class)).collect()
    }

    /// The whole table as text, and what is wrong with it: rows that were neither seen nor are
    /// impossible, and rows that are called impossible and were seen.
    pub(crate) fn report(&self) -> (String, Vec<String>) {
        let mut text = String::from(
            "R1, R3: random requests that were answered so; front: requests and scenes to it. Names: scenes;\n\
             those in brackets are answers of the world around a store, which the model does not give.\n",
        );
        writeln!(
            text,
            "{:<13} {:<19} {:>7} {:>7} {:>7}",
            "request", "class", "R1", "R3", "front"
        )
        .unwrap();
        let mut wrong = Vec::new();
        for class in Class::all() {
            let unreplicated = self.unreplicated.get(&class).copied().unwrap_or(0);
            let replicated = self.replicated.get(&class).copied().unwrap_or(0);
            let front = self.front.get(&class).copied().unwrap_or(0);
            let scenes = self.scenes.get(&class);
            let impossible = crate::reach::impossible(class);
            let reached = unreplicated + replicated > 0 || scenes.is_some();
            let by_front = crate::reach::on_front(class);
            let Class(request, answer) = class;
            let answer = match answer {
                Answer::Refused(class) => format!("{class:?}"),
                Answer::Done | Answer::Duplicate | Answer::Unknown => format!("{answer:?}"),
            };
            let row = format!("{:<13} {answer:<19}", format!("{request:?}"));
            let how = match (reached, impossible) {
                (true, None) => {
                    let names: Vec<_> = scenes.into_iter().flatten().cloned().collect();
                    names.join(", ")
                }
                (false, Some(reason)) => format!("impossible: {reason}"),
                (true, Some(reason)) => {
                    wrong.push(format!("{row} was seen, though {reason}"));
                    format!("SEEN, though {reason}")
                }
                (false, None) => {
                    wrong.push(format!("{row} was not seen"));
                    "NOT SEEN".into()
                }
            };
            match (front > 0, by_front) {
                (true, Ok(())) | (false, Err(_)) => {}
                (true, Err(reason)) => {
                    wrong.push(format!("{row} was seen on the front, though {reason}"))
                }
                (false, Ok(())) => wrong.push(format!("{row} was not seen on the front")),
            }
            let how = match by_front {
                Err(reason) if impossible.is_none() => {
                    format!("{how} (not on the front: {reason})")
                }
                Ok(()) | Err(_) => how,
            };
            writeln!(
                text,
                "{row} {unreplicated:>7} {replicated:>7} {front:>7}  {how}"
            )
            .unwrap();
        }
        (text, wrong)
    }
}
