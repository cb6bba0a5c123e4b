//! What an object does alone, one operation after the other.

use std::fmt;

/// What an object does alone: its state, and what an operation makes of it.
pub trait Model {
    /// The state of one key.
    type State: Clone + Ord + fmt::Debug;
    /// What is asked of it.
    type Input: fmt::Debug;
    /// What is answered.
    type Output: fmt::Debug;

    /// The state of a key before its first operation.
    fn initial(&self) -> Self::State;

    /// The state after an operation that is answered so; `None` when it cannot be answered so in this
    /// state. Without an output nobody knows the answer, and each is right.
    fn next(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Whether an operation that is answered so leaves every state as it is in which it can be: such a
    /// one is placed as early as it can be, which makes the search short. `false` is always right.
    fn is_look(&self, _: &Self::Input, _: &Self::Output) -> bool {
        false
    }
}
