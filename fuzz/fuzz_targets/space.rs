//! The target `space`, for `cargo fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus {
    tenure_fuzz::target::fuzzed("space", input)
});
