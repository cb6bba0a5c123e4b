//! A failing run made smaller: fewer deviations that break the same promise (delta debugging after
//! Zeller and Hildebrandt, 2002).

use crate::case::{Broken, Case};
use crate::deviation::{Deviation, Timing};
use crate::repro::Repro;
use crate::world::Report;
use std::collections::{BTreeMap, BTreeSet};

/// A run that breaks nothing is cut so long after the time at which the failing one broke its promise.
const CUT_AFTER: u64 = 2_000_000_000;

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
    let mut search = Search {
        case: repro.case.clone(),
        expect: broken,
        until: Some(first.ended + CUT_AFTER),
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
        search.without_free_dice();
        search.fewer(|it| matches!(it, Deviation::Fault { .. }));
        if part == Part::All {
            search.without_clients();
            search.fewer(|it| matches!(it, Deviation::Ask { .. }));
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

    /// In few runs what is mostly most of it: all free dice, all faults, all of one kind, and what came
    /// long before the promise was broken.
    fn coarse(&mut self) {
        let free = |it: &Deviation| matches!(it, Deviation::Free { .. });
        let _ = self.without(free) || self.without(|it| matches!(it, Deviation::Fault { .. }));
        let kind = |it: &Deviation| match it {
            Deviation::Fault { fault, .. } => Some(*fault),
            Deviation::Free { .. } | Deviation::Ask { .. } => None,
        };
        let kinds: BTreeSet<_> = self.best.keys().filter_map(kind).collect();
        for of in kinds {
            self.without(|it| kind(it) == Some(of));
        }
        self.without_early();
    }

    /// Leaves out what came first: as much as may be, by halves.
    fn without_early(&mut self) {
        let faults_and_times = |best: &BTreeMap<Deviation, u64>| {
            let mut all: Vec<(u64, Deviation)> = best
                .iter()
                .filter(|(it, _)| it.is_fault_or_time())
                .map(|(it, at)| (*at, *it))
                .collect();
            all.sort_unstable();
            all
        };
        let mut all = faults_and_times(&self.best);
        let mut part = all.len() / 2;
        while part > 0 && !self.is_over() {
            let early: BTreeSet<Deviation> = all[..part].iter().map(|(_, it)| *it).collect();
            if self.without(|it| early.contains(it)) {
                all = faults_and_times(&self.best);
                part = part.min(all.len()) / 2;
            } else {
                part /= 2;
            }
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

    /// All dice at rest if it may be, else those of one kind after another, else of fewer windows.
    fn without_free_dice(&mut self) {
        if self.without(|it| matches!(it, Deviation::Free { .. })) {
            return;
        }
        for kind in Timing::ALL {
            let of_kind =
                |it: &Deviation| matches!(it, Deviation::Free { dice, .. } if *dice == kind);
            if !self.without(of_kind) {
                self.fewer(of_kind);
            }
        }
    }

    /// Leaves out as many of one sort as may be: halves first, single ones last. Each size goes once
    /// through all, in the order in which they came: to begin again after each success would take
    /// more runs than large failures are worth.
    fn fewer(&mut self, of_sort: impl Fn(&Deviation) -> bool) {
        let sort = |best: &BTreeMap<Deviation, u64>| {
            let all = best.iter().filter(|(it, _)| of_sort(it));
            let mut all: Vec<(u64, Deviation)> = all.map(|(it, at)| (*at, *it)).collect();
            all.sort_unstable();
            all
        };
        let mut chunk = sort(&self.best).len().div_ceil(2);
        while chunk > 0 && !self.is_over() {
            // Those before it were tried.
            let mut tried = 0;
            loop {
                let all = sort(&self.best);
                let end = all.len().min(tried + chunk);
                if tried >= end || self.is_over() {
                    break;
                }
                let out: BTreeSet<_> = all[tried..end].iter().map(|(_, it)| *it).collect();
                if !self.without(|it| out.contains(it)) {
                    tried = end;
                }
            }
            chunk /= 2;
        }
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
