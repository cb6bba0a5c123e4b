//! One shard with everything that it asks for answered at once: the machine's own cost, without a
//! network and, after its beginning, without a store.

use crate::place;
use bytes::Bytes;
use std::collections::VecDeque;
use tenure_core::format::{TakeOver, WriteMode};
use tenure_core::id::{CommandId, Incarnation, OpId, Sequence, Ticket, WallTime};
use tenure_core::log::{
    Decided, Effect, Expected, Freshness, Input, KindIndex, NewEvent, Ran, Read, Shape, Shard,
    SnapshotPolicy, Submit, Verdict, Work,
};
use tenure_core::name::EntityId;
use tenure_core::port::{Ack, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::{Outcome, SilentProbe};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// Who answers the machine's requests to the store.
#[derive(Debug)]
pub(crate) enum Answers {
    /// The model store; what it says is kept.
    Store {
        store: Box<Store>,
        said: Vec<StoreReply>,
    },
    /// What was said to the same requests before.
    Recorded(VecDeque<StoreReply>),
    /// Whoever acknowledges every publish.
    Acknowledged(Sequence),
}

/// A shard, and all that is around it.
#[derive(Debug)]
pub(crate) struct Rig {
    shard: Shard,
    out: Effects<Effect>,
    pending: VecDeque<Effect>,
    pub(crate) answers: Answers,
    /// Whether publishes wait until [`acknowledge`](Self::acknowledge).
    pub(crate) hold: bool,
    held: Option<OpId>,
    wall: WallTime,
    tickets: u64,
    entity: EntityId,
    pub(crate) steps: u64,
    pub(crate) replies: u64,
}

const NOW: Time = Time::ZERO;
const PATIENCE: Span = Span::from_secs(3_600);

/// A store with the streams of one shard, and nothing in them but the anchor.
pub(crate) fn store() -> Answers {
    Answers::Store {
        store: Box::new(place::store(StoreConfig::default(), 1, WallTime(0))),
        said: Vec::new(),
    }
}

impl Rig {
    pub(crate) fn new(mode: WriteMode, snapshots: SnapshotPolicy, answers: Answers) -> Self {
        let class = TakeOver::Fenced;
        let config = place::shard(mode, class, Incarnation(1), "bench");
        let mut rig = Self {
            shard: Shard::new(config, Limits::default()),
            out: Effects::new(Limits::default().effects_max),
            pending: VecDeque::new(),
            answers,
            hold: false,
            held: None,
            wall: WallTime(1_700_000_000_000),
            tickets: 0,
            entity: EntityId::new("alice@example.org").expect("an entity's id"),
            steps: 0,
            replies: 0,
        };
        rig.step(Input::Kind(place::kind(mode, class, snapshots)));
        rig.step(Input::Up(Shape {
            replicated: false,
            payload_bytes_max: 1 << 20,
        }));
        if mode == WriteMode::Owned {
            rig.step(Input::Claim);
        }
        rig.pump();
        rig
    }

    /// So many commits, one after another.
    pub(crate) fn commits(&mut self, count: usize) {
        for _ in 0..count {
            self.submit();
            self.pump();
        }
    }

    /// From now on whatever is published is acknowledged, and no store is asked any more.
    pub(crate) fn acknowledged(mut self) -> Self {
        self.answers = Answers::Acknowledged(self.shard.high_water());
        self
    }

    /// A command comes. Ten seconds pass between two, so that the table of command ids is at its
    /// least, as it is for an entity that is not written all the time.
    pub(crate) fn submit(&mut self) {
        let submit = uncounted(|| {
            self.tickets += 1;
            self.wall.0 += 10_000;
            Submit {
                ticket: Ticket(self.tickets),
                kind: KindIndex(0),
                entity: self.entity.clone(),
                id: Some(CommandId::new(self.wall, u128::from(self.tickets))),
                expected: Expected::Any,
                metadata: None,
                wall: self.wall,
                at_least: Sequence::NONE,
                deadline: NOW + PATIENCE,
            }
        });
        self.step(Input::Submit(submit));
    }

    /// A reader comes and is answered.
    pub(crate) fn read(&mut self) {
        let read = uncounted(|| {
            self.tickets += 1;
            Read {
                ticket: Ticket(self.tickets),
                kind: KindIndex(0),
                entity: self.entity.clone(),
                freshness: Freshness::Linearizable,
                at_least: Sequence::NONE,
                deadline: NOW + PATIENCE,
            }
        });
        self.step(Input::Read(read));
        self.pump();
    }

    /// The publish that waits is acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        if let Some(op) = self.held.take() {
            let reply = self.answers.published();
            self.step(Input::Stored { op, reply });
        }
        self.pump();
    }

    /// A deadline that is none.
    pub(crate) fn tick(&mut self) {
        self.step(Input::Tick);
    }

    fn step(&mut self, input: Input) {
        let mut probe = SilentProbe;
        let mut cx = Cx {
            now: NOW,
            dice: Dice::new(1),
            probe: &mut probe,
        };
        self.shard.step(&mut cx, input, &mut self.out);
        self.steps += 1;
        self.pending.extend(self.out.drain());
    }

    /// Answers whatever is asked until nothing is.
    pub(crate) fn pump(&mut self) {
        while let Some(effect) = self.pending.pop_front() {
            match effect {
                Effect::Store {
                    op,
                    request: StoreRequest::Publish(_),
                } if self.hold => self.held = Some(op),
                Effect::Store { op, request } => {
                    let wall = self.wall;
                    let answers = &mut self.answers;
                    let reply = uncounted(|| answers.answer(wall, &request));
                    self.step(Input::Stored { op, reply });
                }
                Effect::Run { op, work } => {
                    let ran = uncounted(|| run(&work));
                    self.step(Input::Ran { op, ran });
                }
                Effect::Reply { .. } => self.replies += 1,
                Effect::Forget { .. }
                | Effect::Report(_)
                | Effect::Note(_)
                | Effect::AskWall
                | Effect::Dispatch { .. } => {}
                Effect::Halt(reason) => panic!("the machine halts: {reason}"),
            }
        }
    }
}

impl Answers {
    fn answer(&mut self, wall: WallTime, request: &StoreRequest) -> StoreReply {
        match self {
            Self::Store { store, said } => {
                let reply = store.apply(wall, request);
                said.push(reply.clone());
                reply
            }
            Self::Recorded(said) => said.pop_front().expect("as many requests as before"),
            Self::Acknowledged(_) => {
                assert!(request.writes(), "it reads nothing: {request:?}");
                self.published()
            }
        }
    }

    fn published(&mut self) -> StoreReply {
        let Self::Acknowledged(last) = self else {
            panic!("a publish is held only when all are acknowledged");
        };
        last.0 += 1;
        Outcome::Done(StoreDone::Published(Ack {
            sequence: *last,
            duplicate: false,
        }))
    }
}

/// Does something whose allocations are not counted.
fn uncounted<T>(act: impl FnOnce() -> T) -> T {
    let mut done = None;
    allocation_counter::opt_out(|| done = Some(act()));
    done.expect("it was done")
}

/// The host's answer: every command is one small event.
fn run(work: &Work) -> Ran {
    match work {
        Work::Fold { .. } => Ran::Folded(Ok(())),
        Work::Decide { commands, .. } => {
            let decided = commands.iter().map(|(ticket, _)| Decided {
                ticket: *ticket,
                verdict: Verdict::Accepted {
                    events: vec![NewEvent {
                        version: None,
                        name: "deposited".into(),
                        schema: 1,
                        data: Bytes::from_static(b"\xa1\x66amount\x18\x32"),
                    }],
                    outcome: Bytes::from_static(b"\x18\x96"),
                    record: false,
                    later: None,
                    delete: false,
                },
            });
            Ran::Decided(decided.collect())
        }
        Work::Fire { .. } => unreachable!("nothing arms a timer"),
        Work::Answer { .. } => Ran::Answered,
        Work::Snapshot { .. } => Ran::Snapshotted(Ok(Bytes::from_static(b"\x18\x96"))),
    }
}
