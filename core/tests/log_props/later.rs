//! T2: timers and messages over random histories of two nodes that take the shard from one another, with
//! little room and with faults: each timer fires once and not before it is due, each message comes once,
//! an index has all that is not done up to its watermark (G4), and in the end nothing is left to do.

use crate::bank::Order;
use crate::show::Class;
use crate::world::{Fate, Setup, World};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::{Commit, IntentPlace, LayoutKey, Receiver, ShardIndex, Timer, WriteMode};
use tenure_core::id::{Sequence, Ticket, WallTime};
use tenure_core::log::{Expected, Input, LaterCounts};
use tenure_core::port::Refused;
use tenure_core::{Limits, Span};

/// How long each caller waits: longer than most histories.
const PATIENCE: Span = Span::from_secs(100);
/// How long one does whose deletion waits for messages.
const DELETION_PATIENCE: Span = Span::from_secs(5);

const NODES: [&str; 2] = ["a", "b"];
/// Those who are sent messages; the last entity is deleted now and then, and is sent none.
const RECEIVERS: [&str; 3] = ["alice", "bob", "carol"];
const ENTITIES: [&str; 4] = ["alice", "bob", "carol", "dave"];
const TIMERS: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Act {
    /// A caller comes to whoever owns the shard.
    Arm {
        entity: usize,
        timer: usize,
        after_ms: u64,
    },
    Cancel {
        entity: usize,
        timer: usize,
    },
    Send {
        entity: usize,
        to: usize,
    },
    Deposit {
        entity: usize,
    },
    /// The last entity is deleted.
    Close,
    /// The next request of a node of this class meets this.
    Fault(usize, Class, Fate),
    /// What was held up goes on.
    Release(usize),
    /// No message reaches an entity, or they do again.
    Away(usize),
    Back(usize),
    /// A node claims the shard, whoever owns it.
    Claim(usize),
    /// A node is started again, and claims the shard.
    Restart(usize),
    Run,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let entity = || 0..ENTITIES.len();
    let timer = || 0..TIMERS.len();
    let node = || 0..NODES.len();
    let lost = || {
        prop_oneof![
            Just(Fate::AnswerLost),
            Just(Fate::Lost),
            Just(Fate::Held),
            Just(Fate::Refused(Refused::NoResponders)),
        ]
    };
    let stored = prop_oneof![
        Just(Class::Commit),
        Just(Class::Batch),
        Just(Class::Index),
        Just(Class::Tail),
        Just(Class::Latest),
        Just(Class::Get),
        Just(Class::Claim),
    ];
    let sent = prop_oneof![Just(Fate::AnswerLost), Just(Fate::Lost), Just(Fate::Held)];
    prop_oneof![
        6 => (entity(), timer(), 1..9_000_u64)
            .prop_map(|(entity, timer, after_ms)| Act::Arm { entity, timer, after_ms }),
        1 => (entity(), timer()).prop_map(|(entity, timer)| Act::Cancel { entity, timer }),
        8 => (entity(), 0..RECEIVERS.len()).prop_map(|(entity, to)| Act::Send { entity, to }),
        2 => entity().prop_map(|entity| Act::Deposit { entity }),
        1 => Just(Act::Close),
        2 => (node(), stored, lost()).prop_map(|(node, class, fate)| Act::Fault(node, class, fate)),
        1 => (node(), sent).prop_map(|(node, fate)| Act::Fault(node, Class::Dispatch, fate)),
        1 => node().prop_map(|node| Act::Fault(node, Class::Host, Fate::Held)),
        2 => node().prop_map(Act::Release),
        1 => (0..RECEIVERS.len()).prop_map(Act::Away),
        1 => (0..RECEIVERS.len()).prop_map(Act::Back),
        1 => node().prop_map(Act::Claim),
        1 => node().prop_map(Act::Restart),
        6 => Just(Act::Run),
        4 => (1_u64..3_000).prop_map(Act::Pass),
    ]
}

/// Little room for everything.
fn limits() -> impl Strategy<Value = Limits> {
    let ways = (1..5_usize, 1..3_usize, 1..7_usize, 0..4_usize);
    let lines = (1..5_usize, 0..3_usize, 1..7_usize);
    let index = (1..7_u32, 1..4_u32, 0..2_u64, 1..20_u64);
    let batches = (1..4_usize, 1..4_usize);
    (ways, lines, index, batches).prop_map(|(ways, lines, index, batches)| {
        let mut limits = Limits::default();
        (limits.dispatches_max, limits.firings_max) = (ways.0, ways.1);
        (limits.undone_max, limits.aside_max) = (ways.2, ways.3);
        (limits.receiver_undone_max, limits.receivers_shelved_max) = (lines.0, lines.1);
        limits.shard_timers_max = lines.2;
        (limits.index_every, limits.index_page) = (index.0, index.1);
        limits.index_pause = Span::from_millis(index.2 * 250);
        limits.wall_reread = Span::from_secs(index.3);
        (limits.batch_messages_max, limits.commits_in_flight_max) = batches;
        limits.later_delay_max = Span::from_secs(2);
        limits
    })
}

/// A world in which a history takes place.
struct Lived {
    world: World,
    ticket: u64,
}

impl Lived {
    fn new(replicated: bool, limits: Limits) -> Self {
        let mut world = World::new();
        world.loud = false;
        world.open(Setup {
            nodes: NODES.map(str::to_owned).into(),
            mode: WriteMode::Owned,
            replicated,
            limits,
            later: true,
            ..Setup::default()
        });
        world.step(NODES[0], Input::Claim);
        world.run(None);
        Self { world, ticket: 0 }
    }

    fn live(&mut self, act: &Act) {
        let world = &mut self.world;
        match act {
            Act::Arm {
                entity,
                timer,
                after_ms,
            } => {
                let due = WallTime(world.wall().0 + after_ms);
                let amount = (self.ticket + 1).to_string();
                let order = Order::arm(TIMERS[*timer], due, 0, "deposit", &amount);
                self.submit(*entity, order.expect("a timer"));
            }
            Act::Cancel { entity, timer } => {
                let order = Order::cancel(TIMERS[*timer]);
                self.submit(*entity, order.expect("a timer"));
            }
            Act::Send { entity, to } => {
                let amount = (self.ticket + 1).to_string();
                let order = Order::send(RECEIVERS[*to], "deposit", &amount);
                self.submit(*entity, order.expect("a message"));
            }
            Act::Deposit { entity } => {
                let amount = i64::try_from(self.ticket + 1).expect("few tickets");
                self.submit(*entity, Order::Deposit(amount));
            }
            Act::Close => self.submit(ENTITIES.len() - 1, Order::Close),
            Act::Fault(node, class, fate) => world.fault(NODES[*node], *class, fate.clone()),
            Act::Release(node) => world.release(NODES[*node]),
            Act::Away(entity) => {
                world.away.insert(RECEIVERS[*entity].to_owned());
            }
            Act::Back(entity) => {
                world.away.remove(RECEIVERS[*entity]);
            }
            Act::Claim(node) => world.step(NODES[*node], Input::Claim),
            Act::Restart(node) => {
                world.boot(NODES[*node]);
                world.step(NODES[*node], Input::Claim);
            }
            Act::Run => world.run(None),
            Act::Pass(ms) => world.advance(world.now() + Span::from_millis(*ms)),
        }
    }

    fn submit(&mut self, entity: usize, order: Order) {
        self.ticket += 1;
        let world = &mut self.world;
        let owner = world.owner().unwrap_or_else(|| NODES[0].to_owned());
        let patience = match order == Order::Close {
            true => DELETION_PATIENCE,
            false => PATIENCE,
        };
        let deadline = world.now() + patience;
        let (any, known) = (Expected::Any, Sequence::NONE);
        world.submit(
            &owner,
            Ticket(self.ticket),
            ENTITIES[entity],
            order,
            None,
            any,
            None,
            known,
            deadline,
        );
    }

    /// Everything is well again, and a node with nothing in memory owns the shard until nothing is to be
    /// done any more.
    fn rest(&mut self) {
        let world = &mut self.world;
        world.heal();
        world.run(None);
        world.boot(NODES[1]);
        world.step(NODES[1], Input::Claim);
        for _ in 0..60 {
            world.run(None);
            world.advance(world.now() + Span::from_secs(1));
        }
        world.run(None);
    }

    /// The commits of the shard, each with its entity.
    fn log(&self) -> Vec<(Sequence, Commit)> {
        let commits = self.world.commits();
        let mut all: Vec<_> = commits.into_values().flatten().collect();
        all.sort_by_key(|(sequence, _)| *sequence);
        all
    }

    fn index(&self) -> Option<ShardIndex> {
        let messages = self.world.messages("bank_ev_0");
        let index = messages
            .iter()
            .find(|message| message.subject.starts_with("bank.idx."))?;
        Some(ShardIndex::decode(&index.payload).expect("an index"))
    }
}

/// How often each amount was paid in: each is that of one order, or of one message.
fn paid_in(log: &[(Sequence, Commit)]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    let events = log.iter().flat_map(|(_, commit)| &commit.events);
    for event in events.filter(|event| &*event.name == "deposited") {
        let amount = String::from_utf8(event.data.to_vec()).expect("an amount");
        *times.entry(amount).or_default() += 1;
    }
    times
}

fn amount(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).expect("an amount")
}

/// The timers that commits leave armed, by entity and name.
fn armed<'a>(
    log: impl Iterator<Item = &'a (Sequence, Commit)>,
) -> BTreeMap<(String, String), &'a Timer> {
    let mut armed = BTreeMap::new();
    for (_, commit) in log {
        let entity = commit.entity.as_str();
        if commit.tombstone {
            armed.retain(|(of, _): &(String, String), _| of != entity);
        }
        let Some(later) = &commit.later else { continue };
        for name in &later.cancelled {
            armed.remove(&(entity.to_owned(), name.as_str().to_owned()));
        }
        for timer in &later.armed {
            armed.insert((entity.to_owned(), timer.name.as_str().to_owned()), timer);
        }
    }
    armed
}

/// What the index must have, of what is known of the log now (G4).
fn holds(index: &ShardIndex, log: &[(Sequence, Commit)]) -> Result<(), TestCaseError> {
    let below = |it: &&(Sequence, Commit)| it.0 <= index.watermark;
    let since = log.iter().filter(|it| it.0 > index.watermark);
    let touched: BTreeSet<_> = since.map(|(_, commit)| commit.entity.as_str()).collect();
    let listed = index.timers.iter().map(|timer| {
        let key = (
            timer.entity.as_str().to_owned(),
            timer.name.as_str().to_owned(),
        );
        (key, timer.due)
    });
    let listed: BTreeMap<_, _> = listed.collect();
    // Of an entity that went on since then the index may know more.
    let quiet = |key: &(String, String)| !touched.contains(key.0.as_str());
    let armed = armed(log.iter().filter(below));
    for (key, timer) in &armed {
        if quiet(key) && index.horizon.is_none_or(|horizon| timer.due < horizon) {
            prop_assert_eq!(listed.get(key), Some(&timer.due), "{:?}", key);
        }
    }
    for key in listed.keys().filter(|key| quiet(key)) {
        prop_assert!(armed.contains_key(key), "{key:?} is not armed");
    }
    let times = paid_in(log);
    for (sequence, commit) in log.iter().filter(below) {
        let sends = commit.later.iter().flat_map(|later| &later.sends);
        for (n, intent) in (0..).zip(sends) {
            if times.contains_key(&amount(&intent.message.data)) {
                continue;
            }
            let place = IntentPlace {
                sequence: *sequence,
                index: n,
            };
            let to = Receiver::of(LayoutKey(1), &intent.kind, &intent.entity);
            let shelved = index.shelved.iter();
            let mut shelved = shelved.filter(|it| it.receiver == to && it.after < *sequence);
            let known = index.undone.contains(&place) || shelved.next().is_some();
            prop_assert!(known, "{place:?} is not in {index:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_to_be_done_later_is_done_once(
        replicated in any::<bool>(),
        limits in limits(),
        acts in vec(act(), 1..80),
    ) {
        let mut lived = Lived::new(replicated, limits);
        for act in &acts {
            lived.live(act);
            if let Some(index) = lived.index() {
                holds(&index, &lived.log())?;
            }
        }
        lived.rest();
        lived.world.check();
        let left = lived.world.later_counts(NODES[1]);
        prop_assert_eq!(left, LaterCounts::default());
        let log = lived.log();
        let index = lived.index().map_or(Ok(()), |index| holds(&index, &log));
        index?;
        prop_assert_eq!(armed(log.iter()).len(), 0, "each timer was due");
        let times = paid_in(&log);
        for (amount, times) in &times {
            prop_assert_eq!(*times, 1, "{}", amount);
        }
        for (_, commit) in &log {
            let later = commit.later.iter();
            for intent in later.clone().flat_map(|later| &later.sends) {
                let amount = amount(&intent.message.data);
                prop_assert!(times.contains_key(&amount), "{amount} did not come");
            }
            for timer in later.flat_map(|later| &later.armed) {
                let paid = amount(&timer.message.data);
                let pays = |(_, commit): &(Sequence, Commit)| {
                    commit.events.iter().any(|event| amount(&event.data) == paid)
                };
                let Some(place) = log.iter().position(pays) else {
                    continue;
                };
                let (before, fired) = (&log[..place], &log[place].1);
                prop_assert!(fired.time >= timer.due, "{paid} before it was due");
                // It was armed still, and no other one in its place (G2).
                let key = (commit.entity.as_str().to_owned(), timer.name.as_str().to_owned());
                let stood = armed(before.iter()).get(&key).copied();
                prop_assert_eq!(stood, Some(timer));
            }
        }
    }
}

#[test]
fn what_is_to_be_done_later_is_counted() {
    let mut limits = Limits::default();
    limits.receiver_undone_max = 2;
    let mut lived = Lived::new(false, limits);
    let act = |lived: &mut Lived, act| {
        lived.live(&act);
        lived.live(&Act::Run);
        lived.world.later_counts(NODES[0])
    };
    let mut expected = LaterCounts::default();
    for (entity, timer) in [(0, 0), (0, 1), (3, 0)] {
        let after_ms = 9_000;
        let arm = Act::Arm {
            entity,
            timer,
            after_ms,
        };
        expected.timers += 1;
        assert_eq!(act(&mut lived, arm), expected);
    }
    let (entity, timer) = (0, 1);
    expected.timers -= 1;
    assert_eq!(act(&mut lived, Act::Cancel { entity, timer }), expected);
    act(&mut lived, Act::Away(1));
    for _ in 0..2 {
        expected.undone += 1;
        assert_eq!(act(&mut lived, Act::Send { entity, to: 1 }), expected);
    }
    // More of a receiver that is away is left in the log.
    expected.shelved = 1;
    assert_eq!(act(&mut lived, Act::Send { entity, to: 1 }), expected);
    let order = Order::send("ghost/x", "deposit", "1").expect("a message");
    lived.submit(entity, order);
    expected.failed = 1;
    assert_eq!(act(&mut lived, Act::Run), expected);
}
