//! An input as it is kept: one byte of version, then what its target makes of the rest.

use crate::Target;
use std::fmt;

/// Why an input is not played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputError {
    target: &'static str,
    version: Option<u8>,
    reads: u8,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            version,
            reads,
        } = self;
        match version {
            None => write!(
                f,
                "an input of {target} is empty; one begins with the byte {reads}"
            ),
            Some(version) => write!(
                f,
                "an input of {target} has version {version}, and this build reads version {reads}: play it \
                 with the build that wrote it"
            ),
        }
    }
}

impl std::error::Error for InputError {}

/// What follows the version.
pub(crate) fn open<'a>(target: &Target, input: &'a [u8]) -> Result<&'a [u8], InputError> {
    match input.split_first() {
        Some((version, rest)) if *version == target.version => Ok(rest),
        first => Err(InputError {
            target: target.name,
            version: first.map(|(version, _)| *version),
            reads: target.version,
        }),
    }
}
