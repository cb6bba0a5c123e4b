//! The file of a flight: a head that says what it is, how long and with which checksum, then CBOR.

use crate::driver::recorder::Recording;
use crate::id::WallTime;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// What a file begins with.
const MAGIC: [u8; 8] = *b"tenurefl";

/// The magic, the version and the body's length and checksum.
const HEAD: usize = 8 + 4 + 8 + 8;

/// The build that writes.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// What a node's flight recorder held at one moment.
///
/// It holds what callers sent and what the store answered: as secret as the log itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Flight {
    /// The build that wrote it. Another build may have other machines, and then cannot read it.
    pub build: String,
    /// The namespace.
    pub namespace: String,
    /// The node.
    pub node: String,
    /// When it was written, on the node's wall clock.
    pub written: WallTime,
    /// Why it was written.
    pub fault: FlightFault,
    /// The lanes, each with what it held.
    pub lanes: Vec<Recording>,
}

/// Why a flight was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FlightFault {
    /// Someone asked for it.
    None,
    /// A machine halted.
    Halted {
        /// The machine.
        machine: String,
        /// Why it halted.
        reason: String,
    },
    /// Code panicked.
    Panicked {
        /// Whose.
        machine: String,
        /// What the panic said, where that is known.
        reason: String,
    },
}

impl core::fmt::Display for FlightFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::None => f.write_str("someone asked for it"),
            Self::Halted { machine, reason } => write!(f, "{machine} halted: {reason}"),
            Self::Panicked { machine, reason } => write!(f, "{machine} panicked: {reason}"),
        }
    }
}

/// Why bytes are no flight that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlightError {
    /// They are something else.
    #[error("this is no flight: one begins with \"tenurefl\"")]
    Foreign,
    /// They are of another version of the format.
    #[error(
        "this is a flight of version {found}, and this build reads version {known}: use the build that wrote it"
    )]
    OtherVersion {
        /// The file's version.
        found: u32,
        /// The version that is read.
        known: u32,
    },
    /// The end is missing, or something follows it.
    #[error(
        "the flight has {found} bytes and says that it has {said}: the file is cut short or damaged"
    )]
    Length {
        /// What the head says, in bytes.
        said: u64,
        /// What is there, in bytes.
        found: u64,
    },
    /// The checksum is another one.
    #[error("the flight is damaged: its checksum is another one; copy the file again")]
    Damaged,
    /// The machines of the build that wrote it were others.
    #[error("the flight cannot be read by this build, {here}: use the one that wrote it ({cause})")]
    OtherBuild {
        /// This build.
        here: String,
        /// What is in the way.
        cause: String,
    },
}

impl Flight {
    /// The version of the format that is written and read.
    pub const VERSION: u32 = 1;

    pub(crate) fn new(
        (namespace, node): (String, String),
        written: WallTime,
        fault: FlightFault,
        lanes: Vec<Recording>,
    ) -> Self {
        Self {
            build: BUILD.to_string(),
            namespace,
            node,
            written,
            fault,
            lanes,
        }
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&Self::VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 16]);
        ciborium::into_writer(self, &mut bytes)
            .expect("a flight is plain data, and memory is there");
        let body = &bytes[HEAD..];
        let (length, sum) = (body.len() as u64, checksum(body));
        bytes[12..20].copy_from_slice(&length.to_le_bytes());
        bytes[20..HEAD].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// When they are none of a flight, of another version, cut short, damaged, or of a build with other
    /// machines.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FlightError> {
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(match MAGIC.starts_with(bytes) && !bytes.is_empty() {
                true => FlightError::Length {
                    said: HEAD as u64,
                    found: bytes.len() as u64,
                },
                false => FlightError::Foreign,
            });
        };
        if *magic != MAGIC {
            return Err(FlightError::Foreign);
        }
        let short = || FlightError::Length {
            said: HEAD as u64,
            found: bytes.len() as u64,
        };
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let found = u32::from_le_bytes(*version);
        if found != Self::VERSION {
            let known = Self::VERSION;
            return Err(FlightError::OtherVersion { found, known });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (sum, body) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let said = u64::from_le_bytes(*length);
        if said != body.len() as u64 {
            return Err(FlightError::Length {
                said: said.saturating_add(HEAD as u64),
                found: bytes.len() as u64,
            });
        }
        if u64::from_le_bytes(*sum) != checksum(body) {
            return Err(FlightError::Damaged);
        }
        Self::from_body(body)
    }

    /// Reads what follows a file's head.
    ///
    /// # Errors
    ///
    /// When it cannot be read by this build.
    // Inlined, so that only programs that read flights are made with what reads each machine's state.
    #[inline]
    pub fn from_body(body: &[u8]) -> Result<Self, FlightError> {
        ciborium::from_reader(body).map_err(|error| FlightError::OtherBuild {
            here: BUILD.to_string(),
            cause: error.to_string(),
        })
    }
}

fn checksum(body: &[u8]) -> u64 {
    SipHasher24::new().hash(body)
}
