//! What this program and that of the worlds on madsim tell each other. Both are of one build of the same
//! sources, so it has no versions.

use super::REPORT;
use crate::case::Case;
use crate::driver::Keep;
use crate::oracle::{Class, Violation};
use crate::world::{Bar, Kept, Kind, Lane, Line, Report, Sort};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use tenure_core::Site;
use tenure_core::step::{CountingProbe, SiteKind};

/// Texts of another process, kept for good: there are as many as oracles and places of the sources.
static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Places of another process, kept for good.
static SITES: Mutex<BTreeSet<&'static Site>> = Mutex::new(BTreeSet::new());

/// A case for a process of a world on madsim, and what it is to keep of its story.
pub fn order(case: &Case, keep: Keep) -> String {
    let only = case.only.as_ref();
    json!({
        "world": case.world.to_string(),
        "seed": case.seed,
        "profile": case.profile.to_string(),
        "corruption": case.corruption.map(|it| it.to_string()),
        "only": only.map(|only| only.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "until": case.until,
        "keep": keep_name(keep),
    })
    .to_string()
}

/// Reads an [order](order()).
///
/// # Errors
///
/// When it is none, or of another build.
pub fn read_order(text: &str) -> Result<(Case, Keep), String> {
    let order: Value = serde_json::from_str(text).map_err(|error| {
        format!("this is no case: {error}; `cargo sim run --world madsim` runs it")
    })?;
    let only = some(&order["only"]).map(|only| list(only)?.iter().map(parsed).collect());
    let corruption = some(&order["corruption"]).map(parsed);
    let keep = text_of(&order["keep"])?;
    let keeps = [Keep::Nothing, Keep::Story, Keep::Printed];
    let keep = keeps.into_iter().find(|it| keep_name(*it) == keep);
    let case = Case {
        world: parsed(&order["world"])?,
        seed: number(&order["seed"])?,
        profile: parsed(&order["profile"])?,
        corruption: corruption.transpose()?,
        only: only.transpose()?,
        until: order["until"].as_u64(),
        test: None,
    };
    Ok((case, keep.ok_or("nothing is kept so")?))
}

const fn keep_name(keep: Keep) -> &'static str {
    match keep {
        Keep::Nothing => "nothing",
        Keep::Story => "story",
        Keep::Printed => "printed",
    }
}

/// The line with which a process of a world on madsim tells its report.
pub fn told(report: &Report) -> String {
    let Report {
        violation,
        probe,
        ended,
        events,
        commits,
        asked,
        deviations,
        story,
    } = report;
    let violation = violation
        .as_ref()
        .map(|it| json!({ "class": class_name(it.class), "oracle": it.oracle, "what": it.what }));
    let probe = probe.counts().map(|(site, held, failed)| {
        let kind = kind_name(site.kind);
        json!([kind, site.name, site.file, site.line, held, failed])
    });
    let deviations = deviations.iter();
    let deviations = deviations.map(|(deviation, at)| json!([deviation.to_string(), at]));
    let lines = story.lines.iter().map(|line| {
        let Line {
            at,
            event,
            cause,
            lane,
            kind,
            text,
        } = line;
        json!([at, event, cause, lane_number(*lane), line_kind(*kind), text])
    });
    let bars = story.bars.iter().map(|bar| {
        let (sort, shard) = sort_name(bar.sort);
        json!([
            lane_number(bar.lane),
            sort,
            shard,
            bar.label,
            bar.from,
            bar.until
        ])
    });
    let report = json!({
        "violation": violation,
        "probe": probe.collect::<Vec<_>>(),
        "ended": ended,
        "events": events,
        "commits": commits,
        "asked": asked,
        "deviations": deviations.collect::<Vec<_>>(),
        "lines": lines.collect::<Vec<_>>(),
        "causes": story.causes.iter().map(|(of, cause)| json!([of, cause])).collect::<Vec<_>>(),
        "bars": bars.collect::<Vec<_>>(),
    });
    format!("{REPORT}{report}")
}

/// Reads what a process [told](told()), but for the mark before it.
pub(super) fn heard(text: &str) -> Result<Report, String> {
    let report: Value =
        serde_json::from_str(text).map_err(|error| format!("a report is malformed: {error}"))?;
    let violation = some(&report["violation"]).map(violation).transpose()?;
    let mut probe = CountingProbe::default();
    for place in list(&report["probe"])? {
        let line = number(&place[3])?;
        let site = kept_site(Site {
            kind: named(&place[0], &SITE_KINDS, kind_name)?,
            name: kept(text_of(&place[1])?),
            file: kept(text_of(&place[2])?),
            line: u32::try_from(line).map_err(|_| format!("{line} is no line"))?,
        });
        probe.add(site, number(&place[4])?, number(&place[5])?);
    }
    let mut deviations = BTreeMap::new();
    for it in list(&report["deviations"])? {
        deviations.insert(parsed(&it[0])?, number(&it[1])?);
    }
    let mut story = Kept::default();
    for line in list(&report["lines"])? {
        story.lines.push(Line {
            at: number(&line[0])?,
            event: number(&line[1])?,
            cause: number(&line[2])?,
            lane: lane(&line[3])?,
            kind: named(&line[4], &LINE_KINDS, line_kind)?,
            text: text_of(&line[5])?.to_owned(),
        });
    }
    for it in list(&report["causes"])? {
        story.causes.insert(number(&it[0])?, number(&it[1])?);
    }
    for bar in list(&report["bars"])? {
        story.bars.push(Bar {
            lane: lane(&bar[0])?,
            sort: sort(text_of(&bar[1])?, &bar[2])?,
            label: text_of(&bar[3])?.to_owned(),
            from: number(&bar[4])?,
            until: number(&bar[5])?,
        });
    }
    Ok(Report {
        violation,
        probe,
        ended: number(&report["ended"])?,
        events: number(&report["events"])?,
        commits: count(&report["commits"])?,
        asked: count(&report["asked"])?,
        deviations,
        story,
    })
}

fn violation(told: &Value) -> Result<Violation, String> {
    Ok(Violation {
        class: named(&told["class"], &CLASSES, class_name)?,
        oracle: kept(text_of(&told["oracle"])?),
        what: text_of(&told["what"])?.to_owned(),
    })
}

const CLASSES: [Class; 3] = [Class::Safety, Class::Liveness, Class::Panic];

const SITE_KINDS: [SiteKind; 4] = [
    SiteKind::Always,
    SiteKind::Sometimes,
    SiteKind::Reached,
    SiteKind::Never,
];

const LINE_KINDS: [Kind; 5] = [
    Kind::Takes,
    Kind::Does,
    Kind::Fault,
    Kind::Violation,
    Kind::Note,
];

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Safety => "safety",
        Class::Liveness => "liveness",
        Class::Panic => "panic",
    }
}

const fn kind_name(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Always => "always",
        SiteKind::Sometimes => "sometimes",
        SiteKind::Reached => "reached",
        SiteKind::Never => "never",
    }
}

const fn line_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Takes => "takes",
        Kind::Does => "does",
        Kind::Fault => "fault",
        Kind::Violation => "violation",
        Kind::Note => "note",
    }
}

const fn sort_name(sort: Sort) -> (&'static str, Option<usize>) {
    match sort {
        Sort::Epoch(shard) => ("epoch", Some(shard)),
        Sort::Lease(shard) => ("lease", Some(shard)),
        Sort::Fault => ("fault", None),
    }
}

fn sort(name: &str, shard: &Value) -> Result<Sort, String> {
    match name {
        "epoch" => Ok(Sort::Epoch(count(shard)?)),
        "lease" => Ok(Sort::Lease(count(shard)?)),
        "fault" => Ok(Sort::Fault),
        other => Err(format!("{other:?} does not last")),
    }
}

/// The world, those who ask and the store are numbers below zero.
fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::World => -1,
        Lane::Callers => -2,
        Lane::Store => -3,
        Lane::Node(node) => i64::try_from(node).expect("few nodes"),
    }
}

fn lane(value: &Value) -> Result<Lane, String> {
    match value.as_i64() {
        Some(-1) => Ok(Lane::World),
        Some(-2) => Ok(Lane::Callers),
        Some(-3) => Ok(Lane::Store),
        Some(_) | None => Ok(Lane::Node(count(value)?)),
    }
}

fn named<T: Copy>(value: &Value, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let text = text_of(value)?;
    let found = all.iter().find(|it| name(**it) == text);
    found
        .copied()
        .ok_or_else(|| format!("nothing is called {text:?}"))
}

/// What is there.
fn some(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("{value} is no list"))
}

fn text_of(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn number(value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{value} is no number"))
}

fn count(value: &Value) -> Result<usize, String> {
    usize::try_from(number(value)?).map_err(|_| format!("{value} is too large"))
}

fn parsed<T: FromStr<Err: Display>>(value: &Value) -> Result<T, String> {
    text_of(value)?
        .parse()
        .map_err(|error: T::Err| error.to_string())
}

fn kept(text: &str) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = texts.get(text) {
        return text;
    }
    let text: &'static str = Box::leak(text.into());
    texts.insert(text);
    text
}

fn kept_site(site: Site) -> &'static Site {
    let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(site) = sites.get(&site) {
        return site;
    }
    let site: &'static Site = Box::leak(Box::new(site));
    sites.insert(site);
    site
}

#[cfg(test)]
mod tests {
    use super::{heard, order, read_order, told};
    use crate::case::{Case, WorldKind};
    use crate::driver::Keep;
    use crate::profile::Profile;
    use crate::world::Corruption;

    #[test]
    fn a_case_reads_back_from_its_order() {
        let driver = Case {
            world: WorldKind::Driver,
            ..Case::new(5, Profile::Storm)
        };
        let all = Case {
            world: WorldKind::Madsim,
            corruption: Some(Corruption::FalseProof),
            ..driver.clone()
        };
        let some = Case {
            only: Some(driver.run().deviations.into_keys().collect()),
            until: Some(u64::MAX),
            ..all.clone()
        };
        let nats = Case {
            world: WorldKind::Nats,
            ..Case::new(5, Profile::Storm)
        };
        for case in [all, some, nats] {
            let read = read_order(&order(&case, Keep::Story));
            assert_eq!(read, Ok((case, Keep::Story)));
        }
        assert!(read_order("{}").is_err() && read_order("").is_err());
    }

    #[test]
    fn a_report_reads_back_from_what_was_told() {
        for corruption in [None, Some(Corruption::Unchecked)] {
            let case = Case {
                corruption,
                ..Case::new(3, Profile::Owned)
            };
            let report = case.run_traced();
            let text = told(&report);
            let again = heard(text.trim_start_matches(super::REPORT)).expect("a report");
            assert_eq!(again.violation, report.violation);
            assert_eq!(again.deviations, report.deviations);
            assert!(again.story.lines == report.story.lines);
            assert!(again.story.bars == report.story.bars);
            assert!(again.story.causes == report.story.causes);
            assert!(again.probe.counts().eq(report.probe.counts()));
            let rest = |it: &crate::Report| (it.ended, it.events, it.commits, it.asked);
            assert_eq!(rest(&again), rest(&report));
        }
    }
}
