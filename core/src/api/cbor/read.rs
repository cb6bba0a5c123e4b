//! Values out of CBOR.

use super::{ARRAY, BREAK, BYTES, F16, F32, F64, FALSE, MAP, NEGATIVE, NULL, OPEN, TAGGED, TEXT};
use super::{TRUE, UINT, UNDEFINED, Unusual};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

/// As deep as `ciborium` goes into a value.
const DEPTH_MAX: u16 = 256;

/// Beyond this `ciborium` makes a longer text or longer bytes an owned value, or refuses them.
const BORROWED_MAX: usize = 4_096;

/// Reads a value, which takes all of the bytes.
pub(in crate::api) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unusual> {
    let mut source = Source {
        rest: bytes,
        depth: DEPTH_MAX,
    };
    let value = T::deserialize(&mut source)?;
    match source.rest {
        [] => Ok(value),
        _ => Err(Unusual),
    }
}

/// What is to be read.
struct Source<'b> {
    rest: &'b [u8],
    /// How much deeper it may go.
    depth: u16,
}

impl<'b> Source<'b> {
    /// Whether a byte comes next; it is passed then.
    #[inline]
    fn passes(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn passes_null(&mut self) -> bool {
        self.passes(NULL) || self.passes(UNDEFINED)
    }

    /// The kind of what comes next, and its count or number.
    #[inline]
    fn head(&mut self) -> Result<(u8, u64), Unusual> {
        let (first, rest) = self.rest.split_first().ok_or(Unusual)?;
        let kind = first >> 5;
        if let short @ 0..24 = first & 0x1F {
            self.rest = rest;
            return Ok((kind, short.into()));
        }
        let number = self.longer_head(first & 0x1F, rest)?;
        Ok((kind, number))
    }

    fn longer_head(&mut self, form: u8, rest: &'b [u8]) -> Result<u64, Unusual> {
        fn taken<const N: usize>(rest: &[u8]) -> Result<([u8; N], &[u8]), Unusual> {
            let (number, rest) = rest.split_first_chunk().ok_or(Unusual)?;
            Ok((*number, rest))
        }
        let (number, rest): (u64, _) = match form {
            24 => taken(rest).map(|([number], rest)| (number.into(), rest)),
            25 => taken(rest).map(|(number, rest)| (u16::from_be_bytes(number).into(), rest)),
            26 => taken(rest).map(|(number, rest)| (u32::from_be_bytes(number).into(), rest)),
            27 => taken(rest).map(|(number, rest)| (u64::from_be_bytes(number), rest)),
            _ => Err(Unusual),
        }?;
        self.rest = rest;
        Ok(number)
    }

    /// The count of something of a kind.
    #[inline]
    fn count(&mut self, of: u8) -> Result<usize, Unusual> {
        let (kind, count) = self.head()?;
        if kind == of {
            usize::try_from(count).map_err(|_| Unusual)
        } else {
            Err(Unusual)
        }
    }

    /// The count of the values of a list or map; `None`: a `BREAK` ends it.
    #[inline]
    fn open_count(&mut self, of: u8) -> Result<Option<usize>, Unusual> {
        if self.passes(of << 5 | OPEN) {
            return Ok(None);
        }
        self.count(of).map(Some)
    }

    /// The bytes of a text or of bytes.
    #[inline]
    fn run(&mut self, of: u8) -> Result<&'b [u8], Unusual> {
        let len = self.count(of)?;
        let (run, rest) = self.rest.split_at_checked(len).ok_or(Unusual)?;
        self.rest = rest;
        Ok(run)
    }

    /// The same, if they are not long.
    #[inline]
    fn short_run(&mut self, of: u8) -> Result<&'b [u8], Unusual> {
        let run = self.run(of)?;
        if run.len() <= BORROWED_MAX {
            Ok(run)
        } else {
            Err(Unusual)
        }
    }

    /// Reads what is a level deeper.
    #[inline]
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unusual>,
    ) -> Result<T, Unusual> {
        self.depth = self.depth.checked_sub(1).ok_or(Unusual)?;
        let value = read(self);
        self.depth += 1;
        value
    }

    /// Reads the values of a list.
    #[inline]
    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        let left = self.open_count(ARRAY)?;
        self.deeper(|source| visitor.visit_seq(Several { source, left }))
    }
}

/// A text.
#[inline]
fn text(bytes: &[u8]) -> Result<&str, Unusual> {
    str::from_utf8(bytes).map_err(|_| Unusual)
}

macro_rules! as_numbers {
    ($($read:ident by $as:ident)+) => { $(
        #[inline]
        fn $read<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
            self.$as(visitor)
        }
    )+ };
}

impl<'de> de::Deserializer<'de> for &mut Source<'_> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let before = self.rest;
        let first = *before.first().ok_or(Unusual)?;
        match first {
            FALSE | TRUE => return self.deserialize_bool(visitor),
            NULL | UNDEFINED => return self.deserialize_option(visitor),
            F16 | F32 | F64 => return self.deserialize_f64(visitor),
            _ => {}
        }
        match first >> 5 {
            UINT => self.deserialize_u64(visitor),
            NEGATIVE => {
                let (_, number) = self.head()?;
                self.rest = before;
                match i64::try_from(number) {
                    Ok(_) => self.deserialize_i64(visitor),
                    Err(_) => self.deserialize_i128(visitor),
                }
            }
            BYTES => match self.run(BYTES)? {
                run if run.len() <= BORROWED_MAX => visitor.visit_bytes(run),
                run => visitor.visit_byte_buf(run.to_vec()),
            },
            TEXT => match text(self.run(TEXT)?)? {
                text if text.len() <= BORROWED_MAX => visitor.visit_str(text),
                text => visitor.visit_string(text.to_owned()),
            },
            ARRAY => self.deserialize_seq(visitor),
            MAP => self.deserialize_map(visitor),
            _ => Err(Unusual),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes(FALSE) {
            visitor.visit_bool(false)
        } else if self.passes(TRUE) {
            visitor.visit_bool(true)
        } else {
            Err(Unusual)
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let (kind, number) = self.head()?;
        let number = i64::try_from(number).map_err(|_| Unusual)?;
        match kind {
            UINT => visitor.visit_i64(number),
            NEGATIVE => visitor.visit_i64(!number),
            _ => Err(Unusual),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_i128(number.into()),
            (NEGATIVE, number) => visitor.visit_i128(!i128::from(number)),
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_u64(number),
            _ => Err(Unusual),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_u128(number.into()),
            _ => Err(Unusual),
        }
    }

    as_numbers! {
        deserialize_i8 by deserialize_i64
        deserialize_i16 by deserialize_i64
        deserialize_i32 by deserialize_i64
        deserialize_u8 by deserialize_u64
        deserialize_u16 by deserialize_u64
        deserialize_u32 by deserialize_u64
        deserialize_f32 by deserialize_f64
    }

    /// Of as few bytes as hold it, which is `ciborium`'s part.
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(&(F16 | F32 | F64)) => {
                let number = ciborium::from_reader_with_buffer(&mut self.rest, &mut []);
                visitor.visit_f64(number.map_err(|_| Unusual)?)
            }
            Some(_) | None => Err(Unusual),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let mut chars = text(self.run(TEXT)?)?.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => visitor.visit_char(one),
            (_, _) => Err(Unusual),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_str(text(self.short_run(TEXT)?)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_string(text(self.run(TEXT)?)?.to_owned())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == ARRAY => self.list(visitor),
            Some(_) | None => visitor.visit_bytes(self.short_run(BYTES)?),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == ARRAY => self.list(visitor),
            Some(_) | None => visitor.visit_byte_buf(self.run(BYTES)?.to_vec()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes_null() {
            visitor.visit_unit()
        } else {
            Err(Unusual)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unusual> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.list(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let left = self.open_count(MAP)?;
        self.deeper(|source| visitor.visit_map(Several { source, left }))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        let is_text = self.rest.first().is_some_and(|first| first >> 5 == TEXT);
        if name == TAGGED || !(is_text || self.count(MAP)? == 1) {
            return Err(Unusual);
        }
        let left = Some(0);
        self.deeper(|source| visitor.visit_enum(Several { source, left }))
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == BYTES => visitor.visit_bytes(self.short_run(BYTES)?),
            Some(_) | None => self.deserialize_str(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The values of a list or map, or of one variant of an enum. Those that nobody asks for are not passed,
/// as by `ciborium`.
struct Several<'s, 'b> {
    source: &'s mut Source<'b>,
    /// How many there are; `None`: until a `BREAK`.
    left: Option<usize>,
}

impl Several<'_, '_> {
    #[inline]
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unusual> {
        match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None if self.source.passes(BREAK) => return Ok(None),
            None => {}
        }
        seed.deserialize(&mut *self.source).map(Some)
    }
}

impl<'de> de::SeqAccess<'de> for Several<'_, '_> {
    type Error = Unusual;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unusual> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> de::MapAccess<'de> for Several<'_, '_> {
    type Error = Unusual;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unusual> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unusual> {
        seed.deserialize(&mut *self.source)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> de::EnumAccess<'de> for Several<'_, '_> {
    type Error = Unusual;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Unusual> {
        let variant = seed.deserialize(&mut *self.source)?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Several<'_, '_> {
    type Error = Unusual;

    fn unit_variant(self) -> Result<(), Unusual> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unusual> {
        seed.deserialize(self.source)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unusual> {
        de::Deserializer::deserialize_any(self.source, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        de::Deserializer::deserialize_any(self.source, visitor)
    }
}
