//! What the scheduler of actors costs: a mailbox turn (ask, run, done, reply) of the machine alone,
//! against a bare turn on a map of queues, in alternating blocks of one run.
//!
//! Exits with 1 when the ratio of the medians is above [`RATIO_MAX`].

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::ExitCode;
use tenure_core::actor::{Answer, Ask, Effect, Ending, Input, KindConfig, Scheduler, Trail};
use tenure_core::id::Ticket;
use tenure_core::log::KindIndex;
use tenure_core::name::{EntityId, KindName};
use tenure_core::step::{Limits, SilentProbe};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

/// How much more than a bare turn one of the machine may take.
const RATIO_MAX: f64 = 10.0;

/// Turns of one block.
const TURNS: u64 = 200_000;

/// Blocks of each.
const BLOCKS: usize = 15;

/// Keys that are asked in turn.
const KEYS: usize = 1_000;

/// Messages that come together, each for another key.
const BURST: usize = 64;

#[allow(
    clippy::disallowed_types,
    reason = "it is what the machine is compared with"
)]
type Map<K, V> = std::collections::HashMap<K, V>;

fn keys() -> Vec<EntityId> {
    let key = |n| EntityId::new(&format!("account-{n}")).expect("a key");
    (0..KEYS).map(key).collect()
}

/// A map of queues, and who has mail.
struct Bare {
    actors: Map<EntityId, (VecDeque<(u64, u64)>, u64)>,
    ready: VecDeque<EntityId>,
    replies: VecDeque<(u64, u64)>,
    tickets: u64,
}

impl Bare {
    fn ask(&mut self, key: &EntityId) {
        self.tickets += 1;
        if !self.actors.contains_key(key) {
            self.actors.insert(key.clone(), Default::default());
        }
        let (mailbox, _) = self.actors.get_mut(key).expect("it was made");
        mailbox.push_back((self.tickets, 1));
        self.ready.push_back(key.clone());
    }

    fn turns(&mut self) -> u64 {
        let mut done = 0;
        while let Some(key) = self.ready.pop_front() {
            let (mailbox, state) = self.actors.get_mut(&key).expect("it was made");
            if let Some((ticket, by)) = mailbox.pop_front() {
                *state += by;
                self.replies.push_back((ticket, *state));
            }
        }
        while let Some(reply) = self.replies.pop_front() {
            black_box(reply);
            done += 1;
        }
        done
    }
}

/// The scheduler, with a host that has nothing to do.
struct Rig {
    scheduler: Scheduler,
    out: Effects<Effect>,
    pending: VecDeque<Effect>,
    tickets: u64,
    now: Time,
}

impl Rig {
    fn step(&mut self, input: Input) {
        let mut probe = SilentProbe;
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(1),
            probe: &mut probe,
        };
        self.scheduler.step(&mut cx, input, &mut self.out);
        self.pending.extend(self.out.drain());
    }

    fn ask(&mut self, key: &EntityId) {
        self.tickets += 1;
        self.now = self.now + Span::from_nanos(100);
        self.step(Input::Ask(Ask {
            ticket: Ticket(self.tickets),
            kind: KindIndex(0),
            key: key.clone(),
            place: None,
            deadline: self.now + Span::from_secs(5),
            trail: Trail::default(),
            crosses: false,
            answered: true,
        }));
    }

    fn turns(&mut self) -> u64 {
        let mut done = 0;
        loop {
            while let Some(effect) = self.pending.pop_front() {
                match effect {
                    Effect::Activate { slot, op, .. } | Effect::Run { slot, op, .. } => {
                        self.step(Input::Done {
                            slot,
                            op,
                            ending: Ending::Ok,
                            orders: Vec::new(),
                            background: 0,
                        });
                    }
                    Effect::Reply { ticket, answer } => {
                        assert_eq!(answer, Answer::Ran);
                        black_box(ticket);
                        done += 1;
                    }
                    Effect::Note(_) => {}
                    Effect::Stop { .. }
                    | Effect::Abort { .. }
                    | Effect::Cancel { .. }
                    | Effect::Forget { .. }
                    | Effect::Undelivered { .. }
                    | Effect::Drained { .. }
                    | Effect::Kept { .. }
                    | Effect::Stopped
                    | Effect::Halt(_) => panic!("not in this run: {effect:?}"),
                }
            }
            if !self.scheduler.is_ready() {
                return done;
            }
            self.step(Input::Turn);
        }
    }
}

/// Nanoseconds of one turn.
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn block(keys: &[EntityId], mut ask: impl FnMut(&EntityId), mut turns: impl FnMut() -> u64) -> f64 {
    let mut keys = keys.iter().cycle();
    let (begin, mut done) = (std::time::Instant::now(), 0);
    while done < TURNS {
        keys.by_ref().take(BURST).for_each(&mut ask);
        done += turns();
    }
    begin.elapsed().as_nanos() as f64 / done as f64
}

fn median(mut blocks: Vec<f64>) -> f64 {
    blocks.sort_by(f64::total_cmp);
    blocks[blocks.len() / 2]
}

fn main() -> ExitCode {
    let keys = keys();
    let mut rig = Rig {
        scheduler: Scheduler::new(Limits::default(), 0, 1),
        out: Effects::new(1 << 16),
        pending: VecDeque::new(),
        tickets: 0,
        now: Time::ZERO,
    };
    let name = KindName::new("account").expect("a name");
    rig.step(Input::Kind(KindConfig::new(name)));
    let mut bare = Bare {
        actors: Map::new(),
        ready: VecDeque::new(),
        replies: VecDeque::new(),
        tickets: 0,
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let rig = std::cell::RefCell::new(&mut rig);
        ours.push(block(
            &keys,
            |key| rig.borrow_mut().ask(key),
            || rig.borrow_mut().turns(),
        ));
        let bare = std::cell::RefCell::new(&mut bare);
        theirs.push(block(
            &keys,
            |key| bare.borrow_mut().ask(key),
            || bare.borrow_mut().turns(),
        ));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    println!(
        "mailbox turn: {ours:.0} ns, bare: {theirs:.0} ns, ratio {ratio:.2} (at most {RATIO_MAX})"
    );
    if ratio > RATIO_MAX {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
