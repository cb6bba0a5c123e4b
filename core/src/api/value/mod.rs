//! Values without a type of their own: what an event's fields are, whichever codec wrote them.

mod codec;

use super::CodecError;
use crate::format::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any value that CBOR and JSON have in common, for code that does not want a type for it: an
/// [upcaster's step](super::Upcasters::step) from a type that is gone, perhaps.
///
/// It is a serde type like any other. What it cannot hold exactly, it refuses: integers beyond
/// `i128`, CBOR's tagged values, and in JSON numbers of 2^64 and above (or of −2^63 and below), of
/// which nobody can tell there whether they were integers. A typed step takes those.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// An integer.
    Integer(i128),
    /// A number that is no integer.
    Float(f64),
    /// Bytes. JSON has none: there they are a list of integers.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// Values in an order.
    List(Vec<Value>),
    /// Values by keys, in the order in which they were written.
    Map(Vec<(Value, Value)>),
}

/// The named fields of an event without a type of its own, in the order in which they were written.
///
/// ```
/// use tenure_core::api::{Fields, Value};
///
/// let mut fields = Fields::new();
/// fields.set("amount", 100);
/// fields.rename("amount", "cents");
/// fields.set("currency", "EUR");
/// assert_eq!(fields.get("cents"), Some(&Value::Integer(100)));
/// assert_eq!(fields.remove("currency"), Some(Value::from("EUR")));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// No field.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Gives a field a value, whether it was there or not.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// The same with one more field, or another value of it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(index).1)
    }

    /// Gives a field another name, in its place; one that had that name before is replaced. Without
    /// such a field nothing happens, and the answer is `false`.
    pub fn rename(&mut self, from: &str, to: impl Into<String>) -> bool {
        let to = to.into();
        if from == to {
            return self.get(from).is_some();
        }
        if self.get(from).is_none() {
            return false;
        }
        self.0.retain(|(name, _)| *name != to);
        for (name, _) in &mut self.0 {
            if name == from {
                name.clone_from(&to);
            }
        }
        true
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut all = Self::new();
        for (name, value) in fields {
            all.set(name, value);
        }
        all
    }
}

impl Value {
    /// The value of a serde type.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded, or has what a `Value` cannot hold.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, CodecError> {
        Codec::Cbor.decode(&Codec::Cbor.encode(value)?)
    }

    /// The value as a serde type.
    ///
    /// # Errors
    ///
    /// When the type expects something else.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        Codec::Cbor.decode(&Codec::Cbor.encode(self)?)
    }
}

macro_rules! from {
    ($($of:ty => $variant:ident),* $(,)?) => { $(
        impl From<$of> for Value {
            fn from(value: $of) -> Self {
                Self::$variant(value.into())
            }
        }
    )* };
}
from! {
    bool => Bool, u8 => Integer, u16 => Integer, u32 => Integer, u64 => Integer,
    i8 => Integer, i16 => Integer, i32 => Integer, i64 => Integer, i128 => Integer,
    f32 => Float, f64 => Float, &str => Text, String => Text, Vec<u8> => Bytes, Vec<Value> => List,
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Value};
    use crate::format::Codec;

    fn all() -> Value {
        let entry = |key: &str, value: Value| (Value::from(key), value);
        Value::Map(vec![
            entry("null", Value::Null),
            entry("bool", true.into()),
            entry("least", i64::MIN.into()),
            entry("most", u64::MAX.into()),
            entry("float", 31.245_270_191_439_438.into()),
            entry("text", "ü\n".into()),
            entry("list", vec![Value::from(1), Value::from("x")].into()),
            entry("map", Value::Map(vec![entry("in", 7.into())])),
        ])
    }

    #[test]
    fn values_survive_both_codecs_in_their_order() {
        for codec in [Codec::Cbor, Codec::Json] {
            let bytes = codec.encode(&all()).unwrap();
            assert_eq!(codec.decode::<Value>(&bytes), Ok(all()), "{codec:?}");
            let fields: Fields = codec.decode(&bytes).unwrap();
            assert_eq!(codec.encode(&fields).unwrap(), bytes, "{codec:?}");
        }
    }

    #[test]
    fn cbor_has_bytes_other_keys_and_larger_integers() {
        let value = Value::Map(vec![
            (Value::from(7), Value::Bytes(vec![1, 2])),
            (Value::Null, Value::Integer(i128::MAX)),
            (Value::from("x"), Value::Integer(i128::MIN)),
        ]);
        assert_eq!(Value::of(&value), Ok(value.clone()));
        let error = Codec::Cbor.decode::<Fields>(&Codec::Cbor.encode(&value).unwrap());
        assert!(error.is_err(), "{error:?}");
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        for (codec, bytes) in [
            (Codec::Cbor, Codec::Cbor.encode(&u128::MAX).unwrap()),
            (Codec::Json, Codec::Json.encode(&u128::MAX).unwrap()),
            (Codec::Json, Codec::Json.encode(&i128::MIN).unwrap()),
        ] {
            let error = codec.decode::<Value>(&bytes).unwrap_err().to_string();
            assert!(error.contains("needs a step with types"), "{error}");
        }
        let twice = Codec::Json.decode::<Fields>(br#"{"a":1,"a":2}"#);
        assert!(twice.unwrap_err().to_string().contains("two fields"));
    }

    #[test]
    fn a_renamed_field_keeps_its_place_and_replaces_its_namesake() {
        let mut fields: Fields = [("a", 1), ("b", 2), ("c", 3)].into_iter().collect();
        assert!(fields.rename("a", "c"));
        assert!(!fields.rename("a", "d"));
        assert_eq!(fields, [("c", 1), ("b", 2)].into_iter().collect());
        assert_eq!(Value::of(&fields).unwrap().to::<Fields>(), Ok(fields));
    }
}
