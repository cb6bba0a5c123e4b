//! What is written and read here is what `ciborium` writes and reads.

use super::{read, write};
use crate::format::Codec;
use ciborium::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u8, i16);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(u64),
    Two(i64, String),
    Named {
        left: Option<Box<Choice>>,
        right: f64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    List(Vec<Untagged>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    first: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct All {
    yes: bool,
    small: i8,
    number: u64,
    negative: i64,
    large: u128,
    wide: i128,
    short: f32,
    long: f64,
    letter: char,
    text: String,
    bytes: bytes::Bytes,
    unit: Option<Unit>,
    nothing: (),
    pair: Option<Pair>,
    wrapped: Option<Wrapped>,
    choices: Vec<Choice>,
    untagged: Option<Untagged>,
    rest: Option<Rest>,
    map: BTreeMap<i32, Option<char>>,
}

/// Whatever cannot be read is none, and its own code goes on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lenient<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(source).ok()))
    }
}

/// A list of what can be read of one.
#[derive(Debug, PartialEq)]
struct Readable(Vec<u64>);

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_seq(ReadableVisitor)
    }
}

struct ReadableVisitor;

impl<'de> Visitor<'de> for ReadableVisitor {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Readable, A::Error> {
        let mut read = Vec::new();
        loop {
            match list.next_element() {
                Ok(Some(one)) => read.push(one),
                Ok(None) => return Ok(Readable(read)),
                Err(_) => {}
            }
        }
    }
}

/// It is there without a byte.
#[derive(Debug)]
struct Free;

impl<'de> Deserialize<'de> for Free {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// As [`crate::format::Codec`] has `ciborium` read.
fn theirs<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = ciborium::from_reader_with_buffer(&mut rest, &mut [0; 4_096]).ok()?;
    rest.is_empty().then_some(value)
}

fn written<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// Writes and reads a value both ways.
fn same<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let bytes = written(value);
    let mut ours = Vec::new();
    if write(value, &mut ours).is_ok() {
        assert_eq!(ours, bytes, "{value:?}");
    }
    same_read::<T>(&bytes);
}

/// What is read here at all is what they read. (NaN is equal to nothing, so texts are compared.)
fn same_read<T: DeserializeOwned + Debug>(bytes: &[u8]) {
    if let Ok(value) = read::<T>(bytes) {
        let theirs = theirs::<T>(bytes);
        assert_eq!(format!("{:?}", Some(value)), format!("{theirs:?}"));
    }
}

fn ours<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(value, &mut bytes).unwrap();
    bytes
}

/// A byte of numbers, tags, floats, lists and ends.
fn lenient_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        0..26_u8,
        Just(0x61_u8),
        Just(0x81),
        Just(0x9F),
        Just(0xA1),
        Just(0xC1),
        0xF4..0xFC_u8,
        Just(0xFF),
    ]
}

/// Reads values whose code goes on after an error.
fn same_lenient(bytes: &[u8]) {
    fn same<T: DeserializeOwned + Debug>(bytes: &[u8]) {
        same_read::<T>(bytes);
        let read = Codec::Cbor.decode::<T>(bytes).ok();
        assert_eq!(format!("{read:?}"), format!("{:?}", theirs::<T>(bytes)));
    }
    same::<Vec<Lenient<f64>>>(bytes);
    same::<Vec<Lenient<bool>>>(bytes);
    same::<Vec<Lenient<u64>>>(bytes);
    same::<Vec<Lenient<Choice>>>(bytes);
    same::<Vec<Lenient<(u8, String)>>>(bytes);
    same::<BTreeMap<u64, Lenient<f64>>>(bytes);
    same::<BTreeMap<Lenient<u8>, u64>>(bytes);
    same::<BTreeMap<u64, Lenient<Vec<Lenient<bool>>>>>(bytes);
}

fn usual<T: Serialize + DeserializeOwned + Debug>(value: T) {
    let mut bytes = Vec::new();
    write(&value, &mut bytes).unwrap();
    assert!(read::<T>(&bytes).is_ok(), "{value:?}");
    same(&value);
}

fn choice() -> impl Strategy<Value = Choice> {
    let leaf = prop_oneof![
        Just(Choice::Nothing),
        any::<u64>().prop_map(Choice::One),
        any::<(i64, String)>().prop_map(|(number, text)| Choice::Two(number, text)),
    ];
    leaf.prop_recursive(4, 16, 1, |inner| {
        (proptest::option::of(inner.prop_map(Box::new)), any::<f64>())
            .prop_map(|(left, right)| Choice::Named { left, right })
    })
}

prop_compose! {
    fn all()(
        (yes, small, number, negative) in any::<(bool, i8, u64, i64)>(),
        (large, wide) in (any::<u64>(), any::<i64>()),
        (short, long, letter, text) in any::<(f32, f64, char, String)>(),
        payload in vec(any::<u8>(), 0..300),
        (pair, wrapped) in (any::<Option<(u8, i16)>>(), any::<Option<String>>()),
        choices in vec(choice(), 0..4),
        list in vec(any::<i64>(), 0..30),
        (first, rest) in any::<(bool, BTreeMap<String, i32>)>(),
        map in any::<BTreeMap<i32, Option<char>>>(),
    ) -> All {
        let list = list.into_iter().map(Untagged::Number).collect();
        All {
            yes, small, number, negative,
            large: large.into(),
            wide: wide.into(),
            short, long, letter, text,
            bytes: payload.into(),
            unit: yes.then_some(Unit),
            nothing: (),
            pair: pair.map(|(one, other)| Pair(one, other)),
            wrapped: wrapped.map(Wrapped),
            choices,
            untagged: Some(Untagged::List(list)),
            rest: Some(Rest { first, rest }),
            map,
        }
    }
}

proptest! {
    #[test]
    fn what_is_usual_is_written_and_read_as_by_ciborium(value in all()) {
        usual(value);
    }

    #[test]
    fn what_was_changed_on_its_way_is_read_as_by_ciborium_or_left_to_it(
        value in all(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = written(&value);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        same_read::<All>(&bytes);
        same_read::<Value>(&bytes);
    }

    #[test]
    fn large_numbers_are_written_as_by_ciborium(
        large in any::<u128>(),
        wide in any::<i128>(),
        shift in 0..128_u32,
    ) {
        for number in [large, large >> shift] {
            prop_assert_eq!(ours(&number), written(&number));
        }
        for number in [wide, wide >> shift] {
            prop_assert_eq!(ours(&number), written(&number));
        }
    }

    #[test]
    fn what_goes_on_after_an_error_reads_what_ciborium_does(
        kind in prop_oneof![Just(0x9F_u8), Just(0xBF), 0x80..0x88_u8, 0xA0..0xA4_u8],
        rest in vec(lenient_byte(), 0..24),
    ) {
        let bytes = [vec![kind], rest].concat();
        same_lenient(&bytes);
    }

    #[test]
    fn any_bytes_are_read_as_by_ciborium_or_left_to_it(bytes in vec(any::<u8>(), 0..40)) {
        same_read::<Value>(&bytes);
        same_read::<Untagged>(&bytes);
        same_read::<Choice>(&bytes);
        same_read::<(i8, u128, Option<char>)>(&bytes);
        same_read::<Vec<Option<i128>>>(&bytes);
        same_read::<bytes::Bytes>(&bytes);
        same_read::<f32>(&bytes);
        same_read::<String>(&bytes);
    }
}

#[test]
fn the_ends_of_numbers_and_lengths() {
    for number in [
        0,
        1,
        23,
        24,
        255,
        256,
        65_535,
        65_536,
        u64::from(u32::MAX),
        u64::MAX,
    ] {
        usual(number);
        usual(number.cast_signed());
        usual(number.cast_signed().wrapping_neg());
        usual(-i128::from(number));
    }
    let past = u128::from(u64::MAX) + 1;
    for number in [past - 1, past, u128::MAX >> 1, u128::MAX] {
        same(&number);
        assert_eq!(ours(&number), written(&number));
    }
    for number in [
        i128::MIN,
        -(past.cast_signed()),
        -(past.cast_signed()) - 1,
        i128::MAX,
    ] {
        same(&number);
        assert_eq!(ours(&number), written(&number));
    }
    for len in [0, 23, 24, 255, 256, 4_095, 4_096, 4_097, 70_000] {
        usual("é".repeat(len));
        usual(vec![7_u8; len]);
        same(&Value::Text("x".repeat(len)));
        same(&Value::Bytes(vec![1; len]));
    }
    for number in [
        0.0,
        -0.0,
        1.5,
        0.1,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
        65_504.0,
        65_505.0,
    ] {
        usual(number);
        usual(number as f32);
    }
}

#[test]
fn what_is_rare_is_left_to_ciborium() {
    let mut out = Vec::new();
    let tagged = Value::Tag(7, Box::new(Value::Null));
    assert!(write(&tagged, &mut out).is_err());
    assert!(read::<Value>(&written(&tagged)).is_err());
    assert!(read::<u8>(&[1, 2]).is_err(), "something follows");
    // A list in lists, deeper than they go.
    let deep = |levels| [vec![0x81; levels], vec![0x80]].concat();
    assert!(read::<Value>(&deep(255)).is_ok() && theirs::<Value>(&deep(255)).is_some());
    assert!(read::<Value>(&deep(256)).is_err() && theirs::<Value>(&deep(256)).is_none());
}

/// A list whose own code goes on after an element that was not written.
struct Heedless(Vec<Value>);

impl Serialize for Heedless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in &self.0 {
            let _ = list.serialize_element(value);
        }
        list.end()
    }
}

#[test]
fn what_goes_on_after_something_rare_is_left_to_ciborium() {
    let number = |number: u8| Value::Integer(number.into());
    let heedless = Heedless(vec![
        number(1),
        Value::Tag(7, Box::new(number(2))),
        number(3),
    ]);
    assert!(write(&heedless, &mut Vec::new()).is_err());
    let encoded = Codec::Cbor.encode(&heedless).unwrap();
    assert_eq!(*encoded, [0x83, 1, 0xC7, 2, 3]);
}

#[test]
fn what_goes_on_after_an_error_comes_to_an_end() {
    let tagged = [0x83, 1, 0xC1, 2, 3];
    for bytes in [
        &[0x9F, 1, 0xFF][..],
        &[0x9F],
        &[0xBF],
        &[0xBF, 1, 5, 2, 6, 0xFF],
        &[0xBF, 1, 5, 2, 0xFB],
        &[0x9F, 0xA2, 1, 2, 0xFF],
        &tagged,
    ] {
        same_lenient(bytes);
    }
    let lenient = Codec::Cbor.decode::<Vec<Lenient<f64>>>(&[0x9F, 1, 0xFF]);
    assert_eq!(lenient.unwrap(), [Lenient(None)]);
    // With a tag they read the number, and nothing else than they do.
    let read = Codec::Cbor.decode::<Vec<Lenient<u64>>>(&tagged).unwrap();
    assert_eq!(read, [1, 2, 3].map(|one| Lenient(Some(one))));
    let read = Codec::Cbor.decode::<Readable>(&[0x83, 1, 0xF4, 3]);
    assert_eq!(read.unwrap(), Readable(vec![1, 3]));
}

#[test]
fn what_reads_nothing_comes_to_an_end() {
    for bytes in [&[0x9F][..], &[0x9F, 0x1C], &[0x9F, 1, 0xFF], &[0xBF]] {
        assert!(read::<Vec<Free>>(bytes).is_err());
    }
    assert!(Codec::Cbor.decode::<Vec<Free>>(&[0x9F]).is_err());
    assert!(Codec::Cbor.decode::<Vec<Free>>(&[0x9F, 0x1C]).is_err());
}
