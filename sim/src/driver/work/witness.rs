//! Who acted for which key, in true time: one thread runs all nodes, so the order of acts is that of
//! truth.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// The witness of the run on this thread: what actors reach without being handed it.
    static PRESENT: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Who acted for which key.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    lives: u64,
    keys: BTreeMap<String, Acts>,
    together: Option<String>,
    disorder: Option<String>,
}

#[derive(Debug, Default)]
struct Acts {
    now: u64,
    past: BTreeSet<u64>,
    /// The last message of each caller in this life.
    numbers: BTreeMap<u64, u64>,
}

impl Witness {
    /// A witness that is the present one of this thread.
    pub(super) fn present() -> Self {
        let witness = Self::default();
        PRESENT.set(Some(witness.clone()));
        witness
    }

    fn with<T>(look: impl FnOnce(&mut Seen) -> T) -> T {
        PRESENT.with_borrow(|present| {
            let witness = present.as_ref().expect("a run of this thread");
            look(&mut witness.0.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// A number for a life of an actor.
    pub(super) fn life() -> u64 {
        Self::with(|seen| {
            seen.lives += 1;
            seen.lives
        })
    }

    /// A life of an actor does something now.
    pub(super) fn act(key: &str, life: u64, who: &str) {
        Self::with(|seen| {
            let acts = seen.keys.entry(key.to_owned()).or_default();
            if acts.now == life {
                return;
            }
            if acts.past.contains(&life) && seen.together.is_none() {
                let other = acts.now;
                let what = format!("life {life} of {key} acts ({who}) after life {other} has");
                seen.together = Some(what);
            }
            let before = std::mem::replace(&mut acts.now, life);
            acts.past.insert(before);
            acts.numbers.clear();
        });
    }

    /// A message of a caller is handled.
    pub(super) fn took(key: &str, caller: u64, number: u64) {
        Self::with(|seen| {
            let acts = seen.keys.entry(key.to_owned()).or_default();
            let last = acts.numbers.insert(caller, number).unwrap_or(0);
            if last >= number && seen.disorder.is_none() {
                let what =
                    format!("{key} handles message {number} of caller {caller} after {last}");
                seen.disorder = Some(what);
            }
        });
    }

    /// What was wrong: two acted together, and messages came in another order.
    pub(super) fn wrong(&self) -> (Option<String>, Option<String>) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.together.clone(), seen.disorder.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Witness;

    #[test]
    fn two_lives_that_act_in_turns_are_seen() {
        let witness = Witness::present();
        for life in [1, 1, 2, 2] {
            Witness::act("key", life, "turn");
        }
        assert_eq!(witness.wrong(), (None, None), "one after the other");
        Witness::act("key", 1, "task");
        let (together, _) = witness.wrong();
        assert!(together.is_some_and(|what| what.contains("life 1")));
    }

    #[test]
    fn a_message_that_another_one_overtook_is_seen() {
        let witness = Witness::present();
        Witness::act("key", 1, "turn");
        for (caller, number) in [(1, 1), (2, 1), (1, 3)] {
            Witness::took("key", caller, number);
        }
        assert_eq!(witness.wrong(), (None, None));
        Witness::took("key", 1, 2);
        let (_, disorder) = witness.wrong();
        assert!(disorder.is_some_and(|what| what.contains("after 3")));
    }
}
