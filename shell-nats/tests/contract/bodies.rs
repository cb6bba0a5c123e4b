//! The stream of snapshot bodies: one is deleted by a message that takes its place and expires, and
//! one may expire itself; nothing else goes (S20).

use crate::alphabet::message;
use crate::stage::{Place, Stage};
use crate::table::Table;
use crate::world::until;
use bytes::Bytes;
use tenure_core::id::Sequence;
use tenure_core::port::{
    Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::Outcome;

/// Bodies of two versions of one entity, one of another, and one of a third that expires: the
/// first is deleted, the last lives until its time, and the other two stay.
pub(crate) async fn deleted_and_expired(place: Place, table: &mut Table) {
    let settings = StreamSettings::snapshots("S".into(), vec!["s.>".into()], 1);
    let mut stage = Stage::at(place, "bodies", settings).await;
    let body = |subject: &str, ttl_s| {
        StoreRequest::Publish(Publish {
            expect: Expect::OwnLast(Sequence::NONE),
            ttl_s,
            ..message("S", subject)
        })
    };
    for (subject, ttl_s) in [
        ("s.one.1.a", None),
        ("s.one.2.b", None),
        ("s.two.1.c", None),
        ("s.three.1.d", Some(8)),
    ] {
        let reply = stage.both(table, body(subject, ttl_s)).await;
        assert!(matches!(reply, Outcome::Done(_)), "{subject}: {reply:?}");
    }
    let marker = |subject: &str| {
        StoreRequest::Publish(Publish {
            rollup: Rollup::Subject,
            ttl_s: Some(1),
            payload: Bytes::new(),
            ..message("S", subject)
        })
    };
    let reply = stage.both(table, marker("s.one.1.a")).await;
    assert!(matches!(reply, Outcome::Done(_)), "{reply:?}");
    // The marker stands in the body's place: late bytes of it are refused.
    let late = stage.both(table, body("s.one.1.a", None)).await;
    let stands = Refused::WrongLast {
        actual: Some(Sequence(5)),
    };
    assert_eq!(late, Outcome::Refused(stands));
    stage.both(table, scan("s.>")).await;

    until(&stage.shell, &last("s.one.1.a"), is_absent).await;
    expire_next(&mut stage);
    let left = stage.both(table, scan("s.>")).await;
    assert_eq!(
        subjects(&left),
        ["s.one.2.b", "s.two.1.c", "s.three.1.d"],
        "the one that expires is there before its time, and nothing else went"
    );
    // A marker for a body that is gone already takes nothing with it either.
    stage.both(table, marker("s.one.1.a")).await;

    until(&stage.shell, &last("s.three.1.d"), is_absent).await;
    expire_next(&mut stage);
    until(&stage.shell, &last("s.one.1.a"), is_absent).await;
    expire_next(&mut stage);
    let left = stage.both(table, scan("s.>")).await;
    assert_eq!(subjects(&left), ["s.one.2.b", "s.two.1.c"]);
    let of_one = stage.both(table, scan("s.one.*.*")).await;
    assert_eq!(subjects(&of_one), ["s.one.2.b"]);
    // Nothing is left of what went, not even a subject that ends somewhere.
    let again = stage.both(table, body("s.one.1.a", None)).await;
    assert!(matches!(again, Outcome::Done(_)), "{again:?}");
}

fn expire_next(stage: &mut Stage) {
    let over = stage.model.first_over().expect("something expires");
    stage.model.expire(over);
}

fn scan(filter: &str) -> StoreRequest {
    StoreRequest::Scan {
        stream: "S".into(),
        filter: filter.into(),
        from: Sequence(1),
        messages_max: 10,
    }
}

fn last(subject: &str) -> StoreRequest {
    StoreRequest::Latest {
        stream: "S".into(),
        subjects: vec![subject.into()],
    }
}

fn is_absent(reply: &StoreReply) -> bool {
    *reply == Outcome::Refused(Refused::NotFound)
}

fn subjects(reply: &StoreReply) -> Vec<&str> {
    match reply {
        Outcome::Done(StoreDone::Page(page)) => {
            let messages = page.messages.iter();
            messages.map(|message| message.subject.as_ref()).collect()
        }
        Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => {
            panic!("{reply:?} is no page")
        }
    }
}
