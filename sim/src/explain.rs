//! A run as one page: who did what when, what led to the broken promise, what lasted, and how states
//! changed. The page needs nothing beside itself.

mod flight;

pub use flight::explain_flight;

use crate::case::Case;
use crate::deviation::Deviation;
use crate::world::{Kept, Kind, Lane, Report, Sort};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The page, but for what happened.
const PAGE: &str = include_str!("explain/page.html");

/// Where the page takes its data.
const PLACE: &str = "/*DATA*/null";

/// Of so many events at most the changes of state are kept.
const CHANGES_MAX: usize = 600;

/// Runs a case and draws it; the report of the run, too.
///
/// ```
/// use tenure_sim::{Case, Corruption, Profile, explain};
///
/// let case = Case { corruption: Some(Corruption::Unchecked), ..Case::new(4, Profile::Owned) };
/// let (page, report) = explain(&case);
/// assert!(report.violation.is_some());
/// assert!(page.starts_with("<!doctype html>") && page.contains("predecessor"));
/// ```
pub fn explain(case: &Case) -> (String, Report) {
    let first = case.run_traced();
    let slice = slice(case, &first.story);
    let newest = slice.iter().rev().take(CHANGES_MAX).copied().collect();
    let report = case.run_with_changes(newest);
    (page(case, case.nodes(), &report, &slice), report)
}

/// Draws a run of a user's own test, of which the story was kept.
pub(crate) fn page_of(case: &Case, nodes: usize, report: &Report) -> String {
    page(case, nodes, report, &slice(case, &report.story))
}

fn page(case: &Case, nodes: usize, report: &Report, slice: &BTreeSet<u64>) -> String {
    let data = data(case, nodes, report, slice).to_string();
    // A script ends at the first `</script`, wherever it stands.
    let data = data.replace("</", "<\\/");
    PAGE.replacen(PLACE, &data, 1)
}

/// The events that led to the broken promise: those that caused its event, what befell the world, who
/// took a shard, and what happened to the entity that it names. Of a user's own test, of which nobody knows
/// what it goes by, what led to each answer that it got, and what was written.
fn slice(case: &Case, story: &Kept) -> BTreeSet<u64> {
    let Some(violation) = story.lines.iter().rfind(|it| it.kind == Kind::Violation) else {
        return BTreeSet::new();
    };
    let named = Named::by(&violation.text);
    let matters = |text: &str| {
        let writes = [" publish ", " batch ", " Publish(", " Batch {"];
        let writes = writes.iter().any(|word| text.contains(word));
        let wrote = match case.test {
            None => named.is_written_in(text),
            Some(_) => text.contains(".ev."),
        };
        let asked = text.contains(" asks ") && named.is_asked_in(text);
        writes && wrote || asked || text.contains("Claimed(") || text.contains("Sealed(")
    };
    let ends = story.lines.iter().filter(|line| {
        line.event == violation.event
            || match line.kind {
                Kind::Fault | Kind::Violation => true,
                Kind::Takes | Kind::Does => matters(&line.text),
                Kind::Note => false,
            }
    });
    let mut slice = BTreeSet::new();
    let mut open: Vec<u64> = ends.map(|line| line.event).collect();
    if case.test.is_some() {
        open.extend(&story.tested);
    }
    while let Some(event) = open.pop() {
        if slice.insert(event) {
            open.extend(story.causes.get(&event).filter(|cause| **cause > 0));
        }
    }
    slice
}

/// The entities that a violation names: by their subjects, or, where a caller's answers are judged, by their ids.
struct Named<'a> {
    subjects: Vec<&'a str>,
    ids: Vec<&'a str>,
}

impl<'a> Named<'a> {
    fn by(text: &'a str) -> Self {
        let words = text.split(|c: char| c.is_whitespace() || c == '"');
        let words = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
        let (subjects, rest) = words.partition(|word| word.matches('.').count() >= 3);
        let rest: Vec<&str> = rest;
        // As the workloads name them: `kept-0`, `counter-12`.
        let is_id = |word: &&str| {
            let number = word.rsplit_once('-').map(|(_, number)| number);
            number.is_some_and(|number| number.parse::<u64>().is_ok())
        };
        Self {
            subjects,
            ids: rest.into_iter().filter(is_id).collect(),
        }
    }

    fn is_written_in(&self, text: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        let mut ids = self.ids.iter();
        self.subjects.iter().any(|subject| text.contains(subject))
            || ids.any(|id| {
                let id = format!(".{id}");
                let mut found = text.match_indices(&id);
                found.any(|(at, id)| ends(&text[at + id.len()..]))
            })
    }

    fn is_asked_in(&self, text: &str) -> bool {
        self.ids
            .iter()
            .any(|id| text.contains(&format!("\"{id}\"")))
    }
}

fn data(case: &Case, nodes: usize, report: &Report, slice: &BTreeSet<u64>) -> Value {
    let story = &report.story;
    let told: BTreeSet<u64> = story.lines.iter().map(|line| line.event).collect();
    // The nearest event before it of which something is told.
    let cause_of = |event: u64| {
        let causes = std::iter::successors(story.causes.get(&event), |it| story.causes.get(it));
        causes.copied().find(|it| told.contains(it)).unwrap_or(0)
    };
    let lines = story.lines.iter().enumerate().map(|(n, line)| {
        json!({
            "t": line.at,
            "e": line.event,
            "c": cause_of(line.event),
            "l": lane(line.lane),
            "k": kind(line.kind),
            "x": line.text,
            "s": slice.contains(&line.event),
            "d": story.changes.get(&n),
            "u": line.kind == Kind::Takes && line.text.contains("Unknown"),
        })
    });
    let bars = story.bars.iter().map(|bar| {
        let (sort, shard) = match bar.sort {
            Sort::Epoch(shard) => ("epoch", Some(shard)),
            Sort::Lease(shard) => ("lease", Some(shard)),
            Sort::Fault => ("fault", None),
        };
        json!({
            "l": lane(bar.lane),
            "sort": sort,
            "shard": shard,
            "label": bar.label,
            "from": bar.from,
            "until": bar.until.min(report.ended),
        })
    });
    let deviations = report.deviations.iter();
    let faults = deviations.filter(|(it, _)| matches!(it, Deviation::Fault { .. }));
    let faults = faults.map(|(deviation, at)| json!({ "t": at, "x": deviation.to_string() }));
    json!({
        "title": title(case),
        "corruption": case.corruption.map(|it| it.to_string()),
        "broken": report.broken().map(|it| it.to_string()),
        "ended": report.ended,
        "nodes": nodes,
        "per_class": story.per_class,
        "plan": case.plan(),
        "lines": lines.collect::<Vec<_>>(),
        "bars": bars.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
    })
}

fn title(case: &Case) -> String {
    let seed = format!("seed {} of {}", case.seed, case.profile);
    match &case.test {
        Some(test) => format!("{}, {seed}", test.name()),
        None => seed,
    }
}

/// The number of a lane's column: those who ask, the nodes, the store; -1 is the whole world.
fn lane(lane: Lane) -> i64 {
    match lane {
        Lane::World => -1,
        Lane::Callers => 0,
        Lane::Node(node) => i64::try_from(node).map_or(i64::MAX, |node| node + 1),
        Lane::Store => -2,
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Takes => "takes",
        Kind::Does => "does",
        Kind::Fault => "fault",
        Kind::Violation => "violation",
        Kind::Note => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::Named;
    use super::{explain, slice};
    use crate::case::{Case, WorldKind};
    use crate::profile::Profile;
    use crate::world::{Corruption, Kind, Sort};

    fn case() -> Case {
        Case {
            corruption: Some(Corruption::Zombie),
            ..Case::new(3, Profile::Owned)
        }
    }

    #[test]
    fn the_slice_has_the_violation_and_all_that_caused_it() {
        let story = case().run_traced().story;
        let slice = slice(&case(), &story);
        assert!(!slice.is_empty() && slice.len() < story.causes.len() / 2);
        let violation = story.lines.last().expect("it broke something");
        assert_eq!(violation.kind, Kind::Violation);
        assert!(slice.contains(&violation.event));
        for event in &slice {
            let cause = story.causes[event];
            assert!(
                cause == 0 || slice.contains(&cause),
                "#{event} came from nowhere"
            );
        }
    }

    #[test]
    fn a_page_of_the_driver_world_has_what_nodes_believe() {
        let case = Case {
            world: WorldKind::Driver,
            ..Case::new(1, Profile::Churn)
        };
        let (page, report) = explain(&case);
        let has = |sort: fn(&Sort) -> bool| report.story.bars.iter().any(|bar| sort(&bar.sort));
        assert!(has(|sort| matches!(sort, Sort::Epoch(_))));
        assert!(has(|sort| matches!(sort, Sort::Lease(_))));
        assert!(has(|sort| matches!(sort, Sort::Fault)));
        assert!(report.story.changes.values().any(|it| it.contains("epoch")));
        assert!(page.contains("is joined"));
    }

    #[test]
    fn the_page_is_one_file_with_changes_of_state_and_nothing_from_elsewhere() {
        let (page, report) = explain(&case());
        assert!(!report.story.changes.is_empty() && !report.story.bars.is_empty());
        for foreign in ["http://", "https://", "src=", "@import", "<link"] {
            assert!(!page.contains(foreign), "the page asks for {foreign}");
        }
        assert_eq!(page.matches("</script").count(), 1);
    }

    #[test]
    fn an_entity_is_named_by_its_subject_or_by_its_id() {
        let write = "n1.1 asks flight12 publish sim.ev.4.kept.kept-1 after #78";
        let by_subject = Named::by("sim.ev.4.kept.kept-1 lacks #78");
        assert!(by_subject.is_written_in(write));
        let by_id =
            Named::by("no order of the operations on kept-1 explains [6.8 s to 7.1 s] client 9");
        assert!(by_id.is_written_in(write));
        assert!(by_id.is_asked_in("op57: op24 asks kept \"kept-1\": look, id 018b"));
        let other = "n1.1 asks flight12 publish sim.ev.4.kept.kept-12 after #78";
        assert!(!by_id.is_written_in(other));
        assert!(!by_id.is_asked_in("op57: op24 asks kept \"kept-12\": look, id 018b"));
        assert!(!Named::by("it does not converge").is_written_in(write));
    }
}
