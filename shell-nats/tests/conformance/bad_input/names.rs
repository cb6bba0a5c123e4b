//! Names that cannot be: of namespaces, kinds, entities and places.

use super::Page;
use crate::counter::{Counter, counters_of, incremented, one};
use crate::world::World;
use tenure::{
    AppendError, ExecuteError, KindError, LoadError, NameError, StartError, Tenure, TenureError,
    Version,
};

super::scenes! {
    both: [a_namespace_that_cannot_be, a_kind_that_cannot_be, an_id_that_cannot_be],
    nats: [a_place_that_cannot_be],
}

async fn a_namespace_that_cannot_be(world: &World, page: &mut Page) {
    let place = world.place();
    let unnamed = Tenure::builder().start(&place);
    let error = page.refused(world, "none", Box::pin(unnamed)).await;
    assert!(matches!(error, TenureError::NoNamespace), "{error:?}");
    let long = "n".repeat(33);
    for (name, tried) in [
        ("", "empty"),
        ("tenure", "reserved"),
        (&long, "33 bytes"),
        ("Orders", "a capital"),
        ("orders.eu", "a dot"),
        ("orders eu", "a space"),
        ("-orders", "begins with a hyphen"),
        ("orders>", "a wildcard"),
        ("b\u{fc}cher", "a letter that is not ASCII"),
    ] {
        let node = Tenure::builder().namespace(name);
        let start = Box::pin(node.start(&place));
        let error = page.refused(world, tried, start).await;
        let TenureError::Start(StartError::Name(error)) = error else {
            panic!("{error:?}");
        };
        is_told_by(name, 32, &error);
    }
}

async fn a_kind_that_cannot_be(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let long = "k".repeat(65);
    for (name, tried) in [
        ("", "empty"),
        ("ctl", "reserved"),
        (&long, "65 bytes"),
        ("Account", "a capital"),
        ("account.v2", "a dot"),
        ("2nd", "begins with a digit"),
        ("*", "a wildcard"),
    ] {
        let error = page.refused(world, tried, Box::pin(tenure.log(name))).await;
        let KindError::Name(error) = error else {
            panic!("{error:?}");
        };
        is_told_by(name, 64, &error);
    }
}

/// Which of its variants an error of a name must be.
fn is_told_by(name: &str, bytes: usize, error: &NameError) {
    match error {
        NameError::Empty { .. } => assert!(name.is_empty()),
        NameError::TooLong { .. } => assert!(name.len() > bytes, "{name}"),
        NameError::Reserved { .. } => assert!(["tenure", "ctl"].contains(&name)),
        NameError::Character { character, .. } => assert!(name.contains(*character)),
        other => panic!("{other:?}"),
    }
}

async fn an_id_that_cannot_be(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let log = tenure.log("counter").await.unwrap();
    let long = "x".repeat(1_025);
    for (id, tried) in [("", "empty"), (long.as_str(), "1,025 bytes")] {
        let error = page
            .refused(world, tried, counters.execute(id, one()))
            .await;
        assert!(matches!(error, ExecuteError::Name(_)), "{error:?}");
        let created = counters.create(id, one()).await;
        assert!(matches!(created, Err(ExecuteError::Name(_))), "{created:?}");
        let appended = log.append(id, [incremented(1)]).await;
        assert!(
            matches!(appended, Err(AppendError::Execute(ExecuteError::Name(_)))),
            "{appended:?}"
        );
        let reads = [
            counters.load(id).await.map(drop).unwrap_err(),
            counters.load_or_create(id).await.map(drop).unwrap_err(),
            counters
                .load_at(id, Version(1))
                .await
                .map(drop)
                .unwrap_err(),
            counters.version(id).await.map(drop).unwrap_err(),
            counters.exists(id).await.map(drop).unwrap_err(),
            counters.history(id).map(drop).unwrap_err(),
            log.version(id).await.map(drop).unwrap_err(),
            log.history(id).map(drop).unwrap_err(),
        ];
        for read in reads {
            assert!(matches!(read, LoadError::Name(_)), "{read:?}");
        }
    }
    assert!(
        world
            .commits(<Counter as tenure::Aggregate>::KIND)
            .await
            .is_empty()
    );
}

async fn a_place_that_cannot_be(world: &World, page: &mut Page) {
    for place in [
        "",
        "memory",
        "http://127.0.0.1:4222",
        "redis://user:secret@127.0.0.1",
        "nats:127.0.0.1:4222",
    ] {
        let start = Box::pin(world.builder().start(place));
        let error = page.refused(world, &format!("{place:?}"), start).await;
        assert!(
            matches!(error, TenureError::UnknownPlace { .. }),
            "{error:?}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for place in ["mem:a b", "mem:*"] {
        let start = Box::pin(world.builder().start(place));
        let error = page.refused(world, &format!("{place:?}"), start).await;
        assert!(matches!(error, TenureError::StoreName { .. }), "{error:?}");
    }
    for place in [
        "nats://",
        "nats://127.0.0.1:port",
        "nats://u:secret@127.0.0.1:4222/path",
    ] {
        let start = Box::pin(world.builder().start(place));
        let error = page.refused(world, &format!("{place:?}"), start).await;
        assert!(matches!(error, TenureError::Connect(_)), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
