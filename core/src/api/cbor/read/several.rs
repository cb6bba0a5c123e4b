//! The values of a list, a map or an enum out of CBOR.

use super::super::{BREAK, Unusual};
use super::Source;
use serde::de::{self, DeserializeSeed, Visitor};

/// The values of a list or map, or of one variant of an enum. Those that nobody asks for are not passed,
/// as by `ciborium`.
pub(super) struct Several<'s, 'b> {
    pub(super) source: &'s mut Source<'b>,
    /// How many there are; `None`: until a `BREAK`.
    pub(super) left: Option<usize>,
}

impl Several<'_, '_> {
    #[inline]
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unusual> {
        match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None if self.source.passes(BREAK) => return Ok(None),
            None => {
                let before = self.source.rest.len();
                let value = self.one(seed)?;
                // What reads nothing never comes to the `BREAK`.
                return match self.source.rest.len() < before {
                    true => Ok(Some(value)),
                    false => self.fail(),
                };
            }
        }
        self.one(seed).map(Some)
    }

    /// One value, unless anything failed within it that its own code went on after.
    #[inline]
    fn one<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unusual> {
        match seed.deserialize(&mut *self.source) {
            Ok(value) if !self.source.failed => Ok(value),
            Ok(_) | Err(_) => self.fail(),
        }
    }

    /// Nothing comes any more, for code that goes on after an error until the end.
    #[cold]
    fn fail<T>(&mut self) -> Result<T, Unusual> {
        self.source.failed = true;
        self.left = Some(0);
        Err(Unusual)
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
        self.one(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> de::EnumAccess<'de> for Several<'_, '_> {
    type Error = Unusual;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<(S::Value, Self), Unusual> {
        let variant = self.one(seed)?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Several<'_, '_> {
    type Error = Unusual;

    fn unit_variant(self) -> Result<(), Unusual> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, Unusual> {
        self.one(seed)
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
