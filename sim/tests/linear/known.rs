//! Histories whose verdict is known.

use super::script::history;
use tenure_sim::linear::{Register, Verdict, Witness, check};

fn verdict(text: &str) -> Verdict {
    check(&Register, &history(text), 10_000)
}

#[track_caller]
fn is_legal(text: &str) {
    assert_eq!(verdict(text), Verdict::Ok, "{text}");
}

#[track_caller]
fn is_illegal(text: &str) -> Witness {
    match verdict(text) {
        Verdict::Illegal(witness) => *witness,
        other @ (Verdict::Ok | Verdict::OutOfBudget { .. }) => panic!("{text}: {other:?}"),
    }
}

#[test]
fn nothing_and_one_after_the_other_have_an_order() {
    is_legal("");
    is_legal("a:0-1:r0 a:2-3:w1 a:4-5:r1 a:6-7:1>2 a:8-9:1!3 a:10-11:r2");
}

#[test]
fn what_is_under_way_at_once_has_any_order() {
    is_legal("a:0-9:w1 a:0-9:w2 a:1-8:w3 a:2-3:r3 a:4-5:r2 a:6-7:r1");
    is_legal("a:0-9:w1 a:1-2:r0 a:3-4:r1");
    // What is called when another is told may be before it.
    is_legal("a:0-5:w1 a:5-9:r0");
}

#[test]
fn a_stale_read_has_no_place() {
    is_illegal("a:0-1:w1 a:2-3:w2 a:4-5:r1");
    is_illegal("a:0-9:w1 a:1-2:r1 a:3-4:r0");
}

#[test]
fn a_lost_update_has_no_place() {
    // Both saw 0, and both are told that it was they who changed it.
    is_illegal("a:0-9:0>1 a:0-9:0>2");
    is_illegal("a:0-1:w1 a:2-3:r0");
}

#[test]
fn what_happens_twice_has_no_place() {
    // The write of 1 comes again after that of 2.
    is_illegal("a:0-1:w1 a:2-3:w2 a:4-5:r2 a:6-7:r1");
    is_illegal("a:0-1:0>1 a:2-3:w0 a:4-5:r1");
}

#[test]
fn a_write_of_which_nobody_knows_may_come_later() {
    is_legal("a:0-?:w1 a:1-2:r0 a:3-4:r0 a:5-6:r1 a:7-8:r1");
    is_legal("a:0-1:w5 a:2-?:5>6 a:3-4:r5 a:5-6:6>7");
    // Once, however late.
    is_illegal("a:0-?:w1 a:1-2:r1 a:3-4:w2 a:5-6:r1");
    // And not before it was called.
    is_illegal("a:0-1:r1 a:2-?:w1");
}

#[test]
fn a_write_of_which_nobody_knows_may_never_come() {
    is_legal("a:0-?:w1 a:1-2:r0 a:3-4:w2 a:5-6:r2");
    is_legal("a:0-?:w1 a:0-?:w2 a:0-?:r7 a:3-4:r0");
}

#[test]
fn keys_are_objects_of_their_own() {
    is_legal("a:0-1:w1 b:2-3:r0 a:4-5:r1");
    assert_eq!(is_illegal("a:0-1:w1 b:2-3:w1 b:4-5:r0").key, "b");
}

#[test]
fn a_witness_names_the_first_end_that_no_order_reaches_and_the_longest_order() {
    let witness = is_illegal("a:0-1:w1 a:2-3:w2 a:2-9:w3 a:4-5:r1 a:4-?:w4 a:6-7:r9");
    assert_eq!(witness.stuck, 3, "not the later read");
    let placed: Vec<_> = witness.placed.iter().map(|it| it.operation).collect();
    assert_eq!(placed.first(), Some(&0));
    assert!(placed.contains(&1) && !placed.contains(&5), "{placed:?}");
    let text = witness.to_string();
    for part in [
        "a: no order explains what its callers were told",
        "[0.000000 s to 0.000000 s] client 1: Write(1) -> Done => 1",
        "has no place for:\n    [0.000000 s to 0.000000 s] client 4: Read -> Value(1)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let line = witness.line();
    assert!(!line.contains('\n') && line.contains("client 4: Read -> Value(1)"));
}

#[test]
fn a_search_ends_with_its_budget() {
    // None of the writes was seen, and many orders of them have to be tried before that is known.
    let writes: String = (1..=5).map(|n| format!("a:0-90:w{n} ")).collect();
    let text = format!("{writes} a:0-90:w6 a:91-92:r99");
    let out = Verdict::OutOfBudget {
        key: "a".to_owned(),
    };
    assert_eq!(check(&Register, &history(&text), 50), out);
    // What is illegal elsewhere is found all the same.
    let both = format!("{text} b:0-1:r1");
    let verdict = check(&Register, &history(&both), 50);
    assert!(matches!(verdict, Verdict::Illegal(witness) if witness.key == "b"));
    is_illegal(&text);
}
