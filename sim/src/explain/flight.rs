//! A flight as one page: each machine of each lane in a column of its own, with the requests that its steps
//! made and the answers that came.

use super::{PAGE, PLACE};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::driver::{Flight, Recorded, Rerun, RerunStep, StepOutcome};
use tenure_core::id::OpId;
use tenure_core::port::StoreReply;
use tenure_core::step::Outcome;
use tenure_core::{actor, log, node, route, shard, space};

/// How many steps of a machine before what went wrong are part of what led to it.
const BEFORE: usize = 12;

/// With more machines than this those of a sort share a column.
const COLUMNS_MAX: usize = 8;

/// Columns of callers and of the store; the machines' are between them.
const CALLERS: i64 = 0;
const STORE: i64 = -2;
const WORLD: i64 = -1;

/// Feeds a flight to the machines and draws what they do.
///
/// ```
/// use tenure_core::driver::Flight;
///
/// fn page(bytes: &[u8]) -> Result<String, tenure_core::driver::FlightError> {
///     Ok(tenure_sim::explain_flight(&Flight::from_bytes(bytes)?))
/// }
/// ```
pub fn explain_flight(flight: &Flight) -> String {
    let data = Drawing::of(flight).data(flight).to_string();
    // A script ends at the first `</script`, wherever it stands.
    let data = data.replace("</", "<\\/");
    PAGE.replacen(PLACE, &data, 1)
}

/// One line of the page.
struct Line {
    at: u64,
    event: u64,
    cause: u64,
    column: i64,
    kind: &'static str,
    text: String,
    /// The answer is `Unknown`.
    unknown: bool,
}

#[derive(Default)]
struct Drawing {
    columns: Vec<String>,
    /// The machines of a sort share a column.
    shared: bool,
    lines: Vec<Line>,
    bars: Vec<Value>,
    events: u64,
    /// The events of requests to the store that have no answer yet.
    asked: BTreeMap<(String, u64), u64>,
    /// The epochs that machines believe in: since when, and what it is called.
    epochs: BTreeMap<String, (u64, String)>,
    /// Events of each machine, in order.
    steps: BTreeMap<String, Vec<u64>>,
    /// What went wrong: the machine and the event.
    wrong: Vec<(String, u64)>,
    fed: usize,
    told: BTreeSet<String>,
    differs: Option<String>,
}

impl Drawing {
    fn of(flight: &Flight) -> Self {
        let several = flight.lanes.len() > 1;
        let mut steps = Vec::new();
        for lane in &flight.lanes {
            for (step, entry) in Rerun::new(lane).zip(&lane.entries) {
                let name = match several {
                    true => format!("{}: {}", lane.lane, step.machine),
                    false => step.machine.clone(),
                };
                steps.push((name, step, &entry.input));
            }
        }
        steps.sort_by_key(|(_, step, _)| step.now);
        let machines: BTreeSet<&str> = steps.iter().map(|(name, ..)| name.as_str()).collect();
        let mut drawing = Self {
            shared: machines.len() > COLUMNS_MAX,
            ..Self::default()
        };
        for (name, step, input) in steps {
            drawing.step(name, &step, input);
        }
        let ended = drawing.lines.last().map_or(0, |line| line.at);
        let left: Vec<String> = drawing.epochs.keys().cloned().collect();
        for machine in left {
            drawing.epoch_ends(&machine, ended);
        }
        drawing
    }

    fn column(&mut self, machine: &str) -> i64 {
        let (sort, shard) = machine.split_once(" shard").unwrap_or((machine, ""));
        let sort = sort.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let shard = shard
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or("");
        let name = match self.shared || shard.is_empty() {
            true => sort.to_owned(),
            false => format!("{sort} {shard}"),
        };
        let at = self.columns.iter().position(|it| *it == name);
        let at = at.unwrap_or_else(|| {
            self.columns.push(name);
            self.columns.len() - 1
        });
        i64::try_from(at + 1).unwrap_or(i64::MAX)
    }

    fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn line(
        &mut self,
        at: u64,
        (event, cause): (u64, u64),
        column: i64,
        kind: &'static str,
        text: String,
    ) {
        self.lines.push(Line {
            at,
            event,
            cause,
            column,
            kind,
            text,
            unknown: false,
        });
    }

    fn step(&mut self, machine: String, step: &RerunStep, input: &Recorded) {
        let at = step.now.as_nanos();
        let column = self.column(&machine);
        let mut cause = 0;
        let mut unknown = false;
        if let Some((op, is_unknown)) = answer_of(input) {
            cause = self.asked.remove(&(machine.clone(), op.0)).unwrap_or(0);
            unknown = is_unknown;
        } else if is_asked(input) {
            cause = self.event();
            self.line(at, (cause, 0), CALLERS, "does", step.input.clone());
        }
        let event = self.event();
        self.steps.entry(machine.clone()).or_default().push(event);
        let (kind, text) = match &step.outcome {
            StepOutcome::Began => ("note", format!("{machine} begins here")),
            StepOutcome::Met => ("note", format!("{machine} is as it was")),
            StepOutcome::Told { effects } => {
                self.told.insert(machine.clone());
                let effects = effects.join(", ");
                (
                    "takes",
                    format!("{machine} {}, then {effects} (told only)", step.input),
                )
            }
            StepOutcome::Same { .. }
            | StepOutcome::Other { .. }
            | StepOutcome::Became { .. }
            | StepOutcome::Panicked { .. } => ("takes", step.input.clone()),
        };
        self.line(at, (event, cause), column, kind, text);
        if let Some(line) = self.lines.last_mut() {
            line.unknown = unknown;
        }
        match &step.outcome {
            StepOutcome::Same { effects } => {
                self.fed += 1;
                self.effects(&machine, (at, event, column), effects);
            }
            StepOutcome::Other {
                recorded, effects, ..
            } => {
                self.effects(&machine, (at, event, column), effects);
                let was = recorded
                    .as_ref()
                    .map_or("a step that did not end".into(), |it| it.join(", "));
                let number = step.number;
                self.differs(
                    &machine,
                    (at, event),
                    format!("{machine} does something else at input {number}: then it was {was}"),
                );
            }
            StepOutcome::Became { was, is } => {
                let number = step.number;
                self.differs(&machine, (at, event), format!(
                    "{machine} has become another one before input {number}: `{is}`, and then it was `{was}`"
                ));
            }
            StepOutcome::Panicked { text, same: false } => {
                let number = step.number;
                let text =
                    format!("{machine} panics at input {number}, which it did not then: {text}");
                self.differs(&machine, (at, event), text);
            }
            StepOutcome::Panicked { text, same: true } => {
                self.wrong.push((machine.clone(), event));
                self.line(
                    at,
                    (event, 0),
                    column,
                    "fault",
                    format!("{machine} panics again: {text}"),
                );
            }
            StepOutcome::Told { .. } | StepOutcome::Began | StepOutcome::Met => {}
        }
    }

    fn differs(&mut self, machine: &str, (at, event): (u64, u64), text: String) {
        self.wrong.push((machine.to_owned(), event));
        self.differs.get_or_insert_with(|| text.clone());
        self.line(at, (event, 0), WORLD, "violation", text);
    }

    fn effects(&mut self, machine: &str, (at, event, column): (u64, u64, i64), effects: &[String]) {
        for effect in effects {
            if let Some(op) = number_after(effect, "Store { op: op") {
                let asks = self.event();
                self.asked.insert((machine.to_owned(), op), asks);
                let what = effect
                    .split_once("request: ")
                    .map_or(effect.as_str(), |(_, it)| it);
                self.line(at, (asks, event), STORE, "does", what.to_owned());
            } else if effect.starts_with("Reply {") {
                let told = self.event();
                self.line(at, (told, event), CALLERS, "takes", effect.clone());
            } else {
                let kind = match effect.starts_with("Halt") {
                    true => {
                        self.wrong.push((machine.to_owned(), event));
                        "fault"
                    }
                    false => "does",
                };
                self.line(at, (event, 0), column, kind, effect.clone());
            }
            if effect.starts_with("Note(Claimed(") || effect.starts_with("Note(Sealed(") {
                self.epoch_ends(machine, at);
                let label = effect.split(',').next().unwrap_or(effect).to_owned();
                self.epochs.insert(machine.to_owned(), (at, label));
            } else if effect.starts_with("Note(Superseded") {
                self.epoch_ends(machine, at);
            }
        }
    }

    fn epoch_ends(&mut self, machine: &str, until: u64) {
        if let Some((from, label)) = self.epochs.remove(machine) {
            let column = self.column(machine);
            self.bars.push(json!({
                "l": column, "sort": "epoch", "shard": column, "label": label,
                "from": from, "until": until,
            }));
        }
    }

    /// What led to what went wrong: the steps of its machine before it, and what caused those.
    fn slice(&self) -> BTreeSet<u64> {
        let mut open = Vec::new();
        for (machine, event) in &self.wrong {
            let steps = self.steps.get(machine).into_iter().flatten();
            let before: Vec<u64> = steps.copied().take_while(|it| it <= event).collect();
            open.extend(before.iter().rev().take(BEFORE).copied());
        }
        let causes: BTreeMap<u64, u64> = self.lines.iter().map(|it| (it.event, it.cause)).collect();
        let led: Vec<(u64, u64)> = causes
            .iter()
            .map(|(event, cause)| (*event, *cause))
            .collect();
        let mut slice = BTreeSet::new();
        while let Some(event) = open.pop() {
            if slice.insert(event) {
                open.extend(causes.get(&event).filter(|cause| **cause > 0));
            }
        }
        // What those steps asked for, too.
        let asked = led
            .iter()
            .filter(|(_, cause)| slice.contains(cause))
            .map(|(event, _)| *event);
        let asked: Vec<u64> = asked.collect();
        slice.extend(asked);
        slice
    }

    fn data(&self, flight: &Flight) -> Value {
        let slice = self.slice();
        let lines = self.lines.iter().map(|line| {
            json!({
                "t": line.at, "e": line.event, "c": line.cause, "l": line.column, "k": line.kind,
                "x": line.text, "s": slice.contains(&line.event), "u": line.unknown,
            })
        });
        let told: Vec<&str> = self.told.iter().map(String::as_str).collect();
        let mut verdict = match &self.differs {
            None => format!(
                "The machines do what they did: {} steps are the same",
                self.fed
            ),
            Some(differs) => differs.clone(),
        };
        if !told.is_empty() {
            verdict.push_str(&format!(
                ". Told only, until they begin: {}.",
                told.join(", ")
            ));
        }
        let lanes = flight.lanes.iter().map(|lane| {
            let (number, held) = (lane.lane, lane.entries.len());
            format!(
                "lane {number}: {held} entries, {} before them are gone",
                lane.dropped
            )
        });
        let plan: Vec<String> = lanes.collect();
        json!({
            "title": format!("a flight of node {} in {}: {}", flight.node, flight.namespace, flight.fault),
            "broken": self.differs,
            "verdict": verdict,
            "heads": self.columns,
            "ended": self.lines.last().map_or(0, |line| line.at),
            "nodes": self.columns.len(),
            "plan": plan.join("\n"),
            "about": "What the flight holds",
            "lines": lines.collect::<Vec<_>>(),
            "bars": self.bars,
            "faults": [],
        })
    }
}

/// The number after some words, at the beginning of a text.
fn number_after(text: &str, words: &str) -> Option<u64> {
    let rest = text.strip_prefix(words)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The operation that an input answers, and whether the answer is `Unknown`.
fn answer_of(input: &Recorded) -> Option<(OpId, bool)> {
    let (op, reply) = stored(input)?;
    let is_unknown = match reply {
        Outcome::Unknown => true,
        Outcome::Done(_) | Outcome::Refused(_) => false,
    };
    Some((op, is_unknown))
}

fn stored(input: &Recorded) -> Option<(OpId, &StoreReply)> {
    if let Recorded::Log(log::Input::Stored { op, reply }) = input {
        return Some((*op, reply));
    }
    if let Recorded::Space(input) = input
        && let space::Input::Stored { op, reply } = &**input
    {
        return Some((*op, reply));
    }
    if let Recorded::History(input) = input
        && let log::HistoryInput::Stored { op, reply } = &**input
    {
        return Some((*op, reply));
    }
    if let Recorded::Node(input) = input
        && let node::Input::Stored { op, reply } = &**input
    {
        return Some((*op, reply));
    }
    if let Recorded::Owners(input) = input
        && let shard::Input::Stored { op, reply } = &**input
    {
        return Some((*op, reply));
    }
    None
}

/// Whether an input is what a caller asks.
fn is_asked(input: &Recorded) -> bool {
    let log = matches!(
        input,
        Recorded::Log(log::Input::Submit(_) | log::Input::Read(_))
    );
    let router = matches!(input, Recorded::Router(it) if matches!(**it, route::Input::Ask(_)));
    let actors = matches!(input, Recorded::Actors(it) if matches!(**it, actor::Input::Ask(_)));
    log || router || actors
}
