//! Stored events that this build cannot use: unknown, undecodable, or no commit at all.

use super::Page;
use crate::counter::{Counted, Counter, count_and_version, counters_of, incremented, one};
use crate::world::{World, until};
use tenure::prelude::*;
use tenure::{Damage, Fields, FoldError, KindError, Mistake, RawEvent, TenureError};

super::scenes! {
    both: [
        an_event_that_this_build_does_not_know,
        an_event_of_another_version,
        an_event_that_cannot_be_decoded,
        a_step_that_fails,
        upcasters_with_mistakes,
        a_message_that_is_no_commit,
    ],
    nats: [],
}

/// The counter of a build that leaves out what it does not know.
#[derive(Clone, Debug, Default)]
struct Lenient {
    count: u64,
}

impl Aggregate for Lenient {
    type Event = Counted;
    const KIND: &'static str = Counter::<0>::KIND;

    fn evolve(&mut self, event: &Counted) {
        let Counted::Incremented { by } = event;
        self.count += by;
    }

    fn settings() -> KindSettings {
        KindSettings::default().unknown_events(UnknownEvents::Skip)
    }
}

async fn an_event_that_this_build_does_not_know(world: &World, page: &mut Page) {
    let log = world.node().await.log("counter").await.unwrap();
    let unknown = RawEvent::new("decremented", 1, &b"\xf6"[..]);
    let events = [incremented(1), unknown, incremented(1)];
    log.append("a", events).await.unwrap();
    log.append("b", [incremented(1)]).await.unwrap();

    let counters = counters_of::<0>(&world.node().await).await;
    let error = page
        .refused(world, "load", Box::pin(counters.load("a")))
        .await;
    let LoadError::Fold {
        cause:
            FoldError::UnknownEvent {
                name,
                schema,
                version,
            },
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (name.as_str(), schema, version),
        ("decremented", 1, Version(2))
    );
    let error = page
        .refused(world, "execute", counters.execute("a", one()))
        .await;
    assert!(
        matches!(
            error,
            ExecuteError::Fold {
                cause: FoldError::UnknownEvent { .. },
                ..
            }
        ),
        "{error:?}"
    );
    let history = counters.history("a").unwrap().collect();
    let error = page
        .refused(world, "read the history", Box::pin(history))
        .await;
    assert!(matches!(error, LoadError::Fold { .. }), "{error:?}");
    // Its neighbours are well.
    assert_eq!(count_and_version(&counters, "b").await, (1, 1));

    let tenure = world.node().await;
    let lenient: Repository<Lenient> = tenure.repository().await.unwrap();
    let loaded = lenient.load("a").await.unwrap();
    assert_eq!((loaded.state.count, loaded.version), (2, Version(3)));
    until("it is counted", || async {
        tenure.counters().await.events_skipped == 1
    })
    .await;
}

async fn an_event_of_another_version(world: &World, page: &mut Page) {
    let log = world.node().await.log("counter").await.unwrap();
    let newer = RawEvent::new("incremented", 2, incremented(1).data);
    log.append("a", [newer]).await.unwrap();
    let counters = counters_of::<0>(&world.node().await).await;
    let error = page
        .refused(world, "load", Box::pin(counters.load("a")))
        .await;
    assert!(
        matches!(
            error,
            LoadError::Fold {
                cause: FoldError::UnknownEvent { schema: 2, .. },
                ..
            }
        ),
        "{error:?}"
    );
}

async fn an_event_that_cannot_be_decoded(world: &World, page: &mut Page) {
    let log = world.node().await.log("counter").await.unwrap();
    let counters = counters_of::<0>(&world.node().await).await;
    let follows = [incremented(1).data, incremented(1).data].concat();
    for (id, data, tried) in [
        ("a", &b"\xff\xfe"[..], "bytes that are no CBOR"),
        ("b", b"", "no bytes"),
        (
            "c",
            b"\xa1\x62by\x63one",
            "a text where a number is expected",
        ),
        ("d", b"\xa1\x62to\x01", "a field by another name"),
        ("e", &follows, "two values"),
    ] {
        let event = RawEvent::new("incremented", 1, data.to_vec());
        log.append(id, [event]).await.unwrap();
        let error = page
            .refused(world, tried, Box::pin(counters.load(id)))
            .await;
        let LoadError::Fold {
            cause: FoldError::Undecodable { name, version, .. },
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((name.as_str(), *version), ("incremented", Version(1)));
        let executed = counters.execute(id, one()).await;
        assert!(
            matches!(
                &executed,
                Err(ExecuteError::Fold {
                    cause: FoldError::Undecodable { .. },
                    ..
                })
            ),
            "{executed:?}"
        );
    }
}

/// The counter of a build whose steps take what nobody stored.
#[derive(Clone, Debug, Default)]
struct Wishful;

impl Aggregate for Wishful {
    type Event = Counted;
    const KIND: &'static str = Counter::<0>::KIND;

    fn evolve(&mut self, _: &Counted) {}

    fn upcasters() -> Upcasters {
        Upcasters::none()
            .step(("counted", 1), ("incremented", 1), |_: String| 1)
            .try_step(("counted", 2), ("incremented", 1), |old: Fields| {
                old.get("by").cloned().ok_or("nobody said by how much")
            })
            .step(("counted", 3), ("incremented", 1), |_: Fields| {
                Fields::new().with("by", "many")
            })
            .step(("counted", 4), ("incremented", 1), |_: Fields| -> Fields {
                panic!("there is no fourth version")
            })
            .split(("counted", 5), [], |_: Fields, parts| {
                parts.event(&Counted::Incremented { by: 1 });
            })
    }
}

async fn a_step_that_fails(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let log = tenure.log("counter").await.unwrap();
    let counters: Repository<Wishful> = tenure.repository().await.unwrap();
    for (schema, tried) in [
        (1, "fields that do not fit"),
        (2, "an error of its own"),
        (3, "a result that does not fit"),
        (4, "a panic"),
        (5, "an event that it does not lead to"),
    ] {
        let id = tried.replace(' ', "-");
        let event = RawEvent::new("counted", schema, &b"\xa0"[..]);
        log.append(&id, [event]).await.unwrap();
        let error = page
            .refused(world, tried, Box::pin(counters.load(&id)))
            .await;
        assert!(
            matches!(
                &error,
                LoadError::Fold { cause: FoldError::Upcast { name, schema: of, .. }, .. }
                    if name == "counted" && *of == schema
            ),
            "{error:?}"
        );
    }
}

/// The counter of a build whose steps do not fit together.
#[derive(Clone, Debug, Default)]
struct Mistaken;

impl Aggregate for Mistaken {
    type Event = Counted;
    const KIND: &'static str = Counter::<0>::KIND;

    fn evolve(&mut self, _: &Counted) {}

    fn upcasters() -> Upcasters {
        Upcasters::none()
            .rename(("counted", 1), ("counted", 2))
            .rename(("counted", 3), ("incremented", 2))
            .rename(("added", 1), ("summed", 1))
            .rename(("summed", 1), ("added", 1))
            .rename(("tallied", 1), ("incremented", 1))
            .dropped(("tallied", 1))
            .dropped(("incremented", 1))
            .rename(("scored", 2), ("scored", 1))
            .dropped(("scored", 1))
    }
}

async fn upcasters_with_mistakes(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let repository = Box::pin(tenure.repository::<Mistaken>());
    let error = page.refused(world, "use the kind", repository).await;
    let KindError::Upcasters(error) = error else {
        panic!("{error:?}");
    };
    let gaps = |mistake: &&Mistake| matches!(mistake, Mistake::Gap { .. });
    assert_eq!(error.mistakes().iter().filter(gaps).count(), 2);
    assert_eq!(error.mistakes().len(), 6);
    // The type is not the kind's for having been refused.
    counters_of::<0>(&tenure).await;

    let builder = world.builder().kind::<Counter<0>>().kind::<Mistaken>();
    let start = Box::pin(builder.start("nats://127.0.0.1:9"));
    let error = page.refused(world, "start, wherever it is", start).await;
    assert!(matches!(error, TenureError::Upcasters { .. }), "{error:?}");
}

async fn a_message_that_is_no_commit(world: &World, page: &mut Page) {
    let counters = counters_of::<0>(&world.node().await).await;
    for (id, body, tried) in [
        ("a", &b"{\"by\":1}"[..], "JSON"),
        ("b", b"", "no bytes"),
        ("c", b"\x01\x02\x03", "three bytes"),
    ] {
        counters.create(id, one()).await.unwrap();
        let stored = world.commits("counter").await;
        let last = stored.last().unwrap();
        world.publish("ev_0", &last.subject, body).await;
        // A build that never saw the entity: the one above finds it at its next write.
        let fresh = counters_of::<0>(&world.node().await).await;
        let error = page.refused(world, tried, Box::pin(fresh.load(id))).await;
        let LoadError::Damaged(Damage {
            stream, sequence, ..
        }) = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*stream, format!("{}_ev_0", world.namespace));
        assert_eq!(sequence.0, last.sequence + 1);
        for counters in [&fresh, &counters] {
            let executed = counters.execute(id, one()).await;
            assert!(
                matches!(&executed, Err(ExecuteError::Damaged(_))),
                "{executed:?}"
            );
        }
    }
}
