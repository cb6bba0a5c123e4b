//! The one way in which bytes become values again.
//!
//! A reader takes no memory beyond a small multiple of the bytes that it was given, and refuses
//! repeated keys, lengths that are not given, and trailing bytes.

use super::fields::BITS128_LEN;
use super::{FormatError, SnapshotRef, Unknown};
use crate::id::{CommandId, Sequence, SnapshotTag, Version};
use crate::name::{ConsumerName, EntityId, Namespace};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use minicbor::data::Type;
use minicbor::{Decoder, decode};

/// The heads of types, each for the count or number 0.
const UINT: u8 = 0x00;
const BYTES: u8 = 0x40;
const TEXT: u8 = 0x60;
const ARRAY: u8 = 0x80;
const MAP: u8 = 0xA0;

/// Reads one map, field by field.
pub(super) struct Reader<'b> {
    format: &'static str,
    bytes: &'b Bytes,
    decoder: Decoder<'b>,
    left: u64,
    last: u32,
}

impl<'b> Reader<'b> {
    /// Opens a map and reads its version.
    pub(super) fn open(
        format: &'static str,
        supported: u64,
        bytes: &'b Bytes,
    ) -> Result<Self, FormatError> {
        Self::open_from(format, supported, supported, bytes)
    }

    /// The same for a format of which all versions up to one are read.
    pub(super) fn open_up_to(
        format: &'static str,
        supported: u64,
        bytes: &'b Bytes,
    ) -> Result<Self, FormatError> {
        Self::open_from(format, 1, supported, bytes)
    }

    fn open_from(
        format: &'static str,
        first: u64,
        supported: u64,
        bytes: &'b Bytes,
    ) -> Result<Self, FormatError> {
        let decoder = Decoder::new(bytes);
        let mut reader = Self {
            format,
            bytes,
            decoder,
            left: 0,
            last: 0,
        };
        let entries = match reader.head(MAP) {
            Some((entries, end)) => {
                reader.decoder.set_position(end);
                Some(entries)
            }
            None => {
                let entries = reader.decoder.map();
                reader.told("head", entries)?
            }
        };
        reader.left = reader.counted("head", entries, 2)? as u64;
        if reader.left == 0 || reader.uint("version")? != 0 {
            return Err(reader.damaged("version", "key 0, the format's version, must come first"));
        }
        reader.left -= 1;
        let found = reader.uint("version")?;
        if found < first || found > supported {
            return Err(FormatError::Version {
                format,
                found,
                supported,
            });
        }
        Ok(reader)
    }

    /// The next field's key; `None` at the end, which must be the end of the bytes as well.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Option<u32>, FormatError> {
        if self.left == 0 {
            return if self.decoder.position() == self.bytes.len() {
                Ok(None)
            } else {
                Err(self.damaged("end", "bytes follow it"))
            };
        }
        self.left -= 1;
        let key = self.number("key")?;
        if key <= self.last {
            return Err(self.damaged("key", "keys must rise, each once"));
        }
        self.last = key;
        Ok(Some(key))
    }

    /// Keeps a field that this reader does not know.
    pub(super) fn keep(&mut self, key: u32, unknown: &mut Unknown) -> Result<(), FormatError> {
        let from = self.decoder.position();
        self.skip()?;
        unknown
            .0
            .push((key, self.bytes.slice(from..self.decoder.position())));
        Ok(())
    }

    #[inline]
    pub(super) fn uint(&mut self, field: &'static str) -> Result<u64, FormatError> {
        match self.head(UINT) {
            Some((value, end)) => {
                self.decoder.set_position(end);
                Ok(value)
            }
            None => self.no_uint(field),
        }
    }

    #[cold]
    fn no_uint(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let value = self.decoder.u64();
        self.told(field, value)
    }

    /// The count or number of a head of a type, and where it ends; nothing for what is no such head.
    ///
    /// Nearly all that is read is read in this way, and most of it is a head of one byte. What is left to
    /// the decoder is refused, or of types that are rare.
    #[inline]
    fn head(&self, kind: u8) -> Option<(u64, usize)> {
        let at = self.decoder.position();
        match self.decoder.input().get(at)?.wrapping_sub(kind) {
            short @ 0..=23 => Some((u64::from(short), at + 1)),
            form => self.longer_head(form, at),
        }
    }

    fn longer_head(&self, form: u8, at: usize) -> Option<(u64, usize)> {
        let (_, rest) = self.decoder.input().get(at..)?.split_first()?;
        Some(match form {
            24 => (u64::from(*rest.first()?), at + 2),
            25 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), at + 3),
            26 => (u64::from(u32::from_be_bytes(*rest.first_chunk()?)), at + 5),
            27 => (u64::from_be_bytes(*rest.first_chunk()?), at + 9),
            _ => return None,
        })
    }

    /// Where bytes or a text are that are read in this way.
    #[inline]
    fn run(&self, kind: u8) -> Option<(&'b [u8], usize)> {
        let (len, begin) = self.head(kind)?;
        let end = begin.checked_add(usize::try_from(len).ok()?)?;
        Some((self.decoder.input().get(begin..end)?, end))
    }

    /// An unsigned number of a smaller type.
    #[inline]
    pub(super) fn number<N: TryFrom<u64>>(
        &mut self,
        field: &'static str,
    ) -> Result<N, FormatError> {
        let value = self.uint(field)?;
        N::try_from(value).map_err(|_| self.damaged(field, "the number is too large"))
    }

    /// One of a few choices, by its number.
    #[inline]
    pub(super) fn choice<C: Copy, const N: usize>(
        &mut self,
        field: &'static str,
        choices: [C; N],
    ) -> Result<C, FormatError> {
        let number: usize = self.number(field)?;
        match choices.get(number) {
            Some(choice) => Ok(*choice),
            None => Err(self.damaged(field, "this program does not know its number")),
        }
    }

    #[inline]
    pub(super) fn bits128(&mut self, field: &'static str) -> Result<u128, FormatError> {
        if let Some((value, end)) = self.run(BYTES)
            && let Ok(bytes) = value.try_into()
        {
            self.decoder.set_position(end);
            return Ok(u128::from_be_bytes(bytes));
        }
        self.no_bits128(field)
    }

    #[cold]
    fn no_bits128(&mut self, field: &'static str) -> Result<u128, FormatError> {
        let value = self.decoder.bytes();
        let value = self.told(field, value)?;
        match value.try_into() {
            Ok(bytes) => Ok(u128::from_be_bytes(bytes)),
            Err(_) => Err(self.damaged(field, "it has not 16 bytes")),
        }
    }

    /// Bytes, shared with what is read.
    #[inline]
    pub(super) fn bytes(&mut self, field: &'static str) -> Result<Bytes, FormatError> {
        match self.run(BYTES) {
            Some((value, end)) => {
                self.decoder.set_position(end);
                Ok(self.bytes.slice(end - value.len()..end))
            }
            None => self.no_bytes(field),
        }
    }

    #[cold]
    fn no_bytes(&mut self, field: &'static str) -> Result<Bytes, FormatError> {
        let value = self.decoder.bytes();
        let len = self.told(field, value)?.len();
        let end = self.decoder.position();
        Ok(self.bytes.slice(end - len..end))
    }

    #[inline]
    pub(super) fn str(&mut self, field: &'static str) -> Result<&'b str, FormatError> {
        if let Some((value, end)) = self.run(TEXT)
            && let Ok(text) = core::str::from_utf8(value)
        {
            self.decoder.set_position(end);
            return Ok(text);
        }
        self.no_str(field)
    }

    #[cold]
    fn no_str(&mut self, field: &'static str) -> Result<&'b str, FormatError> {
        let value = self.decoder.str();
        self.told(field, value)
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<String, FormatError> {
        self.str(field).map(ToOwned::to_owned)
    }

    pub(super) fn entity(&mut self) -> Result<EntityId, FormatError> {
        let id = self.str("entity")?;
        EntityId::new(id).map_err(|_| self.damaged("entity", "an id has 1 to 1,024 bytes"))
    }

    pub(super) fn namespace(&mut self) -> Result<Namespace, FormatError> {
        let name = Namespace::new(self.str("namespace")?);
        name.map_err(|_| self.damaged("namespace", "it cannot be a namespace's name"))
    }

    pub(super) fn consumer(&mut self) -> Result<ConsumerName, FormatError> {
        let name = ConsumerName::new(self.str("consumer")?);
        name.map_err(|_| self.damaged("consumer", "it cannot be a consumer's name"))
    }

    /// The commands of a commit or a snapshot, each made of its id, version and outcome.
    pub(super) fn commands<C>(
        &mut self,
        make: impl Fn(CommandId, Version, Bytes) -> C,
    ) -> Result<Vec<C>, FormatError> {
        const FIELD: &str = "commands";
        let items = self.array(FIELD, 1 + BITS128_LEN + 2)?;
        let mut commands = Vec::with_capacity(items);
        for _ in 0..items {
            self.tuple(FIELD, 3)?;
            let id = CommandId(self.bits128(FIELD)?);
            let version = Version(self.uint(FIELD)?);
            commands.push(make(id, version, self.bytes(FIELD)?));
        }
        Ok(commands)
    }

    /// A reference to a snapshot.
    pub(super) fn snapshot(&mut self, field: &'static str) -> Result<SnapshotRef, FormatError> {
        self.tuple(field, 4)?;
        Ok(SnapshotRef {
            version: Version(self.uint(field)?),
            sequence: Sequence(self.uint(field)?),
            tag: SnapshotTag(self.bits128(field)?),
            hash: self.uint(field)?,
        })
    }

    /// A flag that is only written when it is set.
    pub(super) fn yes(&mut self, field: &'static str) -> Result<bool, FormatError> {
        let value = self.decoder.bool();
        if self.told(field, value)? {
            Ok(true)
        } else {
            Err(self.damaged(field, "false is written by leaving it out"))
        }
    }

    /// The length of an array whose items take at least `item_len_min` bytes each.
    #[inline]
    pub(super) fn array(
        &mut self,
        field: &'static str,
        item_len_min: usize,
    ) -> Result<usize, FormatError> {
        match self.head(ARRAY) {
            Some((items, end)) => {
                self.decoder.set_position(end);
                self.counted(field, Some(items), item_len_min)
            }
            None => self.no_array(field, item_len_min),
        }
    }

    #[cold]
    fn no_array(&mut self, field: &'static str, item_len_min: usize) -> Result<usize, FormatError> {
        let items = self.decoder.array();
        let items = self.told(field, items)?;
        self.counted(field, items, item_len_min)
    }

    /// An array of a fixed number of values.
    #[inline]
    pub(super) fn tuple(&mut self, field: &'static str, items: usize) -> Result<(), FormatError> {
        let found = self.array(field, 1)?;
        if found == items {
            Ok(())
        } else {
            Err(self.damaged(field, "it has not its number of parts"))
        }
    }

    #[cold]
    pub(super) fn damaged(&self, field: &'static str, problem: &'static str) -> FormatError {
        FormatError::Damaged {
            format: self.format,
            field,
            at: self.decoder.position(),
            problem,
        }
    }

    /// A field that must have been there.
    pub(super) fn need<T>(&self, field: &'static str, value: Option<T>) -> Result<T, FormatError> {
        value.ok_or(FormatError::Missing {
            format: self.format,
            field,
        })
    }

    /// Refuses what contradicts itself.
    pub(super) fn holds(&self, holds: bool, problem: &'static str) -> Result<(), FormatError> {
        if holds {
            Ok(())
        } else {
            Err(FormatError::Contradiction {
                format: self.format,
                problem,
            })
        }
    }

    fn told<T>(
        &self,
        field: &'static str,
        value: Result<T, decode::Error>,
    ) -> Result<T, FormatError> {
        value.map_err(|error| {
            let problem = if error.is_end_of_input() {
                "it ends too early"
            } else {
                "it has not the type that the format says"
            };
            self.damaged(field, problem)
        })
    }

    /// A claimed count, which the bytes that follow must be able to hold.
    #[inline]
    fn counted(
        &self,
        field: &'static str,
        claimed: Option<u64>,
        item_len_min: usize,
    ) -> Result<usize, FormatError> {
        let Some(claimed) = claimed else {
            return Err(self.damaged(field, "its length is not given"));
        };
        let left = self.bytes.len() - self.decoder.position();
        match usize::try_from(claimed) {
            Ok(items) if items <= left / item_len_min => Ok(items),
            Ok(_) | Err(_) => Err(self.damaged(field, "it ends too early")),
        }
    }

    /// Texts by name.
    pub(super) fn headers(&mut self) -> Result<Vec<(String, String)>, FormatError> {
        let pairs = self.texts("headers")?.into_iter();
        Ok(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Texts by text, where they are.
    pub(super) fn texts(
        &mut self,
        field: &'static str,
    ) -> Result<Vec<(&'b str, &'b str)>, FormatError> {
        let entries = self.decoder.map();
        let entries = self.told(field, entries)?;
        let entries = self.counted(field, entries, 2)?;
        let mut texts = Vec::with_capacity(entries);
        for _ in 0..entries {
            texts.push((self.str(field)?, self.str(field)?));
        }
        Ok(texts)
    }

    /// Moves past one value of any type, however deep, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), FormatError> {
        const FIELD: &str = "unknown field";
        let mut values = 1_usize;
        while values > 0 {
            values -= 1;
            let kind = self.decoder.datatype();
            match self.told(FIELD, kind)? {
                Type::U8
                | Type::U16
                | Type::U32
                | Type::U64
                | Type::I8
                | Type::I16
                | Type::I32
                | Type::I64
                | Type::Int => {
                    let value = self.decoder.int();
                    self.told(FIELD, value)?;
                }
                Type::Bytes => {
                    let value = self.decoder.bytes();
                    self.told(FIELD, value)?;
                }
                Type::String => {
                    let value = self.decoder.str();
                    self.told(FIELD, value)?;
                }
                Type::Array => values += self.array(FIELD, 1)?,
                Type::Map => {
                    let entries = self.decoder.map();
                    let entries = self.told(FIELD, entries)?;
                    values += 2 * self.counted(FIELD, entries, 2)?;
                }
                Type::Tag => {
                    let tag = self.decoder.tag();
                    self.told(FIELD, tag)?;
                    values += 1;
                }
                Type::Bool
                | Type::Null
                | Type::Undefined
                | Type::Simple
                | Type::F16
                | Type::F32
                | Type::F64 => {
                    let value = self.decoder.skip();
                    self.told(FIELD, value)?;
                }
                Type::BytesIndef
                | Type::StringIndef
                | Type::ArrayIndef
                | Type::MapIndef
                | Type::Break
                | Type::Unknown(_) => {
                    return Err(self.damaged(FIELD, "its length is not given"));
                }
            }
        }
        Ok(())
    }
}
