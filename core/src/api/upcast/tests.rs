//! Steps against a naive reading of them: what is a mistake, and what an event becomes.

use super::check::check_steps;
use super::read::{Reading, Steps, StoredEvent};
use super::step::{Parts, Step, TypeRef};
use super::{EventReader, EventType, Mistake, Upcasters};
use crate::api::{CodecError, Event, Fields, RawEvent, Value};
use crate::format::Codec;
use crate::id::Version;
use crate::log::FoldError;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

const NAMES: [&str; 3] = ["a", "b", "c"];
const SCHEMAS: u16 = 3;

fn all_types() -> Vec<TypeRef> {
    let names = NAMES.into_iter();
    names
        .flat_map(|name| (1..=SCHEMAS).map(move |schema| (name, schema)))
        .collect()
}

/// A step that gives one event of each type that it leads to, with the way so far.
fn walking(from: TypeRef, to: &[TypeRef]) -> Step {
    let targets = to.to_vec();
    let run = move |codec: Codec, data: &[u8], parts: &mut Parts<'_>| {
        let mut way: Vec<String> = codec.decode(data).unwrap();
        way.push(EventType::from(from).to_string());
        for to in &targets {
            parts.fields(*to, &way);
        }
    };
    Step {
        from,
        to: to.to_vec(),
        run: Arc::new(run),
    }
}

fn any_type() -> impl Strategy<Value = TypeRef> {
    proptest::sample::select(all_types())
}

/// Few steps, so that some sets have no mistake, and what is current.
fn any_graph() -> impl Strategy<Value = (Vec<(TypeRef, Vec<TypeRef>)>, Vec<TypeRef>)> {
    let step = (any_type(), prop::collection::vec(any_type(), 0..3));
    let types = all_types();
    let count = types.len();
    (
        prop::collection::vec(step, 0..6),
        subsequence(types, 0..count),
    )
}

/// Steps that lead on in the order of types, at most one from each; the rest is current.
fn sound_graph() -> impl Strategy<Value = (Vec<(TypeRef, Vec<TypeRef>)>, Vec<TypeRef>)> {
    let types = all_types();
    let last = types.len() - 1;
    let step = move |from: usize| {
        let to = prop::collection::vec(from + 1..=last, 0..3);
        to.prop_map(move |to| (from, to))
    };
    let steps = subsequence((0..last).collect::<Vec<_>>(), 0..last);
    let steps = steps.prop_flat_map(move |from| from.into_iter().map(step).collect::<Vec<_>>());
    steps.prop_map(move |steps| {
        let current = (0..=last).filter(|i| steps.iter().all(|(from, _)| from != i));
        let current = current.map(|i| types[i]).collect();
        let name = |(from, to): &(usize, Vec<usize>)| {
            (types[*from], to.iter().map(|to| types[*to]).collect())
        };
        (steps.iter().map(name).collect(), current)
    })
}

/// The mistakes, found by trying everything.
fn naive(steps: &[(TypeRef, Vec<TypeRef>)], current: &[TypeRef]) -> BTreeSet<String> {
    let types = all_types();
    let edge =
        |a: TypeRef, b: TypeRef| steps.iter().any(|(from, to)| *from == a && to.contains(&b));
    let begins = |a: TypeRef| steps.iter().filter(|(from, _)| *from == a).count();
    let mut reach: Vec<Vec<bool>> = types
        .iter()
        .map(|a| types.iter().map(|b| edge(*a, *b)).collect())
        .collect();
    for k in 0..types.len() {
        for i in 0..types.len() {
            for j in 0..types.len() {
                reach[i][j] |= reach[i][k] && reach[k][j];
            }
        }
    }
    let mut found = BTreeSet::new();
    for (i, a) in types.iter().enumerate() {
        if begins(*a) > 1 {
            found.insert(format!("duplicate {a:?}"));
        }
        if begins(*a) > 0 && current.contains(a) {
            found.insert(format!("shadowed {a:?}"));
        }
        if reach[i][i] {
            let group: Vec<_> = (0..types.len())
                .filter(|j| reach[i][*j] && reach[*j][i])
                .map(|j| types[j])
                .collect();
            found.insert(format!("cycle {group:?}"));
        }
        for b in &types {
            if edge(*a, *b) && begins(*b) == 0 && !current.contains(b) {
                found.insert(format!("gap {a:?} {b:?}"));
            }
            if edge(*a, *b) && a.0 == b.0 && b.1 < a.1 {
                found.insert(format!("backward {a:?} {b:?}"));
            }
        }
    }
    found
}

fn plain(of: &EventType) -> (&str, u16) {
    (&of.name, of.schema)
}

fn in_short(mistake: &Mistake) -> String {
    match mistake {
        Mistake::Gap { from, to, .. } => format!("gap {:?} {:?}", plain(from), plain(to)),
        Mistake::Cycle { types } => {
            let types: Vec<_> = types.iter().map(plain).collect();
            format!("cycle {types:?}")
        }
        Mistake::Duplicate { from, .. } => format!("duplicate {:?}", plain(from)),
        Mistake::Shadowed { from } => format!("shadowed {:?}", plain(from)),
        Mistake::Backward { from, to } => format!("backward {:?} {:?}", plain(from), plain(to)),
    }
}

thread_local! {
    /// What is current in the case at hand.
    static CURRENT: RefCell<Vec<TypeRef>> = const { RefCell::new(Vec::new()) };
}

/// An event of whatever type is current: the way that it came.
#[derive(Debug, PartialEq)]
struct Arrived {
    of: TypeRef,
    way: Vec<String>,
}

impl Event for Arrived {
    const TYPES: &'static [(&'static str, u16)] = &[];

    fn name(&self) -> &'static str {
        self.of.0
    }

    fn schema(&self) -> u16 {
        self.of.1
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        codec.encode(&self.way)
    }

    fn decode(
        name: &str,
        schema: u16,
        codec: Codec,
        data: &[u8],
    ) -> Result<Option<Self>, CodecError> {
        let of = CURRENT.with_borrow(|all| all.iter().copied().find(|of| *of == (name, schema)));
        let arrived = |of| codec.decode(data).map(|way| Self { of, way });
        of.map(arrived).transpose()
    }
}

/// What an event becomes, by the book.
fn becomes(
    of: TypeRef,
    way: &[String],
    steps: &[(TypeRef, Vec<TypeRef>)],
    current: &[TypeRef],
) -> Vec<Arrived> {
    if current.contains(&of) {
        let way = way.to_vec();
        return vec![Arrived { of, way }];
    }
    let (_, to) = steps.iter().find(|(from, _)| *from == of).expect("no gap");
    let mut way = way.to_vec();
    way.push(EventType::from(of).to_string());
    to.iter()
        .flat_map(|to| becomes(*to, &way, steps, current))
        .collect()
}

fn steps_of(graph: &[(TypeRef, Vec<TypeRef>)]) -> Vec<Step> {
    graph.iter().map(|(from, to)| walking(*from, to)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_mistake_is_found_and_no_other((graph, current) in any_graph()) {
        let found = match check_steps(&steps_of(&graph), &current, "E", "kind k".into()) {
            Ok(()) => BTreeSet::new(),
            Err(error) => {
                let lines = error.to_string().lines().count();
                prop_assert_eq!(lines, error.mistakes().len() + 1);
                error.mistakes().iter().map(in_short).collect()
            }
        };
        prop_assert_eq!(found, naive(&graph, &current));
    }

    #[test]
    fn the_order_of_steps_means_nothing(
        (graph, current, shuffled) in any_graph().prop_flat_map(|(graph, current)| {
            (Just(graph.clone()), Just(current), Just(graph).prop_shuffle())
        }),
    ) {
        let check = |graph| check_steps(&steps_of(graph), &current, "E", "kind k".into());
        prop_assert_eq!(check(&graph), check(&shuffled));
    }

    #[test]
    fn what_has_no_mistakes_reads_everything_to_its_end((graph, current) in sound_graph()) {
        prop_assert_eq!(naive(&graph, &current), BTreeSet::new());
        prop_assert!(check_steps(&steps_of(&graph), &current, "E", "kind k".into()).is_ok());
        CURRENT.set(current.clone());
        let steps = Steps::trusted(steps_of(&graph));
        for of in all_types() {
            let known = current.contains(&of) || graph.iter().any(|(from, _)| *from == of);
            let data = Codec::Json.encode(&["begin"]).unwrap();
            let stored = StoredEvent { name: of.0, schema: of.1, version: Version(1), data: &data };
            match steps.read::<Arrived>(Codec::Json, stored).unwrap() {
                Reading::Known(events) => {
                    let way = ["begin".to_owned()];
                    let events: Vec<_> = events.collect();
                    prop_assert_eq!(events, becomes(of, &way, &graph, &current));
                }
                Reading::Unknown(unknown) => {
                    prop_assert!(!known);
                    prop_assert_eq!(plain(&unknown), of);
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, tenure_macros::Event)]
#[event(crate = "crate::api")]
enum Counted {
    #[event(name = "counted", version = 3)]
    Counted { by: u64, why: Option<String> },
    #[event(name = "reset", version = 1)]
    Reset,
}

fn read(
    upcasters: Upcasters,
    codec: Codec,
    event: RawEvent,
) -> Result<Option<Vec<Counted>>, FoldError> {
    EventReader::new(upcasters).unwrap().read(codec, &event)
}

fn by(codec: Codec, name: &str, schema: u16, by: &str) -> RawEvent {
    let fields: Fields = [("by", by)].into_iter().collect();
    RawEvent::new(name, schema, codec.encode(&fields).unwrap()).at(Version(7))
}

/// From text to number, and only then into the present.
fn chain() -> Upcasters {
    Upcasters::none()
        .try_step(("counted", 1), ("counted", 2), |mut old: Fields| {
            let Some(Value::Text(text)) = old.get("by") else {
                return Err("by is no text".to_owned());
            };
            let by: u64 = text.parse().map_err(|e| format!("by: {e}"))?;
            assert!(by != 13, "thirteen");
            old.set("by", by);
            Ok(old)
        })
        .split(
            ("counted", 2),
            [("counted", 3), ("reset", 1)],
            |old: Fields, parts| {
                let Some(Value::Integer(by)) = old.get("by").cloned() else {
                    return parts.fail("by is no integer");
                };
                if by == 0 {
                    parts.event(&Counted::Reset);
                }
                parts.fields(("counted", 3), &old);
                if by == 99 {
                    parts.fields(("counted", 2), &old);
                }
            },
        )
        .rename(("tallied", 1), ("counted", 1))
        .dropped(("audited", 1))
}

#[test]
fn a_chain_ends_in_current_events() {
    for codec in [Codec::Cbor, Codec::Json] {
        let counted = |by| Counted::Counted { by, why: None };
        let events = read(chain(), codec, by(codec, "tallied", 1, "5"));
        assert_eq!(events.unwrap(), Some(vec![counted(5)]), "{codec:?}");
        let events = read(chain(), codec, by(codec, "counted", 1, "0"));
        assert_eq!(events.unwrap(), Some(vec![Counted::Reset, counted(0)]));
        let events = read(chain(), codec, by(codec, "audited", 1, "x"));
        assert_eq!(events.unwrap(), Some(vec![]));
        let events = read(chain(), codec, by(codec, "counted", 4, "x"));
        assert_eq!(events.unwrap(), None);
    }
}

#[test]
fn a_step_that_fails_is_named_with_its_cause() {
    let cause = |text: &str| {
        let error = read(chain(), Codec::Json, by(Codec::Json, "tallied", 1, text)).unwrap_err();
        let told = error.to_string();
        let FoldError::Upcast {
            name,
            schema,
            version,
            step,
            cause,
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!((name.as_str(), schema, version), ("tallied", 1, Version(7)));
        assert!(told.contains(&step) && told.contains(&cause), "{told}");
        (step, cause)
    };
    let first = "\"counted\" version 1 to \"counted\" version 2".to_owned();
    let second = "\"counted\" version 2 to \"counted\" version 3 or \"reset\" version 1".to_owned();
    let digit = "by: invalid digit found in string".to_owned();
    assert_eq!(cause("x"), (first.clone(), digit));
    assert_eq!(cause("13"), (first, "it panicked: thirteen".to_owned()));
    let undeclared = "it gave \"counted\" version 2, to which it is not said to lead";
    assert_eq!(cause("99"), (second, undeclared.to_owned()));
}

#[test]
fn what_a_step_takes_and_gives_has_to_fit() {
    let text = |upcasters: Upcasters| {
        let event = by(Codec::Cbor, "counted", 2, "x");
        read(upcasters, Codec::Cbor, event).unwrap_err().to_string()
    };
    let took = text(Upcasters::none().step(("counted", 2), ("reset", 1), |n: u64| n));
    assert!(took.contains("its fields do not fit"), "{took}");
    let gave = text(Upcasters::none().rename(("counted", 2), ("counted", 3)));
    assert!(
        gave.contains("it gave \"counted\" version 3, which cannot be decoded"),
        "{gave}"
    );
    let named =
        text(Upcasters::none().step(("counted", 2), ("counted", 3), |_: Fields| Unencodable));
    assert!(
        named.contains("\"counted\" version 3 cannot be encoded: out of order"),
        "{named}"
    );
}

struct Unencodable;

impl serde::Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("out of order"))
    }
}

#[test]
fn one_event_does_not_take_steps_without_end() {
    let names: [&'static str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    let mut upcasters = Upcasters::none();
    for pair in names.windows(2) {
        let to = (pair[1], 1);
        upcasters = upcasters.split((pair[0], 1), [to], move |old: Value, parts| {
            parts.fields(to, &old);
            parts.fields(to, &old);
        });
    }
    let upcasters = upcasters.dropped(("11", 1));
    let event = RawEvent::new("0", 1, &b"null"[..]);
    let error = read(upcasters, Codec::Json, event).unwrap_err();
    assert!(
        error.to_string().contains("more than 1024 steps"),
        "{error}"
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let upcasters = Upcasters::none()
        .rename(("counted", 1), ("counted", 2))
        .rename(("tallied", 2), ("tallied", 1))
        .rename(("tallied", 1), ("counted", 3))
        .rename(("tallied", 1), ("reset", 1))
        .dropped(("reset", 1))
        .rename(("x", 1), ("y", 1))
        .rename(("y", 1), ("x", 1))
        .rename(("z", 1), ("z", 1));
    let error = EventReader::<Counted>::new(upcasters).unwrap_err();
    insta::assert_snapshot!("mistakes", error);
}
