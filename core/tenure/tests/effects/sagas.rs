//! Sagas: done as a whole, or undone, whatever happens to nodes.

use super::{SOON, until};
use crate::cluster::nodes::{self, wait};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure::prelude::*;
use tenure::saga::{
    Process, ReplyTo, Saga, SagaEvent, SagaPhase, SagaStatus, Start, Status, Step, StuckSaga,
};
use tenure::{Cluster, EntityRef};

on_both_shells!(
    a_saga_does_its_steps_in_their_order,
    a_saga_that_is_refused_undoes_what_was_done_the_last_first,
    a_step_that_is_not_reported_in_time_is_undone_as_well,
    a_saga_is_started_once,
    sagas_go_on_when_nodes_die,
    an_undo_that_is_refused_for_the_last_time_is_listed_and_retried,
    an_undo_that_is_skipped_is_left_as_it_is,
);

/// A purse: what is in it, and by how much each step of a saga moved it; by nothing where that was undone,
/// perhaps before it came.
#[derive(Clone, Debug, Default)]
struct Purse {
    cents: i64,
    steps: BTreeMap<String, Option<i64>>,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum PurseEvent {
    #[event(name = "filled", version = 1)]
    Filled { cents: i64 },
    #[event(name = "moved", version = 1)]
    Moved { step: String, cents: i64 },
    #[event(name = "undone", version = 1)]
    Undone { step: String },
}

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}
message!(Fill { cents: i64 }, "fill");
message!(
    Take {
        cents: i64,
        to: ReplyTo
    },
    "take"
);
message!(
    Give {
        cents: i64,
        to: ReplyTo
    },
    "give"
);
message!(Undo { to: ReplyTo }, "undo");
message!(Look {}, "look");

impl Aggregate for Purse {
    type Event = PurseEvent;
    const KIND: &'static str = "purse";

    fn evolve(&mut self, event: &PurseEvent) {
        match event {
            PurseEvent::Filled { cents } => self.cents += cents,
            PurseEvent::Moved { step, cents } => {
                self.cents += cents;
                self.steps.insert(step.clone(), Some(*cents));
            }
            PurseEvent::Undone { step } => {
                let moved = self.steps.insert(step.clone(), None);
                self.cents -= moved.flatten().unwrap_or(0);
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

type Decided = Result<Decision<Purse, ()>, Never>;

impl Purse {
    /// Moves by so much, unless the step was undone already or there is not enough.
    fn moved(&self, cents: i64, to: &ReplyTo) -> Decided {
        let step = to.key();
        if self.steps.contains_key(&step) || self.cents + cents < 0 {
            let why = format!("there are {}", self.cents);
            return Ok(Decision::nothing(()).report(to, Err(why)));
        }
        // A purse of nobody takes things and says nothing.
        let moved = Decision::event(PurseEvent::Moved { step, cents });
        Ok(match self.cents + cents > 1_000_000 {
            true => moved,
            false => moved.report(to, Ok(())),
        })
    }
}

impl Decide<Fill> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Fill { cents }: &Fill, _: &DecideCx<'_>) -> Decided {
        Ok(Decision::event(PurseEvent::Filled { cents: *cents }))
    }
}

impl Decide<Take> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Take { cents, to }: &Take, _: &DecideCx<'_>) -> Decided {
        self.moved(-cents, to)
    }
}

impl Decide<Give> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Give { cents, to }: &Give, _: &DecideCx<'_>) -> Decided {
        self.moved(*cents, to)
    }
}

impl Decide<Undo> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Undo { to }: &Undo, cx: &DecideCx<'_>) -> Decided {
        let step = to.key();
        // One of iron gives nothing back before it is full.
        if cx.id().starts_with("iron") && self.cents < 1_000 {
            return Ok(Decision::nothing(()).report(to, Err("it is shut".to_owned())));
        }
        let decision = match self.steps.get(&step) {
            Some(None) => Decision::nothing(()),
            Some(Some(_)) | None => Decision::event(PurseEvent::Undone { step }),
        };
        Ok(decision.report(to, Ok(())))
    }
}

impl Answer<Look> for Purse {
    type Reply = i64;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> i64 {
        self.cents
    }
}

impl Entity for Purse {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Fill>().command::<Take>();
        commands.command::<Give>().command::<Undo>().query::<Look>()
    }
}

/// Takes from several purses, and gives all of it to one.
struct Collect;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Collection {
    from: Vec<String>,
    to: String,
    cents: i64,
}

impl Process for Collect {
    const KIND: &'static str = "collection";
    type Input = Collection;

    fn steps(_: &str, input: &Collection) -> Vec<Step> {
        let each = input.cents;
        let sum = each * i64::try_from(input.from.len()).unwrap();
        let takes = input.from.iter().map(|from| {
            Step::send::<Purse, _>(from, move |to| Take { cents: each, to })
                .undo::<Purse, _>(from, |to| Undo { to })
                .undo_tries_max(2)
                .timeout(match from.starts_with("iron") {
                    true => Duration::from_millis(300),
                    false => Duration::from_secs(30),
                })
        });
        let give = Step::send::<Purse, _>(&input.to, move |to| Give { cents: sum, to })
            .undo::<Purse, _>(&input.to, |to| Undo { to })
            .timeout(Duration::from_millis(300));
        takes.chain([give]).collect()
    }
}

fn collection(from: &[&str], to: &str, cents: i64) -> Start<Collection> {
    Start(Collection {
        from: from.iter().map(ToString::to_string).collect(),
        to: to.to_owned(),
        cents,
    })
}

async fn cluster(world: &World, names: &[&str]) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for name in names {
        let builder = nodes::node(Cluster::named(*name)).serve::<Purse>();
        nodes.push(world.start(builder.serve::<Saga<Collect>>()).await);
    }
    for node in &nodes {
        wait(node, |view| nodes::is_spread(view, names)).await;
    }
    nodes
}

async fn fill(node: &Tenure, purses: &[(&str, i64)]) {
    for (id, cents) in purses {
        let fill = Fill { cents: *cents };
        node.entity::<Purse>(id)
            .ask(fill)
            .timeout(SOON)
            .await
            .unwrap();
    }
}

async fn cents(node: &Tenure, id: &str) -> i64 {
    let purse = node.entity::<Purse>(id);
    let look = purse.read(Look {}).freshness(Freshness::Linearizable);
    look.timeout(SOON).await.unwrap()
}

/// Waits until a saga is at its end; how it stands then.
async fn ended(saga: &EntityRef<Saga<Collect>>) -> SagaStatus {
    let last = std::sync::Mutex::new(SagaStatus::default());
    until("the end of a saga", || async {
        let Ok(status) = saga.read(Status).await else {
            return false;
        };
        let over = matches!(status.phase, SagaPhase::Completed | SagaPhase::Compensated);
        *last.lock().unwrap() = status;
        over
    })
    .await;
    last.into_inner().unwrap()
}

/// The names of what happened in a saga.
async fn story(node: &Tenure, id: &str) -> Vec<String> {
    let sagas = node.repository::<Saga<Collect>>().await.unwrap();
    let mut history = sagas.history(id).unwrap();
    let mut story = Vec::new();
    while let Some(past) = history.next().await.unwrap() {
        story.push(match past.event {
            SagaEvent::Started(_) => "started".to_owned(),
            SagaEvent::Advanced(step) => format!("step {step}"),
            SagaEvent::TurnedBack { step, .. } => format!("back at {step}"),
            SagaEvent::Undoing(step) => format!("undo {step}"),
            SagaEvent::Completed => "completed".to_owned(),
            SagaEvent::Compensated => "compensated".to_owned(),
            SagaEvent::UndoneAgain(step) => format!("undo {step} again"),
            SagaEvent::Stuck { step, .. } => format!("stuck at {step}"),
            SagaEvent::UndoSkipped(step) => format!("skipped {step}"),
            other @ (SagaEvent::UndoRefused { .. } | _) => format!("{other:?}"),
        });
    }
    story
}

async fn a_saga_does_its_steps_in_their_order(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    fill(&nodes[0], &[("ann", 100), ("bob", 100)]).await;
    let saga = nodes[1].entity::<Saga<Collect>>("gift");
    let started = saga
        .ask(collection(&["ann", "bob"], "cas", 30))
        .await
        .unwrap();
    assert_eq!(started.phase, SagaPhase::Forward(0));
    assert_eq!(ended(&saga).await.phase, SagaPhase::Completed);
    assert_eq!(cents(&nodes[0], "ann").await, 70);
    assert_eq!(cents(&nodes[0], "bob").await, 70);
    assert_eq!(cents(&nodes[0], "cas").await, 60);
    let told = story(&nodes[0], "gift").await;
    assert_eq!(told, ["started", "step 0", "step 1", "step 2", "completed"]);
}

async fn a_saga_that_is_refused_undoes_what_was_done_the_last_first(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    fill(&nodes[0], &[("ann", 100), ("bob", 100), ("poor", 5)]).await;
    let saga = nodes[1].entity::<Saga<Collect>>("gift");
    saga.ask(collection(&["ann", "bob", "poor"], "cas", 30))
        .await
        .unwrap();
    let status = ended(&saga).await;
    assert_eq!(status.phase, SagaPhase::Compensated);
    assert_eq!(status.why.as_deref(), Some("there are 5"));
    for (id, was) in [("ann", 100), ("bob", 100), ("poor", 5), ("cas", 0)] {
        assert_eq!(cents(&nodes[0], id).await, was, "{id}");
    }
    let told = story(&nodes[0], "gift").await;
    let expected = [
        "started",
        "step 0",
        "step 1",
        "step 2",
        "back at 2",
        "undo 1",
        "undo 0",
        "compensated",
    ];
    assert_eq!(told, expected);
}

async fn a_step_that_is_not_reported_in_time_is_undone_as_well(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    fill(&nodes[0], &[("ann", 100), ("hole", 2_000_000)]).await;
    let saga = nodes[0].entity::<Saga<Collect>>("gift");
    saga.ask(collection(&["ann"], "hole", 30)).await.unwrap();
    let status = ended(&saga).await;
    assert_eq!(status.phase, SagaPhase::Compensated);
    let why = status.why.unwrap();
    assert!(why.contains("step 1 was not reported in time"), "{why}");
    assert_eq!(cents(&nodes[0], "ann").await, 100);
    assert_eq!(cents(&nodes[0], "hole").await, 2_000_000);
    let told = story(&nodes[0], "gift").await;
    let expected = [
        "started",
        "step 0",
        "step 1",
        "back at 1",
        "undo 1",
        "undo 0",
        "compensated",
    ];
    assert_eq!(told, expected);
}

async fn a_saga_is_started_once(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    fill(&nodes[0], &[("ann", 100)]).await;
    let saga = nodes[0].entity::<Saga<Collect>>("gift");
    saga.ask(collection(&["ann"], "cas", 30)).await.unwrap();
    saga.ask(collection(&["ann"], "dan", 50)).await.unwrap();
    assert_eq!(ended(&saga).await.phase, SagaPhase::Completed);
    assert_eq!(cents(&nodes[0], "ann").await, 70);
    assert_eq!(cents(&nodes[0], "dan").await, 0);
    // What is over is told as it is.
    let again = saga.ask(collection(&["ann"], "cas", 30)).await.unwrap();
    assert_eq!(again.phase, SagaPhase::Completed);
}

async fn sagas_go_on_when_nodes_die(world: &World) {
    let mut nodes = cluster(world, &["a", "b", "c"]).await;
    let purses = ["ann", "bob", "cas", "dan"];
    fill(&nodes[0], &purses.map(|id| (id, 1_000))).await;
    fill(&nodes[0], &[("poor", 0)]).await;
    for n in 0..12 {
        let saga = nodes[n % 3].entity::<Saga<Collect>>(format!("gift-{n}"));
        // Each third one has a purse in it that has nothing.
        let from = if n % 3 == 0 {
            ["ann", "bob", "poor"]
        } else {
            ["ann", "bob", "cas"]
        };
        let start = collection(&from, "dan", 10);
        saga.ask(start).timeout(SOON).await.unwrap();
    }
    // Without a stop they do not leave: what they owned is taken over.
    drop(nodes.remove(2));
    drop(nodes.remove(1));
    let node = &nodes[0];
    wait(node, |view| nodes::is_spread(view, &["a"])).await;
    let mut completed = 0;
    for n in 0..12 {
        let saga = node.entity::<Saga<Collect>>(format!("gift-{n}"));
        let phase = ended(&saga).await.phase;
        assert!(
            n % 3 != 0 || phase == SagaPhase::Compensated,
            "{n}: {phase:?}"
        );
        completed += i64::from(phase == SagaPhase::Completed);
    }
    // Nothing is lost and nothing is made, whatever was given up meanwhile.
    let mut sum = 0;
    for id in purses {
        sum += cents(node, id).await;
    }
    assert_eq!(sum, 4_000);
    assert_eq!(cents(node, "dan").await, 1_000 + 30 * completed);
    assert_eq!(cents(node, "poor").await, 0);
}

/// A saga that takes from one of iron, fails, and is stuck.
async fn stuck(node: &Tenure, id: &str, iron: &str) -> EntityRef<Saga<Collect>> {
    fill(node, &[("ann", 100), (iron, 100), ("poor", 0)]).await;
    let saga = node.entity::<Saga<Collect>>(id);
    let from = ["ann", iron, "poor"];
    saga.ask(collection(&from, "cas", 30)).await.unwrap();
    until("a saga that is stuck", || async {
        let status = saga.read(Status).await;
        status.is_ok_and(|status| status.phase == SagaPhase::Stuck(1))
    })
    .await;
    saga
}

/// Waits until so many are listed.
async fn listed(node: &Tenure, count: usize) -> Vec<StuckSaga> {
    let stuck = node.stuck_sagas::<Collect>();
    let last = std::sync::Mutex::new(Vec::new());
    until("the list of those that are stuck", || async {
        let Ok(all) = stuck.all().await else {
            return false;
        };
        let there = all.len() == count;
        *last.lock().unwrap() = all;
        there
    })
    .await;
    last.into_inner().unwrap()
}

async fn an_undo_that_is_refused_for_the_last_time_is_listed_and_retried(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    let (here, there) = (&nodes[0], &nodes[1]);
    let saga = stuck(here, "gift", "iron").await;
    let first = listed(there, 1).await;
    let told: Vec<_> = first
        .iter()
        .map(|it| (&*it.id, it.step, &*it.why))
        .collect();
    assert_eq!(told, [("gift", 1, "it is shut")]);
    // It is still shut.
    let stuck = there.stuck_sagas::<Collect>();
    assert!(stuck.retry(&first[0]).await.unwrap());
    until("that it is stuck again", || async {
        let status = saga.read(Status).await;
        status.is_ok_and(|it| it.phase == SagaPhase::Stuck(1) && it.stuck_times == 2)
    })
    .await;
    assert_eq!(listed(there, 1).await[0].times, 2);
    // What was told before is not what it is stuck at now.
    assert!(!stuck.retry(&first[0]).await.unwrap());
    assert!(!stuck.skip(&first[0]).await.unwrap());
    fill(here, &[("iron", 2_000)]).await;
    assert_eq!(stuck.retry_all().await.unwrap(), 1);
    assert_eq!(ended(&saga).await.phase, SagaPhase::Compensated);
    assert_eq!(cents(here, "ann").await, 100);
    assert_eq!(cents(here, "iron").await, 2_100);
    listed(there, 0).await;
    // What is not stuck has nothing to be retried.
    assert!(!stuck.retry(&first[0]).await.unwrap());
}

async fn an_undo_that_is_skipped_is_left_as_it_is(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    let saga = stuck(&nodes[0], "gift", "iron").await;
    let told = listed(&nodes[0], 1).await;
    let stuck = nodes[0].stuck_sagas::<Collect>();
    assert!(stuck.skip(&told[0]).await.unwrap());
    assert_eq!(ended(&saga).await.phase, SagaPhase::Compensated);
    assert_eq!(cents(&nodes[0], "ann").await, 100);
    assert_eq!(cents(&nodes[0], "iron").await, 70);
    listed(&nodes[0], 0).await;
    let told = story(&nodes[0], "gift").await;
    let last = &told[told.len() - 4..];
    let expected = ["stuck at 1", "skipped 1", "undo 0", "compensated"];
    assert_eq!(last, expected);
}
