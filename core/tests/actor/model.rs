//! A scheduler of actors under whatever comes, and what must hold of all that it does (A1 to A9).

use std::collections::{BTreeMap, BTreeSet};
use tenure_core::actor::{
    Answer, Ask, Effect, Ending, Input, KindConfig, Letter, OnPanic, OnStuck, Order, Overflow,
    Scheduler, Trail, Watch, WatchOf,
};
use tenure_core::format::TakeOver;
use tenure_core::id::{ClaimId, Epoch, OpId, Sequence, ShardId, Slot, Ticket};
use tenure_core::log::KindIndex;
use tenure_core::name::{EntityId, KindName};
use tenure_core::shard::Place;
use tenure_core::step::{CountingProbe, Limits};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Ask {
        kind: u16,
        key: u8,
        ms: u64,
        answered: bool,
    },
    Watch {
        kind: u16,
        key: u8,
        ms: u64,
    },
    Withdraw(usize),
    /// One of those under way ends.
    End(usize, End),
    Turn,
    Pass(u64),
    /// Time passes, and what comes next comes before the tick.
    Late(u64),
    Own(u8),
    Lost(u8),
    HandOver(u8),
    Lease(Option<u64>),
    Pause(u8),
    Resume(u8),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Ok,
    Timer,
    Leave,
    Fails,
    Panics,
    Dropped,
    Withdrawn,
}

/// What is known of a message that waits.
struct Sent {
    key: (u16, u8),
    deadline: Time,
    answered: bool,
}

/// The scheduler, and what must hold of what it does.
pub(crate) struct Model {
    scheduler: Scheduler,
    now: Time,
    probe: CountingProbe,
    tickets: u64,
    /// Who waits for an answer.
    waiting: BTreeMap<Ticket, Sent>,
    /// Messages that were taken without a caller, and did not run yet.
    taken: BTreeMap<Ticket, Sent>,
    watching: BTreeSet<Ticket>,
    /// What is under way, by key.
    under_way: BTreeMap<(u16, u8), (Slot, OpId, Option<Ticket>)>,
    /// The stay of each key that has one, from its `Activate` to its `Forget`.
    stays: BTreeMap<(u16, u8), Slot>,
    /// The last message of each key that ran.
    ran: BTreeMap<(u16, u8), Ticket>,
    /// What is told to have ended in this step, for whom, and who gives up: they may get an answer yet.
    told: Option<OpId>,
    ending: Option<Ticket>,
    gives_up: Option<Ticket>,
    lease: Option<Time>,
    owned: BTreeSet<u8>,
    /// Those that are handed over, until they are said to be drained.
    handing: BTreeSet<u8>,
    /// The same, drained or not.
    handed: BTreeSet<u8>,
    stopped: bool,
    /// Effects of a batch come in any order.
    shuffles: u64,
}

/// Keys below 2 are in place 0, those below 4 in place 1; the others belong to the node.
fn shard_of(key: u8) -> Option<u8> {
    (key < 4).then_some(key / 2)
}

fn place(shard: u8) -> Place {
    Place {
        class: TakeOver::Leased,
        shard: ShardId(u16::from(shard)),
    }
}

fn key_of(kind: KindIndex, key: &EntityId) -> (u16, u8) {
    (kind.0, key.as_str().parse().expect("a key of this test"))
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut limits = Limits::default();
        limits.activations_max = 8;
        limits.letters_max = 24;
        limits.stash_max = 6;
        limits.actor_turns_max = 2;
        limits.hand_over_patience = Span::from_millis(50);
        let mut model = Self {
            scheduler: Scheduler::new(limits, 0, 1),
            now: Time::ZERO,
            probe: CountingProbe::default(),
            tickets: 0,
            waiting: BTreeMap::new(),
            taken: BTreeMap::new(),
            watching: BTreeSet::new(),
            under_way: BTreeMap::new(),
            stays: BTreeMap::new(),
            ran: BTreeMap::new(),
            told: None,
            ending: None,
            gives_up: None,
            lease: None,
            owned: BTreeSet::new(),
            handing: BTreeSet::new(),
            handed: BTreeSet::new(),
            stopped: false,
            shuffles: 0,
        };
        let kinds = [
            (OnPanic::Restart, OnStuck::Abort, Overflow::Reject),
            (OnPanic::Resume, OnStuck::Count, Overflow::Wait),
            (OnPanic::Stop, OnStuck::Abort, Overflow::Wait),
        ];
        for (n, (on_panic, on_stuck, overflow)) in kinds.into_iter().enumerate() {
            let name = KindName::new(&format!("kind{n}")).expect("a name");
            model.step(Input::Kind(KindConfig {
                mailbox_max: 3,
                idle_after: Some(Span::from_millis(150)),
                restarts_max: 3,
                restart_window: Span::from_millis(500),
                restart_delay_min: Span::from_millis(10),
                restart_delay_max: Span::from_millis(50),
                patience: Span::from_millis(120),
                on_panic,
                on_stuck,
                overflow,
                ..KindConfig::new(name)
            }));
        }
        model
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::new(100_000);
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(1),
            probe: &mut self.probe,
        };
        self.scheduler.step(&mut cx, input, &mut out);
        let mut effects: Vec<Effect> = out.drain().collect();
        // Order means nothing, but for the check of A1, which needs the end of the old stay first.
        self.shuffles += 1;
        let by = usize::try_from(self.shuffles).expect("few steps") % effects.len().max(1);
        effects.rotate_left(by);
        effects.sort_by_key(|effect| !matches!(effect, Effect::Forget { .. }));
        for effect in effects {
            self.effect(effect);
        }
        if let Some(ticket) = self.gives_up.take() {
            self.waiting.remove(&ticket);
        }
        // A9.
        let census = self.scheduler.census();
        assert!(census.activations <= 8 + 2, "{census:?}");
        assert!(census.letters <= 24 + 8, "{census:?}");
        assert_eq!(census.waiting, self.waiting.len() + self.watching.len());
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Activate {
                slot,
                op,
                kind,
                key,
                place,
            } => {
                let key = key_of(kind, &key);
                self.may_act(place);
                assert_eq!(self.stays.insert(key, slot), None, "A1");
                self.begins(key, (slot, op, None));
            }
            Effect::Run {
                slot,
                op,
                kind,
                key,
                place,
                letter,
            } => {
                let key = key_of(kind, &key);
                self.may_act(place);
                assert_eq!(self.stays.get(&key), Some(&slot), "A1");
                let Letter::Message { ticket, .. } = letter else {
                    return self.begins(key, (slot, op, None));
                };
                let before = self.ran.insert(key, ticket);
                assert!(before.is_none_or(|before| before < ticket), "A3");
                match self.waiting.get(&ticket) {
                    Some(sent) if sent.answered => {
                        assert!(sent.deadline > self.now, "A5");
                        assert_eq!(sent.key, key);
                        self.begins(key, (slot, op, Some(ticket)));
                    }
                    Some(_) | None => {
                        let sent = self.taken.remove(&ticket).expect("it was taken, once");
                        assert_eq!(sent.key, key);
                        self.begins(key, (slot, op, None));
                    }
                }
            }
            Effect::Stop {
                slot,
                op,
                kind,
                key,
                place,
                ..
            } => {
                let key = key_of(kind, &key);
                self.may_act(place);
                self.begins(key, (slot, op, None));
            }
            Effect::Abort { slot, op } => {
                let there = self
                    .under_way
                    .values()
                    .any(|one| (one.0, one.1) == (slot, op));
                assert!(
                    there || self.told == Some(op),
                    "what is aborted is under way"
                );
            }
            Effect::Cancel { .. } => {}
            Effect::Forget { slot } => self.stays.retain(|_, stay| *stay != slot),
            Effect::Reply { ticket, answer } => self.answered(ticket, &answer),
            Effect::Undelivered { ticket, .. } => {
                assert!(self.taken.remove(&ticket).is_some(), "A8: it was taken");
            }
            Effect::Drained { place } => {
                let shard = u8::try_from(place.shard.0).expect("a small shard");
                assert!(self.handing.remove(&shard), "it is handed over");
                let mut keys = self.stays.keys();
                let left = keys.find(|key| shard_of(key.1) == Some(shard));
                assert_eq!(left, None, "A1: nothing of it is left");
            }
            Effect::Kept { place, .. } => {
                let shard = u8::try_from(place.shard.0).expect("a small shard");
                assert!(self.handing.remove(&shard), "it was handed over");
                self.handed.remove(&shard);
            }
            Effect::Note(_) => {}
            Effect::Stopped => self.stopped = true,
            Effect::Halt(reason) => panic!("it halts: {reason}"),
        }
    }

    fn may_act(&self, place: Option<Place>) {
        let Some(place) = place else { return };
        assert!(
            self.lease.is_some_and(|until| self.now < until),
            "A5: the lease"
        );
        let shard = u8::try_from(place.shard.0).expect("a small shard");
        assert!(self.owned.contains(&shard), "A5: the place");
    }

    fn begins(&mut self, key: (u16, u8), what: (Slot, OpId, Option<Ticket>)) {
        assert_eq!(self.under_way.insert(key, what), None, "A2");
    }

    fn answered(&mut self, ticket: Ticket, answer: &Answer) {
        if self.watching.remove(&ticket) {
            assert!(!matches!(answer, Answer::Ran | Answer::Taken));
            return;
        }
        let sent = self
            .waiting
            .remove(&ticket)
            .expect("A4: each ticket is answered once");
        match answer {
            Answer::Taken => {
                assert!(!sent.answered);
                self.taken.insert(ticket, sent);
            }
            Answer::Ran => assert!(sent.answered),
            Answer::Refused(refusal) => {
                let runs = self.under_way.values().any(|one| one.2 == Some(ticket));
                let begun = runs || self.ending == Some(ticket);
                assert_eq!(begun, refusal.has_begun(), "{refusal:?}");
            }
            Answer::Ended(_) | Answer::Lives(_) => panic!("nobody watched"),
        }
    }

    pub(crate) fn act(&mut self, act: &Act) {
        let key = |key: &u8| EntityId::new(&key.to_string()).expect("a key");
        match act {
            Act::Ask {
                kind,
                key: of,
                ms,
                answered,
            } => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                let deadline = self.now + Span::from_millis(*ms);
                let sent = Sent {
                    key: (*kind, *of),
                    deadline,
                    answered: *answered,
                };
                self.waiting.insert(ticket, sent);
                self.step(Input::Ask(Ask {
                    ticket,
                    kind: KindIndex(*kind),
                    key: key(of),
                    place: shard_of(*of).map(place),
                    deadline,
                    trail: Trail::default(),
                    crosses: false,
                    answered: *answered,
                }));
            }
            Act::Watch { kind, key: of, ms } => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                self.watching.insert(ticket);
                self.step(Input::Watch(Watch {
                    ticket,
                    kind: KindIndex(*kind),
                    key: key(of),
                    place: shard_of(*of).map(place),
                    deadline: self.now + Span::from_millis(*ms),
                    of: match *ms % 3 {
                        0 => WatchOf::Whoever,
                        1 => WatchOf::Who,
                        _ => WatchOf::Life(u32::try_from(*ms % 16).expect("a small number")),
                    },
                }));
            }
            Act::Withdraw(which) => {
                let count = self.waiting.len().max(1);
                let Some(ticket) = self.waiting.keys().nth(which % count).copied() else {
                    return;
                };
                self.gives_up = Some(ticket);
                self.step(Input::Withdraw(ticket));
            }
            Act::End(which, end) => {
                let count = self.under_way.len().max(1);
                if let Some(key) = self.under_way.keys().nth(which % count).copied() {
                    self.end(key, *end);
                }
            }
            Act::Turn => self.step(Input::Turn),
            Act::Pass(ms) => self.pass(Span::from_millis(*ms)),
            Act::Late(ms) => self.now = self.now + Span::from_millis(*ms),
            Act::Own(shard) => {
                self.owned.insert(*shard);
                let (sequence, claim) = (Sequence(1), ClaimId(1));
                self.step(Input::Own {
                    place: place(*shard),
                    epoch: Epoch { sequence, claim },
                });
            }
            Act::Lost(shard) => {
                self.owned.remove(shard);
                self.handing.remove(shard);
                self.handed.remove(shard);
                self.step(Input::Lost {
                    place: place(*shard),
                });
            }
            Act::HandOver(shard) => {
                if self.handed.insert(*shard) {
                    self.handing.insert(*shard);
                }
                self.step(Input::HandOver {
                    place: place(*shard),
                });
            }
            Act::Lease(ms) => {
                let until = ms.map(|ms| self.now + Span::from_millis(ms));
                if until.is_none() {
                    self.owned.clear();
                    self.handing.clear();
                    self.handed.clear();
                }
                self.lease = until;
                self.step(Input::Lease(until));
            }
            Act::Pause(of) => self.step(Input::Pause {
                kind: KindIndex(0),
                key: key(of),
            }),
            Act::Resume(of) => self.step(Input::Resume {
                kind: KindIndex(0),
                key: key(of),
            }),
        }
    }

    fn end(&mut self, key: (u16, u8), end: End) {
        let (slot, op, ticket) = self.under_way.remove(&key).expect("it is under way");
        let (ending, orders) = match end {
            End::Ok => (Ending::Ok, Vec::new()),
            End::Timer => {
                let order = Order::Timer {
                    name: "tick".into(),
                    at: self.now + Span::from_millis(20),
                    every: Some(Span::from_millis(30)),
                };
                (Ending::Ok, vec![order])
            }
            End::Leave => (Ending::Ok, vec![Order::Passivate]),
            End::Fails => (Ending::Failed("no".into()), Vec::new()),
            End::Panics => (Ending::Panicked("boom".into()), Vec::new()),
            End::Dropped => (Ending::Dropped, Vec::new()),
            End::Withdrawn => (Ending::Withdrawn, Vec::new()),
        };
        (self.told, self.ending) = (Some(op), ticket);
        self.gives_up = ticket.filter(|_| ending == Ending::Withdrawn);
        self.step(Input::Done {
            slot,
            op,
            ending,
            orders,
            background: 0,
        });
        (self.told, self.ending) = (None, None);
    }

    /// Time passes from one deadline to the next, each of which has to move.
    fn pass(&mut self, time: Span) {
        let end = self.now + time;
        for _ in 0..10_000 {
            let next = self.scheduler.next_deadline().map(|due| due.at);
            let Some(at) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = at.max(self.now);
            self.step(Input::Tick);
        }
        panic!("a deadline does not move");
    }

    /// What runs ends well, and what waits runs.
    fn settle(&mut self) {
        for _ in 0..100 {
            while let Some(key) = self.under_way.keys().next().copied() {
                self.end(key, End::Ok);
            }
            self.step(Input::Turn);
        }
    }

    /// Everything ends well: whoever is left gets an answer.
    pub(crate) fn finish(&mut self, stops: bool) {
        self.settle();
        assert!(self.handing.is_empty(), "it drains: {:?}", self.handing);
        if stops {
            self.step(Input::Stop);
            self.settle();
        } else {
            self.lose_all();
            self.step(Input::Stop);
        }
        assert_eq!(self.waiting.len(), 0, "A4: they have no answer");
        assert_eq!(self.taken.len(), 0, "A8: what was taken was dropped");
        assert_eq!(self.watching.len(), 0, "A4: watchers have no answer");
        self.settle();
        assert!(self.stopped, "nothing keeps the node");
        let census = self.scheduler.census();
        assert_eq!(
            (census.activations, census.letters),
            (0, 0),
            "something is left"
        );
        // What is held has the end of its lease, whether something lives there or not.
        let due = self.scheduler.next_deadline();
        assert_eq!(due.filter(|due| due.timer != "lease"), None);
        assert!(self.probe.broken().is_none(), "{:?}", self.probe.broken());
    }

    /// Every place is lost, and whoever waits for what is left has to give up at last.
    fn lose_all(&mut self) {
        for shard in 0..2 {
            self.act(&Act::Lost(shard));
        }
        for key in 0..6 {
            self.act(&Act::Resume(key));
        }
        for _ in 0..1_000 {
            while let Some(key) = self.under_way.keys().next().copied() {
                self.end(key, End::Ok);
            }
            self.step(Input::Turn);
            if self.under_way.is_empty() && !self.scheduler.is_ready() {
                if self.waiting.is_empty() && self.taken.is_empty() && self.watching.is_empty() {
                    break;
                }
                self.pass(Span::from_millis(25));
            }
        }
    }
}
