//! Reminders and messages of decisions, wherever their entities' owners are.

use crate::cluster::nodes::{self, PATIENCE, wait};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Cluster, EntityRef, TakeOver, Tenure, When};

on_both_shells!(
    a_reminder_comes_though_the_node_that_armed_it_died,
    a_reminder_that_is_called_off_does_not_come,
    a_reminder_comes_again_until_it_is_called_off,
    a_message_takes_effect_once_and_names_its_cause,
    a_reminder_that_a_build_does_not_know_is_counted_and_waits,
    a_kind_without_owners_has_no_reminders,
    a_message_that_its_kind_does_not_list_is_refused,
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Offer {
    lapsed: bool,
    beats: u32,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum OfferEvent {
    #[event(name = "made", version = 1)]
    Made,
    #[event(name = "taken", version = 1)]
    Taken,
    #[event(name = "lapsed", version = 1)]
    Lapsed,
    #[event(name = "beaten", version = 1)]
    Beaten,
}

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}

message!(Make { in_ms: u64 }, "make");
message!(Take {}, "take");
message!(Lapse {}, "lapse");
message!(
    Pulse {
        each_ms: u64,
        beats: u32
    },
    "pulse"
);
message!(Beat { beats: u32 }, "beat");
message!(Look {}, "look");
message!(Unlisted {}, "unlisted");
message!(Reserve {}, "reserve");

impl Aggregate for Offer {
    type Event = OfferEvent;
    const KIND: &'static str = "offer";

    fn evolve(&mut self, event: &OfferEvent) {
        match event {
            OfferEvent::Made | OfferEvent::Taken => {}
            OfferEvent::Lapsed => self.lapsed = true,
            OfferEvent::Beaten => self.beats += 1,
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

macro_rules! decides {
    ($command:ident, $it:ident, $what:ident => $decision:expr) => {
        decides!(Offer, $command, $it, $what => $decision);
    };
    ($kind:ident, $command:ident, $it:ident, $what:ident => $decision:expr) => {
        impl Decide<$command> for $kind {
            type Reply = ();
            type Error = Never;

            fn decide(
                &self,
                $what: &$command,
                _: &DecideCx<'_>,
            ) -> Result<Decision<Self, ()>, Never> {
                let $it = self;
                let _ = ($it, $what);
                Ok($decision)
            }
        }
    };
}

decides!(Make, it, make => {
    Decision::event(OfferEvent::Made).remind("lapse", Duration::from_millis(make.in_ms), Lapse {})
});
decides!(Take, it, take => {
    Decision::event(OfferEvent::Taken).cancel("lapse").send::<Shelf>("shelf", Reserve {})
});
decides!(Lapse, it, lapse => Decision::event(OfferEvent::Lapsed));
decides!(Pulse, it, pulse => {
    let every = When::every(Duration::from_millis(pulse.each_ms));
    Decision::nothing(()).remind("beat", every, Beat { beats: pulse.beats })
});
decides!(Beat, it, beat => {
    let beaten = Decision::event(OfferEvent::Beaten);
    if it.beats + 1 < beat.beats { beaten } else { beaten.cancel("beat") }
});
decides!(Unlisted, it, unlisted => {
    Decision::event(OfferEvent::Made).remind("never", Duration::ZERO, Unlisted {})
});

impl Answer<Look> for Offer {
    type Reply = Offer;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> Offer {
        self.clone()
    }
}

impl Entity for Offer {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Make>().command::<Take>();
        let commands = commands.command::<Lapse>().command::<Pulse>();
        commands.command::<Beat>().query::<Look>()
    }
}

/// The kind as a build has it that forgot about lapses.
#[derive(Clone, Debug, Default)]
struct ForgetfulOffer;

impl Aggregate for ForgetfulOffer {
    type Event = OfferEvent;
    const KIND: &'static str = Offer::KIND;

    fn evolve(&mut self, _: &OfferEvent) {}

    fn settings() -> KindSettings {
        Offer::settings()
    }
}

impl Entity for ForgetfulOffer {
    fn messages() -> Messages<Self> {
        Messages::new()
    }
}

#[derive(Clone, Debug, Default)]
struct Shelf {
    reserved: u32,
}

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "reserved", version = 1)]
struct Reserved;

impl Aggregate for Shelf {
    type Event = Reserved;
    const KIND: &'static str = "shelf";

    fn evolve(&mut self, _: &Reserved) {
        self.reserved += 1;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

decides!(Shelf, Reserve, it, reserve => Decision::event(Reserved));

impl Answer<Look> for Shelf {
    type Reply = u32;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> u32 {
        self.reserved
    }
}

impl Entity for Shelf {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Reserve>().query::<Look>()
    }
}

/// A kind that anyone writes.
#[derive(Clone, Debug, Default)]
struct Loose;

impl Aggregate for Loose {
    type Event = Reserved;
    const KIND: &'static str = "loose";

    fn evolve(&mut self, _: &Reserved) {}
}

decides!(Loose, Reserve, it, reserve => {
    Decision::event(Reserved).remind("later", Duration::ZERO, Reserve {})
});

impl Entity for Loose {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Reserve>()
    }
}

async fn cluster(world: &World, names: &[&str]) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for name in names {
        let builder = nodes::node(Cluster::named(*name)).serve::<Offer>();
        nodes.push(world.start(builder.serve::<Shelf>()).await);
    }
    for node in &nodes {
        wait(node, |view| nodes::is_spread(view, names)).await;
    }
    nodes
}

/// Waits until an offer is so.
async fn until(offer: &EntityRef<Offer>, is_so: impl Fn(&Offer) -> bool) {
    let so = async {
        loop {
            match offer.read(Look {}).await {
                Ok(offer) if is_so(&offer) => return,
                Ok(_) => {}
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, so).await;
    assert!(waited.is_ok(), "{offer:?} is not so");
}

/// Waits until a reminder came that was armed after all others, and for as long.
async fn as_much_later(node: &Tenure, in_ms: u64) {
    let marker = node.entity::<Offer>("marker");
    marker.ask(Make { in_ms }).await.unwrap();
    until(&marker, |offer| offer.lapsed).await;
}

async fn a_reminder_comes_though_the_node_that_armed_it_died(world: &World) {
    let mut nodes = cluster(world, &["a", "b"]).await;
    for n in 0..12 {
        let offer = nodes[0].entity::<Offer>(format!("offer-{n}"));
        offer.ask(Make { in_ms: 1_500 }).await.unwrap();
    }
    // Without a stop it does not leave.
    drop(nodes.remove(1));
    let node = &nodes[0];
    wait(node, |view| nodes::is_spread(view, &["a"])).await;
    for n in 0..12 {
        let offer = node.entity::<Offer>(format!("offer-{n}"));
        until(&offer, |offer| offer.lapsed).await;
    }
    assert!(node.counters().await.timers_fired > 0);
    let offers = node.repository::<Offer>().await.unwrap();
    for n in 0..12 {
        let mut lapses = offers.history(format!("offer-{n}")).unwrap();
        let mut count = 0;
        while let Some(past) = lapses.next().await.unwrap() {
            count += u32::from(past.event == OfferEvent::Lapsed);
        }
        assert_eq!(count, 1, "offer {n} lapses once");
    }
}

async fn a_reminder_that_is_called_off_does_not_come(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    for n in 0..8 {
        let offer = nodes[n % 2].entity::<Offer>(format!("offer-{n}"));
        offer.ask(Make { in_ms: 500 }).await.unwrap();
        offer.ask(Take {}).await.unwrap();
    }
    as_much_later(&nodes[0], 700).await;
    for n in 0..8 {
        let offer = nodes[n % 2].entity::<Offer>(format!("offer-{n}"));
        assert!(!offer.read(Look {}).await.unwrap().lapsed, "{n}");
    }
}

async fn a_reminder_comes_again_until_it_is_called_off(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    for n in 0..4 {
        let offer = nodes[n % 2].entity::<Offer>(format!("offer-{n}"));
        let (each_ms, beats) = (50, 3);
        offer.ask(Pulse { each_ms, beats }).await.unwrap();
    }
    for n in 0..4 {
        let offer = nodes[0].entity::<Offer>(format!("offer-{n}"));
        until(&offer, |offer| offer.beats == 3).await;
    }
    as_much_later(&nodes[0], 200).await;
    for n in 0..4 {
        let offer = nodes[0].entity::<Offer>(format!("offer-{n}"));
        assert_eq!(offer.read(Look {}).await.unwrap().beats, 3);
    }
}

async fn a_message_takes_effect_once_and_names_its_cause(world: &World) {
    let nodes = cluster(world, &["a", "b", "c"]).await;
    let mut causes = Vec::new();
    for n in 0..12 {
        let offer = nodes[n % 3].entity::<Offer>(format!("offer-{n}"));
        let asked = offer.ask(Take {}).metadata(Metadata::new().correlation(n));
        causes.push((
            asked.served().await.unwrap().answer.id.to_string(),
            n.to_string(),
        ));
    }
    let shelf = nodes[0].entity::<Shelf>("shelf");
    let all = async {
        while shelf.read(Look {}).await.unwrap() < 12 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok());
    let shelves = nodes[1].repository::<Shelf>().await.unwrap();
    let mut history = shelves.history("shelf").unwrap();
    let mut told = Vec::new();
    while let Some(past) = history.next().await.unwrap() {
        let metadata = past.metadata();
        let text = |id: Option<&str>| id.unwrap_or("none").to_owned();
        told.push((
            text(metadata.causation_id()),
            text(metadata.correlation_id()),
        ));
    }
    causes.sort();
    told.sort();
    assert_eq!(told, causes);
}

async fn a_reminder_that_a_build_does_not_know_is_counted_and_waits(world: &World) {
    let build = |name| nodes::node(Cluster::named(name));
    let first = world
        .start(build("a").serve::<Offer>().serve::<Shelf>())
        .await;
    wait(&first, |view| view.is_served(TakeOver::Fenced)).await;
    let offer = first.entity::<Offer>("offer");
    offer.ask(Make { in_ms: 1 }).await.unwrap();
    let early = first.entity::<Offer>("late");
    early.ask(Make { in_ms: 1_000 }).await.unwrap();
    first.stop().await;
    let second = world.start(build("b").serve::<ForgetfulOffer>()).await;
    let counted = async {
        while second.counters().await.timers_failed == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, counted).await.is_ok());
    second.stop().await;
    let third = world
        .start(build("c").serve::<Offer>().serve::<Shelf>())
        .await;
    until(&third.entity::<Offer>("late"), |offer| offer.lapsed).await;
}

async fn a_kind_without_owners_has_no_reminders(world: &World) {
    let node = world.node().await;
    let loose = node.repository::<Loose>().await.unwrap();
    let refused = loose.execute("it", Reserve {}).await.unwrap_err();
    let ExecuteError::Unowned { kind } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(kind.as_str(), "loose");
    assert!(refused.to_string().contains("owned()"), "{refused}");
    assert_eq!(loose.load("it").await.ok().map(|it| it.version), None);
}

async fn a_message_that_its_kind_does_not_list_is_refused(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    let offers = nodes[0].repository::<Offer>().await.unwrap();
    let refused = offers.execute("it", Unlisted {}).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, ExecuteError::Failed(_)), "{refused:?}");
    assert!(
        text.contains("unlisted v1") && text.contains("Entity::messages"),
        "{text}"
    );
}
