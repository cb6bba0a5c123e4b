//! What goes wrong is the same error for a caller on the owner's node and for one on another.

use crate::cluster::nodes::{self, PATIENCE, wait};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::future::IntoFuture;
use std::time::Duration;
use tenure::actor::{
    Actor, ActorCx, ActorError, ActorSettings, Handle, Handlers, InitError, OnStuck,
};
use tenure::prelude::*;
use tenure::{Builder, Cluster, CommandId, EntityRef, Limits, TakeOver, Tenure, WallTime};

on_both_shells!(
    an_entitys_errors_are_the_same_from_everywhere,
    too_much_too_late_and_too_old_are_the_same_from_everywhere,
    an_actors_errors_are_the_same_from_everywhere,
);

#[derive(Clone, Debug, Default)]
struct Grump;

#[derive(Clone, Debug, Event)]
#[event(name = "grumbled", version = 1)]
struct Grumbled {
    text: String,
}

impl Aggregate for Grump {
    type Event = Grumbled;
    const KIND: &'static str = "grump";

    fn evolve(&mut self, _: &Grumbled) {}

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "wrong", version = 1)]
enum Wrong {
    Nothing,
    Domain,
    Panic,
    LargeEvent,
    LargeReply,
    ManySends,
    ManyTimers,
    Turn(u64),
}

impl Decide<Wrong> for Grump {
    type Reply = String;
    type Error = String;

    fn decide(&self, wrong: &Wrong, cx: &DecideCx<'_>) -> Result<Decision<Self, String>, String> {
        let grumble = |text: String| Decision::event(Grumbled { text });
        let plain = grumble("hm".to_owned());
        Ok(match wrong {
            Wrong::Nothing | Wrong::Turn(_) => plain.reply(String::new()),
            Wrong::Domain => return Err(format!("no, says version {}", cx.version())),
            Wrong::Panic => panic!("that is too much"),
            Wrong::LargeEvent => grumble("x".repeat(3_000_000)).reply(String::new()),
            Wrong::LargeReply => plain.reply("x".repeat(900_000)),
            Wrong::ManySends => {
                let all = (0..300).fold(plain, |decision, n| {
                    decision.send::<Self>(format!("other-{n}"), Wrong::Nothing)
                });
                all.reply(String::new())
            }
            Wrong::ManyTimers => {
                let all = (0..100).fold(plain, |decision, n| {
                    decision.remind(n.to_string(), Duration::from_secs(600), Wrong::Nothing)
                });
                all.reply(String::new())
            }
        })
    }
}

impl Answer<Wrong> for Grump {
    type Reply = ();

    fn answer(&self, wrong: &Wrong, _: &AnswerCx<'_>) {
        assert_ne!(*wrong, Wrong::Panic, "that is too much");
    }
}

impl Entity for Grump {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Wrong>().query::<Wrong>()
    }
}

/// An actor that is not made for some keys, and is dropped when it takes long.
#[derive(Debug)]
struct Sulker;

impl Actor for Sulker {
    const KIND: &'static str = "sulker";

    fn settings() -> ActorSettings {
        let delay = Duration::from_secs(20);
        ActorSettings::default()
            .mailbox_max(1)
            .restart_delay(delay, delay)
            .patience(Duration::from_millis(300), OnStuck::Abort)
    }

    async fn init(cx: &mut ActorCx<Self>) -> Result<Self, InitError> {
        if cx.key().starts_with("unmade") {
            return Err(InitError::new("not today"));
        }
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Wrong>()
    }
}

impl Handle<Wrong> for Sulker {
    type Reply = ();
    type Error = String;

    async fn handle(&mut self, wrong: Wrong, cx: &mut ActorCx<Self>) -> Result<(), String> {
        match wrong {
            Wrong::Domain => Err("no".to_owned()),
            Wrong::Panic => panic!("that is too much"),
            Wrong::Turn(ms) => {
                cx.sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            Wrong::ManySends => {
                let itself = cx.actor::<Self>(cx.key()).ask(Wrong::Nothing).await;
                itself.map_err(|error| format!("{error:?}"))
            }
            // Each asks one further.
            Wrong::ManyTimers => {
                let key = cx.key().to_owned();
                let next = cx.actor::<Self>(&format!("+{key}")).ask(wrong).await;
                next.map_err(|error| {
                    if let ActorError::Rejected(text) = error {
                        return text;
                    }
                    format!("{error:?}").replace(&*format!("+{key}"), "NEXT")
                })
            }
            Wrong::Nothing | Wrong::LargeEvent | Wrong::LargeReply => Ok(()),
        }
    }
}

/// A message that no sulker takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "cheer-up", version = 2)]
struct CheerUp;

impl Handle<CheerUp> for Sulker {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: CheerUp, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

/// The owner of all shards, and another node.
async fn pair(world: &World) -> (Tenure, Tenure) {
    pair_of(world, |node| node).await
}

async fn pair_of(world: &World, with: impl Fn(Builder) -> Builder) -> (Tenure, Tenure) {
    let node = |cluster| with(nodes::node(cluster).serve::<Grump>().actor::<Sulker>());
    let owner = world.start(node(Cluster::named("a"))).await;
    let other = world.start(node(Cluster::named("b").client())).await;
    for node in [&owner, &other] {
        let both = [TakeOver::Fenced, TakeOver::Leased];
        wait(node, |view| both.iter().all(|class| view.is_served(*class))).await;
    }
    (owner, other)
}

/// The error's text for people and for programs, with the entity's name left out.
fn told<T: std::fmt::Debug, E: std::error::Error>(name: &str, result: Result<T, E>) -> String {
    match result {
        Ok(value) => panic!("{name}: it went well: {value:?}"),
        Err(error) => format!("{error:?}: {error}").replace(name, "IT"),
    }
}

type Case = (
    &'static str,
    fn(EntityRef<Grump>) -> tenure::Ask<Grump, Wrong>,
);

/// An id of a time by a node's clock.
fn id(node: &Tenure, ahead_ms: u64) -> CommandId {
    let now = node.command_id().time();
    CommandId::new(WallTime(now.0 + ahead_ms), 7)
}

async fn an_entitys_errors_are_the_same_from_everywhere(world: &World) {
    let (owner, other) = pair(world).await;
    let cases: &[Case] = &[
        ("Rejected", |it| it.ask(Wrong::Domain)),
        ("AlreadyExists", |it| it.ask(Wrong::Nothing).creating()),
        ("Conflict", |it| it.ask(Wrong::Nothing).expected(Version(9))),
        ("Failed", |it| it.ask(Wrong::Panic)),
        ("TooLarge", |it| it.ask(Wrong::LargeEvent)),
        ("ReplyTooLarge", |it| it.ask(Wrong::LargeReply)),
        ("TooManySends", |it| it.ask(Wrong::ManySends)),
        ("TooManyTimers", |it| it.ask(Wrong::ManyTimers)),
        ("Metadata", |it| {
            let many = (0..500).fold(Metadata::new(), |all, n| all.header(n.to_string(), "x"));
            it.ask(Wrong::Nothing).metadata(many)
        }),
    ];
    for (variant, case) in cases {
        let mut texts = Vec::new();
        for (node, name) in [(&owner, "here"), (&other, "there")] {
            let it = node.entity::<Grump>(name);
            it.ask(Wrong::Nothing).id(id(node, 0)).await.unwrap();
            texts.push(told(name, case(it).await));
        }
        let [here, there] = &texts[..] else {
            unreachable!("two callers");
        };
        // The commits of both have other ids and times, and so a byte more or less.
        let bare = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(bare(here), bare(there), "{variant}");
        assert!(here.contains(variant), "{variant}: {here}");
    }
    let absent = async |node: &Tenure| {
        told(
            "none",
            node.entity::<Grump>("none")
                .ask(Wrong::Nothing)
                .existing()
                .await,
        )
    };
    assert_eq!(absent(&owner).await, absent(&other).await);
    let ahead = id(&owner, 86_400_000);
    let early = async |node: &Tenure| {
        let asked = node.entity::<Grump>("early").ask(Wrong::Nothing).id(ahead);
        told("early", asked.await).replace(|c: char| c.is_ascii_digit(), "")
    };
    assert_eq!(early(&owner).await, early(&other).await);
    let leased = async |node: &Tenure| {
        let read = node.entity::<Grump>("here").read(Wrong::Nothing);
        told("here", read.freshness(Freshness::Leased).await)
    };
    assert_eq!(leased(&owner).await, leased(&other).await);
    let panicked = async |node: &Tenure| {
        told(
            "here",
            node.entity::<Grump>("here").read(Wrong::Panic).await,
        )
    };
    assert_eq!(panicked(&owner).await, panicked(&other).await);
    assert!(other.counters().await.forwarded > 10);
}

async fn too_much_too_late_and_too_old_are_the_same_from_everywhere(world: &World) {
    let mut limits = Limits::default();
    // Of each entity only the last commands are known still.
    limits.command_ids_max = 2;
    limits.command_ids_min = 1;
    limits.entity_queue_max = 1;
    let (owner, other) = pair_of(world, |node| node.limits(limits)).await;
    for node in [&owner, &other] {
        let it = node.entity::<Grump>("late");
        let late = it.ask(Wrong::Nothing).timeout(Duration::ZERO).await;
        assert!(told("late", late).contains("Deadline"));
    }
    let expired = async |node: &Tenure| {
        let it = node.entity::<Grump>("old");
        for _ in 0..4 {
            it.ask(Wrong::Nothing).await.unwrap();
        }
        let ancient = CommandId::new(WallTime(1), 7);
        told("old", it.ask(Wrong::Nothing).id(ancient).await)
    };
    let bare = |text: String| text.replace(|c: char| c.is_ascii_digit(), "");
    let here = bare(expired(&owner).await);
    assert_eq!(here, bare(expired(&other).await));
    assert!(here.contains("Expired"), "{here}");
    let crowded = async |node: &Tenure| {
        let it = node.entity::<Grump>("crowd");
        let asks = (0..64).map(|_| it.ask(Wrong::Nothing).into_future());
        let told = futures_util::future::join_all(asks).await;
        let refused = told.into_iter().filter_map(Result::err);
        refused.map(|error| format!("{error:?}: {error}")).next()
    };
    let here = crowded(&owner).await.expect("more than may wait");
    assert_eq!(Some(&here), crowded(&other).await.as_ref());
    assert!(here.contains("Overloaded"), "{here}");
}

/// The error as it is for every node and key.
fn bare<T: std::fmt::Debug>(key: &str, said: Result<T, ActorError<String>>) -> String {
    match said {
        Ok(reply) => panic!("{key}: it went well: {reply:?}"),
        Err(error) => {
            let (text, retryable, begun) =
                (error.to_string(), error.is_retryable(), error.has_begun());
            assert!(!(retryable && begun), "{error}");
            let all = format!("{text} ({error:?}; {retryable}, {begun})").replace(key, "IT");
            // How long it waits still, and in which shard, is another thing each time.
            all.replace(|c: char| c.is_ascii_digit(), "")
        }
    }
}

async fn an_actors_errors_are_the_same_from_everywhere(world: &World) {
    let (owner, other) = pair(world).await;
    let (long, short) = (PATIENCE, Duration::from_millis(100));
    let cases: &[(&str, &str, Wrong, Duration)] = &[
        ("Rejected(\"no\")", "plain", Wrong::Domain, long),
        (
            "sulker \"IT\" (shard ) panicked: that is too much",
            "boom",
            Wrong::Panic,
            long,
        ),
        ("late: Aborted", "slow", Wrong::Turn(60_000), long),
        ("late: Deadline", "late", Wrong::Turn(250), short),
        ("Cycle(ActorId", "turns", Wrong::ManySends, long),
        (
            "TooDeep { hops: , hops_max: ",
            "deep",
            Wrong::ManyTimers,
            long,
        ),
        (
            "sulker \"IT\" (shard ) cannot be made (not today)",
            "unmade",
            Wrong::Nothing,
            long,
        ),
        ("Overloaded(ActorId", "full", Wrong::Nothing, long),
        ("Deadline(ActorId", "waits", Wrong::Nothing, Duration::ZERO),
    ];
    for (has, what, wrong, timeout) in cases {
        let mut texts = Vec::new();
        for (node, side) in [(&owner, "here"), (&other, "there")] {
            let key = format!("{what}-{side}");
            let full = owner.actor::<Sulker>(&key);
            if *what == "full" {
                assert!(full.pause().await);
                full.tell(Wrong::Nothing).await.unwrap();
            }
            let asked = node.actor::<Sulker>(&key).ask(*wrong).timeout(*timeout);
            let told = bare(&key, asked.await);
            // What is said within a turn is said of another actor, in an error of its own.
            texts.push(told.replace("-here", "").replace("-there", ""));
            full.resume().await;
        }
        assert_eq!(texts[0], texts[1], "{what}");
        assert!(texts[0].contains(has), "{what}: {}", texts[0]);
    }
    for (node, key) in [(&owner, "glum-here"), (&other, "glum-there")] {
        let said = node.actor::<Sulker>(key).ask(CheerUp).await;
        let Err(error @ ActorError::UnknownMessage { version: 2, .. }) = said else {
            panic!("{said:?}");
        };
        let text = error.to_string();
        let text = text.split_once(')').map(|(_, rest)| rest);
        assert!(text.is_some_and(|text| text.contains("takes no message cheer-up v2")));
    }
    assert!(other.counters().await.forwarded > 8);
    // With nobody to hand over to, the shards are released.
    owner.cluster().unwrap().drain().await.unwrap();
    let unowned = async |node: &Tenure| {
        let said = node.actor::<Sulker>("unowned").ask(Wrong::Nothing);
        bare("unowned", said.timeout(PATIENCE).await)
    };
    let here = unowned(&owner).await;
    assert_eq!(here, unowned(&other).await);
    assert!(here.contains("NoOwner(ActorId"), "{here}");
}
