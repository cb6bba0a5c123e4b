//! Any membership: what a view calls over never acts again, and in the end everyone sees everyone.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    tenure_fuzz::node::play(data);
});
