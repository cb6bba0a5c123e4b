//! What models take, refuse and draw.

use super::{
    ActorModel, AggregateModel, CommandRef, EffectModel, ExternalModel, Model, ModelError,
    PolicyModel, ReadModel,
};
use crate::api::saga::{Process, Saga, Step};
use crate::api::{Aggregate, CodecError, Event, Fields, Upcasters};
use crate::format::Codec;
use bytes::Bytes;

#[derive(Clone, Default)]
struct Account;

struct AccountEvent;

impl Event for AccountEvent {
    const TYPES: &'static [(&'static str, u16)] =
        &[("opened", 1), ("opened", 2), ("closed \"\n", 1)];

    fn name(&self) -> &'static str {
        "opened"
    }

    fn schema(&self) -> u16 {
        2
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        codec.encode(&())
    }

    fn decode(_: &str, _: u16, _: Codec, _: &[u8]) -> Result<Option<Self>, CodecError> {
        Ok(Some(Self))
    }
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, _: &AccountEvent) {}
}

fn bank() -> Model {
    Model::new("bank")
        .aggregate::<Account>()
        .policy(
            PolicyModel::new("tell")
                .on("account", "opened")
                .calls("post"),
        )
        .read_model(ReadModel::new("balances").of("account", "opened"))
        .actor(ActorModel::new("clerk").reads("balances"))
        .external(ExternalModel::new("post"))
}

#[test]
fn a_model_is_the_same_after_json() {
    let model = bank();
    model.check().expect("everything is there");
    assert_eq!(Model::from_json(&model.to_json()).expect("its own"), model);
}

#[test]
fn a_kind_that_is_named_again_takes_the_place_of_the_first() {
    assert_eq!(bank().aggregate::<Account>().aggregates.len(), 1);
}

#[test]
fn a_chart_has_each_name_once_and_no_label_breaks_it() {
    let chart = bank().to_mermaid();
    let expected = r##"flowchart LR
  subgraph kind0_all["account"]
    kind0["account"]:::aggregate
    kind0_event0>"opened"]:::event
    kind0 --> kind0_event0
    kind0_event1>"closed #34; "]:::event
    kind0 --> kind0_event1
  end
  read0[("balances")]:::read
  kind0_event0 --> read0
  external0[["post"]]:::external
  policy0{{"tell"}}:::policy
  kind0_event0 --> policy0
  policy0 --> external0
  actor0(["clerk"]):::actor
  read0 -.-> actor0
"##;
    let (head, classes) = chart.split_at(expected.len());
    assert_eq!(head, expected);
    assert_eq!(classes.lines().count(), 9);
}

#[test]
fn what_is_named_and_not_there_is_told() {
    let refused = |model: Model| model.check().expect_err("something is wrong").to_string();
    let event = bank().read_model(ReadModel::new("sums").of("account", "paid"));
    assert_eq!(
        refused(event),
        "the read model sums names the event paid of kind account, which has none; correct one of the two"
    );
    let command = bank().external(ExternalModel::new("bot").issues("account", "open"));
    assert_eq!(
        refused(command),
        "the system bot names the command open of kind account, which takes none; correct one of the two"
    );
    let read = bank().actor(ActorModel::new("auditor").reads("nothing"));
    assert_eq!(
        refused(read),
        "the actor auditor names nothing, which is not there; add it to the model"
    );
    let called = bank().policy(PolicyModel::new("call").calls("nobody"));
    assert_eq!(
        refused(called),
        "the policy call names nobody, which is not there; add it to the model"
    );
    let wanted = bank().effect(EffectModel::new("mail", 1).wanted_by("till"));
    assert_eq!(
        refused(wanted),
        "the effect mail names till, which is not there; add it to the model"
    );
    let twice = bank().actor(ActorModel::new("post"));
    assert_eq!(
        refused(twice),
        "two parts are named post; give one of them another name"
    );
}

/// A kind that reads what former builds wrote.
#[derive(Clone, Default)]
struct Ledger;

impl Aggregate for Ledger {
    type Event = AccountEvent;
    const KIND: &'static str = "ledger";

    fn evolve(&mut self, _: &AccountEvent) {}

    fn upcasters() -> Upcasters {
        Upcasters::none()
            .step(("begun", 1), ("opened", 1), |fields: Fields| fields)
            .dropped(("audited", 1))
    }
}

struct Move;

impl Process for Move {
    const KIND: &'static str = "move";
    type Input = ();

    fn steps(_: &str, (): &()) -> Vec<Step> {
        Vec::new()
    }

    fn issues() -> Vec<CommandRef> {
        vec![CommandRef::new("move", "saga-start")]
    }
}

#[test]
fn former_events_sagas_and_effects_are_drawn() {
    let effect = EffectModel::new("mail", 2)
        .wanted_by("ledger")
        .calls("post");
    let model = Model::new("bank")
        .aggregate::<Ledger>()
        .entity::<Saga<Move>>()
        .effect(effect)
        .external(ExternalModel::new("post"));
    model.check().expect("everything is there");
    assert_eq!(Model::from_json(&model.to_json()).expect("its own"), model);
    let earlier = |kind: &AggregateModel| {
        let of = kind.earlier.iter();
        let of = of.map(|it| (it.name.clone(), it.version, it.becomes.len()));
        of.collect::<Vec<_>>()
    };
    let told = [("audited".to_owned(), 1, 0), ("begun".to_owned(), 1, 1)];
    assert_eq!(earlier(&model.aggregates[0]), told);
    let chart = model.to_mermaid();
    for line in [
        "    kind0_earlier0>\"audited v1\"]:::earlier",
        "    kind0_earlier1>\"begun v1\"]:::earlier",
        "    kind0_earlier1 -.-> kind0_event0",
        "    kind1{{\"move\"}}:::policy",
        "  effect0[\\\"mail\"\\]:::effect",
        "  kind0 --> effect0",
        "  effect0 --> external0",
    ] {
        assert!(chart.contains(&format!("{line}\n")), "{line} in {chart}");
    }
    let to_itself = chart
        .lines()
        .filter(|line| line.starts_with("  kind1 --> kind1_command"));
    assert_eq!(to_itself.count(), 1, "{chart}");
}

#[test]
fn text_of_another_kind_or_version_is_refused() {
    let newer = bank()
        .to_json()
        .replacen("\"version\": 1", "\"version\": 2", 1);
    assert!(matches!(
        Model::from_json(&newer),
        Err(ModelError::Version { version: 2 })
    ));
    assert!(matches!(Model::from_json("{}"), Err(ModelError::Json(_))));
    assert!(matches!(
        Model::from_json("not json"),
        Err(ModelError::Json(_))
    ));
}
