//! What is wrong with the steps of a build, all at once and in words.

use super::step::{Step, TypeRef};
use super::{EventType, Steps};
use crate::api::Aggregate;
use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Checks the upcasters of an aggregate, as [`Tenure::repository`](super::super::Tenure::repository)
/// does before it asks the store: for a unit test.
///
/// # Errors
///
/// When there are mistakes in them: one error that has them all.
pub fn check_upcasters<A: Aggregate>() -> Result<(), UpcastersError> {
    Steps::of::<A>().map(drop)
}

/// There are mistakes in upcasters. Its text lists them all, each with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UpcastersError {
    whose: String,
    event: &'static str,
    mistakes: Vec<Mistake>,
}

impl UpcastersError {
    /// The mistakes: each kind of them in the order of the types that they are about.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for UpcastersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, event) = (self.mistakes.len(), self.event);
        let mistakes = if count == 1 { "mistake" } else { "mistakes" };
        write!(
            f,
            "the upcasters of {} have {count} {mistakes}:",
            self.whose
        )?;
        for mistake in &self.mistakes {
            write!(f, "\n- ")?;
            match mistake {
                Mistake::Gap { from, to, known } => {
                    write!(
                        f,
                        "gap: the step from {from} leads to {to}, which neither {event} nor another step knows"
                    )?;
                    if !known.is_empty() {
                        write!(f, " ({event} has version {} of it)", listed(known))?;
                    }
                    write!(f, "; add a step from {to}, or correct where this one leads")?;
                }
                Mistake::Cycle { types } if types.len() == 1 => write!(
                    f,
                    "cycle: the step from {0} leads back to {0}, so it never ends; let it lead to an event of {event}",
                    listed(types)
                )?,
                Mistake::Cycle { types } => write!(
                    f,
                    "cycle: the steps from {} lead to one another, so none of them ends; let one of them lead to an event of {event}",
                    listed(types)
                )?,
                Mistake::Duplicate { from, to } => write!(
                    f,
                    "duplicate: {} steps begin with {from}; keep the one that is right of those that lead to {}",
                    to.len(),
                    listed(to)
                )?,
                Mistake::Shadowed { from } => write!(
                    f,
                    "shadowed: {event} decodes {from} itself, so the step from it is never made; remove the step, or that event from {event}"
                )?,
                Mistake::Backward { from, to } => write!(
                    f,
                    "backward: the step from {from} leads back to {to}; versions of one name rise: give the newer shape a version above {}",
                    from.schema
                )?,
            }
        }
        Ok(())
    }
}

fn listed(all: &[impl ToString]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// One mistake in upcasters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mistake {
    /// A step leads to a type that neither the event type nor another step knows.
    Gap {
        /// Where the step begins.
        from: EventType,
        /// Where it leads.
        to: EventType,
        /// The versions of that name that the event type has.
        known: Vec<u16>,
    },
    /// Steps lead to one another.
    Cycle {
        /// Each of which leads to all of them.
        types: Vec<EventType>,
    },
    /// Several steps begin with one type.
    Duplicate {
        /// That type.
        from: EventType,
        /// Where they lead.
        to: Vec<String>,
    },
    /// A step begins with a type that is current, and is never made.
    Shadowed {
        /// That type.
        from: EventType,
    },
    /// A step leads to an older version of its own name. Versions of a name say what is newer; so
    /// this is an error, not a warning.
    Backward {
        /// Where the step begins.
        from: EventType,
        /// Where it leads.
        to: EventType,
    },
}

/// A Rust type's name without its path.
pub(super) fn name_of<E>() -> &'static str {
    let name = type_name::<E>();
    name.rsplit("::").next().unwrap_or(name)
}

/// Finds every mistake, whatever the order of the steps.
pub(super) fn check_steps(
    steps: &[Step],
    current: &[TypeRef],
    event: &'static str,
    whose: String,
) -> Result<(), UpcastersError> {
    let graph = Graph::of(steps, current);
    let mut mistakes: Vec<Mistake> = graph.gaps();
    mistakes.extend(graph.cycles());
    mistakes.extend(graph.duplicates());
    mistakes.extend(graph.shadowed());
    mistakes.extend(graph.backward());
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(UpcastersError {
        whose,
        event,
        mistakes,
    })
}

/// The steps by the types that they begin with, and what is current.
struct Graph<'a> {
    steps: BTreeMap<TypeRef, Vec<&'a Step>>,
    current: BTreeSet<TypeRef>,
}

impl<'a> Graph<'a> {
    fn of(steps: &'a [Step], current: &[TypeRef]) -> Self {
        let mut by_type: BTreeMap<TypeRef, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            by_type.entry(step.from).or_default().push(step);
        }
        Self {
            steps: by_type,
            current: current.iter().copied().collect(),
        }
    }

    /// Each type with a type that a step from it leads to, once.
    fn edges(&self) -> BTreeSet<(TypeRef, TypeRef)> {
        let all = self.steps.iter();
        all.flat_map(|(from, steps)| {
            let to = steps.iter().flat_map(|step| &step.to);
            to.map(move |to| (*from, *to))
        })
        .collect()
    }

    fn gaps(&self) -> Vec<Mistake> {
        let edges = self.edges().into_iter();
        let gaps =
            edges.filter(|(_, to)| !self.current.contains(to) && !self.steps.contains_key(to));
        gaps.map(|(from, to)| Mistake::Gap {
            from: from.into(),
            to: to.into(),
            known: {
                let named = self.current.iter().filter(|(name, _)| *name == to.0);
                named.map(|(_, schema)| *schema).collect()
            },
        })
        .collect()
    }

    fn cycles(&self) -> Vec<Mistake> {
        let reached: BTreeMap<TypeRef, BTreeSet<TypeRef>> = self
            .steps
            .keys()
            .map(|from| (*from, self.reached_from(*from)))
            .collect();
        let leads = |from: &TypeRef, to: &TypeRef| reached[from].contains(to);
        let mut told = BTreeSet::new();
        let mut cycles = Vec::new();
        for from in reached.keys() {
            if !leads(from, from) || told.contains(from) {
                continue;
            }
            let group = reached
                .keys()
                .filter(|to| leads(from, to) && leads(to, from));
            let group: Vec<TypeRef> = group.copied().collect();
            told.extend(group.iter().copied());
            let types = group.into_iter().map(EventType::from).collect();
            cycles.push(Mistake::Cycle { types });
        }
        cycles
    }

    /// Every type that steps from this one lead to.
    fn reached_from(&self, from: TypeRef) -> BTreeSet<TypeRef> {
        let mut reached = BTreeSet::new();
        let mut left = vec![from];
        while let Some(here) = left.pop() {
            let steps = self.steps.get(&here).into_iter().flatten();
            for to in steps.flat_map(|step| &step.to) {
                if reached.insert(*to) {
                    left.push(*to);
                }
            }
        }
        reached
    }

    fn duplicates(&self) -> Vec<Mistake> {
        let several = self.steps.iter().filter(|(_, steps)| steps.len() > 1);
        several
            .map(|(from, steps)| {
                let mut to: Vec<String> = steps.iter().map(|step| step.targets()).collect();
                to.sort();
                let from = (*from).into();
                Mistake::Duplicate { from, to }
            })
            .collect()
    }

    fn shadowed(&self) -> Vec<Mistake> {
        let shadowed = self.steps.keys().filter(|from| self.current.contains(from));
        shadowed
            .map(|from| Mistake::Shadowed {
                from: (*from).into(),
            })
            .collect()
    }

    fn backward(&self) -> Vec<Mistake> {
        let edges = self.edges().into_iter();
        // To the same version is a cycle.
        let backward = edges.filter(|(from, to)| from.0 == to.0 && to.1 < from.1);
        backward
            .map(|(from, to)| Mistake::Backward {
                from: from.into(),
                to: to.into(),
            })
            .collect()
    }
}
