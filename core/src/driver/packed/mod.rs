//! Inputs as plain bytes: what the flight recorder keeps of those that come with each request, so that
//! it is small and shares no memory with what it records.

mod actors;
mod log;
mod route;

pub(super) use actors::{pack_actors, unpack_actors};
pub(super) use log::{pack, pack_submit, unpack, unpack_submit};
pub(super) use route::{pack_route, unpack_route};

use crate::format::TakeOver;
use crate::id::ShardId;
use crate::shard::Place;

/// What packing an input of routing or of actors leaves free before it, for the recorder's own.
pub(super) const HEAD: usize = 4;

/// The bytes of one place.
fn place_bytes(place: Place) -> [u8; 3] {
    let [low, high] = place.shard.0.to_le_bytes();
    [u8::from(place.class == TakeOver::Leased), low, high]
}

fn place_of([leased, low, high]: [u8; 3]) -> Place {
    let class = match leased {
        0 => TakeOver::Fenced,
        _ => TakeOver::Leased,
    };
    let shard = ShardId(u16::from_le_bytes([low, high]));
    Place { class, shard }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
