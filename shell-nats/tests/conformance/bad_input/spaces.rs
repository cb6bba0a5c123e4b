//! Namespaces and kinds that are there already, and otherwise.

use super::Page;
use crate::counter::{Counted, Counter, counters_of, one};
use crate::world::World;
use tenure::prelude::*;
use tenure::{Builder, KindError, SpaceError, StartError, TenureError};

super::scenes! {
    both: [
        a_layout_that_cannot_be,
        another_layout,
        a_kind_that_is_recorded_otherwise,
        a_kind_that_another_type_is,
        a_kind_record_of_another_layout,
        records_that_cannot_be_read,
    ],
    nats: [],
}

/// Starts what cannot be opened.
async fn start(world: &World, page: &mut Page, tried: &str, node: Builder) -> SpaceError {
    let start = Box::pin(world.start(node));
    match page.refused(world, tried, start).await {
        TenureError::Start(StartError::Space(error)) => error,
        other => panic!("{other:?}"),
    }
}

async fn a_layout_that_cannot_be(world: &World, page: &mut Page) {
    for (node, tried) in [
        (world.builder().shards(0), "no shard"),
        (world.builder().shards(65_535), "65,535 shards"),
        (world.builder().streams(0), "no stream"),
        (
            world.builder().shards(4).streams(5),
            "more streams than shards",
        ),
    ] {
        let error = start(world, page, tried, node).await;
        assert!(matches!(error, SpaceError::BadWish { .. }), "{error:?}");
    }
}

async fn another_layout(world: &World, page: &mut Page) {
    let first = world.builder().shards(16).streams(2).layout_key(1);
    let first = world.start(first).await.unwrap();
    let counters = counters_of::<0>(&first).await;
    counters.execute("a", one()).await.unwrap();
    for (node, tried) in [
        (world.builder().shards(32), "32 shards where 16 are"),
        (world.builder().streams(1), "1 stream where 2 are"),
        (world.builder().layout_key(2), "another hash key"),
    ] {
        let error = start(world, page, tried, node).await;
        assert!(
            matches!(error, SpaceError::LayoutDiffers { .. }),
            "{error:?}"
        );
    }
    // What is not asked for is taken as it is.
    let again = counters_of::<0>(&world.node().await).await;
    assert_eq!(again.execute("a", one()).await.unwrap(), 2);
}

/// The counter in builds that want it otherwise.
#[derive(Clone, Debug, Default)]
struct Other<const HOW: u8>;

impl<const HOW: u8> Aggregate for Other<HOW> {
    type Event = Counted;
    const KIND: &'static str = Counter::<0>::KIND;

    fn evolve(&mut self, _: &Counted) {}

    fn settings() -> KindSettings {
        match HOW {
            0 => KindSettings::default().owned(),
            1 => KindSettings::default().json(),
            _ => KindSettings::default().placed_before('/'),
        }
    }
}

async fn repository<A: Aggregate>(world: &World) -> Result<Repository<A>, KindError> {
    world.node().await.repository().await
}

async fn a_kind_that_is_recorded_otherwise(world: &World, page: &mut Page) {
    counters_of::<0>(&world.node().await).await;
    let owned = Box::pin(repository::<Other<0>>(world));
    let json = Box::pin(repository::<Other<1>>(world));
    let placed = Box::pin(repository::<Other<2>>(world));
    for error in [
        page.refused(world, "owned", owned).await,
        page.refused(world, "JSON", json).await,
        page.refused(world, "placed by a prefix", placed).await,
    ] {
        assert!(
            matches!(error, KindError::Space(SpaceError::KindDiffers { .. })),
            "{error:?}"
        );
    }
    let tenure = world.node().await;
    let json = tenure.log_with("counter", KindSettings::default().json());
    let error = page.refused(world, "a log in JSON", Box::pin(json)).await;
    assert!(
        matches!(error, KindError::Space(SpaceError::KindDiffers { .. })),
        "{error:?}"
    );
    let owned = tenure.log_with("other", KindSettings::default().owned());
    let error = page
        .refused(world, "a log of an owned kind", Box::pin(owned))
        .await;
    assert!(matches!(error, KindError::Owned { .. }), "{error:?}");
}

async fn a_kind_that_another_type_is(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    counters_of::<0>(&tenure).await;
    let other = Box::pin(tenure.repository::<Other<1>>());
    let error = page.refused(world, "a second type", other).await;
    assert!(matches!(error, KindError::Taken { .. }), "{error:?}");
}

async fn a_kind_record_of_another_layout(world: &World, page: &mut Page) {
    let neighbour = world.neighbour();
    counters_of::<0>(&neighbour.node().await).await;
    let record = format!("{}.ctl.kind.counter", neighbour.namespace);
    let record = neighbour.messages("ctl", &record).await.remove(0);
    let tenure = world.node().await;
    let subject = format!("{}.ctl.kind.counter", world.namespace);
    world.publish("ctl", &subject, &record.payload).await;
    let kind = Box::pin(tenure.repository::<Counter>());
    let error = page.refused(world, "another namespace's kind", kind).await;
    assert!(
        matches!(error, KindError::Space(SpaceError::OtherLayout { .. })),
        "{error:?}"
    );
}

async fn records_that_cannot_be_read(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let kind = format!("{}.ctl.kind.counter", world.namespace);
    world.publish("ctl", &kind, b"{}").await;
    let repository = Box::pin(tenure.repository::<Counter>());
    let error = page.refused(world, "a kind that is JSON", repository).await;
    assert!(
        matches!(error, KindError::Space(SpaceError::Format(_))),
        "{error:?}"
    );
    let layout = format!("{}.ctl.layout", world.namespace);
    let newer = {
        let mut record = world
            .messages("ctl", &layout)
            .await
            .remove(0)
            .payload
            .to_vec();
        assert_eq!(record[1..3], [0, 1], "the format's version comes first");
        record[2] = 9;
        record
    };
    world.publish("ctl", &layout, &newer).await;
    let error = start(world, page, "a layout of a newer format", world.builder()).await;
    assert!(matches!(error, SpaceError::Format(_)), "{error:?}");
}
