//! Streams that are absent, foreign, lost, or weaker than an event log may be.

use super::Page;
use crate::counter::{counters_of, one};
use crate::world::World;
use async_nats::jetstream::stream::Config;
use tenure::{Builder, SpaceError, StartError, TenureError};
use tenure_core::port::{Discard, Republish, Retention, Storage, StreamSettings};

super::scenes! {
    both: [
        a_stream_that_may_not_be_created,
        more_replicas_than_servers,
        a_stream_with_foreign_settings,
        a_control_stream_with_foreign_settings,
        a_stream_that_takes_the_subjects,
        a_stream_that_is_somebody_elses,
        a_stream_of_another_layout,
    ],
    nats: [a_stream_that_is_lost, a_stream_that_was_changed],
}

/// Starts what cannot be opened, where a look tells: nothing at all may be written.
async fn untouched(world: &World, page: &mut Page, tried: &str, node: Builder) -> SpaceError {
    let start = Box::pin(world.start(node));
    match page.refused(world, tried, start).await {
        TenureError::Start(StartError::Space(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Starts what cannot be opened.
async fn start(world: &World, page: &mut Page, tried: &str, node: Builder) -> SpaceError {
    let start = Box::pin(world.start(node));
    match page.not_opened(world, tried, start).await {
        TenureError::Start(StartError::Space(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The settings of the namespace's only event stream.
fn events(world: &World) -> StreamSettings {
    let ns = &world.namespace;
    let subjects = ["ev", "own", "bar", "idx"].map(|family| format!("{ns}.{family}.>"));
    let mut subjects = subjects.to_vec();
    subjects.push(format!("{ns}.lay.0"));
    let settings = StreamSettings::event_log(format!("{ns}_ev_0").into(), subjects, 1);
    let republish = Some(Republish {
        source: format!("{ns}.own.>"),
        destination: format!("{ns}.rep.>"),
    });
    StreamSettings {
        republish,
        ..settings
    }
}

async fn a_stream_that_may_not_be_created(world: &World, page: &mut Page) {
    // One after another, as the error says, until the namespace can be opened.
    for stream in ["ctl", "ev_0", "snap"] {
        let tried = format!("{stream} is absent");
        let error = start(world, page, &tried, world.builder().create(false)).await;
        let SpaceError::StreamMissing {
            stream: name,
            config,
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(name, format!("{}_{stream}", world.namespace));
        if world.on_nats() {
            let config: Config = serde_json::from_str(&config).unwrap();
            world.jetstream().await.create_stream(config).await.unwrap();
        } else {
            let ns = &world.namespace;
            let subjects = |family| vec![format!("{ns}.{family}.>")];
            world
                .create_stream(match stream {
                    "ctl" => StreamSettings::control(name.into(), subjects("ctl"), 1),
                    "snap" => StreamSettings::snapshots(name.into(), subjects("snap"), 1),
                    _ => events(world),
                })
                .await;
        }
    }
    let tenure = world.start(world.builder().create(false)).await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    assert_eq!(counters.execute("a", one()).await.unwrap(), 1);
}

async fn more_replicas_than_servers(world: &World, page: &mut Page) {
    let node = world.builder().replicas(3);
    let error = start(world, page, "three, in a new namespace", node).await;
    assert!(matches!(error, SpaceError::LessDurable { .. }), "{error:?}");
    world.node().await;
    let node = world.builder().replicas(3);
    let error = start(world, page, "three, where one is", node).await;
    assert!(
        matches!(
            error,
            SpaceError::LessDurable {
                wanted: 3,
                actual: 1,
                ..
            }
        ),
        "{error:?}"
    );
}

async fn a_stream_with_foreign_settings(world: &World, page: &mut Page) {
    const DAY: u64 = 86_400_000_000_000;
    type Change = fn(&mut StreamSettings);
    let changes: [(&str, Change); 6] = [
        ("max_age", |settings| settings.age_max_ns = DAY),
        ("max_msgs", |settings| settings.messages_max = 1_000),
        ("max_msgs_per_subject", |settings| {
            settings.messages_per_subject_max = 1
        }),
        ("retention", |settings| {
            settings.retention = Retention::Interest
        }),
        ("storage", |settings| settings.storage = Storage::Memory),
        ("allow_direct", |settings| settings.allow_direct = false),
    ];
    for (setting, change) in changes {
        let world = world.neighbour();
        let mut settings = events(&world);
        change(&mut settings);
        world.create_stream(settings).await;
        let error = untouched(&world, page, setting, world.builder()).await;
        let SpaceError::Settings(mismatches) = &error else {
            panic!("{error:?}");
        };
        let named: Vec<_> = mismatches.iter().map(|mismatch| mismatch.setting).collect();
        assert_eq!(named, [setting]);
    }
    world
        .create_stream(StreamSettings {
            age_max_ns: DAY,
            bytes_max: 1 << 30,
            discard: Discard::Old,
            deny_delete: false,
            allow_atomic: false,
            republish: None,
            ..events(world)
        })
        .await;
    let error = untouched(world, page, "several", world.builder()).await;
    assert!(
        matches!(&error, SpaceError::Settings(mismatches) if mismatches.len() >= 4),
        "{error:?}"
    );
}

async fn a_control_stream_with_foreign_settings(world: &World, page: &mut Page) {
    let (name, subject) = (
        format!("{}_ctl", world.namespace),
        format!("{}.ctl.>", world.namespace),
    );
    let mut settings = StreamSettings::control(name.into(), vec![subject], 1);
    settings.age_max_ns = 3_600_000_000_000;
    world.create_stream(settings).await;
    let start = Box::pin(world.start(world.builder()));
    let error = page.refused(world, "max_age", start).await;
    assert!(
        matches!(
            error,
            TenureError::Start(StartError::Space(SpaceError::Settings(_)))
        ),
        "{error:?}"
    );
}

async fn a_stream_that_takes_the_subjects(world: &World, page: &mut Page) {
    for (family, tried) in [("ctl", "the records"), ("ev", "the events")] {
        let world = world.neighbour();
        let ns = &world.namespace;
        let mut settings = events(&world);
        settings.name = format!("everything-of-{ns}").into();
        settings.subjects = vec![format!("{ns}.{family}.>")];
        settings.republish = None;
        world.create_stream(settings).await;
        let error = start(&world, page, tried, world.builder()).await;
        assert!(matches!(error, SpaceError::Overlap { .. }), "{error:?}");
    }
}

async fn a_stream_that_is_somebody_elses(world: &World, page: &mut Page) {
    world.create_stream(events(world)).await;
    let subject = format!("{}.ev.7.order.4711", world.namespace);
    world.publish("ev_0", &subject, b"{\"paid\":true}").await;
    let error = untouched(world, page, "it begins with an order", world.builder()).await;
    assert!(matches!(error, SpaceError::NotAnchored { .. }), "{error:?}");
}

async fn a_stream_of_another_layout(world: &World, page: &mut Page) {
    let neighbour = world.neighbour();
    neighbour.node().await;
    let anchor = format!("{}.lay.0", neighbour.namespace);
    let anchor = neighbour.messages("ev_0", &anchor).await.remove(0);
    world.create_stream(events(world)).await;
    let subject = format!("{}.lay.0", world.namespace);
    world.publish("ev_0", &subject, &anchor.payload).await;
    let error = start(world, page, "another namespace's anchor", world.builder()).await;
    assert!(matches!(error, SpaceError::OtherLayout { .. }), "{error:?}");
}

async fn a_stream_that_is_lost(world: &World, page: &mut Page) {
    let counters = counters_of::<0>(&world.node().await).await;
    counters.execute("a", one()).await.unwrap();
    let jetstream = world.jetstream().await;
    let stream = format!("{}_ev_0", world.namespace);
    jetstream.delete_stream(&stream).await.unwrap();
    let error = start(world, page, "an event stream", world.builder()).await;
    assert!(matches!(error, SpaceError::StreamLost { .. }), "{error:?}");
    let after = world.extents().await;
    assert!(
        !after.contains_key(&stream),
        "it is not made anew: {after:?}"
    );
}

async fn a_stream_that_was_changed(world: &World, page: &mut Page) {
    let counters = counters_of::<0>(&world.node().await).await;
    counters.execute("a", one()).await.unwrap();
    let jetstream = world.jetstream().await;
    let stream = format!("{}_ev_0", world.namespace);
    let stream = jetstream.get_stream(&stream).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.max_age = std::time::Duration::from_secs(7 * 86_400);
    jetstream.update_stream(&config).await.unwrap();
    let error = start(world, page, "max_age", world.builder()).await;
    assert!(matches!(error, SpaceError::Settings(_)), "{error:?}");
    config.max_age = std::time::Duration::ZERO;
    jetstream.update_stream(&config).await.unwrap();
    let counters = counters_of::<0>(&world.node().await).await;
    assert_eq!(counters.execute("a", one()).await.unwrap(), 2);
}
