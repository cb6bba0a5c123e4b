//! What a node tells of its kinds as a model, and what the derive macro says of events.

use crate::common::Till;
use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::consumer::Consumed;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::model::{EventModel, EventRef, Kept, Model, ReadModel};
use tenure::prelude::*;
use tenure::projection::Memory;
use tenure::saga::{Process, Saga, Step};

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "ring", version = 3)]
struct Ring;

struct Bell;

impl Actor for Bell {
    const KIND: &'static str = "bell";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Ring>()
    }
}

impl Handle<Ring> for Bell {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Ring, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

fn types(events: &[EventModel]) -> Vec<(&str, u16)> {
    events
        .iter()
        .map(|it| (it.name.as_str(), it.version))
        .collect()
}

#[tokio::test]
async fn a_node_tells_the_kinds_that_it_has_and_uses() {
    let builder = Tenure::builder().namespace("shop").actor::<Bell>();
    let node = builder.start("mem:").await.unwrap();
    assert_eq!(node.model().aggregates.len(), 1, "what it was started with");

    // A repository tells what can happen; only who asks entities says what they take.
    node.repository::<Till>().await.unwrap();
    let kinds = |model: &Model| {
        let of = |kind: &tenure::model::AggregateModel| (kind.kind.clone(), kind.commands.len());
        model.aggregates.iter().map(of).collect::<Vec<_>>()
    };
    let (bell, till) = ("bell".to_owned(), "till".to_owned());
    assert_eq!(kinds(&node.model()), [(bell.clone(), 1), (till.clone(), 0)]);
    node.entity::<Till>("front")
        .read(crate::common::Count)
        .await
        .ok();
    assert_eq!(kinds(&node.model()), [(bell.clone(), 1), (till.clone(), 2)]);
    node.repository::<Till>().await.unwrap();
    assert_eq!(
        kinds(&node.model()),
        [(bell, 1), (till, 2)],
        "it is not forgotten"
    );

    let model = node.model();
    assert_eq!(model.name, "shop");
    assert_eq!(model.aggregates[0].kept, Kept::Memory);
    assert_eq!(model.aggregates[0].commands[0].version, 3);
    assert_eq!(model.aggregates[1].kept, Kept::Log);
    assert_eq!(types(&model.aggregates[1].events), [("moved", 1)]);
    assert_eq!(Model::from_json(&model.to_json()).unwrap(), model);
    let read = ReadModel::new("contents").of("till", "moved");
    model.read_model(read).check().unwrap();
    node.stop().await;
}

#[cfg(feature = "schema")]
mod schema {
    use tenure::model::EventSchemas;
    use tenure::prelude::*;

    #[derive(Event)]
    #[event(schemas)]
    enum OrderEvent {
        #[event(name = "placed", version = 2)]
        Placed {
            customer: String,
            #[serde(rename = "total")]
            cents: Option<u64>,
        },
        #[event(name = "noted", version = 1)]
        Noted(Vec<String>),
        #[event(name = "shipped", version = 1)]
        Shipped,
    }

    #[test]
    fn the_fields_of_events_are_told_as_they_are_stored() {
        let schemas = OrderEvent::schemas();
        let names: Vec<_> = schemas.iter().map(|it| (it.name, it.version)).collect();
        assert_eq!(names, OrderEvent::TYPES);
        let [placed, noted, shipped] = &schemas[..] else {
            panic!("{schemas:?}");
        };
        assert_eq!(placed.schema["title"], "placed v2");
        assert_eq!(placed.schema["properties"]["total"]["type"][0], "integer");
        assert_eq!(placed.schema["required"].as_array().unwrap().len(), 1);
        assert_eq!(noted.schema["items"]["type"], "string");
        assert_eq!(shipped.schema["type"], "null");
    }
}

struct Refill;

impl Process for Refill {
    const KIND: &'static str = "refill";
    type Input = ();

    fn steps(_: &str, (): &()) -> Vec<Step> {
        Vec::new()
    }
}

/// What former builds wrote is read as what is written now.
#[derive(Clone, Default)]
struct Shelf;

#[derive(Debug, Event)]
enum ShelfEvent {
    #[event(name = "stocked", version = 2)]
    Stocked {},
}

impl Aggregate for Shelf {
    type Event = ShelfEvent;
    const KIND: &'static str = "shelf";

    fn evolve(&mut self, _: &ShelfEvent) {}

    fn upcasters() -> Upcasters {
        Upcasters::none().rename(("stocked", 1), ("stocked", 2))
    }
}

#[tokio::test]
async fn a_node_tells_its_projections_consumers_effects_sagas_and_former_events() {
    let builder = Tenure::builder().namespace("shop");
    let builder = builder.effect(EffectPolicy::default(), |_: EffectCall<Ring>| async {});
    let node = builder.serve::<Saga<Refill>>().start("mem:").await.unwrap();
    let model = node.model();
    let effects: Vec<_> = model
        .effects
        .iter()
        .map(|it| (&*it.name, it.version))
        .collect();
    assert_eq!(effects, [("ring", 3)]);
    let kinds: Vec<_> = model.aggregates.iter().map(|it| &*it.kind).collect();
    assert_eq!(kinds, ["refill"], "and none of the framework's own");
    assert!(model.aggregates[0].saga.is_some());

    let memory = Memory::<u64>::default();
    let projection = node.projection("contents", memory);
    let projection = projection
        .fold::<Till>(|sum: &mut u64, _: &Consumed<_>| *sum += 1)
        .fold::<Shelf>(|sum: &mut u64, _: &Consumed<_>| *sum += 1);
    projection.start().await.unwrap();
    let consumer = node
        .consumer("teller")
        .kind::<Till>(|_: Consumed<_>| async {});
    consumer.start().await.unwrap();
    let model = node.model();
    let of = |kind: &str, event: &str| EventRef::new(kind, event);
    let contents = &model.read_models[0];
    assert_eq!(contents.name, "contents");
    assert_eq!(contents.of, [of("till", "moved"), of("shelf", "stocked")]);
    assert_eq!(model.policies[0].name, "teller");
    assert_eq!(model.policies[0].on, [of("till", "moved")]);
    let shelf = model
        .aggregates
        .iter()
        .find(|it| it.kind == "shelf")
        .unwrap();
    let earlier = &shelf.earlier[0];
    assert_eq!((&*earlier.name, earlier.version), ("stocked", 1));
    assert_eq!(earlier.becomes[0].version, 2);
    model.check().unwrap();
    assert_eq!(Model::from_json(&model.to_json()).unwrap(), model);
    node.stop().await;
}
