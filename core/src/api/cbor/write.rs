//! Values as CBOR.

use super::Unusual;
use super::{
    ARRAY, BIG, BIG_NEGATIVE, BREAK, BYTES, FALSE, MAP, NEGATIVE, NULL, OPEN, TAG, TAGGED,
};
use super::{TEXT, TRUE, UINT};
use serde::ser::{self, Serialize};

/// Appends a value. What was appended of one that is [`Unusual`] is of no use, also where the value's own
/// code went on after that.
pub(in crate::api) fn write<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), Unusual> {
    let mut into = Out {
        bytes: core::mem::take(out),
        unusual: false,
    };
    let written = value.serialize(Writer(&mut into));
    *out = into.bytes;
    match into.unusual {
        true => Err(Unusual),
        false => written,
    }
}

type Written = Result<(), Unusual>;

/// What is written.
struct Out {
    bytes: Vec<u8>,
    /// Something within it is not written here.
    unusual: bool,
}

/// Writes one value.
struct Writer<'v>(&'v mut Out);

/// Writes the values of a list or map.
struct Several<'v> {
    out: &'v mut Out,
    /// Its length was not given.
    open: bool,
}

impl<'v> Writer<'v> {
    /// The shortest head of a kind with its count or number.
    #[inline]
    fn head(&mut self, kind: u8, number: u64) {
        let kind = kind << 5;
        match u8::try_from(number) {
            Ok(short @ 0..24) => self.0.bytes.push(kind | short),
            Ok(_) | Err(_) => self.longer_head(kind, number),
        }
    }

    fn longer_head(&mut self, kind: u8, number: u64) {
        let out = &mut self.0.bytes;
        if let Ok(number) = u8::try_from(number) {
            out.extend_from_slice(&[kind | 24, number]);
        } else if let Ok(number) = u16::try_from(number) {
            out.push(kind | 25);
            out.extend_from_slice(&number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            out.push(kind | 26);
            out.extend_from_slice(&number.to_be_bytes());
        } else {
            out.push(kind | 27);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// A number of more than 64 bits: bytes with a tag.
    fn big(&mut self, tag: u64, number: u128) {
        let number = number.to_be_bytes();
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let (_, number) = number.split_at(zeros);
        self.head(TAG, tag);
        self.head(BYTES, number.len() as u64);
        self.0.bytes.extend_from_slice(number);
    }

    #[inline]
    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.bytes.extend_from_slice(text.as_bytes());
    }

    /// The name of a variant, whose value comes next.
    fn variant(&mut self, variant: &str) {
        self.head(MAP, 1);
        self.text(variant);
    }

    /// The value is not written here, whatever becomes of this error.
    #[cold]
    fn unusual<T>(self) -> Result<T, Unusual> {
        self.0.unusual = true;
        Err(Unusual)
    }

    /// Begins a list or a map.
    #[inline]
    fn several(mut self, kind: u8, len: Option<usize>) -> Several<'v> {
        match len {
            Some(len) => self.head(kind, len as u64),
            None => self.0.bytes.push(kind << 5 | OPEN),
        }
        Several {
            out: self.0,
            open: len.is_none(),
        }
    }
}

impl<'v> ser::Serializer for Writer<'v> {
    type Ok = ();
    type Error = Unusual;
    type SerializeSeq = Several<'v>;
    type SerializeTuple = Several<'v>;
    type SerializeTupleStruct = Several<'v>;
    type SerializeTupleVariant = Several<'v>;
    type SerializeMap = Several<'v>;
    type SerializeStruct = Several<'v>;
    type SerializeStructVariant = Several<'v>;

    fn serialize_bool(self, value: bool) -> Written {
        self.0.bytes.push(if value { TRUE } else { FALSE });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(mut self, value: i64) -> Written {
        // −1 − n is written as n.
        match u64::try_from(value) {
            Ok(value) => self.head(UINT, value),
            Err(_) => self.head(NEGATIVE, !value.cast_unsigned()),
        }
        Ok(())
    }

    fn serialize_i128(mut self, value: i128) -> Written {
        let (kind, tag, number) = match u128::try_from(value) {
            Ok(value) => (UINT, BIG, value),
            Err(_) => (NEGATIVE, BIG_NEGATIVE, !value.cast_unsigned()),
        };
        match u64::try_from(number) {
            Ok(number) => self.head(kind, number),
            Err(_) => self.big(tag, number),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(mut self, value: u64) -> Written {
        self.head(UINT, value);
        Ok(())
    }

    fn serialize_u128(mut self, value: u128) -> Written {
        match u64::try_from(value) {
            Ok(value) => self.head(UINT, value),
            Err(_) => self.big(BIG, value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(value.into())
    }

    /// In as few bytes as hold it, which is `ciborium`'s part.
    fn serialize_f64(self, value: f64) -> Written {
        ciborium::into_writer(&value, &mut self.0.bytes).map_err(|_| Unusual)
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Written {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Written {
        self.head(BYTES, value.len() as u64);
        self.0.bytes.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Written {
        self.0.bytes.push(NULL);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        if name == TAGGED {
            return self.unusual();
        }
        self.variant(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Several<'v>, Unusual> {
        Ok(self.several(ARRAY, len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Several<'v>, Unusual> {
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Several<'v>, Unusual> {
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Several<'v>, Unusual> {
        if name == TAGGED {
            return self.unusual();
        }
        self.variant(variant);
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Several<'v>, Unusual> {
        Ok(self.several(MAP, len))
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Several<'v>, Unusual> {
        Ok(self.several(MAP, Some(len)))
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Several<'v>, Unusual> {
        self.variant(variant);
        Ok(self.several(MAP, Some(len)))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl Several<'_> {
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(Writer(self.out))
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        Writer(self.out).text(name);
        self.value(value)
    }

    #[inline]
    fn close(self) -> Written {
        if self.open {
            self.out.bytes.push(BREAK);
        }
        Ok(())
    }
}

macro_rules! several {
    ($(impl $of:ident { $($what:ident($($name:ident: $kind:ty)?) by $by:ident)+ })+) => { $(
        impl ser::$of for Several<'_> {
            type Ok = ();
            type Error = Unusual;
            $(
                #[inline]
                fn $what<T: Serialize + ?Sized>(
                    &mut self,
                    $($name: $kind,)?
                    value: &T,
                ) -> Written {
                    self.$by($($name,)? value)
                }
            )+

            #[inline]
            fn end(self) -> Written {
                self.close()
            }
        }
    )+ };
}
several! {
    impl SerializeSeq { serialize_element() by value }
    impl SerializeTuple { serialize_element() by value }
    impl SerializeTupleStruct { serialize_field() by value }
    impl SerializeTupleVariant { serialize_field() by value }
    impl SerializeMap { serialize_key() by value serialize_value() by value }
    impl SerializeStruct { serialize_field(name: &'static str) by field }
    impl SerializeStructVariant { serialize_field(name: &'static str) by field }
}
