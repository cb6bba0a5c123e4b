//! T2: the shard map. Agreement, minimal movement, balance.

mod map;
