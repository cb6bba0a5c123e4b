//! A failing run made smaller: fewer deviations that break the same promise (delta debugging after
//! Zeller and Hildebrandt, 2002).

use crate::case::{Broken, Case};
use crate::deviation::{Deviation, Timing};
use crate::repro::Repro;
use crate::world::Report;
use std::collections::{BTreeMap, BTreeSet};

/// A run that breaks nothing is cut at twice the time at which the failing one broke its promise, and so long after
/// that: oracles that are asked at the end are so later where things take longer.
const CUT_AFTER: u64 = 2_000_000_000;

/// The smallest part of the time that is tried alone is one of so many.
const PARTS_MAX: usize = 8;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Runs so far.
    pub runs: u64,
    /// Faults, and windows with free dice, that are left.
    pub deviations: usize,
    /// Questions that are left.
    pub asks: usize,
}

/// A smaller run, and what it took.
#[derive(Clone, Debug)]
pub struct Minimized {
    /// The run.
    pub repro: Repro,
    /// What is left, and how many runs it took.
    pub progress: Progress,
    /// What the run had at first.
    pub before: Progress,
}

struct Search<'a> {
    case: Case,
    expect: Broken,
    until: Option<u64>,
    runs: u64,
    runs_max: u64,
    /// What is left, and when it happened.
    best: BTreeMap<Deviation, u64>,
    tell: &'a mut dyn FnMut(Progress),
    run: &'a dyn Fn(&Case) -> Report,
}

/// Which part of a run is made smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Whatever may be.
    #[default]
    All,
    /// Faults and free dice; the questions stay, which are most of the runs that it takes.
    Deviations,
}

/// Makes a failing run smaller in at most so many runs.
///
/// # Errors
///
/// When the run does not break what the repro says.
pub fn minimize(
    repro: &Repro,
    part: Part,
    runs_max: u64,
    tell: &mut dyn FnMut(Progress),
) -> Result<Minimized, String> {
    minimize_with(repro, part, runs_max, tell, &Case::run)
}

/// The same with another way to run a case, such as with a user's own test.
///
/// # Errors
///
/// When the run does not break what the repro says.
pub(crate) fn minimize_with(
    repro: &Repro,
    part: Part,
    runs_max: u64,
    tell: &mut dyn FnMut(Progress),
    run: &dyn Fn(&Case) -> Report,
) -> Result<Minimized, String> {
    let first = run(&repro.case);
    let Some(broken) = first.broken().filter(|it| it.is_like(&repro.expect)) else {
        let came = first.broken();
        let came = came.map_or_else(|| "breaks nothing".into(), |it| format!("breaks {it}"));
        return Err(format!(
            "the run {came}, and not {}: it is another build's",
            repro.expect
        ));
    };
    if first.ended == 0 {
        return Err(
            "the run told nothing of what happened in it, so nothing can be left out".into(),
        );
    }
    let mut search = Search {
        case: repro.case.clone(),
        expect: broken,
        until: Some(first.ended * 2 + CUT_AFTER),
        runs: 1,
        runs_max,
        best: first.deviations,
        tell,
        run,
    };
    let before = search.progress();
    if !search.without(|it| it.is_fault_or_time()) {
        search.coarse();
    }
    loop {
        let size = search.best.len();
        search.without(is_free);
        search.fewer(&[is_fault, is_free]);
        if part == Part::All {
            search.without_clients();
            search.fewer(&[is_ask]);
        }
        if search.best.len() == size || search.is_over() {
            break;
        }
    }
    Ok(search.end(before))
}

impl Search<'_> {
    fn progress(&self) -> Progress {
        let all = self.best.len();
        let deviations = self.best.keys().filter(|it| it.is_fault_or_time()).count();
        Progress {
            runs: self.runs,
            deviations,
            asks: all - deviations,
        }
    }

    fn is_over(&self) -> bool {
        self.runs >= self.runs_max
    }

    /// Whether the run still fails alike with only these; then what happened in it is the best so far.
    fn fails(&mut self, only: BTreeSet<Deviation>) -> bool {
        if self.is_over() || only.len() >= self.best.len() {
            return false;
        }
        self.runs += 1;
        let case = Case {
            only: Some(only),
            until: self.until,
            ..self.case.clone()
        };
        let report = (self.run)(&case);
        let fails = report
            .broken()
            .is_some_and(|broken| broken.is_like(&self.expect));
        if fails {
            self.takes(&report);
        }
        let progress = self.progress();
        (self.tell)(progress);
        fails
    }

    fn takes(&mut self, report: &Report) {
        self.best.clone_from(&report.deviations);
        if let Some(broken) = report.broken() {
            self.expect = broken;
        }
    }

    /// Leaves out all of one sort, if the run still fails then.
    fn without(&mut self, of_sort: impl Fn(&Deviation) -> bool) -> bool {
        let rest = self.best.keys().copied().filter(|it| !of_sort(it));
        let rest = rest.collect();
        self.fails(rest)
    }

    /// In few runs what is mostly most of it: all free dice, all faults, all of one kind, what came after the
    /// promise was broken, what came long before, and all that came at other times than in one part of the run.
    fn coarse(&mut self) {
        let _ = self.without(is_free) || self.without(is_fault);
        let kind = |it: &Deviation| match it {
            Deviation::Fault { fault, .. } => Some(*fault),
            Deviation::Free { .. } | Deviation::Ask { .. } => None,
        };
        let kinds: BTreeSet<_> = self.best.keys().filter_map(kind).collect();
        for of in kinds {
            self.without(|it| kind(it) == Some(of));
        }
        // Oracles that are asked at the end look at what was long before.
        self.without_end(|all, part| &all[all.len() - part..]);
        self.without_end(|all, part| &all[..part]);
        self.without_kinds_of_dice();
        self.only_a_part(is_free);
    }

    /// Leaves out the first or the last ones: as many as may be, by halves.
    fn without_end(&mut self, end: impl Fn(&[Deviation], usize) -> &[Deviation]) {
        let mut part = self.in_order(|it| it.is_fault_or_time()).len() / 2;
        while part > 0 && !self.is_over() {
            let all = self.in_order(|it| it.is_fault_or_time());
            part = part.min(all.len());
            let out: BTreeSet<_> = end(&all, part).iter().copied().collect();
            self.without(|it| out.contains(it));
            part /= 2;
        }
    }

    /// Leaves all dice but those of one kind at rest, if it may be, and else those of each kind.
    fn without_kinds_of_dice(&mut self) {
        let of = |kind| move |it: &Deviation| matches!(it, Deviation::Free { dice, .. } if *dice == kind);
        for kind in Timing::ALL {
            if self.without(|it| is_free(it) && !of(kind)(it)) {
                return;
            }
        }
        for kind in Timing::ALL {
            self.without(of(kind));
        }
    }

    /// Keeps of one sort what came in one half of the time, or in a quarter, or in an eighth; and so on with what
    /// is left then. A promise that is broken in most runs is so where little happens, too, while hardly any part
    /// may be left out of what led to it this time.
    fn only_a_part(&mut self, of_sort: impl Fn(&Deviation) -> bool) {
        let mut parts = 2;
        while parts <= PARTS_MAX && !self.is_over() {
            let all = self.in_order(&of_sort);
            let part = all.len().div_ceil(parts).max(1);
            let keeps = all.chunks(part).any(|kept| {
                let kept: BTreeSet<_> = kept.iter().copied().collect();
                self.without(|it| of_sort(it) && !kept.contains(it))
            });
            parts = if keeps { 2 } else { parts * 2 };
        }
    }

    /// Leaves out all questions of one client after another.
    fn without_clients(&mut self) {
        let client = |it: &Deviation| match it {
            Deviation::Ask { client, .. } => Some(*client),
            Deviation::Fault { .. } | Deviation::Free { .. } => None,
        };
        let clients: BTreeSet<u64> = self.best.keys().filter_map(client).collect();
        for of in clients {
            self.without(|it| client(it) == Some(of));
        }
    }

    /// Leaves out as many as may be: halves first, single ones last, and of each size those of one sort after
    /// another. Each size goes once through all, in the order in which they came: to begin again after each
    /// success would take more runs than large failures are worth.
    fn fewer(&mut self, sorts: &[fn(&Deviation) -> bool]) {
        let halves = sorts.iter().map(|it| self.in_order(it).len().div_ceil(2));
        let mut chunks: Vec<_> = sorts.iter().zip(halves).collect();
        while chunks.iter().any(|(_, chunk)| *chunk > 0) && !self.is_over() {
            for (of_sort, chunk) in &mut chunks {
                self.without_chunks(**of_sort, *chunk);
                *chunk /= 2;
            }
        }
    }

    /// Leaves out each chunk of so many, if the run still fails then.
    fn without_chunks(&mut self, of_sort: fn(&Deviation) -> bool, chunk: usize) {
        // Those before it were tried.
        let mut tried = 0;
        loop {
            let all = self.in_order(of_sort);
            let end = all.len().min(tried + chunk);
            if tried >= end || self.is_over() {
                return;
            }
            let out: BTreeSet<_> = all[tried..end].iter().copied().collect();
            if !self.without(|it| out.contains(it)) {
                tried = end;
            }
        }
    }

    /// What is left of one sort, in the order in which it came.
    fn in_order(&self, of_sort: impl Fn(&Deviation) -> bool) -> Vec<Deviation> {
        let all = self.best.iter().filter(|(it, _)| of_sort(it));
        let mut all: Vec<(u64, Deviation)> = all.map(|(it, at)| (*at, *it)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, it)| it).collect()
    }

    fn end(self, before: Progress) -> Minimized {
        let progress = self.progress();
        let remark = format!(
            "{} of {} faults and windows of free dice, {} of {} questions; {} runs",
            progress.deviations, before.deviations, progress.asks, before.asks, progress.runs
        );
        let case = Case {
            only: Some(self.best.into_keys().collect()),
            ..self.case
        };
        Minimized {
            repro: Repro {
                case,
                expect: self.expect,
                remarks: vec![remark],
            },
            progress,
            before,
        }
    }
}

fn is_free(it: &Deviation) -> bool {
    matches!(it, Deviation::Free { .. })
}

fn is_fault(it: &Deviation) -> bool {
    matches!(it, Deviation::Fault { .. })
}

fn is_ask(it: &Deviation) -> bool {
    matches!(it, Deviation::Ask { .. })
}

#[cfg(test)]
mod tests {
    use super::{Part, is_free, minimize_with};
    use crate::case::Case;
    use crate::deviation::{Deviation, Timing};
    use crate::oracle::{Class, Violation};
    use crate::profile::Profile;
    use crate::repro::Repro;
    use crate::world::{Kept, Report};
    use std::collections::BTreeSet;
    use tenure_core::step::CountingProbe;

    /// How many windows are free in a run of which nothing is left out.
    const WINDOWS: u64 = 200;

    /// When that run ends.
    const ENDED: u64 = 40_000_000_000;

    fn windows(of: std::ops::Range<u64>) -> BTreeSet<Deviation> {
        let dice = Timing::Travel;
        of.map(|window| Deviation::Free { dice, window }).collect()
    }

    /// Runs a case whose promise is broken where `breaks` says so of what happens in it; the end is then.
    fn run(case: &Case, breaks: impl Fn(&BTreeSet<Deviation>) -> bool, ended: u64) -> Report {
        let only = case.only.clone().unwrap_or_else(|| windows(0..WINDOWS));
        let cut = case.until.is_some_and(|until| until < ended);
        let violation = (!cut && breaks(&only)).then(|| Violation {
            class: Class::Safety,
            oracle: "alone",
            what: "two act".to_owned(),
        });
        let at = |it: &Deviation| match it {
            Deviation::Free { window, .. } => *window,
            Deviation::Fault { .. } | Deviation::Ask { .. } => 0,
        };
        Report {
            violation,
            probe: CountingProbe::default(),
            ended,
            events: 0,
            commits: 0,
            asked: 0,
            deviations: only.iter().map(|it| (*it, at(it))).collect(),
            story: Kept::default(),
        }
    }

    /// What is left, after how many runs.
    fn smaller(run: &dyn Fn(&Case) -> Report) -> (BTreeSet<Deviation>, u64) {
        let case = Case::new(1, Profile::Group);
        let repro = Repro {
            expect: run(&case).broken().expect("it breaks something"),
            case,
            remarks: Vec::new(),
        };
        let smaller = minimize_with(&repro, Part::Deviations, 300, &mut |_| {}, run);
        let smaller = smaller.expect("it fails again");
        let left = smaller.repro.case.only.expect("some of it");
        (left, smaller.progress.runs)
    }

    #[test]
    fn what_came_after_the_broken_promise_goes_in_few_runs() {
        let needed = windows(3..5);
        let breaks = |only: &BTreeSet<Deviation>| only.is_superset(&needed);
        let (left, runs) = smaller(&|case| run(case, breaks, ENDED));
        assert_eq!(left, needed);
        assert!(runs < 60, "{runs}");
    }

    #[test]
    fn a_part_is_tried_alone_where_nothing_may_be_left_out() {
        let breaks = |only: &BTreeSet<Deviation>| {
            *only == windows(0..WINDOWS)
                || only.iter().all(is_free) && only.is_subset(&windows(50..100)) && only.len() > 1
        };
        let (left, runs) = smaller(&|case| run(case, breaks, ENDED));
        assert_eq!(left.len(), 2, "{left:?} after {runs} runs");
        assert!(runs < 100, "{runs}");
    }

    #[test]
    fn a_run_that_takes_longer_is_not_cut_before_it_is_judged() {
        let breaks = |only: &BTreeSet<Deviation>| !only.is_empty();
        let longer = |case: &Case| match case.only {
            None => ENDED,
            Some(_) => ENDED + ENDED / 2,
        };
        let (left, _) = smaller(&|case| run(case, breaks, longer(case)));
        assert_eq!(left.len(), 1);
    }
}
