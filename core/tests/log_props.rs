//! T2: properties of the log over random histories of two nodes, with faults: versions rise, a
//! commit's lists lead to every commit exactly once, what an entity remembers of its commands is a
//! fold of its log, and no limit is passed.
#![allow(
    dead_code,
    reason = "the world of the text traces can do more than is needed here"
)]

#[path = "trace/bank.rs"]
mod bank;
#[path = "log_props/later.rs"]
mod later;
#[path = "trace/show.rs"]
mod show;
#[path = "trace/story.rs"]
mod story;
#[path = "trace/world/mod.rs"]
mod world;

use bank::Order;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use show::Class;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::{Commit, Snapshot, TakeOver, WriteMode};
use tenure_core::id::{Incarnation, Sequence, Ticket, Version};
use tenure_core::log::{Expected, Freshness, Input, Refusal, Reply, Shard, SnapshotPolicy, mark};
use tenure_core::port::{Ack, Expect, Publish, Rollup, StoreDone, StoreRequest, StreamName};
use tenure_core::step::Outcome;
use tenure_core::{Limits, Span};
use world::{Fate, Setup, World};

/// How long each caller waits: longer than any history.
const PATIENCE: Span = Span::from_secs(3_600);

/// One event of a history.
#[derive(Clone, Debug)]
enum Act {
    /// A caller comes to a node; its command's id is one of a few, made so many seconds ago.
    Submit {
        node: usize,
        entity: usize,
        order: Order,
        id: Option<(u8, i64)>,
    },
    /// The next commit of a node meets this.
    Fault(usize, Fate),
    /// Everything is answered.
    Run,
    /// A node is started again.
    Restart(usize),
    /// Time passes.
    Pass(u64),
}

const NODES: [&str; 2] = ["a", "b"];
const ENTITIES: [&str; 3] = ["alice", "bob", "carol"];

fn act() -> impl Strategy<Value = Act> {
    let order = prop_oneof![
        4 => (1_i64..9).prop_map(Order::Deposit),
        2 => (1_i64..20).prop_map(Order::Withdraw),
        1 => any::<bool>().prop_map(|record| Order::Greet { record }),
        // Versions of an import, with gaps; where they do not rise the command is refused.
        2 => (0_u64..60, vec(1_u64..4, 1..4)).prop_map(|(from, steps)| {
            let next = |at: &mut u64, step: &u64| {
                *at += step;
                Some(Version(*at))
            };
            Order::Import(steps.iter().scan(from, next).collect())
        }),
    ];
    let submit = (
        0..2_usize,
        0..3_usize,
        order,
        option::of((0..12_u8, 0..90_i64)),
    );
    let fate = prop_oneof![
        Just(Fate::AnswerLost),
        Just(Fate::Lost),
        Just(Fate::Late),
        Just(Fate::Refused(tenure_core::port::Refused::NoResponders)),
    ];
    prop_oneof![
        8 => submit.prop_map(|(node, entity, order, id)| Act::Submit { node, entity, order, id }),
        2 => (0..2_usize, fate).prop_map(|(node, fate)| Act::Fault(node, fate)),
        4 => Just(Act::Run),
        1 => (0..2_usize).prop_map(Act::Restart),
        2 => (1_u64..5_000).prop_map(Act::Pass),
    ]
}

#[derive(Clone, Debug)]
struct Settings {
    mode: WriteMode,
    replicated: bool,
    snapshots: SnapshotPolicy,
    chain_max: usize,
    command_ids_max: usize,
    command_ids_min: usize,
    commit_commands_max: usize,
}

fn policy() -> impl Strategy<Value = SnapshotPolicy> {
    let taken = prop_oneof![
        Just(SnapshotPolicy::never()),
        (1_u32..6).prop_map(SnapshotPolicy::every),
        (0_u32..6).prop_map(SnapshotPolicy::after_load),
        (1_u32..6, 0_u32..6)
            .prop_map(|(every, load)| SnapshotPolicy::every(every).or_after_load(load)),
    ];
    (taken, 1_u32..4, option::of(1_u64..20)).prop_map(|(taken, keep, expiry_s)| {
        let kept = taken.keep(keep);
        match expiry_s {
            Some(seconds) if !kept.is_never() => kept.expires_after(Span::from_secs(seconds)),
            Some(_) | None => kept,
        }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let mode = prop_oneof![Just(WriteMode::Direct), Just(WriteMode::Owned)];
    let shape = (mode, any::<bool>(), policy(), 1_usize..6);
    let ids = (1_usize..8, 0_usize..4, 1_usize..5);
    (shape, ids).prop_map(|(shape, (most, least, commands))| Settings {
        mode: shape.0,
        replicated: shape.1,
        snapshots: shape.2,
        chain_max: shape.3,
        command_ids_max: most,
        command_ids_min: least.min(most),
        commit_commands_max: commands,
    })
}

fn limits(settings: &Settings) -> Limits {
    let mut limits = Limits::default();
    limits.chain_max = settings.chain_max;
    limits.command_ids_max = settings.command_ids_max;
    limits.command_ids_min = settings.command_ids_min;
    limits.commit_commands_max = settings.commit_commands_max;
    limits.command_id_age_ms = 60_000;
    // Fewer than there are entities, so that some are forgotten and loaded again.
    limits.entities_max = 2;
    limits
}

/// A world in which a history took place; its next ticket.
fn lived(settings: &Settings, acts: &[Act]) -> (World, u64) {
    let mut world = World::new();
    world.loud = false;
    world.open(Setup {
        nodes: NODES.map(str::to_owned).into(),
        mode: settings.mode,
        replicated: settings.replicated,
        limits: limits(settings),
        snapshots: settings.snapshots,
        ..Setup::default()
    });
    let owned = settings.mode == WriteMode::Owned;
    // In owned mode all goes to the owner.
    let node = |n: usize| if owned { NODES[0] } else { NODES[n] };
    if owned {
        world.step(NODES[0], Input::Claim);
        world.run(None);
    }
    let mut ticket = 0;
    for act in acts {
        match act {
            Act::Submit {
                node: n,
                entity,
                order,
                id,
            } => {
                ticket += 1;
                let id = id.map(|(id, ago_s)| {
                    let name = format!("{}{id}", ENTITIES[*entity]);
                    world.command(&name, -ago_s * 1_000)
                });
                let deadline = world.now() + PATIENCE;
                let (entity, order) = (ENTITIES[*entity], order.clone());
                let (any, known) = (Expected::Any, Sequence::NONE);
                world.submit(
                    node(*n),
                    Ticket(ticket),
                    entity,
                    order,
                    id,
                    any,
                    None,
                    known,
                    deadline,
                );
            }
            Act::Fault(n, fate) => {
                let class = match (settings.mode, settings.replicated) {
                    (WriteMode::Direct, _) | (WriteMode::Owned, false) => Class::Commit,
                    (WriteMode::Owned, true) => Class::Batch,
                };
                world.fault(node(*n), class, fate.clone());
            }
            Act::Run => world.run(None),
            Act::Restart(n) => {
                world.boot(node(*n));
                if owned {
                    world.step(NODES[0], Input::Claim);
                    world.run(None);
                }
            }
            Act::Pass(ms) => world.advance(world.now() + Span::from_millis(*ms)),
        }
        world.arrive_late(NODES[0]);
    }
    world.run(None);
    (world, ticket)
}

/// Every commit that an entity's last one leads to, newest first, by its lists alone.
fn walk(commits: &BTreeMap<Sequence, Commit>) -> Vec<Sequence> {
    let mut visited = Vec::new();
    let mut at = commits.keys().next_back().copied();
    visited.extend(at);
    while let Some(sequence) = at {
        let commit = &commits[&sequence];
        visited.extend(commit.earlier.iter());
        let oldest = commit.earlier.last().copied();
        at = oldest.or_else(|| {
            let covered = commit.snapshot.map(|named| named.sequence);
            visited.extend(covered);
            covered
        });
    }
    visited
}

/// What a node answers to every id that was ever used: found with what, expired, or new.
fn remembered(world: &mut World, node: &str, ticket: &mut u64) -> Vec<String> {
    let mut answers = Vec::new();
    for entity in ENTITIES {
        // A known id is answered from what is held; a read brings that up to the last commit.
        *ticket += 1;
        let deadline = world.now() + PATIENCE;
        let (fresh, none) = (Freshness::Linearizable, Sequence::NONE);
        world.read(node, Ticket(*ticket), entity, fresh, none, deadline);
        world.run(None);
        for id in 0..12_u8 {
            *ticket += 1;
            let id = world.command(&format!("{entity}{id}"), 0);
            let deadline = world.now() + PATIENCE;
            // Nothing is stored, whatever it is: the table is only asked.
            let order = Order::Greet { record: false };
            let any = Expected::Any;
            world.submit(
                node,
                Ticket(*ticket),
                entity,
                order,
                Some(id),
                any,
                None,
                Sequence::NONE,
                deadline,
            );
            world.run(None);
            answers.push(match world.told(Ticket(*ticket)) {
                Some(Reply::Nothing { version, .. }) => format!("new at {version:?}"),
                other => format!("{other:?}"),
            });
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_lists_of_a_last_commit_lead_to_every_commit_once(
        settings in settings(),
        acts in vec(act(), 1..60),
    ) {
        let (mut world, _) = lived(&settings, &acts);
        world.check();
        for commits in world.commits().into_values() {
            let by_sequence: BTreeMap<_, _> = commits.into_iter().collect();
            let all: Vec<_> = by_sequence.keys().rev().copied().collect();
            prop_assert_eq!(walk(&by_sequence), all);
        }
    }

    #[test]
    fn versions_rise_from_commit_to_commit_and_from_event_to_event(
        settings in settings(),
        acts in vec(act(), 1..60),
    ) {
        let (world, tickets) = lived(&settings, &acts);
        for commits in world.commits().into_values() {
            let mut at = Version::ABSENT;
            for (_, commit) in commits {
                prop_assert_eq!(commit.before, at);
                for event in &commit.events {
                    prop_assert!(event.version > at);
                    at = event.version;
                }
                prop_assert_eq!(commit.last, at);
                for command in &commit.commands {
                    let within = commit.before..=commit.last;
                    prop_assert!(within.contains(&command.version));
                }
            }
        }
        // What a caller was told is a version of its commit.
        let commits: BTreeMap<_, _> = world.commits().into_values().flatten().collect();
        for ticket in 1..=tickets {
            if let Some(Reply::Committed { version, sequence }) = world.told(Ticket(ticket)) {
                let commit = &commits[sequence];
                prop_assert!((commit.before..=commit.last).contains(version));
            }
        }
    }

    #[test]
    fn what_is_remembered_of_commands_is_a_fold_of_the_log(
        settings in settings(),
        acts in vec(act(), 1..60),
    ) {
        let (mut world, mut ticket) = lived(&settings, &acts);
        let live = remembered(&mut world, NODES[0], &mut ticket);
        let owned = settings.mode == WriteMode::Owned;
        let restart = |world: &mut World| {
            world.boot(NODES[0]);
            if owned {
                world.step(NODES[0], Input::Claim);
                world.run(None);
            }
        };
        restart(&mut world);
        let loaded = remembered(&mut world, NODES[0], &mut ticket);
        prop_assert_eq!(&live, &loaded, "from a snapshot, where there is one");
        restart(&mut world);
        for _ in 0..live.len() {
            let absent = tenure_core::port::Refused::NotFound;
            world.fault(NODES[0], Class::Body, Fate::Refused(absent));
        }
        let replayed = remembered(&mut world, NODES[0], &mut ticket);
        prop_assert_eq!(&live, &replayed, "from the first commit on");
    }

    #[test]
    fn no_limit_is_passed(settings in settings(), acts in vec(act(), 1..60)) {
        let (world, _) = lived(&settings, &acts);
        for (_, commit) in world.commits().into_values().flatten() {
            prop_assert!(commit.earlier.len() <= settings.chain_max);
            prop_assert!(commit.commands.len() <= settings.commit_commands_max);
        }
        for message in world.messages("bank_snap") {
            if message.payload.is_empty() {
                // A deleted one.
                continue;
            }
            let body = Snapshot::decode(&message.payload).expect("a snapshot");
            prop_assert!(body.commands.len() <= settings.command_ids_max);
            prop_assert!(body.older.len() <= SnapshotPolicy::KEEP_MAX as usize);
        }
    }
}

/// How many of 100 entities stay in memory at rest, with names of so many bytes and so many commits with
/// an id.
fn at_rest(name_len: usize, commits: u64) -> usize {
    let mut limits = Limits::default();
    limits.resting_bytes_max = 60_000;
    let mut world = World::new();
    world.loud = false;
    world.open(Setup {
        nodes: vec![NODES[0].to_owned()],
        limits,
        ..Setup::default()
    });
    for n in 0..100 {
        let name = format!("{n:0name_len$}");
        for commit in 0..commits {
            let (ticket, deadline) = (Ticket(n * commits + commit + 1), world.now() + PATIENCE);
            let id = Some(world.command(&format!("{n} {commit}"), 0));
            let (order, any, known) = (Order::Deposit(1), Expected::Any, Sequence::NONE);
            world.submit(
                NODES[0], ticket, &name, order, id, any, None, known, deadline,
            );
            world.run(None);
        }
    }
    let (held, counts) = world.cached(NODES[0]);
    let evictions = 100 - held as u64;
    assert_eq!((counts.misses, counts.evictions), (100, evictions));
    assert_eq!(counts.hits, 100 * (commits - 1));
    held
}

#[test]
fn entities_at_rest_have_a_share_of_memory_by_what_is_kept_of_each() {
    let few = at_rest(8, 1);
    assert!((20..100).contains(&few), "{few} with little of each");
    // Its name stands thrice, and an id takes some 32 bytes.
    let named = at_rest(108, 1);
    let per = 60_000 / named - 60_000 / few;
    assert!((270..=330).contains(&per), "{per} bytes for 100 of a name");
    let known = at_rest(8, 21);
    let per = 60_000 / known - 60_000 / few;
    assert!((20 * 40..20 * 70).contains(&per), "{per} bytes for 20 ids");
}

#[test]
fn a_commit_may_take_all_of_a_message() {
    let bytes_max = 4_096;
    let mut world = World::new();
    world.loud = false;
    world.open(Setup {
        nodes: vec![NODES[0].to_owned()],
        payload_bytes_max: bytes_max,
        ..Setup::default()
    });
    for len in 2_500..3_500 {
        let (ticket, entity) = (Ticket(len as u64), format!("{len}"));
        let (order, deadline) = (Order::Letter(len), world.now() + PATIENCE);
        let (any, known) = (Expected::Any, Sequence::NONE);
        world.submit(
            NODES[0], ticket, &entity, order, None, any, None, known, deadline,
        );
        world.run(None);
        match world.told(ticket) {
            Some(Reply::Committed { .. }) => {}
            other => {
                // The first that has no room has one byte too many.
                let bytes = bytes_max + 1;
                let refusal = Refusal::TooLarge { bytes, bytes_max };
                return assert_eq!(other, Some(&Reply::Refused(refusal)));
            }
        }
    }
    panic!("all of them had room");
}

#[test]
fn logs_that_share_the_names_of_their_streams_have_them_once() {
    let mut shared = BTreeSet::new();
    let mut log = || {
        let (mode, class) = (WriteMode::Direct, TakeOver::Fenced);
        let config = world::place::shard(mode, class, Incarnation(1), NODES[0]);
        let mut log = Shard::new(config, Limits::default());
        log.share_names(&mut shared);
        log
    };
    let (one, other) = (log(), log());
    assert_eq!(one.stream(), other.stream());
    assert_eq!(one.stream().as_ptr(), other.stream().as_ptr());
    assert_eq!(shared.len(), 2, "the events' and the snapshots'");
}

#[test]
fn writes_to_the_event_stream_and_nothing_else_raise_its_mark() {
    let (events, snapshots): (StreamName, StreamName) = ("bank_ev_0".into(), "bank_snap".into());
    let write = |stream| {
        StoreRequest::Publish(Publish {
            stream,
            subject: "bank.own.f.0".into(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: "".into(),
        })
    };
    let read = |stream| StoreRequest::StreamInfo { stream };
    assert!(mark::counts(&events, &write(events.clone())));
    assert!(!mark::counts(&events, &write(snapshots)));
    assert!(!mark::counts(&events, &read(events.clone())));
    let (sequence, duplicate) = (Sequence(7), false);
    let stored = StoreDone::Published(Ack {
        sequence,
        duplicate,
    });
    assert_eq!(mark::told(&Outcome::Done(stored)), Some(sequence));
    assert_eq!(mark::told(&Outcome::Unknown), None);
    assert_eq!(mark::told(&Outcome::Done(StoreDone::Closed)), None);
}

#[test]
fn a_loss_lowers_the_mark_that_it_is_of_and_no_other() {
    let [low, was, high] = [2, 5, 9].map(Sequence);
    assert_eq!(mark::after_loss(was, was, low), low);
    // Others moved it since: down as well, or up.
    assert_eq!(mark::after_loss(high, was, low), high);
    assert_eq!(mark::after_loss(low, was, Sequence(1)), low);
    assert_eq!(mark::after_loss(low, was, Sequence(3)), Sequence(3));
}
