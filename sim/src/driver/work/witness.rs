//! Who acted for which key, in true time: one thread runs all nodes, so the order of acts is that of
//! truth.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// The witness of the run on this thread: what actors reach without being handed it.
    static PRESENT: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// True time, in nanoseconds.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Who acted for which key.
#[derive(Clone)]
pub(super) struct Witness {
    seen: Arc<Mutex<Seen>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Seen {
    lives: u64,
    keys: BTreeMap<String, Acts>,
    together: Option<Wrong>,
    disorders: Vec<Disorder>,
}

/// Something that was wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// In true nanoseconds.
    pub(super) at: u64,
    pub(super) what: String,
}

/// A message that came in another order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disorder {
    /// The node that sent it, and the one that handled it.
    pub(super) way: (usize, usize),
    pub(super) wrong: Wrong,
}

/// So many are kept.
const DISORDERS_MAX: usize = 64;

#[derive(Debug, Default)]
struct Acts {
    now: u64,
    past: BTreeSet<u64>,
    /// The last message of each caller in this life.
    numbers: BTreeMap<u64, u64>,
}

impl Witness {
    /// A witness that is the present one of this thread.
    pub(super) fn present(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let witness = Self {
            seen: Arc::default(),
            clock: Arc::new(clock),
        };
        PRESENT.set(Some(witness.clone()));
        witness
    }

    fn with<T>(look: impl FnOnce(&mut Seen, &Clock) -> T) -> T {
        PRESENT.with_borrow(|present| {
            let witness = present.as_ref().expect("a run of this thread");
            let mut seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner);
            look(&mut seen, &witness.clock)
        })
    }

    /// A number for a life of an actor.
    pub(super) fn life() -> u64 {
        Self::with(|seen, _| {
            seen.lives += 1;
            seen.lives
        })
    }

    /// A life of an actor does something now.
    pub(super) fn act(key: &str, life: u64, who: &str) {
        Self::with(|seen, clock| {
            let acts = seen.keys.entry(key.to_owned()).or_default();
            if acts.now == life {
                return;
            }
            if acts.past.contains(&life) && seen.together.is_none() {
                let other = acts.now;
                let what = format!("life {life} of {key} acts ({who}) after life {other} has");
                seen.together = Some(Wrong { at: clock(), what });
            }
            let before = std::mem::replace(&mut acts.now, life);
            acts.past.insert(before);
            acts.numbers.clear();
        });
    }

    /// A message of a caller is handled; `way`: the node that sent it, and the one that handles it.
    pub(super) fn took(key: &str, way: (usize, usize), caller: u64, number: u64) {
        Self::with(|seen, clock| {
            let acts = seen.keys.entry(key.to_owned()).or_default();
            let last = acts.numbers.insert(caller, number).unwrap_or(0);
            if last >= number && seen.disorders.len() < DISORDERS_MAX {
                let what =
                    format!("{key} handles message {number} of caller {caller} after {last}");
                let wrong = Wrong { at: clock(), what };
                seen.disorders.push(Disorder { way, wrong });
            }
        });
    }

    /// What was wrong: the first time that two acted together, and messages that came in another order.
    pub(super) fn wrong(&self) -> (Option<Wrong>, Vec<Disorder>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.together.clone(), seen.disorders.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Witness;

    #[test]
    fn two_lives_that_act_in_turns_are_seen() {
        let witness = Witness::present(|| 9);
        for life in [1, 1, 2, 2] {
            Witness::act("key", life, "turn");
        }
        assert_eq!(witness.wrong(), (None, vec![]), "one after the other");
        Witness::act("key", 1, "task");
        let (together, _) = witness.wrong();
        assert!(together.is_some_and(|wrong| wrong.at == 9 && wrong.what.contains("life 1")));
    }

    #[test]
    fn a_message_that_another_one_overtook_is_seen() {
        let witness = Witness::present(|| 9);
        Witness::act("key", 1, "turn");
        for (caller, number) in [(1, 1), (2, 1), (1, 3)] {
            Witness::took("key", (0, 1), caller, number);
        }
        assert_eq!(witness.wrong(), (None, vec![]));
        Witness::took("key", (0, 1), 1, 2);
        let (_, disorders) = witness.wrong();
        let [disorder] = &disorders[..] else {
            panic!("{disorders:?}");
        };
        assert!(disorder.way == (0, 1) && disorder.wrong.what.contains("after 3"));
    }
}
