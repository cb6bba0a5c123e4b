//! A large history is searched in few configurations: about one for each operation.

use super::script::Asked;
use tenure_sim::linear::{
    Ended, Model as _, Operation, Register, RegisterInput, RegisterOutput, Verdict, check,
};

const CLIENTS: u64 = 16;

/// So many clients one operation after the other over so many keys; a twentieth is never answered.
fn history(operations: u64, keys: u64) -> Vec<Asked> {
    let mut held = vec![0; usize::try_from(keys).expect("a small number")];
    let mut dice: u64 = 7;
    let mut below = |bound: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % bound
    };
    let operation = |n: u64| {
        // Each takes effect at its number; before and after it others of other clients do.
        let moment = n * 100;
        let called_at = moment.saturating_sub(below(CLIENTS * 50));
        let key = below(keys);
        let held = &mut held[usize::try_from(key).expect("a small number")];
        let input = match below(10) {
            0..5 => RegisterInput::Read,
            5..8 => RegisterInput::Write(below(1_000)),
            _ => RegisterInput::Swap(*held, below(1_000)),
        };
        let output = match input {
            RegisterInput::Read => RegisterOutput::Value(*held),
            RegisterInput::Write(_) => RegisterOutput::Done,
            RegisterInput::Swap(..) => RegisterOutput::Swapped(true),
        };
        *held = Register.next(held, &input, None).expect("any answer");
        Operation {
            key: format!("key-{key}"),
            client: n % CLIENTS,
            input,
            called_at,
            ended: match below(20) {
                0 => Ended::Unknown,
                _ => Ended::Told {
                    at: moment + below(CLIENTS * 50),
                    output,
                },
            },
        }
    };
    (1..=operations).map(operation).collect()
}

#[test]
fn ten_thousand_operations_over_a_hundred_keys_are_searched() {
    assert_eq!(check(&Register, &history(10_000, 100), 1_000), Verdict::Ok);
}

#[test]
fn two_thousand_operations_on_one_hot_key_are_searched() {
    assert_eq!(check(&Register, &history(2_000, 1), 200_000), Verdict::Ok);
}

#[test]
fn one_wrong_answer_among_ten_thousand_is_found() {
    let mut history = history(10_000, 100);
    let wrong = history
        .iter()
        .rposition(|it| it.input == RegisterInput::Read && it.ended != Ended::Unknown);
    let wrong = wrong.expect("a read");
    let Ended::Told { output, .. } = &mut history[wrong].ended else {
        panic!("a read that was answered");
    };
    *output = RegisterOutput::Value(5_000);
    match check(&Register, &history, 100_000) {
        Verdict::Illegal(witness) => assert_eq!(witness.stuck, wrong),
        other @ (Verdict::Ok | Verdict::OutOfBudget { .. }) => panic!("{other:?}"),
    }
}
