//! A failing run made smaller: fewer deviations that break the same promise (delta debugging after
//! Zeller and Hildebrandt, 2002).

use crate::case::{Broken, Case};
use crate::deviation::{Deviation, Timing};
use crate::repro::Repro;
use crate::world::Report;
use std::collections::BTreeSet;

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
    best: BTreeSet<Deviation>,
    tell: &'a mut dyn FnMut(Progress),
    run: &'a dyn Fn(&Case) -> Report,
}

/// Makes a failing run smaller in at most so many runs.
///
/// # Errors
///
/// When the run does not break what the repro says.
pub fn minimize(
    repro: &Repro,
    runs_max: u64,
    tell: &mut dyn FnMut(Progress),
) -> Result<Minimized, String> {
    minimize_with(repro, runs_max, tell, &Case::run)
}

/// The same with another way to run a case, such as with a user's own test.
///
/// # Errors
///
/// When the run does not break what the repro says.
pub(crate) fn minimize_with(
    repro: &Repro,
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
        best: first.deviations.keys().copied().collect(),
        tell,
        run,
    };
    let before = search.progress();
    loop {
        let size = search.best.len();
        search.without_free_dice();
        search.fewer(|it| matches!(it, Deviation::Fault { .. }));
        search.fewer(|it| matches!(it, Deviation::Ask { .. }));
        if search.best.len() == size || search.is_over() {
            break;
        }
    }
    Ok(search.end(before))
}

impl Search<'_> {
    fn progress(&self) -> Progress {
        let all = self.best.len();
        let deviations = self.best.iter().filter(|it| it.is_fault_or_time()).count();
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
        self.best = report.deviations.keys().copied().collect();
        if let Some(broken) = report.broken() {
            self.expect = broken;
        }
    }

    /// All dice at rest if it may be, else those of one kind after another, else of fewer windows.
    fn without_free_dice(&mut self) {
        let free = |it: &Deviation| matches!(it, Deviation::Free { .. });
        let rest = self.best.iter().copied().filter(|it| !free(it)).collect();
        if self.fails(rest) {
            return;
        }
        for kind in Timing::ALL {
            let of_kind =
                |it: &Deviation| matches!(it, Deviation::Free { dice, .. } if *dice == kind);
            let rest = self.best.iter().copied().filter(|it| !of_kind(it));
            let rest = rest.collect();
            if !self.fails(rest) {
                self.fewer(of_kind);
            }
        }
    }

    /// Leaves out as many of one sort as may be: halves first, single ones last.
    fn fewer(&mut self, of_sort: impl Fn(&Deviation) -> bool) {
        let mut parts = 2;
        loop {
            let sort: Vec<Deviation> = self.best.iter().copied().filter(&of_sort).collect();
            if sort.is_empty() || self.is_over() {
                return;
            }
            let parts_now = parts.min(sort.len());
            let chunk = sort.len().div_ceil(parts_now);
            let left_out = sort.chunks(chunk).any(|chunk| {
                let out: BTreeSet<_> = chunk.iter().copied().collect();
                let rest = self.best.difference(&out).copied().collect();
                self.fails(rest)
            });
            if left_out {
                parts = 2.max(parts_now.saturating_sub(1));
            } else if chunk == 1 {
                return;
            } else {
                parts = parts_now * 2;
            }
        }
    }

    fn end(self, before: Progress) -> Minimized {
        let progress = self.progress();
        let remark = format!(
            "{} of {} faults and windows of free dice, {} of {} questions; {} runs",
            progress.deviations, before.deviations, progress.asks, before.asks, progress.runs
        );
        let case = Case {
            only: Some(self.best),
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
