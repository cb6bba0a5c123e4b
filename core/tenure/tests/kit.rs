//! Given, when, then: what it accepts, and what it says when a test is wrong.

use crate::common::{Account, AccountEvent, Balance, Move, Refused, open};
use serde::{Deserialize, Serialize};
use std::panic::catch_unwind;
use tenure::WallTime;
use tenure::kit::given;
use tenure::prelude::*;

fn opened() -> [AccountEvent; 2] {
    let owner = "Alice".into();
    [
        AccountEvent::Opened { owner },
        AccountEvent::Moved { cents: 100 },
    ]
}

fn text(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(test).expect_err("the test should fail");
    payload
        .downcast_ref::<String>()
        .expect("a formatted panic")
        .clone()
}

#[test]
fn what_happens_is_compared() {
    given::<Account>([])
        .when(open("Alice", 100))
        .then(opened())
        .replies(100);
    given::<Account>(opened())
        .when(Move { cents: -30 })
        .then([AccountEvent::Moved { cents: -30 }])
        .replies(70);
    given::<Account>(opened())
        .when(Balance { record: true })
        .nothing()
        .replies(100);
    let insufficient = Refused::Insufficient { balance: 100 };
    given::<Account>(opened())
        .when(Move { cents: -101 })
        .rejects(insufficient);
    let after = given::<Account>(opened()).when(Move { cents: 1 }).state();
    assert_eq!(
        (after.cents, given::<Account>(opened()).state().cents),
        (101, 100)
    );
}

#[test]
fn a_wrong_test_says_what_happened() {
    let other = text(|| {
        let _ = given::<Account>(opened()).when(Move { cents: 1 }).nothing();
    });
    assert!(
        other.contains("expected: []") && other.contains("Moved { cents: 1 }"),
        "{other}"
    );
    let reply = text(|| {
        let _ = given::<Account>(opened())
            .when(Move { cents: 1 })
            .replies(7);
    });
    assert!(
        reply.contains("expected: 7") && reply.contains("replied:  101"),
        "{reply}"
    );
    let accepted = text(|| {
        let no = Refused::Insufficient { balance: 0 };
        let _ = given::<Account>(opened())
            .when(Move { cents: 1 })
            .rejects(no);
    });
    assert!(
        accepted.contains("accepted, with [Moved { cents: 1 }]"),
        "{accepted}"
    );
    let rejected = text(|| {
        let _ = given::<Account>([]).when(Move { cents: -1 }).then([]);
    });
    assert!(
        rejected.contains("rejected with Insufficient { balance: 0 }"),
        "{rejected}"
    );
}

/// Knows when, where and who.
#[derive(Clone, Debug, Default)]
struct Witness;

#[derive(Debug, PartialEq, Event)]
#[event(name = "seen", version = 1)]
struct Seen {
    id: String,
    version: u64,
    time: u64,
    user: Option<String>,
}

impl Aggregate for Witness {
    type Event = Seen;
    const KIND: &'static str = "witness";

    fn evolve(&mut self, _: &Seen) {}
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "look", version = 1)]
struct Look;

impl Decide<Look> for Witness {
    type Reply = ();
    type Error = ();

    fn decide(&self, _: &Look, cx: &DecideCx<'_>) -> Result<Decision<Self, ()>, ()> {
        assert_eq!(cx.command().time(), cx.time());
        Ok(Decision::event(Seen {
            id: cx.id().to_owned(),
            version: cx.version().0,
            time: cx.time().0,
            user: cx.metadata().header_value("user").map(str::to_owned),
        }))
    }
}

#[test]
fn a_decision_sees_its_surroundings() {
    let seen = |id: &str, version, time, user: Option<&str>| Seen {
        id: id.to_owned(),
        version,
        time,
        user: user.map(str::to_owned),
    };
    given::<Witness>([seen("", 0, 0, None)])
        .id("there")
        .time(WallTime(7))
        .metadata(Metadata::new().header("user", "ann"))
        .when(Look)
        .then([seen("there", 1, 7, Some("ann"))]);
    given::<Witness>([])
        .when(Look)
        .then([seen("entity", 0, 0, None)]);
}

/// A field that is written but not read back as it was.
#[derive(Clone, Debug, Default)]
struct Lossy;

#[derive(Debug, PartialEq, Event)]
enum LossyEvent {
    #[event(name = "lost", version = 1)]
    Lost {
        #[serde(skip_deserializing)]
        kept: u32,
    },
    #[event(name = "broken", version = 1)]
    Broken(Broken),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Broken;

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("out of order"))
    }
}

impl Aggregate for Lossy {
    type Event = LossyEvent;
    const KIND: &'static str = "lossy";

    fn evolve(&mut self, event: &LossyEvent) {
        assert_eq!(
            *event,
            LossyEvent::Lost { kept: 0 },
            "as the log would give it back"
        );
    }
}

#[test]
fn events_go_through_their_encoding() {
    let _ = given::<Lossy>([LossyEvent::Lost { kept: 7 }]);
    let broken = text(|| {
        let _ = given::<Lossy>([LossyEvent::Broken(Broken)]);
    });
    assert!(
        broken.contains("\"broken\" version 1") && broken.contains("out of order"),
        "{broken}"
    );
}
