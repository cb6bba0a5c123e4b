//! What a front is, and what it lets clients do.

use super::wire::WireLimits;
use crate::store::StoreConfig;
use alloc::string::String;

/// What a front tells of itself, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrontConfig {
    /// The model store behind it; its capabilities are what clients are told.
    pub store: StoreConfig,
    /// How much of one operation a connection may send.
    pub wire: WireLimits,
    /// The server's name.
    pub name: String,
    /// The address that clients are told.
    pub host: String,
    /// The port that clients are told.
    pub port: u16,
    /// What chance is drawn from: which member of a group gets a message, and names that the server gives.
    pub seed: u64,
    /// How many connections there may be (the server's default: 65,536).
    pub connections_max: usize,
    /// How many subscriptions a connection may have.
    pub subscriptions_max: usize,
    /// How many bytes may wait for a connection that does not take them; it is closed when there are more
    /// (the server's default: 64 MiB).
    pub pending_bytes_max: usize,
    /// After how long a silence a connection is asked whether it lives, in milliseconds (the server's
    /// default: 120,000).
    pub ping_interval_ms: u64,
    /// How many of those questions may be unanswered (the server's default: 2).
    pub pings_out_max: u32,
    /// How long a server that ends keeps its connections after it told them, in milliseconds.
    pub lame_duck_grace_ms: u64,
    /// How long a write to a connection may take before that is closed, in milliseconds (the server's default:
    /// 10,000).
    pub write_deadline_ms: u64,
    /// How many consumers a stream may have.
    pub consumers_max: usize,
    /// How many streams there may be.
    pub streams_max: usize,
    /// How many subjects a stream may have, and how many filters a consumer.
    pub filters_max: usize,
}

impl Default for FrontConfig {
    fn default() -> Self {
        let store = StoreConfig::default();
        Self {
            wire: WireLimits {
                payload_bytes_max: store.capabilities.payload_bytes_max,
                ..WireLimits::default()
            },
            store,
            name: "front".into(),
            host: "127.0.0.1".into(),
            port: 4_222,
            seed: 0,
            connections_max: 65_536,
            subscriptions_max: 1 << 20,
            pending_bytes_max: 64 << 20,
            ping_interval_ms: 120_000,
            pings_out_max: 2,
            lame_duck_grace_ms: 10_000,
            write_deadline_ms: 10_000,
            consumers_max: 100_000,
            streams_max: 100_000,
            filters_max: 10_000,
        }
    }
}
