//! One connection: what came and is not whole, what waits for it, and what it said of itself.

use super::router::SubscriptionId;
use super::wire::{Parser, Text, Violation, WireLimits};
use alloc::collections::BTreeMap;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tenure_core::id::WallTime;

/// A connection. Whoever listens gives each a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What goes to a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is taken is gone"]
pub struct Outgoing {
    /// What is written to it next.
    pub bytes: Bytes,
    /// Whether it is closed then.
    pub ends: bool,
}

/// What a client says of itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct ClientOptions {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
}

impl Default for ClientOptions {
    /// A client that said nothing.
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
        }
    }
}

impl ClientOptions {
    /// Reads what a client says.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Violation> {
        let options: Self = serde_json::from_slice(json).map_err(|_| Violation::Connect)?;
        if options.no_responders && !options.headers {
            return Err(Violation::NoRespondersWithoutHeaders);
        }
        Ok(options)
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) parser: Parser,
    pub(crate) came: BytesMut,
    pub(crate) waiting: BytesMut,
    /// Whether it is named as one for which something waits.
    pub(crate) is_ready: bool,
    pub(crate) options: ClientOptions,
    pub(crate) subscriptions: BTreeMap<Text, SubscriptionId>,
    pub(crate) heard: WallTime,
    pub(crate) pings_out: u32,
    /// It gets what waits and no more, and nothing that comes of it counts.
    pub(crate) ends: bool,
}

impl Connection {
    pub(crate) fn new(limits: WireLimits, at: WallTime) -> Self {
        Self {
            parser: Parser::new(limits),
            came: BytesMut::new(),
            waiting: BytesMut::new(),
            is_ready: false,
            options: ClientOptions::default(),
            subscriptions: BTreeMap::new(),
            heard: at,
            pings_out: 0,
            ends: false,
        }
    }

    /// When it is asked next whether it lives.
    pub(crate) fn due(&self, ping_interval_ms: u64) -> WallTime {
        let silences = u64::from(self.pings_out) + 1;
        WallTime(
            self.heard
                .0
                .saturating_add(ping_interval_ms.saturating_mul(silences)),
        )
    }
}
