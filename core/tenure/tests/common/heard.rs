//! What is told to `tracing` on the thread of a test.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Metadata, Subscriber};

/// What was told since it was made, a line for each event: `span{field=value …}: field=value …`.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    spans: BTreeMap<u64, String>,
    entered: Vec<u64>,
    lines: Vec<String>,
}

impl Heard {
    /// Listens until the guard is dropped.
    pub fn begin() -> (Self, DefaultGuard) {
        let this = Self::default();
        let guard = set_default(this.clone());
        (this, guard)
    }

    /// The lines that have all of these texts in them.
    pub fn with(&self, texts: &[&str]) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let lines = told.lines.iter();
        lines
            .filter(|line| texts.iter().all(|text| line.contains(text)))
            .cloned()
            .collect()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut told = self.0.lock().unwrap();
        let n = told.spans.len() as u64 + 1;
        let text = format!("{}{{{}}}: ", span.metadata().name(), fields.0.trim_end());
        told.spans.insert(n, text);
        Id::from_u64(n)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut told = self.0.lock().unwrap();
        let spans = told.entered.iter().filter_map(|n| told.spans.get(n));
        let spans: String = spans.map(String::as_str).collect();
        told.lines.push(format!("{spans}{}", fields.0.trim_end()));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut told = self.0.lock().unwrap();
        let at = told.entered.iter().rposition(|n| *n == span.into_u64());
        if let Some(at) = at {
            told.entered.remove(at);
        }
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
