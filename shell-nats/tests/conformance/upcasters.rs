//! Events of older builds, read as those of the present one: by load, history, `load_at`, commands,
//! snapshots and recordings, in either codec.

use crate::world::World;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use tenure::prelude::*;
use tenure::{Codec, CodecError, Fields, FoldError, Past, RawEvent, SnapshotPolicy};

on_both_shells![
    old_events_are_read_as_current_ones,
    what_is_read_is_not_written,
    old_and_new_builds_take_turns,
    a_step_that_fails_stops_its_entity_alone,
    a_snapshot_holds_what_was_upcast_until_its_schema_is_raised,
    an_added_field_is_ignored_and_an_absent_one_is_not,
    what_is_recorded_folds_without_the_store,
];

/// A ledger as it is now, encoded as JSON or CBOR. `STEPS` is the number of its build: each reads
/// the oldest events differently, or takes snapshots under another schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ledger<const JSON: bool, const STEPS: u8 = 0> {
    cents: i64,
    lines: Vec<String>,
}

/// The present build.
const PRESENT: u8 = 0;
/// Takes snapshots.
const SNAPSHOTS: u8 = 1;
/// Takes snapshots, and its steps count tenfold; but its snapshots are of the same schema.
const TENFOLD: u8 = 2;
/// The same, with a schema of its own.
const TENFOLD_RAISED: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Event)]
enum Booked {
    #[event(name = "paid-in", version = 2)]
    PaidIn { cents: u64, note: Option<String> },
    #[event(name = "paid-out", version = 2)]
    PaidOut { cents: u64 },
}

#[derive(Deserialize)]
struct MovedV1 {
    euros: i64,
    #[serde(default)]
    fee: u64,
}

impl<const JSON: bool, const STEPS: u8> Aggregate for Ledger<JSON, STEPS> {
    type Event = Booked;
    const KIND: &'static str = if JSON { "ledger-json" } else { "ledger-cbor" };
    const SNAPSHOT_SCHEMA: u16 = if STEPS == TENFOLD_RAISED { 2 } else { 1 };

    fn evolve(&mut self, event: &Booked) {
        match event {
            Booked::PaidIn { cents, note } => {
                self.cents += i64::try_from(*cents).unwrap();
                self.lines.extend(note.clone());
            }
            Booked::PaidOut { cents } => self.cents -= i64::try_from(*cents).unwrap(),
        }
    }

    fn settings() -> KindSettings {
        let settings = settings(JSON);
        match STEPS {
            PRESENT => settings,
            _ => settings.snapshots(SnapshotPolicy::every(1)),
        }
    }

    fn upcasters() -> Upcasters {
        let times = if STEPS >= TENFOLD { 1_000 } else { 100 };
        Upcasters::none()
            // One event for both directions, in whole euros, with a fee on top.
            .split(
                ("moved", 1),
                [("paid-in", 1), ("paid-out", 2)],
                move |old: MovedV1, parts| {
                    let cents = old.euros.unsigned_abs() * times;
                    if old.euros > 0 {
                        parts.fields(("paid-in", 1), &Fields::new().with("cents", cents));
                    }
                    if old.euros < 0 {
                        parts.event(&Booked::PaidOut { cents });
                    }
                    if old.fee > 0 {
                        parts.event(&Booked::PaidOut { cents: old.fee });
                    }
                },
            )
            .step(("paid-in", 1), ("paid-in", 2), |mut old: Fields| {
                old.set("note", "upcast");
                old
            })
            .try_step(("credited", 1), ("paid-in", 1), |mut old: Fields| match old
                .rename("amount", "cents")
            {
                true => Ok(old),
                false => Err("it has no amount"),
            })
            .dropped(("audited", 1))
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

fn settings(json: bool) -> KindSettings {
    if json {
        KindSettings::default().json()
    } else {
        KindSettings::default()
    }
}

fn codec(json: bool) -> Codec {
    settings(json).codec
}

fn stored(json: bool, name: &str, fields: &Fields) -> RawEvent {
    RawEvent::new(name, 1, codec(json).encode(fields).unwrap())
}

fn moved(json: bool, euros: i64, fee: u64) -> RawEvent {
    let fields = Fields::new().with("euros", euros).with("fee", fee);
    stored(json, "moved", &fields)
}

fn paid_in(cents: u64, note: &str) -> Booked {
    let note = Some(note.to_owned());
    Booked::PaidIn { cents, note }
}

/// A stream of the oldest build, below aggregates: five events in three commits.
async fn written<const JSON: bool>(world: &World, id: &str) -> Vec<RawEvent> {
    let tenure = world.node().await;
    let log = tenure
        .log_with(Ledger::<JSON>::KIND, settings(JSON))
        .await
        .unwrap();
    let credited = stored(JSON, "credited", &Fields::new().with("amount", 5));
    let events = [
        moved(JSON, 10, 0),
        moved(JSON, -3, 25),
        stored(JSON, "audited", &Fields::new()),
        moved(JSON, 0, 0),
        credited,
    ];
    log.append(id, events[..2].to_vec()).await.unwrap();
    log.append(id, events[2..4].to_vec()).await.unwrap();
    log.append(id, events[4..].to_vec()).await.unwrap();
    tenure.stop().await;
    let at = |(event, version): (&RawEvent, u64)| event.clone().at(Version(version));
    events.iter().zip(1..).map(at).collect()
}

async fn ledgers<const JSON: bool, const STEPS: u8>(
    tenure: &Tenure,
) -> Repository<Ledger<JSON, STEPS>> {
    tenure.repository().await.unwrap()
}

/// What `written` comes to, event by event, with the version of each.
fn becomes() -> Vec<(u64, Booked)> {
    vec![
        (1, paid_in(1_000, "upcast")),
        (2, Booked::PaidOut { cents: 300 }),
        (2, Booked::PaidOut { cents: 25 }),
        (5, paid_in(5, "upcast")),
    ]
}

fn plain(past: Vec<Past<Booked>>) -> Vec<(u64, Booked)> {
    let plain = |past: Past<Booked>| (past.version.0, past.event);
    past.into_iter().map(plain).collect()
}

async fn old_events_are_read_as_current_ones(world: &World) {
    read_as_current::<true>(world).await;
    read_as_current::<false>(world).await;
}

async fn read_as_current<const JSON: bool>(world: &World) {
    written::<JSON>(world, "a").await;
    let repository = ledgers::<JSON, PRESENT>(&world.node().await).await;
    let loaded = repository.load("a").await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (680, Version(5)));
    assert_eq!(loaded.state.lines, ["upcast", "upcast"]);
    for (version, cents) in [(1, 1_000), (2, 675), (3, 675), (4, 675), (5, 680)] {
        let then = repository.load_at("a", Version(version)).await.unwrap();
        assert_eq!((then.state.cents, then.version), (cents, Version(version)));
    }
    let history = repository.history("a").unwrap().page(1);
    assert_eq!(plain(history.collect().await.unwrap()), becomes());
    let backward = repository.history("a").unwrap().backward();
    let mut backward = plain(backward.collect().await.unwrap());
    backward.reverse();
    assert_eq!(backward, becomes(), "backward is the exact reverse");

    // What is written now is of the present, and both are read after reopening.
    let pay = |ledger: &Ledger<JSON>| {
        let event = Booked::PaidOut { cents: 80 };
        Ok::<_, Infallible>(Decision::event(event).reply(ledger.cents))
    };
    assert_eq!(repository.transact("a", pay).await.unwrap(), 680);
    let again = ledgers::<JSON, PRESENT>(&world.node().await).await;
    let loaded = again.load("a").await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (600, Version(6)));
    let all = plain(again.history("a").unwrap().collect().await.unwrap());
    assert_eq!(all.last(), Some(&(6, Booked::PaidOut { cents: 80 })));
}

async fn what_is_read_is_not_written(world: &World) {
    let raw = written::<true>(world, "a").await;
    let before = world.extents().await;
    let tenure = world.node().await;
    let repository = ledgers::<true, PRESENT>(&tenure).await;
    repository.load("a").await.unwrap();
    repository.history("a").unwrap().collect().await.unwrap();
    assert_eq!(world.extents().await, before);
    let log = tenure
        .log_with(Ledger::<true>::KIND, settings(true))
        .await
        .unwrap();
    let history = log.history("a").unwrap().collect().await.unwrap();
    let told: Vec<RawEvent> = history.into_iter().map(|past| past.event).collect();
    assert_eq!(told, raw, "the log tells what is stored");
    assert_eq!(
        tenure.counters().await.events_skipped,
        0,
        "dropped is not skipped"
    );
}

/// The build before the present one.
#[derive(Clone, Debug, Default)]
struct OldLedger {
    euros: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Moved {
    euros: i64,
}

#[derive(Debug, Event)]
enum OldBooked {
    #[event(name = "moved", version = 1)]
    Moved(Moved),
}

impl Aggregate for OldLedger {
    type Event = OldBooked;
    const KIND: &'static str = Ledger::<true>::KIND;

    fn evolve(&mut self, event: &OldBooked) {
        let OldBooked::Moved(Moved { euros }) = event;
        self.euros += euros;
    }

    fn settings() -> KindSettings {
        settings(true)
    }
}

async fn old_and_new_builds_take_turns(world: &World) {
    let old: Repository<OldLedger> = world.node().await.repository().await.unwrap();
    let new = ledgers::<true, PRESENT>(&world.node().await).await;
    let book = |_: &OldLedger| {
        let event = OldBooked::Moved(Moved { euros: 2 });
        Ok::<_, Infallible>(Decision::event(event))
    };
    let look = |ledger: &Ledger<true>| {
        let decision = Decision::<Ledger<true>, _>::nothing(ledger.cents);
        Ok::<_, Infallible>(decision)
    };
    // The new build is up to date with each commit of the old one, in its memory too.
    for turn in 1..=3 {
        old.transact("a", book).await.unwrap();
        assert_eq!(new.transact("a", look).await.unwrap(), turn * 200);
    }
    // Once the new one writes, the old one stops at what it does not know.
    let pay = |_: &Ledger<true>| {
        let event = Booked::PaidOut { cents: 1 };
        Ok::<_, Infallible>(Decision::event(event))
    };
    new.transact("a", pay).await.unwrap();
    let error = old.transact("a", book).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ExecuteError::Fold { cause: FoldError::UnknownEvent { name, schema: 2, .. }, .. }
                if name == "paid-out"
        ),
        "{error:?}"
    );
    assert_eq!(new.load("a").await.unwrap().state.cents, 599);
}

async fn a_step_that_fails_stops_its_entity_alone(world: &World) {
    step_fails::<true>(world).await;
    step_fails::<false>(world).await;
}

async fn step_fails<const JSON: bool>(world: &World) {
    let tenure = world.node().await;
    let log = tenure
        .log_with(Ledger::<JSON>::KIND, settings(JSON))
        .await
        .unwrap();
    let sums = stored(JSON, "credited", &Fields::new().with("sum", 5));
    log.append("a", [moved(JSON, 1, 0), sums]).await.unwrap();
    written::<JSON>(world, "b").await;
    let repository = ledgers::<JSON, PRESENT>(&tenure).await;
    let error = repository.load("a").await.unwrap_err();
    let LoadError::Fold { cause, .. } = &error else {
        panic!("{error:?}");
    };
    let expected = FoldError::Upcast {
        name: "credited".to_owned(),
        schema: 1,
        version: Version(2),
        step: "\"credited\" version 1 to \"paid-in\" version 1".to_owned(),
        cause: "it has no amount".to_owned(),
    };
    assert_eq!(*cause, expected);
    let pay = |_: &Ledger<JSON>| {
        let event = Booked::PaidOut { cents: 1 };
        Ok::<_, Infallible>(Decision::event(event))
    };
    let executed = repository.transact("a", pay).await;
    assert!(
        matches!(&executed, Err(ExecuteError::Fold { cause, .. }) if *cause == expected),
        "{executed:?}"
    );
    let mut history = repository.history("a").unwrap();
    for _ in 0..2 {
        // It is not passed over by asking again.
        let next = history.next().await;
        assert!(
            matches!(&next, Err(LoadError::Fold { cause, .. }) if *cause == expected),
            "{next:?}"
        );
    }
    let then = repository.load_at("a", Version(1)).await.unwrap();
    assert_eq!(then.state.cents, 100, "what came before it can be read");
    assert_eq!(repository.load("b").await.unwrap().state.cents, 680);
}

async fn a_snapshot_holds_what_was_upcast_until_its_schema_is_raised(world: &World) {
    written::<false>(world, "a").await;
    let writer = ledgers::<false, SNAPSHOTS>(&world.node().await).await;
    let pay = |_: &Ledger<false, SNAPSHOTS>| {
        let event = Booked::PaidOut { cents: 80 };
        Ok::<_, Infallible>(Decision::event(event))
    };
    writer.transact("a", pay).await.unwrap();
    crate::world::until("the snapshot", || async {
        world.extent("snap").await.messages > 0
    })
    .await;
    // A commit names it only after it is stored.
    writer.transact("a", pay).await.unwrap();
    let same = ledgers::<false, SNAPSHOTS>(&world.node().await).await;
    assert_eq!(same.load("a").await.unwrap().state.cents, 520);
    let tenfold = ledgers::<false, TENFOLD>(&world.node().await).await;
    let held = tenfold.load("a").await.unwrap().state.cents;
    assert_eq!(held, 520, "the snapshot's, though the steps are others");
    let raised = ledgers::<false, TENFOLD_RAISED>(&world.node().await).await;
    let replayed = raised.load("a").await.unwrap().state.cents;
    assert_eq!(replayed, 10_000 - 3_000 - 25 + 5 - 160, "replayed");
}

async fn an_added_field_is_ignored_and_an_absent_one_is_not(world: &World) {
    added_field::<true>(world).await;
    added_field::<false>(world).await;
}

async fn added_field<const JSON: bool>(world: &World) {
    let tenure = world.node().await;
    let log = tenure
        .log_with(Ledger::<JSON>::KIND, settings(JSON))
        .await
        .unwrap();
    let newer = |fields: &Fields| {
        let data = codec(JSON).encode(fields).unwrap();
        RawEvent::new("paid-in", 2, data)
    };
    let more = Fields::new().with("cents", 7).with("currency", "EUR");
    log.append("a", [newer(&more)]).await.unwrap();
    let less = Fields::new().with("note", "nothing was paid");
    log.append("b", [newer(&less)]).await.unwrap();
    let repository = ledgers::<JSON, PRESENT>(&tenure).await;
    let loaded = repository.load("a").await.unwrap();
    assert_eq!((loaded.state.cents, loaded.state.lines.len()), (7, 0));
    let error = repository.load("b").await.unwrap_err();
    assert!(
        matches!(
            &error,
            LoadError::Fold { cause: FoldError::Undecodable { name, schema: 2, cause, .. }, .. }
                if name == "paid-in" && cause.contains("missing field `cents`")
        ),
        "{error:?}"
    );
}

async fn what_is_recorded_folds_without_the_store(world: &World) {
    recorded::<true>(world).await;
    recorded::<false>(world).await;
}

async fn recorded<const JSON: bool>(world: &World) {
    written::<JSON>(world, "a").await;
    written::<JSON>(world, "b.c ü").await;
    let repository = ledgers::<JSON, PRESENT>(&world.node().await).await;
    let streams = repository
        .record(["a", "b.c ü"], |ledger| ledger.cents)
        .await
        .unwrap();
    assert_eq!(streams.commits(), 6);
    let text = streams.to_string();
    let read = tenure::kit::RecordedStreams::parse("recorded", &text).unwrap();
    let same = read.differences(|ledger: &Ledger<JSON>| ledger.cents);
    assert_eq!(same, Ok(vec![]));
    let other = read.differences(|ledger: &Ledger<JSON, TENFOLD>| ledger.cents);
    let other = other.unwrap();
    assert_eq!(other.len(), 6, "each state of both: {other:?}");
    assert_eq!(other[0].what, "state is 6975, recorded was 675");
    let absent = repository.record(["c"], |ledger| ledger.cents).await;
    assert!(
        matches!(absent, Err(LoadError::NotFound { .. })),
        "{absent:?}"
    );
}
