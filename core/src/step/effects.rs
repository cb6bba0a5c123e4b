//! The caller-owned, bounded buffer that a step pushes into.

use alloc::vec::{Drain, Vec};

/// Effects of steps. Position carries no meaning: a driver may run them in any order.
///
/// The buffer is bounded: a machine whose step would push more than `effects_max` is wrong, and
/// pushing panics (the driver makes that a `Halt`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<E> {
    items: Vec<E>,
    effects_max: usize,
}

impl<E> Effects<E> {
    /// An empty buffer for at most `effects_max` effects.
    pub fn new(effects_max: usize) -> Self {
        Self {
            items: Vec::new(),
            effects_max,
        }
    }

    /// Adds an effect.
    ///
    /// # Panics
    ///
    /// When the buffer is full: the machine has a loop without a limit.
    #[inline]
    pub fn push(&mut self, effect: E) {
        assert!(
            self.items.len() < self.effects_max,
            "a step pushed more than effects_max"
        );
        self.items.push(effect);
    }

    /// How many effects wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no effect waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes all effects out and keeps the memory.
    pub fn drain(&mut self) -> Drain<'_, E> {
        self.items.drain(..)
    }

    /// Moves all effects to the end of a list; an empty one changes places with the buffer.
    pub fn move_to(&mut self, list: &mut Vec<E>) {
        if list.is_empty() {
            core::mem::swap(&mut self.items, list);
        } else {
            list.append(&mut self.items);
        }
    }

    /// The effects that wait.
    pub fn as_slice(&self) -> &[E] {
        &self.items
    }
}
