//! The one path between serde values and bytes.

use super::cbor;
use crate::driver::host::caught;
use crate::format::Codec;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;

/// A value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct CodecError {
    cause: String,
}

impl CodecError {
    /// An error with a text of its own.
    pub fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
        }
    }
}

impl Codec {
    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// What the value's `Serialize` or the format has against it; that it panicked, too.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Bytes, CodecError> {
        settled(|| self.write(value))
    }

    fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<Bytes, CodecError> {
        match self {
            Self::Cbor => written(|out| {
                if cbor::write(value, out).is_ok() {
                    return Ok(());
                }
                out.clear();
                ciborium::into_writer(value, out).map_err(|error| match error {
                    ciborium::ser::Error::Io(error) => CodecError::new(error.to_string()),
                    ciborium::ser::Error::Value(what) => CodecError::new(what),
                })
            }),
            Self::Json => written(|out| {
                serde_json::to_writer(out, value).map_err(|e| CodecError::new(e.to_string()))
            }),
        }
    }

    /// Decodes a value; bytes after it are an error.
    ///
    /// # Errors
    ///
    /// What the format or the value's `Deserialize` has against the bytes; that it panicked, too.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, CodecError> {
        settled(|| self.read(bytes))
    }

    fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, CodecError> {
        match self {
            Self::Cbor => {
                if let Ok(value) = cbor::read(bytes) {
                    return Ok(value);
                }
                let mut rest = bytes;
                let value =
                    scratched(|scratch| ciborium::from_reader_with_buffer(&mut rest, scratch));
                let value = value.map_err(|e| not_cbor(&e))?;
                if rest.is_empty() {
                    Ok(value)
                } else {
                    Err(CodecError::new(format!(
                        "{} bytes follow the value",
                        rest.len()
                    )))
                }
            }
            Self::Json => serde_json::from_slice(bytes).map_err(|e| CodecError::new(e.to_string())),
        }
    }
}

/// A value's own code may panic: that is the value's, and not of the lane in which it is written.
fn settled<T>(run: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    let panicked = |cause| Err(CodecError::new(format!("its code panicked: {cause}")));
    caught(run).unwrap_or_else(panicked)
}

thread_local! {
    /// What each thread writes values into; its memory is used again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that grew beyond this for a large value is not kept for the small ones after it.
const BUFFER_BYTES_MAX: usize = 4_096;

/// Where a decoder of CBOR puts texts for a moment, in bytes: as much as it takes by itself, which it
/// would clear for each value.
const SCRATCH_BYTES: usize = 4_096;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn scratched<T>(decode: impl FnOnce(&mut [u8]) -> T) -> T {
    // A value that decodes another one meanwhile finds none, and makes its own.
    let mut scratch = SCRATCH.take();
    scratch.resize(SCRATCH_BYTES, 0);
    let decoded = decode(&mut scratch);
    SCRATCH.replace(scratch);
    decoded
}

fn written(
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Bytes, CodecError> {
    // A value that encodes another one meanwhile finds an empty buffer.
    let mut buffer = BUFFER.take();
    buffer.clear();
    write(&mut buffer)?;
    // As long as it is and no longer: a reply may stay in memory for long.
    let bytes = Bytes::copy_from_slice(&buffer);
    if buffer.capacity() <= BUFFER_BYTES_MAX {
        BUFFER.replace(buffer);
    }
    Ok(bytes)
}

/// What a decoder says, for people.
fn not_cbor<E>(error: &ciborium::de::Error<E>) -> CodecError {
    use ciborium::de::Error;
    CodecError::new(match error {
        Error::Io(_) => "the bytes end too early".to_owned(),
        Error::Syntax(at) => format!("byte {at} is no CBOR"),
        Error::Semantic(_, what) => what.clone(),
        Error::RecursionLimitExceeded => "the value is nested too deep".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::Codec;

    #[test]
    fn both_codecs_round_trip_and_refuse_what_follows() {
        for codec in [Codec::Cbor, Codec::Json] {
            let value = (7_i64, "seven".to_owned());
            let bytes = codec.encode(&value).unwrap();
            assert_eq!(codec.decode::<(i64, String)>(&bytes), Ok(value));
            let mut longer = bytes.to_vec();
            longer.extend_from_slice(&codec.encode(&1).unwrap());
            assert!(codec.decode::<(i64, String)>(&longer).is_err());
            assert!(codec.decode::<u8>(&bytes).is_err());
        }
    }
}
