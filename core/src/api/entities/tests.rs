//! A host by itself: what several commands of one round come to.

use super::{Ask, Draft, Entities, Job, KindFacts};
use crate::api::contexts::Said;
use crate::api::{Aggregate, CodecError, DecideCx, Event, UnknownEvents};
use crate::driver::host::{Answer, Host, Turn};
use crate::format::{Codec, Snapshot};
use crate::id::{CommandId, ShardId, Slot, Ticket, Version, WallTime};
use crate::log::{Base, Decided, Expected, FoldError, Provisional, Verdict};
use crate::name::{EntityId, KindName, Namespace};
use Provisional::{Committed, Dropped};
use bytes::Bytes;
use std::sync::Arc;

/// Adds up; thirteen panics when it is added, seven when it is decided.
#[derive(Clone, Debug, Default)]
struct Sum(i64);

struct Added(i64);

impl Event for Added {
    const TYPES: &'static [(&'static str, u16)] = &[("added", 1)];

    fn name(&self) -> &'static str {
        "added"
    }

    fn schema(&self) -> u16 {
        1
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        codec.encode(&self.0)
    }

    fn decode(_: &str, _: u16, codec: Codec, data: &[u8]) -> Result<Option<Self>, CodecError> {
        Ok(Some(Self(codec.decode(data)?)))
    }
}

impl Aggregate for Sum {
    type Event = Added;
    const KIND: &'static str = "sum";

    fn evolve(&mut self, event: &Added) {
        self.0 += event.0;
        assert!(event.0 != 13, "thirteen");
    }
}

struct Add(i64);

impl Job<Sum> for Add {
    fn id(&self) -> CommandId {
        CommandId::new(WallTime(1), 1)
    }

    fn said(&self) -> &Said {
        const NOTHING: &Said = &Said {
            time: WallTime(1),
            deadline: None,
            metadata: None,
        };
        NOTHING
    }

    fn decide(&mut self, state: &Sum, _: &DecideCx<'_>, codec: Codec) -> Draft<Sum> {
        assert!(self.0 != 7, "seven");
        Draft::Accepted {
            events: vec![Added(self.0)],
            outcome: codec.encode(&(state.0 + self.0)),
            record: false,
            delete: false,
            plans: None,
        }
    }

    fn finish(self: Box<Self>, _: Answer) {}
}

const SLOT: Slot = Slot(0);

fn host() -> Entities<Sum> {
    let facts = KindFacts {
        namespace: Namespace::new("test").unwrap(),
        kind: KindName::new("sum").unwrap(),
        codec: Codec::Json,
        cipher: crate::api::Ciphered::default(),
        node: "here".into(),
        steps: crate::api::upcast::Steps::default(),
        unknown_events: UnknownEvents::Fail,
        skipped: Arc::default(),
    };
    let mut host = Entities::new(facts, ShardId(0), None);
    host.fold(SLOT, &EntityId::new("e").unwrap(), &Base::Nothing, &[])
        .unwrap();
    host
}

/// The replies of one round; what was not accepted is its verdict's text.
fn round(
    host: &mut Entities<Sum>,
    provisional: Provisional,
    version: u64,
    commands: &[(i64, Expected)],
) -> Vec<String> {
    let tickets = commands.iter().zip(1..).map(|((n, expected), ticket)| {
        let job = Ask::<Sum>::Job(Box::new(Add(*n)));
        host.admit(Ticket(ticket), Box::new(job));
        (Ticket(ticket), *expected)
    });
    let tickets: Vec<_> = tickets.collect();
    let turn = Turn {
        slot: SLOT,
        provisional,
        version: Version(version),
        epoch: None,
    };
    let decided = host.decide(turn, &tickets);
    let text = |decided: Decided| match decided.verdict {
        Verdict::Accepted { outcome, .. } => String::from_utf8(outcome.to_vec()).unwrap(),
        Verdict::Rejected => "rejected".to_owned(),
        Verdict::Conflict(version) => format!("at {version}"),
        Verdict::Failed(cause) => cause,
    };
    decided.into_iter().map(text).collect()
}

#[test]
fn each_command_of_a_round_sees_those_before_it() {
    let any = Expected::Any;
    let mut host = host();
    assert_eq!(
        round(&mut host, Dropped, 0, &[(1, any), (2, any), (3, any)]),
        ["1", "3", "6"]
    );
    assert_eq!(
        round(&mut host, Dropped, 0, &[(1, any)]),
        ["1"],
        "what was not kept is gone"
    );
    assert_eq!(
        round(&mut host, Committed, 1, &[(1, any)]),
        ["2"],
        "what was kept is there"
    );
}

#[test]
fn a_panic_takes_nothing_from_the_commands_around_it() {
    let any = Expected::Any;
    let mut host = host();
    let commands = [(1, any), (13, any), (2, any), (7, any), (4, any)];
    let expected = [
        "1",
        "evolve panicked: thirteen",
        "3",
        "decide panicked: seven",
        "7",
    ];
    assert_eq!(round(&mut host, Dropped, 0, &commands), expected);
    assert_eq!(round(&mut host, Committed, 3, &[(1, any)]), ["8"]);
}

#[test]
fn expectations_are_held_against_the_commands_before() {
    let commands = [
        (1, Expected::Present),
        (1, Expected::Exactly(Version::ABSENT)),
        (1, Expected::Exactly(Version::ABSENT)),
        (1, Expected::Present),
        (1, Expected::Exactly(Version(2))),
    ];
    assert_eq!(
        round(&mut host(), Dropped, 0, &commands),
        ["at 0", "1", "at 1", "2", "3"]
    );
}

#[test]
fn a_fold_that_fails_holds_nothing() {
    let mut host = host();
    let snapshot = Snapshot {
        layout: crate::id::LayoutId(1),
        kind: crate::id::KindId(1),
        entity: EntityId::new("e").unwrap(),
        version: Version(1),
        sequence: crate::id::Sequence(1),
        horizon: WallTime(0),
        commands: Vec::new(),
        schema: 1,
        state: Bytes::from_static(b"?"),
        older: Vec::new(),
        timers: Vec::new(),
        unknown: crate::format::Unknown::default(),
    };
    let entity = EntityId::new("e").unwrap();
    let folded = host.fold(SLOT, &entity, &Base::Snapshot(snapshot.into()), &[]);
    assert!(
        matches!(folded, Err(FoldError::Snapshot { .. })),
        "{folded:?}"
    );
    assert!(host.slots.is_empty());
}
