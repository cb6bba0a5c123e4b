//! Any story of commands, reads, claims, losses and late arrivals: commits follow one another, each
//! caller gets one reply, nothing halts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure_fuzz::log::story::Story;

fuzz_target!(|story: Story| {
    story.run();
});
