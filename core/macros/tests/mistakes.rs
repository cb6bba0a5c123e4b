//! Mistakes in what is derived are told at compile time, in words that say what to do.

#[test]
fn mistakes_are_told_at_compile_time() {
    trybuild::TestCases::new().compile_fail("tests/derive/bad_*.rs");
}
