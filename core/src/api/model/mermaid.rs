//! A model as a Mermaid flow chart, in event storming's colours.

use super::{CommandRef, EventRef, Kept, Model};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The colours of event storming's notes; what is written on them is dark in every theme.
const CLASSES: [(&str, &str); 9] = [
    ("command", "#9ecbff"),
    ("aggregate", "#fff3a3"),
    ("event", "#ffb870"),
    ("policy", "#d6b3ff"),
    ("read", "#a8e6b0"),
    ("actor", "#fff9d6"),
    ("external", "#ffc2dd"),
    ("effect", "#ffdfec"),
    ("earlier", "#ffe8d1"),
];

/// The chart so far, and the name of the node that stands for each command and event.
#[derive(Default)]
struct Chart {
    text: String,
    commands: BTreeMap<CommandRef, String>,
    events: BTreeMap<EventRef, String>,
    /// How many event types of former builds are drawn.
    earlier: usize,
}

pub(super) fn draw(model: &Model) -> String {
    let mut chart = Chart::default();
    chart.line(format_args!("flowchart LR"));
    for (index, kind) in model.aggregates.iter().enumerate() {
        let me = format!("kind{index}");
        let (shape, class) = match (kind.kept, &kind.saga) {
            (_, Some(_)) => (("{{", "}}"), "policy"),
            (Kept::Log, None) => (("[", "]"), "aggregate"),
            (Kept::Memory, None) => (("(", ")"), "aggregate"),
        };
        chart.line(format_args!(
            "  subgraph {me}_all[\"{}\"]",
            text(&kind.kind)
        ));
        chart.node("    ", &me, shape, &kind.kind, class);
        for command in &kind.commands {
            let it = CommandRef::new(&kind.kind, &command.name);
            if chart.commands.contains_key(&it) {
                continue;
            }
            let node = format!("{me}_command{}", chart.commands.len());
            chart.node("    ", &node, ("[/", "/]"), &command.name, "command");
            chart.line(format_args!("    {node} --> {me}"));
            chart.commands.insert(it, node);
        }
        for event in &kind.events {
            let it = EventRef::new(&kind.kind, &event.name);
            if chart.events.contains_key(&it) {
                continue;
            }
            let node = format!("{me}_event{}", chart.events.len());
            chart.node("    ", &node, (">", "]"), &event.name, "event");
            chart.line(format_args!("    {me} --> {node}"));
            chart.events.insert(it, node);
        }
        for earlier in &kind.earlier {
            let node = format!("{me}_earlier{}", chart.earlier);
            chart.earlier += 1;
            let label = format!("{} v{}", earlier.name, earlier.version);
            chart.node("    ", &node, (">", "]"), &label, "earlier");
            for becomes in &earlier.becomes {
                let it = EventRef::new(&kind.kind, &becomes.name);
                // A step to another type that only the log has is not drawn.
                if let Some(to) = chart.events.get(&it).cloned() {
                    chart.line(format_args!("    {node} -.-> {to}"));
                }
            }
        }
        chart.line(format_args!("  end"));
    }
    for (index, kind) in model.aggregates.iter().enumerate() {
        if let Some(saga) = &kind.saga {
            chart.arrows_to_commands(&format!("kind{index}"), &saga.issues);
        }
    }
    let mut read = BTreeMap::new();
    for (index, one) in model.read_models.iter().enumerate() {
        let me = format!("read{index}");
        chart.node("  ", &me, ("[(", ")]"), &one.name, "read");
        chart.arrows_from_events(&one.of, &me);
        read.insert(&one.name, me);
    }
    let mut externals = BTreeMap::new();
    for (index, one) in model.externals.iter().enumerate() {
        let me = format!("external{index}");
        chart.node("  ", &me, ("[[", "]]"), &one.name, "external");
        chart.arrows_to_commands(&me, &one.issues);
        externals.insert(&one.name, me);
    }
    for (index, one) in model.effects.iter().enumerate() {
        let me = format!("effect{index}");
        chart.node("  ", &me, ("[\\", "\\]"), &one.name, "effect");
        for kind in &one.wanted_by {
            let at = model.aggregates.iter().position(|it| it.kind == *kind);
            if let Some(at) = at {
                chart.line(format_args!("  kind{at} --> {me}"));
            }
        }
        for called in one.calls.iter().filter_map(|name| externals.get(name)) {
            chart.line(format_args!("  {me} --> {called}"));
        }
    }
    for (index, one) in model.policies.iter().enumerate() {
        let me = format!("policy{index}");
        chart.node("  ", &me, ("{{", "}}"), &one.name, "policy");
        chart.arrows_from_events(&one.on, &me);
        chart.arrows_to_commands(&me, &one.issues);
        for called in one.calls.iter().filter_map(|name| externals.get(name)) {
            chart.line(format_args!("  {me} --> {called}"));
        }
    }
    for (index, one) in model.actors.iter().enumerate() {
        let me = format!("actor{index}");
        chart.node("  ", &me, ("([", "])"), &one.name, "actor");
        chart.arrows_to_commands(&me, &one.issues);
        for looked_at in one.reads.iter().filter_map(|name| read.get(name)) {
            chart.line(format_args!("  {looked_at} -.-> {me}"));
        }
    }
    for (class, fill) in CLASSES {
        chart.line(format_args!(
            "  classDef {class} fill:{fill},stroke:#555,color:#222"
        ));
    }
    chart.text
}

impl Chart {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes it");
    }

    fn node(&mut self, indent: &str, node: &str, shape: (&str, &str), label: &str, class: &str) {
        let (open, close) = shape;
        let label = text(label);
        self.line(format_args!(
            "{indent}{node}{open}\"{label}\"{close}:::{class}"
        ));
    }

    fn arrows_from_events(&mut self, events: &[EventRef], to: &str) {
        for event in events {
            if let Some(from) = self.events.get(event).cloned() {
                self.line(format_args!("  {from} --> {to}"));
            }
        }
    }

    fn arrows_to_commands(&mut self, from: &str, commands: &[CommandRef]) {
        for command in commands {
            if let Some(to) = self.commands.get(command).cloned() {
                self.line(format_args!("  {from} --> {to}"));
            }
        }
    }
}

/// A label between quotes: what would end it or begin something else there is written as an entity.
fn text(label: &str) -> String {
    let mut escaped = String::with_capacity(label.len());
    for c in label.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' => {
                write!(escaped, "#{};", u32::from(c)).expect("a string takes it")
            }
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}
