//! The derives: what is encoded, under which names, and what is refused at compile time.

use serde::{Deserialize, Serialize};
use tenure::{Codec, Event, Message};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    street: String,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum Shapes {
    #[event(name = "unit", version = 1)]
    Unit,
    #[event(name = "newtype", version = 2)]
    Newtype(Address),
    #[event(name = "named", version = 1)]
    Named {
        id: u64,
        #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
        address: Option<Address>,
        list: Vec<(String, i64)>,
    },
    #[event(name = "empty", version = 1)]
    Empty {},
    // The same event as it was before.
    #[event(name = "named", version = 7)]
    NamedAfter { id: u128 },
    #[event(name = "bare", version = 1)]
    Bare(),
}

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "alone", version = 3)]
struct Alone {
    n: i32,
}

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "wrapped", version = 1)]
struct Wrapped(String);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "rename", version = 4)]
struct Renamed;

fn all() -> Vec<Shapes> {
    let address = Address {
        street: "Main".into(),
    };
    vec![
        Shapes::Unit,
        Shapes::Newtype(address.clone()),
        Shapes::Named {
            id: 7,
            address: Some(address),
            list: vec![("a".into(), -1)],
        },
        Shapes::Named {
            id: 8,
            address: None,
            list: vec![],
        },
        Shapes::Empty {},
        Shapes::NamedAfter { id: u128::MAX },
        Shapes::Bare(),
    ]
}

#[test]
fn each_shape_survives_both_codecs() {
    for codec in [Codec::Cbor, Codec::Json] {
        for event in all() {
            let data = event.encode(codec).unwrap();
            let decoded = Shapes::decode(event.name(), event.schema(), codec, &data);
            assert_eq!(decoded.unwrap().as_ref(), Some(&event), "{codec:?}");
        }
        let alone = Alone { n: -3 };
        let data = alone.encode(codec).unwrap();
        assert_eq!(Alone::decode("alone", 3, codec, &data), Ok(Some(alone)));
        let wrapped = Wrapped("x".into());
        let data = wrapped.encode(codec).unwrap();
        assert_eq!(
            Wrapped::decode("wrapped", 1, codec, &data),
            Ok(Some(wrapped))
        );
    }
}

#[test]
fn only_the_fields_are_encoded() {
    let json = |event: &Shapes| String::from_utf8(event.encode(Codec::Json).unwrap().to_vec());
    let encoded: Vec<String> = all().iter().map(|event| json(event).unwrap()).collect();
    assert_eq!(
        encoded,
        [
            "null",
            r#"{"street":"Main"}"#,
            r#"{"id":7,"to":{"street":"Main"},"list":[["a",-1]]}"#,
            r#"{"id":8,"list":[]}"#,
            "{}",
            r#"{"id":340282366920938463463374607431768211455}"#,
            "null",
        ]
    );
    assert_eq!(
        Wrapped("x".into()).encode(Codec::Cbor).unwrap()[..],
        *b"\x61x"
    );
}

#[test]
fn names_and_versions_are_those_that_were_given() {
    let types = [
        ("unit", 1),
        ("newtype", 2),
        ("named", 1),
        ("empty", 1),
        ("named", 7),
        ("bare", 1),
    ];
    assert_eq!(Shapes::TYPES, types);
    assert_eq!(Alone::TYPES, [("alone", 3)]);
    let named: Vec<_> = all()
        .iter()
        .map(|event| (event.name(), event.schema()))
        .collect();
    assert_eq!(named[2], ("named", 1));
    assert_eq!(named[5], ("named", 7));
    assert_eq!((Renamed::NAME, Renamed::VERSION), ("rename", 4));
}

#[test]
fn what_is_not_known_is_none_and_what_does_not_fit_is_an_error() {
    let decode = |name, schema, data: &[u8]| Shapes::decode(name, schema, Codec::Json, data);
    assert_eq!(decode("named", 2, b"{}"), Ok(None));
    assert_eq!(decode("Unit", 1, b"null"), Ok(None));
    assert!(decode("unit", 1, b"{}").is_err());
    assert!(decode("named", 1, b"{}").is_err());
    assert!(decode("named", 1, br#"{"id":-1,"list":[]}"#).is_err());
    let newer = br#"{"id":1,"list":[],"more":true}"#;
    assert!(
        decode("named", 1, newer).unwrap().is_some(),
        "an added field is no harm"
    );
}
