//! The search for an order, key by key.

use super::history::{Ended, Operation};
use super::model::Model;
use super::witness::{Placed, Witness};
use std::collections::BTreeMap;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order for each key.
    Ok,
    /// There is none for a key.
    Illegal(Box<Witness>),
    /// The search was given up: with this key's budget no order was found, and none of the other keys
    /// lacks one.
    OutOfBudget {
        /// The key.
        key: String,
    },
}

/// Looks for an order of the operations on each key, in so many configurations of each at most: which
/// operations have their place, and the state after them.
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    budget: u64,
) -> Verdict {
    let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        keys.entry(&operation.key).or_default().push(index);
    }
    let mut given_up = None;
    for (key, members) in keys {
        match Search::new(model, history, &members).run(budget) {
            Found::Order => {}
            Found::Nothing(witness) => return Verdict::Illegal(witness),
            Found::OutOfBudget => {
                given_up.get_or_insert_with(|| key.to_owned());
            }
        }
    }
    given_up.map_or(Verdict::Ok, |key| Verdict::OutOfBudget { key })
}

/// What came of the search for one key.
enum Found {
    Order,
    Nothing(Box<Witness>),
    OutOfBudget,
}

/// The end of an operation that was told.
struct End {
    operation: usize,
    /// What was called by then and is told now or later, by when it is told.
    open: Vec<usize>,
    /// So many of the unknown ones were called by then.
    unknown: usize,
}

/// A configuration but for the unknown operations in it: the next end, what is placed ahead of its own,
/// and the state.
type Known<S> = (usize, Vec<usize>, S);

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Input, M::Output>],
    ends: Vec<End>,
    /// Those of which nobody knows what came, by when they were called.
    unknown: Vec<usize>,
    /// Configurations that lead nowhere, each with the sets of unknown operations in it of which none
    /// holds another: whoever has placed more of them can do no more.
    seen: BTreeMap<Known<M::State>, Vec<Vec<usize>>>,
}

/// Which operations have their place.
struct Configuration<S> {
    /// All ends before this one are reached.
    end: usize,
    /// Placed, and told at this end or later.
    ahead: Vec<usize>,
    /// Placed, of those of which nobody knows what came.
    unknown: Vec<usize>,
    state: S,
}

/// A configuration whose next operations are tried one after the other.
struct Frame<S> {
    at: Configuration<S>,
    candidates: Vec<usize>,
    tried: usize,
    /// How long the order was before what led here.
    before: usize,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Operation<M::Input, M::Output>], members: &[usize]) -> Self {
        let (mut ends, mut unknown) = (Vec::new(), Vec::new());
        for &operation in members {
            match &history[operation].ended {
                Ended::Told { at, .. } => ends.push((*at, operation)),
                Ended::Unknown => unknown.push(operation),
            }
        }
        ends.sort_unstable();
        unknown.sort_by_key(|&it| history[it].called_at);
        let called_by = |operation: usize, at: u64| history[operation].called_at <= at;
        let mut open = Vec::new();
        let mut upcoming: Vec<(u64, usize, usize)> = ends
            .iter()
            .enumerate()
            .map(|(rank, &(_, operation))| (history[operation].called_at, rank, operation))
            .collect();
        upcoming.sort_unstable();
        let mut upcoming = upcoming.into_iter().peekable();
        let ends = ends.iter().enumerate().map(|(rank, &(at, operation))| {
            open.retain(|&(told, _)| told >= rank);
            while let Some((_, told, it)) = upcoming.next_if(|&(called, ..)| called <= at) {
                open.push((told, it));
            }
            open.sort_unstable();
            End {
                operation,
                open: open.iter().map(|&(_, it)| it).collect(),
                unknown: unknown.partition_point(|&it| called_by(it, at)),
            }
        });
        Self {
            model,
            history,
            ends: ends.collect(),
            unknown,
            seen: BTreeMap::new(),
        }
    }

    fn run(mut self, budget: u64) -> Found {
        let mut order: Vec<(usize, M::State)> = Vec::new();
        let mut longest: (usize, Vec<(usize, M::State)>) = (0, Vec::new());
        let mut stack: Vec<Frame<M::State>> = Vec::new();
        let mut steps = 0;
        let first = Configuration {
            end: 0,
            ahead: Vec::new(),
            unknown: Vec::new(),
            state: self.model.initial(),
        };
        let mut entered = Some((0, first));
        loop {
            if let Some((before, mut at)) = entered.take() {
                self.settle(&mut at, &mut order);
                if at.end == self.ends.len() {
                    return Found::Order;
                }
                steps += 1;
                if steps > budget {
                    return Found::OutOfBudget;
                }
                if self.leads_nowhere(&at) {
                    order.truncate(before);
                } else {
                    let candidates = self.candidates(&at);
                    stack.push(Frame {
                        at,
                        candidates,
                        tried: 0,
                        before,
                    });
                }
            }
            let Some(frame) = stack.last_mut() else {
                return Found::Nothing(Box::new(self.witness(longest)));
            };
            let Some(&operation) = frame.candidates.get(frame.tried) else {
                if (frame.at.end, order.len()) > (longest.0, longest.1.len()) {
                    longest = (frame.at.end, order.clone());
                }
                order.truncate(frame.before);
                stack.pop();
                continue;
            };
            frame.tried += 1;
            if let Some(next) = place(self.model, self.history, &frame.at, operation) {
                let before = order.len();
                order.push((operation, next.state.clone()));
                entered = Some((before, next));
            }
        }
    }

    /// Reaches each end whose operation has its place, and places each operation that never changes
    /// anything: it can come no better later.
    fn settle(&self, at: &mut Configuration<M::State>, order: &mut Vec<(usize, M::State)>) {
        while let Some(end) = self.ends.get(at.end) {
            for &operation in &end.open {
                if at.ahead.contains(&operation) {
                    continue;
                }
                let it = &self.history[operation];
                if is_look(self.model, it) && next(self.model, it, &at.state).is_some() {
                    at.ahead.push(operation);
                    order.push((operation, at.state.clone()));
                }
            }
            at.ahead.sort_unstable();
            let Ok(reached) = at.ahead.binary_search(&end.operation) else {
                return;
            };
            at.ahead.remove(reached);
            at.end += 1;
        }
    }

    /// What may be next: what is told first, first; what nobody knows, last.
    fn candidates(&self, at: &Configuration<M::State>) -> Vec<usize> {
        let end = &self.ends[at.end];
        let open = end.open.iter().filter(|it| !at.ahead.contains(it));
        let unknown = self.unknown[..end.unknown].iter();
        let unknown = unknown.filter(|it| !at.unknown.contains(it));
        open.chain(unknown).copied().collect()
    }

    /// Whether the same was tried before, with as few unknown operations or fewer; it is noted.
    fn leads_nowhere(&mut self, at: &Configuration<M::State>) -> bool {
        let key = (at.end, at.ahead.clone(), at.state.clone());
        let sets = self.seen.entry(key).or_default();
        let holds = |all: &[usize], some: &[usize]| some.iter().all(|it| all.contains(it));
        if sets.iter().any(|set| holds(&at.unknown, set)) {
            return true;
        }
        sets.retain(|set| !holds(set, &at.unknown));
        sets.push(at.unknown.clone());
        false
    }

    fn witness(&self, (end, order): (usize, Vec<(usize, M::State)>)) -> Witness {
        let stuck = &self.ends[end];
        let initial = self.model.initial();
        let last = order.last().map_or(&initial, |(_, state)| state);
        let placed = |&(operation, ref state): &(usize, M::State)| Placed {
            operation,
            what: told(&self.history[operation]),
            state: format!("{state:?}"),
        };
        let is_placed = |operation: &usize| order.iter().any(|(it, _)| it == operation);
        let open = stuck.open.iter().filter(|it| **it != stuck.operation);
        let unknown = &self.unknown[..stuck.unknown];
        let others = open.chain(unknown).filter(|it| !is_placed(it));
        let unplaced = [&stuck.operation].into_iter().chain(others);
        Witness {
            key: self.history[stuck.operation].key.clone(),
            stuck: stuck.operation,
            placed: order.iter().map(placed).collect(),
            unplaced: unplaced
                .map(|&operation| placed(&(operation, last.clone())))
                .collect(),
        }
    }
}

/// The state after an operation as it ended.
fn next<M: Model>(
    model: &M,
    operation: &Operation<M::Input, M::Output>,
    state: &M::State,
) -> Option<M::State> {
    let output = match &operation.ended {
        Ended::Told { output, .. } => Some(output),
        Ended::Unknown => None,
    };
    model.next(state, &operation.input, output)
}

/// Whether an operation that was told never changes anything.
fn is_look<M: Model>(model: &M, operation: &Operation<M::Input, M::Output>) -> bool {
    match &operation.ended {
        Ended::Told { output, .. } => model.is_look(&operation.input, output),
        Ended::Unknown => false,
    }
}

/// What is placed when an operation is next; `None` when it cannot be, or nobody knows what came of it
/// and it would change nothing.
fn place<M: Model>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    at: &Configuration<M::State>,
    operation: usize,
) -> Option<Configuration<M::State>> {
    let state = next(model, &history[operation], &at.state)?;
    let (mut ahead, mut unknown) = (at.ahead.clone(), at.unknown.clone());
    let set = match &history[operation].ended {
        Ended::Told { .. } => &mut ahead,
        // As good as never.
        Ended::Unknown if state == at.state => return None,
        Ended::Unknown => &mut unknown,
    };
    set.push(operation);
    set.sort_unstable();
    Some(Configuration {
        end: at.end,
        ahead,
        unknown,
        state,
    })
}

/// An operation in words.
fn told<I: std::fmt::Debug, O: std::fmt::Debug>(operation: &Operation<I, O>) -> String {
    let Operation {
        client,
        input,
        called_at,
        ended,
        ..
    } = operation;
    let seconds =
        |nanos: u64| format!("{}.{:06}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
    let called = seconds(*called_at);
    match ended {
        Ended::Told { at, output } => {
            let ended = seconds(*at);
            format!("[{called} s to {ended} s] client {client}: {input:?} -> {output:?}")
        }
        Ended::Unknown => format!("[{called} s on] client {client}: {input:?} -> unknown"),
    }
}
