//! What the check comes to.

use crate::read::{History, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// So many reasons of one rule are told in full.
const TOLD_MAX: usize = 10;

/// What is broken, by rule, and what was held against the rules.
#[derive(Debug)]
pub(crate) struct Verdict {
    broken: BTreeMap<&'static str, Vec<String>>,
    /// Counted, so that a history of nothing does not look like a good one.
    counts: BTreeMap<&'static str, usize>,
}

impl Verdict {
    pub(crate) fn of(history: &History) -> Self {
        let mut this = Self {
            broken: BTreeMap::new(),
            counts: BTreeMap::from([("asks", history.asks.len()), ("faults", history.faults)]),
        };
        for ask in &history.asks {
            this.count(match ask.outcome {
                Outcome::Ok(_) => "ok",
                Outcome::Rejected {} => "rejected",
                Outcome::Refused {} => "refused",
                Outcome::Unknown {} => "unknown",
            });
        }
        this
    }

    pub(crate) fn broken(&mut self, rule: &'static str, reason: String) {
        self.broken.entry(rule).or_default().push(reason);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn passed(&self) -> bool {
        self.broken.is_empty()
    }

    /// The reasons that are told: rule, text.
    fn told(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.broken.iter().flat_map(|(rule, reasons)| {
            let more = reasons.len().saturating_sub(TOLD_MAX);
            let more = (more > 0).then(|| format!("and {more} more"));
            let told = reasons.iter().take(TOLD_MAX).cloned().chain(more);
            told.map(move |reason| (*rule, reason))
        })
    }

    /// One line for each reason, and one for what was checked.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (rule, reason) in self.told() {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{rule}: {reason}");
        }
        let counts = self.counts.iter();
        let counts: Vec<String> = counts
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let end = if self.passed() { "passed" } else { "FAILED" };
        let _ = writeln!(text, "{end}: {}", counts.join(", "));
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let reasons = self.told();
        let reasons = reasons.map(|(rule, reason)| json!({ "rule": rule, "reason": reason }));
        json!({
            "passed": self.passed(),
            "broken": self.broken.iter().map(|(rule, all)| (*rule, all.len())).collect::<BTreeMap<_, _>>(),
            "reasons": reasons.collect::<Vec<_>>(),
            "counts": self.counts,
        })
    }
}
