//! What a store is and can do, read again at every reconnect.

use alloc::string::String;
use core::fmt;

/// What the connected store is and can do (S8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Capabilities {
    /// The server's version.
    pub version: ServerVersion,
    /// The largest message that the server takes, headers included, in bytes.
    pub payload_bytes_max: usize,
    /// Whether the server is part of a cluster: event streams then default to three replicas.
    pub clustered: bool,
    /// Whether the account has JetStream.
    pub jetstream: bool,
}

/// A server's version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ServerVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
    /// What follows a hyphen; empty for a release.
    pub pre: String,
}

impl ServerVersion {
    /// The version in a text such as `2.14.4` or `2.15.0-dev`.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut numbers = numbers
            .trim_start_matches('v')
            .split('.')
            .map(|n| n.parse().ok());
        let mut next = || numbers.next().unwrap_or(Some(0));
        Some(Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
            pre: pre.into(),
        })
    }

    /// Whether the version is one that Tenure runs on: 2.12.14 and later of 2.12, 2.14.4 and later
    /// of 2.14, and everything after (S3). Earlier ones refuse or tear the batches of an owned
    /// write (nats-server #8376).
    pub fn supported(&self) -> bool {
        match (self.major, self.minor) {
            (2, 12) => self.patch >= 14,
            (2, 14) => self.patch >= 4,
            (major, minor) => (major, minor) > (2, 14),
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.pre.is_empty() {
            Ok(())
        } else {
            write!(f, "-{}", self.pre)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerVersion;

    #[test]
    fn the_floor_is_2_12_14_and_2_14_4() {
        let ok = |text| ServerVersion::parse(text).unwrap().supported();
        assert!(ok("2.12.14") && ok("2.14.4") && ok("2.15.0-dev") && ok("2.15.1") && ok("3.0.0"));
        assert!(!ok("2.11.9") && !ok("2.12.13") && !ok("2.13.9") && !ok("2.14.3") && !ok("1.4"));
        assert_eq!(ServerVersion::parse("two"), None);
    }
}
