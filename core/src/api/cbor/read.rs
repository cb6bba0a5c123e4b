//! Values out of CBOR.

mod several;

use super::{ARRAY, BYTES, F16, F32, F64, FALSE, MAP, NEGATIVE, NULL, OPEN, TAGGED, TEXT};
use super::{TRUE, UINT, UNDEFINED, Unusual};
use serde::de::{self, DeserializeOwned, Visitor};
use several::Several;

/// As deep as `ciborium` goes into a value.
const DEPTH_MAX: u16 = 256;

/// Beyond this `ciborium` makes a longer text or longer bytes an owned value, or refuses them.
const BORROWED_MAX: usize = 4_096;

/// Reads a value, which takes all of the bytes.
pub(in crate::api) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unusual> {
    let mut source = Source {
        rest: bytes,
        depth: DEPTH_MAX,
        failed: false,
    };
    let value = T::deserialize(&mut source)?;
    match source.rest {
        [] if !source.failed => Ok(value),
        _ => Err(Unusual),
    }
}

/// What is to be read.
struct Source<'b> {
    rest: &'b [u8],
    /// How much deeper it may go.
    depth: u16,
    /// Something was not read, and the value's own code may have gone on without it: it stands elsewhere
    /// than `ciborium` would.
    failed: bool,
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

    /// Notes when a value could not be read.
    #[inline]
    fn noted<T>(&mut self, read: Result<T, Unusual>) -> Result<T, Unusual> {
        self.failed |= read.is_err();
        read
    }
}

/// Each kind of value.
impl Source<'_> {
    fn any<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        let before = self.rest;
        let first = *before.first().ok_or(Unusual)?;
        match first {
            FALSE | TRUE => return self.bool(visitor),
            NULL | UNDEFINED => return self.option(visitor),
            F16 | F32 | F64 => return self.float(visitor),
            _ => {}
        }
        match first >> 5 {
            UINT => self.unsigned(visitor),
            NEGATIVE => {
                let (_, number) = self.head()?;
                self.rest = before;
                match i64::try_from(number) {
                    Ok(_) => self.signed(visitor),
                    Err(_) => self.wide_signed(visitor),
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
            ARRAY => self.list(visitor),
            MAP => self.map(visitor),
            _ => Err(Unusual),
        }
    }

    fn bool<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes(FALSE) {
            visitor.visit_bool(false)
        } else if self.passes(TRUE) {
            visitor.visit_bool(true)
        } else {
            Err(Unusual)
        }
    }

    fn signed<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        let (kind, number) = self.head()?;
        let number = i64::try_from(number).map_err(|_| Unusual)?;
        match kind {
            UINT => visitor.visit_i64(number),
            NEGATIVE => visitor.visit_i64(!number),
            _ => Err(Unusual),
        }
    }

    fn wide_signed<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_i128(number.into()),
            (NEGATIVE, number) => visitor.visit_i128(!i128::from(number)),
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn unsigned<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_u64(number),
            _ => Err(Unusual),
        }
    }

    fn wide_unsigned<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.head()? {
            (UINT, number) => visitor.visit_u128(number.into()),
            _ => Err(Unusual),
        }
    }

    /// Of as few bytes as hold it, which is `ciborium`'s part.
    fn float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(&(F16 | F32 | F64)) => {
                let number = ciborium::from_reader_with_buffer(&mut self.rest, &mut []);
                visitor.visit_f64(number.map_err(|_| Unusual)?)
            }
            Some(_) | None => Err(Unusual),
        }
    }

    fn char<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        let mut chars = text(self.run(TEXT)?)?.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => visitor.visit_char(one),
            (_, _) => Err(Unusual),
        }
    }

    fn str<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_str(text(self.short_run(TEXT)?)?)
    }

    fn string<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_string(text(self.run(TEXT)?)?.to_owned())
    }

    fn bytes<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == ARRAY => self.list(visitor),
            Some(_) | None => visitor.visit_bytes(self.short_run(BYTES)?),
        }
    }

    fn byte_buf<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == ARRAY => self.list(visitor),
            Some(_) | None => visitor.visit_byte_buf(self.run(BYTES)?.to_vec()),
        }
    }

    fn option<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn unit<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        if self.passes_null() {
            visitor.visit_unit()
        } else {
            Err(Unusual)
        }
    }

    fn newtype<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn map<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        let left = self.open_count(MAP)?;
        self.deeper(|source| visitor.visit_map(Several { source, left }))
    }

    fn choice<'de, V: Visitor<'de>>(
        &mut self,
        name: &'static str,
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
    fn identifier<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        match self.rest.first() {
            Some(first) if first >> 5 == BYTES => visitor.visit_bytes(self.short_run(BYTES)?),
            Some(_) | None => self.str(visitor),
        }
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

/// Reads each kind, and notes when it could not.
macro_rules! noted {
    ($($read:ident($($what:ty)?) by $by:ident)+) => { $(
        #[inline]
        fn $read<V: Visitor<'de>>(self, $(_: $what,)? visitor: V) -> Result<V::Value, Unusual> {
            let read = self.$by(visitor);
            self.noted(read)
        }
    )+ };
}

impl<'de> de::Deserializer<'de> for &mut Source<'_> {
    type Error = Unusual;

    noted! {
        deserialize_any() by any
        deserialize_bool() by bool
        deserialize_i8() by signed
        deserialize_i16() by signed
        deserialize_i32() by signed
        deserialize_i64() by signed
        deserialize_i128() by wide_signed
        deserialize_u8() by unsigned
        deserialize_u16() by unsigned
        deserialize_u32() by unsigned
        deserialize_u64() by unsigned
        deserialize_u128() by wide_unsigned
        deserialize_f32() by float
        deserialize_f64() by float
        deserialize_char() by char
        deserialize_str() by str
        deserialize_string() by string
        deserialize_bytes() by bytes
        deserialize_byte_buf() by byte_buf
        deserialize_option() by option
        deserialize_unit() by unit
        deserialize_unit_struct(&'static str) by unit
        deserialize_newtype_struct(&'static str) by newtype
        deserialize_seq() by list
        deserialize_tuple(usize) by list
        deserialize_map() by map
        deserialize_identifier() by identifier
        deserialize_ignored_any() by any
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.deserialize_seq(visitor)
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
        let read = self.choice(name, visitor);
        self.noted(read)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
