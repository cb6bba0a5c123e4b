//! When operations are to begin: whenever one ends, or by a timetable of their own.

use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long the timetable's thread sleeps at least: operations that are due are released together.
const STEP: Duration = Duration::from_micros(100);

/// When the operations of one block begin.
///
/// By a timetable, an operation's time counts from when it was due, whether or not somebody was
/// free to begin it then: what a stall keeps waiting is all seen ("coordinated omission").
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// Each as soon as one before it ended.
    Closed,
    /// Each when it is due.
    Open {
        begin: Instant,
        rate: f64,
        due: Arc<Semaphore>,
    },
}

impl Pace {
    /// A timetable of so many operations per second, from now on, if there is a rate. `workers` is
    /// how many [wait for their turn](Self::turn).
    pub(super) fn start(rate: Option<f64>, ops: u64, workers: u64) -> std::io::Result<Self> {
        let Some(rate) = rate else {
            return Ok(Self::Closed);
        };
        let (begin, due) = (Instant::now(), Arc::new(Semaphore::new(0)));
        let timetable = Timetable {
            begin,
            rate,
            ops,
            workers,
            due: Arc::downgrade(&due),
        };
        // A thread of its own: the runtime's timers tell whole milliseconds.
        let thread = std::thread::Builder::new().name("timetable".into());
        thread.spawn(move || timetable.run())?;
        Ok(Self::Open { begin, rate, due })
    }

    /// Waits until one more operation is due.
    pub(super) async fn turn(&self) {
        match self {
            Self::Closed => {}
            Self::Open { due, .. } => match due.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => unreachable!("nobody closes it"),
            },
        }
    }

    /// When the operation of this number was to begin, as it begins now.
    pub(super) fn begin(&self, number: u64) -> Instant {
        match self {
            Self::Closed => Instant::now(),
            Self::Open { begin, rate, .. } => *begin + due(number, *rate),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "fewer than 2^40 operations")]
fn due(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

/// What the thread of a timetable does.
struct Timetable {
    begin: Instant,
    rate: f64,
    ops: u64,
    workers: u64,
    due: Weak<Semaphore>,
}

impl Timetable {
    #[allow(
        clippy::disallowed_methods,
        reason = "a thread that does nothing but wait; each operation's time counts from its own"
    )]
    fn run(self) {
        let mut released = 0;
        while released < self.ops {
            let now = self.begin.elapsed();
            let mut free = 0;
            while released < self.ops && due(released, self.rate) <= now {
                released += 1;
                free += 1;
            }
            let Some(semaphore) = self.due.upgrade() else {
                return;
            };
            semaphore.add_permits(free);
            drop(semaphore);
            let next = due(released, self.rate).saturating_sub(self.begin.elapsed());
            std::thread::sleep(next.max(STEP));
        }
        // Those who wait find that nothing is left.
        if let Some(semaphore) = self.due.upgrade() {
            semaphore.add_permits(usize::try_from(self.workers).expect("of a usize"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::Duration;

    #[tokio::test]
    async fn an_operation_counts_from_when_it_was_due_and_none_begins_before() {
        let pace = Pace::start(Some(1_000.0), 20, 1).expect("a thread");
        for number in 0..20 {
            pace.turn().await;
            let begin = pace.begin(number);
            assert!(begin.elapsed() < Duration::from_secs(60), "it was not due");
            assert!(begin <= tokio::time::Instant::now(), "{number} began early");
        }
        let between = pace.begin(11) - pace.begin(1);
        assert_eq!(between, Duration::from_millis(10));
        // And one more turn, in which there is nothing left to do.
        pace.turn().await;
    }
}
