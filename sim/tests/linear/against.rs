//! Small histories at random: the checker, one that tries all orders, and `todc-utils`, which knows no
//! unknown outcomes, say the same of each.

use super::script::Asked;
use tenure_sim::linear::{
    Ended, Model as _, Register, RegisterInput, RegisterOutput, Verdict, check,
};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// Numbers of a seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// A history of one key: what each operation is told is what a register said that carried them out at
/// random moments within, or something else now and then.
fn drawn(seed: u64) -> Vec<Asked> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let count = 2 + numbers.below(6);
    let wrong = numbers.below(3) * 30;
    let unknown_one_in = 2 + numbers.below(3);
    let mut moments: Vec<(u64, u64, u64, RegisterInput)> = (0..count)
        .map(|_| {
            let called = numbers.below(30);
            let at = called + numbers.below(12);
            let told = at + numbers.below(12);
            let input = match numbers.below(5) {
                0 | 1 => RegisterInput::Read,
                2 | 3 => RegisterInput::Write(1 + numbers.below(3)),
                _ => RegisterInput::Swap(numbers.below(3), 1 + numbers.below(3)),
            };
            (at, called, told, input)
        })
        .collect();
    moments.sort_by_key(|(at, ..)| *at);
    let mut held = 0;
    let operation = |(at, called_at, told, input): (u64, u64, u64, RegisterInput)| {
        let unknown = numbers.below(unknown_one_in) == 0;
        // It may never have happened.
        let happens = !unknown || numbers.below(2) == 0;
        let is_wrong = numbers.below(100) < wrong;
        let mut output = match input {
            RegisterInput::Read => RegisterOutput::Value(held),
            RegisterInput::Write(_) => RegisterOutput::Done,
            RegisterInput::Swap(from, _) => RegisterOutput::Swapped(held == from),
        };
        if happens {
            held = Register.next(&held, &input, None).expect("any answer");
        }
        if is_wrong {
            output = match output {
                RegisterOutput::Done => RegisterOutput::Done,
                RegisterOutput::Value(_) => RegisterOutput::Value(numbers.below(4)),
                RegisterOutput::Swapped(is) => RegisterOutput::Swapped(!is),
            };
        }
        Asked {
            key: "k".to_owned(),
            client: at,
            input,
            called_at,
            ended: match unknown {
                true => Ended::Unknown,
                false => Ended::Told { at: told, output },
            },
        }
    };
    moments.into_iter().map(operation).collect()
}

fn told_at(operation: &Asked) -> Option<u64> {
    match operation.ended {
        Ended::Told { at, .. } => Some(at),
        Ended::Unknown => None,
    }
}

fn state_after(held: u64, operation: &Asked) -> Option<u64> {
    let output = match &operation.ended {
        Ended::Told { output, .. } => Some(output),
        Ended::Unknown => None,
    };
    Register.next(&held, &operation.input, output)
}

/// Whether some order of what is left explains it: each operation is tried that no other one precedes.
/// What ends after `upto` need not have its place.
fn has_order(left: &[&Asked], held: u64, upto: u64) -> bool {
    let needs_place = |it: &&Asked| told_at(it).is_some_and(|at| at <= upto);
    // Those of which nobody knows need not happen.
    if !left.iter().any(needs_place) {
        return true;
    }
    (0..left.len()).any(|index| {
        let precedes = |other: &&Asked| told_at(other).is_some_and(|at| at < left[index].called_at);
        let mut rest = left.to_vec();
        let it = rest.remove(index);
        !rest.iter().any(precedes)
            && state_after(held, it).is_some_and(|held| has_order(&rest, held, upto))
    })
}

#[derive(Debug)]
struct OneRegister;

impl Specification for OneRegister {
    type State = u64;
    type Operation = Asked;

    fn init() -> u64 {
        0
    }

    fn apply(operation: &Asked, held: &u64) -> (bool, u64) {
        let after = state_after(*held, operation);
        (after.is_some(), after.unwrap_or(*held))
    }
}

/// What `todc-utils` says: of each choice of unknown operations, as if these ended last of all, and the
/// others had never been.
fn is_linearizable(history: &[Asked]) -> bool {
    let (told, unknown): (Vec<_>, Vec<_>) = history.iter().partition(|it| told_at(it).is_some());
    (0..1_u32 << unknown.len()).any(|chosen| {
        let some = unknown.iter().enumerate();
        let some = some.filter(|(index, _)| chosen & 1 << index != 0);
        let all = told.iter().chain(some.map(|(_, it)| it));
        let mut actions = Vec::new();
        for (process, it) in all.enumerate() {
            let ends = told_at(it).unwrap_or(u64::MAX);
            // Of what is at the same time calls are first.
            actions.push((it.called_at, 0, process, Action::Call((*it).clone())));
            actions.push((ends, 1, process, Action::Response((*it).clone())));
        }
        actions.sort_by_key(|(at, last, process, _)| (*at, *last, *process));
        let actions: Vec<_> = actions
            .into_iter()
            .map(|(_, _, process, action)| (process, action))
            .collect();
        actions.is_empty()
            || WGLChecker::<OneRegister>::is_linearizable(History::from_actions(actions))
    })
}

#[test]
fn three_checkers_say_the_same_of_small_histories() {
    let (mut legal, mut illegal) = (0, 0);
    for seed in 1..=6_000 {
        let history = drawn(seed);
        let left: Vec<&Asked> = history.iter().collect();
        let expected = has_order(&left, 0, u64::MAX);
        let verdict = check(&Register, &history, 1_000_000);
        let said = match &verdict {
            Verdict::Ok => true,
            Verdict::Illegal(_) => false,
            Verdict::OutOfBudget { .. } => panic!("seed {seed}: it gave up"),
        };
        assert_eq!(said, expected, "seed {seed}, all orders: {history:#?}");
        let other = is_linearizable(&history);
        assert_eq!(said, other, "seed {seed}, todc-utils: {history:#?}");
        if let Verdict::Illegal(witness) = verdict {
            illegal += 1;
            is_first(seed, &history, witness.stuck);
        } else {
            legal += 1;
        }
    }
    println!("seeds 1 to 6000: {legal} have an order, {illegal} have none");
    assert!(legal > 1_000 && illegal > 1_000, "{legal} and {illegal}");
}

/// No order reaches the end that a witness names, and one does reach each end before it.
fn is_first(seed: u64, history: &[Asked], stuck: usize) {
    let left: Vec<&Asked> = history.iter().collect();
    let end = told_at(&history[stuck]).expect("it was told");
    let before = history
        .iter()
        .filter_map(told_at)
        .filter(|at| *at < end)
        .max();
    let reaches = |upto: u64| has_order(&left, 0, upto);
    assert!(!reaches(end), "seed {seed}: {stuck} of {history:#?}");
    assert!(
        before.is_none_or(reaches),
        "seed {seed}: before {stuck} of {history:#?}"
    );
}
