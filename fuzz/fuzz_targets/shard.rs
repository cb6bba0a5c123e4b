//! Any course of ownership: one node acts for a leased shard, and in the end all is where it belongs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    tenure_fuzz::shard::play(data);
});
