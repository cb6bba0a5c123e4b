//! How far the run is: a bar on a terminal, a line now and then elsewhere, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Counts operations; clones count together.
#[derive(Clone, Debug)]
pub struct Progress {
    done: Arc<AtomicU64>,
    shown: Arc<Shown>,
}

/// What shows the count until the last handle is gone.
#[derive(Debug)]
struct Shown {
    task: AbortHandle,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn end(&self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end();
    }
}

impl Progress {
    /// Begins to show how many of so many operations are done.
    pub fn new(operations: u64) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let bar = std::io::stderr().is_terminal().then(|| bar(operations));
        let (shown, count) = (bar.clone(), Arc::clone(&done));
        let task = tokio::spawn(async move {
            let period = Duration::from_millis(if shown.is_some() { 100 } else { 5_000 });
            let mut ticks = tokio::time::interval(period);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let done = count.load(Ordering::Relaxed);
                match &shown {
                    Some(bar) => bar.set_position(done),
                    None => eprintln!("{done} of {operations} operations"),
                }
            }
        });
        Self {
            done,
            shown: Arc::new(Shown {
                task: task.abort_handle(),
                bar,
            }),
        }
    }

    /// Shows nothing any more.
    pub fn end(&self) {
        self.shown.end();
    }

    /// One more operation is done.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more operations are done.
    pub(crate) fn add(&self, operations: u64) {
        self.done.fetch_add(operations, Ordering::Relaxed);
    }
}

fn bar(operations: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} operations, {per_sec}, {eta} to go";
    let style = ProgressStyle::with_template(style).expect("a template that indicatif reads");
    ProgressBar::new(operations).with_style(style)
}
