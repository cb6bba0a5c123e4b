//! Texts of this program in a machine's state, read back from a file.

use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeSet;

use std::sync::{Mutex, PoisonError};

/// How many different texts are taken in; the program has fewer.
const TEXTS_MAX: usize = 256;

/// The longest of them, in bytes.
const BYTES_MAX: usize = 1_024;

static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Reads a text that is part of the program. Each is kept once for the life of the process, and no more
/// than a bounded number, whatever files say.
pub(crate) fn known_text<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    let text = String::deserialize(from)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = known.get(text.as_str()) {
        return Ok(text);
    }
    if known.len() >= TEXTS_MAX || text.len() > BYTES_MAX {
        return Err(de::Error::custom("more texts than a program has"));
    }
    let text: &'static str = text.leak();
    known.insert(text);
    Ok(text)
}
