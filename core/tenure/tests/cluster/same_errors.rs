//! What goes wrong is the same error for a caller on the owner's node and for one on another.

use crate::common::{World, on_both_shells};
use crate::nodes::{self, PATIENCE, wait};
use serde::{Deserialize, Serialize};
use std::future::IntoFuture;
use std::time::Duration;
use tenure::actor::{
    Actor, ActorCx, ActorHandle, ActorSettings, AskError, Handle, Handlers, InitError, LateAnswer,
    OnStuck,
};
use tenure::prelude::*;
use tenure::{Cluster, CommandId, EntityRef, TakeOver, Tenure, WallTime};

on_both_shells!(
    an_entitys_errors_are_the_same_from_everywhere,
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
            Wrong::Nothing | Wrong::LargeEvent | Wrong::LargeReply | Wrong::ManyTimers => Ok(()),
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
    let node = |cluster| nodes::node(cluster).serve::<Grump>().actor::<Sulker>();
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

async fn an_actors_errors_are_the_same_from_everywhere(world: &World) {
    let (owner, other) = pair(world).await;
    let long = PATIENCE;
    for (n, node) in [&owner, &other].into_iter().enumerate() {
        let sulker = |what: &str| node.actor::<Sulker>(format!("{what}-{n}"));
        let ask =
            |to: ActorHandle<Sulker>, wrong, timeout| to.ask(wrong).timeout(timeout).into_future();
        let said = ask(sulker("s"), Wrong::Domain, long).await;
        assert_eq!(said, Err(AskError::Rejected("no".to_owned())));
        let said = ask(sulker("s"), Wrong::Panic, long).await;
        let text = "that is too much".to_owned();
        assert_eq!(said, Err(AskError::Panicked(text)));
        let said = ask(sulker("slow"), Wrong::Turn(60_000), long).await;
        assert_eq!(said, Err(AskError::Unknown(LateAnswer::Aborted)));
        let short = Duration::from_millis(100);
        let said = ask(sulker("late"), Wrong::Turn(250), short).await;
        assert_eq!(said, Err(AskError::Unknown(LateAnswer::Deadline)));
        let said = ask(sulker("turning"), Wrong::ManySends, long).await;
        assert_eq!(said, Err(AskError::Rejected("Cycle".to_owned())));
        let said = sulker("s").ask(CheerUp).await;
        let (name, version) = ("cheer-up".to_owned(), 2);
        assert_eq!(said, Err(AskError::UnknownMessage { name, version }));

        let said = ask(sulker("unmade"), Wrong::Nothing, long).await;
        let again = ask(sulker("unmade"), Wrong::Nothing, long).await;
        for said in [said, again] {
            let Err(AskError::Init { cause, retry_after }) = said else {
                panic!("{said:?}");
            };
            assert_eq!(cause, "not today");
            let soon = Duration::from_secs(1)..=Duration::from_secs(20);
            assert!(soon.contains(&retry_after), "{retry_after:?} from {n}");
        }

        let held = owner.actor::<Sulker>(format!("held-{n}"));
        assert!(held.pause().await);
        held.tell(Wrong::Nothing).await.unwrap();
        let said = ask(sulker("held"), Wrong::Nothing, long).await;
        assert_eq!(said, Err(AskError::Overloaded));
        assert!(held.resume().await);
        let held = owner.actor::<Sulker>(format!("waits-{n}"));
        assert!(held.pause().await);
        let said = ask(sulker("waits"), Wrong::Nothing, short).await;
        assert!(
            matches!(
                said,
                Err(AskError::Deadline | AskError::Unknown(LateAnswer::Deadline))
            ),
            "{said:?} from {n}"
        );
    }
    assert!(other.counters().await.forwarded > 8);
}
