//! Any course of requests: each ends once, and runs as often as it may.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    tenure_fuzz::route::play(data);
});
