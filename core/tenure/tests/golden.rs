//! Golden files of a kind encoded as JSON, with a chain of three versions and a type that is dropped.

use serde::{Deserialize, Serialize};
use tenure::kit::{given, golden};
use tenure::prelude::*;
use tenure::{Codec, EventReader, EventType, Fields, Mistake, RawEvent, check_upcasters};

/// A parcel.
#[derive(Clone, Debug, Default, PartialEq)]
struct Parcel {
    grams: u32,
    to: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    street: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum ParcelEvent {
    #[event(name = "sent", version = 3)]
    Sent { grams: u32, to: Address },
    #[event(name = "weighed/again", version = 1)]
    WeighedAgain(u32),
    #[event(name = "returned", version = 1)]
    Returned,
}

#[derive(Serialize, Deserialize)]
struct SentV1 {
    kilograms: f64,
    street: String,
}

#[derive(Serialize, Deserialize)]
struct SentV2 {
    grams: u32,
    street: String,
}

impl Aggregate for Parcel {
    type Event = ParcelEvent;
    const KIND: &'static str = "parcel";

    fn evolve(&mut self, event: &ParcelEvent) {
        match event {
            ParcelEvent::Sent { grams, to } => (self.grams, self.to) = (*grams, Some(to.clone())),
            ParcelEvent::WeighedAgain(grams) => self.grams = *grams,
            ParcelEvent::Returned => self.to = None,
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().json()
    }

    fn upcasters() -> Upcasters {
        // In any order.
        Upcasters::none()
            .dropped(("scanned", 2))
            .step(("sent", 2), ("sent", 3), |old: SentV2| {
                let to = Fields::new().with("street", old.street);
                Fields::new()
                    .with("grams", old.grams)
                    .with("to", tenure::Value::of(&to).expect("a street"))
            })
            .try_step(("sent", 1), ("sent", 2), |old: SentV1| {
                let grams = old.kilograms * 1_000.0;
                if !(0.0..=100_000.0).contains(&grams) {
                    return Err(format!("no parcel weighs {} kg", old.kilograms));
                }
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "looked at above"
                )]
                let grams = grams.round() as u32;
                let street = old.street;
                Ok(SentV2 { grams, street })
            })
    }
}

fn main_street(country: Option<&str>) -> Address {
    Address {
        street: "Main".into(),
        country: country.map(str::to_owned),
    }
}

#[test]
fn what_was_ever_stored_is_read_as_it_was() {
    let street = || "Main".to_owned();
    let (kilograms, grams) = (31.245_270_191_439_438, 500);
    golden::<Parcel>("tests/golden/parcel")
        .events([
            ParcelEvent::Sent {
                grams,
                to: main_street(None),
            },
            ParcelEvent::Sent {
                grams,
                to: main_street(Some("NO")),
            },
            ParcelEvent::WeighedAgain(501),
            ParcelEvent::Returned,
        ])
        .stored(
            ("sent", 1),
            &SentV1 {
                kilograms,
                street: street(),
            },
        )
        .stored(
            ("sent", 2),
            &SentV2 {
                grams,
                street: street(),
            },
        )
        .stored(("scanned", 2), &Fields::new().with("at", "Oslo"))
        .check();
}

#[test]
fn steps_and_the_present_are_one_build() {
    check_upcasters::<Parcel>().unwrap();
    let reader = EventReader::<ParcelEvent>::new(Parcel::upcasters()).unwrap();
    let sent = |kilograms| {
        let street = "Main".to_owned();
        let data = Codec::Json.encode(&SentV1 { kilograms, street }).unwrap();
        reader.read(Codec::Json, &RawEvent::new("sent", 1, data))
    };
    let events = sent(0.5).unwrap().unwrap();
    let parcel = given::<Parcel>(events);
    assert_eq!(parcel.state().grams, 500);
    let error = sent(-1.0).unwrap_err().to_string();
    assert!(error.contains("no parcel weighs -1 kg"), "{error}");
}

/// The same parcel with a step that was taken away too early.
#[derive(Clone, Debug, Default)]
struct Hasty;

impl Aggregate for Hasty {
    type Event = ParcelEvent;
    const KIND: &'static str = "hasty";

    fn evolve(&mut self, _: &ParcelEvent) {}

    fn upcasters() -> Upcasters {
        Upcasters::none().rename(("sent", 1), ("sent", 2))
    }
}

#[tokio::test]
async fn a_chain_that_does_not_fit_keeps_the_kind_from_being_used() {
    let mistakes = check_upcasters::<Hasty>().unwrap_err();
    let of = |schema| EventType::from(("sent", schema));
    let gap = Mistake::Gap {
        from: of(1),
        to: of(2),
        known: vec![3],
    };
    assert_eq!(mistakes.mistakes(), [gap]);
    let tenure = Tenure::builder().namespace("post").start("mem:").await;
    let tenure = tenure.unwrap();
    let refused = tenure.repository::<Hasty>().await.unwrap_err();
    assert_eq!(refused.to_string(), mistakes.to_string());
    let builder = Tenure::builder().namespace("post");
    let refused = builder.kind::<Parcel>().kind::<Hasty>().start("mem:").await;
    assert_eq!(refused.unwrap_err().to_string(), mistakes.to_string());
    tenure.stop().await;
}
