//! CBOR of values, as `ciborium` writes and reads it, and in a fifth of its instructions: a payload is
//! written and read twice on a request's way.
//!
//! What is written has the same bytes, and what is read is the same value by the same calls of the value's
//! own code. Whatever is rare (tags; to be read, also numbers of more than 64 bits) or wrong is [`Unusual`] here
//! and goes to `ciborium` from the start, which does it, or says what is wrong.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;

use serde::{de, ser};
use std::fmt;

/// The value is not one of those that are written and read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusual;

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unusual value")
    }
}

impl std::error::Error for Unusual {}

impl ser::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl de::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The kinds of values: the upper three bits of their first byte.
const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The tags of numbers of more than 64 bits.
const BIG: u64 = 2;
const BIG_NEGATIVE: u64 = 3;

/// Whole first bytes.
const FALSE: u8 = 0xF4;
const TRUE: u8 = 0xF5;
const NULL: u8 = 0xF6;
const UNDEFINED: u8 = 0xF7;
const F16: u8 = 0xF9;
const F32: u8 = 0xFA;
const F64: u8 = 0xFB;
const BREAK: u8 = 0xFF;

/// In the lower five bits of a first byte: the length is not given, a `BREAK` ends it.
const OPEN: u8 = 31;

/// An enum of this name is how `ciborium` has values written and read with tags.
const TAGGED: &str = "@@TAG@@";

#[cfg(test)]
mod tests;
