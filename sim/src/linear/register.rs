//! A register: written, read, and changed where it holds what its caller expects.

use super::model::Model;

/// A register that holds a number, 0 at first.
#[derive(Clone, Copy, Debug)]
pub struct Register;

/// What is asked of a [`Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterInput {
    /// What it holds; answered with a value.
    Read,
    /// It shall hold this.
    Write(u64),
    /// It shall hold the second if it holds the first; answered with whether it does.
    Swap(u64, u64),
}

/// What a [`Register`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutput {
    /// It was written.
    Done,
    /// It holds this.
    Value(u64),
    /// Whether it held what was expected.
    Swapped(bool),
}

impl Model for Register {
    type State = u64;
    type Input = RegisterInput;
    type Output = RegisterOutput;

    fn initial(&self) -> u64 {
        0
    }

    fn next(
        &self,
        state: &u64,
        input: &RegisterInput,
        output: Option<&RegisterOutput>,
    ) -> Option<u64> {
        let (next, answer) = match *input {
            RegisterInput::Read => (*state, RegisterOutput::Value(*state)),
            RegisterInput::Write(value) => (value, RegisterOutput::Done),
            RegisterInput::Swap(from, to) if *state == from => (to, RegisterOutput::Swapped(true)),
            RegisterInput::Swap(..) => (*state, RegisterOutput::Swapped(false)),
        };
        output
            .is_none_or(|output| *output == answer)
            .then_some(next)
    }

    fn is_look(&self, input: &RegisterInput, output: &RegisterOutput) -> bool {
        match input {
            RegisterInput::Read => true,
            RegisterInput::Write(_) => false,
            RegisterInput::Swap(..) => *output == RegisterOutput::Swapped(false),
        }
    }
}
