//! The folder of a node's flights: written when someone asks, when a machine halts and when an actor's code panics,
//! never more than so many, and without any harm to the node when that fails.

use super::{Flight, FlightFault};
use crate::driver::handle::Clock;
use crate::driver::host::caught;
use crate::driver::panics::Panics;
use crate::driver::recorder::{Recorder, Recording};
use crate::step::{Span, Time};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tokio::sync::oneshot;

/// Where a node writes its flights, and how many.
///
/// A node without it keeps its recordings in memory only.
///
/// ```
/// use tenure_core::driver::Flights;
///
/// let flights = Flights::into_folder("/var/lib/bank/flights");
/// assert_eq!((flights.files_max, flights.bytes_max), (16, 16 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flights {
    /// The folder; it is made if it is not there.
    pub folder: PathBuf,
    /// How many flights of nodes of this name are kept there; the oldest make room. 16.
    pub files_max: usize,
    /// The largest file, in bytes; of a larger one the oldest inputs are left out. 16 MiB.
    pub bytes_max: usize,
}

impl Flights {
    /// The defaults for a folder.
    pub fn into_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            files_max: 16,
            bytes_max: 16 << 20,
        }
    }
}

/// Why no flight was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlightWriteError {
    /// The node has no folder for them.
    #[error("the node has no folder for flights; name one with `.flights(…)` where it is started")]
    NoFolder,
    /// The folder or the file cannot be written.
    #[error("the flight cannot be written to {path:?}: {error}")]
    Io {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Nothing was there to write it.
    #[error("the flight was not written: {0}")]
    Lost(String),
}

/// How long after a lane's last flight of a panic the next one is written at the earliest: code that panics
/// with each message must neither fill the disk nor hold its lane up.
const PANICS_EVERY: Span = Span::from_secs(10);

/// How files end.
const ENDING: &str = ".flight";

/// The flights of one node.
pub(crate) struct FlightFolder {
    flights: Option<Flights>,
    namespace: String,
    node: String,
    clock: Arc<dyn Clock>,
    written: AtomicU64,
    failed: AtomicU64,
    number: AtomicU64,
}

impl FlightFolder {
    pub(crate) fn new(
        flights: Option<Flights>,
        (namespace, node): (String, String),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            flights,
            namespace,
            node,
            clock,
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            number: AtomicU64::new(0),
        }
    }

    /// How many were written, and how many could not be.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let (written, failed) = (&self.written, &self.failed);
        (
            written.load(Ordering::Relaxed),
            failed.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn flight(&self, fault: FlightFault, lanes: Vec<Recording>) -> Flight {
        let names = (self.namespace.clone(), self.node.clone());
        Flight::new(names, self.clock.wall(), fault, lanes)
    }

    /// Writes in a thread of its own, because a slow disk must hold no lane up.
    pub(crate) fn write(
        self: &Arc<Self>,
        fault: FlightFault,
        lanes: Vec<Recording>,
    ) -> oneshot::Receiver<Result<PathBuf, FlightWriteError>> {
        let (done, answer) = oneshot::channel();
        if self.flights.is_none() {
            // Who does not wait for it needs no answer; the same below.
            let _ = done.send(Err(FlightWriteError::NoFolder));
            return answer;
        }
        let folder = Arc::clone(self);
        let begun = thread::Builder::new()
            .name("tenure-flight".to_owned())
            .spawn(move || {
                let _ = done.send(folder.write_here(fault, lanes));
            });
        if let Err(error) = begun {
            self.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "flight_failed");
        }
        answer
    }

    /// Writes before it returns.
    fn write_here(
        &self,
        fault: FlightFault,
        lanes: Vec<Recording>,
    ) -> Result<PathBuf, FlightWriteError> {
        let Some(flights) = &self.flights else {
            return Err(FlightWriteError::NoFolder);
        };
        let flight = self.flight(fault, lanes);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let result = caught(|| store(flights, flight, number))
            .unwrap_or_else(|panic| Err(FlightWriteError::Lost(panic)));
        match &result {
            Ok(path) => {
                self.written.fetch_add(1, Ordering::Relaxed);
                tracing::info!(path = %path.display(), "flight_written");
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "flight_failed");
            }
        }
        result
    }
}

fn store(flights: &Flights, mut flight: Flight, number: u64) -> Result<PathBuf, FlightWriteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| FlightWriteError::Io { path, error }
    };
    let folder = &flights.folder;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let bytes = bounded(&mut flight, flights.bytes_max);
    make_room(flights, &flight.node).map_err(failed(folder))?;
    let why = match flight.fault {
        FlightFault::None => "asked",
        FlightFault::Halted { .. } => "halt",
        FlightFault::Panicked { .. } => "panic",
    };
    // By name they are in the order of time. Two runs of a node do not have one number in one millisecond.
    let stamp = flight.written.0;
    let name = format!("{}-{stamp:013}-{number:04}-{why}{ENDING}", flight.node);
    let path = folder.join(name);
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(failed(&part))?;
    fs::rename(&part, &path).map_err(failed(&path))?;
    Ok(path)
}

/// The file's bytes. Of a flight that is too large the older half of each lane's inputs is left out, until
/// it is not.
fn bounded(flight: &mut Flight, bytes_max: usize) -> Vec<u8> {
    loop {
        let bytes = flight.to_bytes();
        let most = flight.lanes.iter().map(|lane| lane.entries.len()).max();
        if bytes.len() <= bytes_max || most.unwrap_or(0) == 0 {
            return bytes;
        }
        for lane in &mut flight.lanes {
            let out = lane.entries.len().div_ceil(2);
            lane.entries.drain(..out);
            lane.dropped += out as u64;
        }
    }
}

/// Deletes the oldest flights of nodes of this name, so that there is room for one.
fn make_room(flights: &Flights, node: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&flights.folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_of(&name, node) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let surplus = (names.len() + 1).saturating_sub(flights.files_max.max(1));
    for name in names.iter().take(surplus) {
        // Another flight that is written now may have made room as well.
        match fs::remove_file(flights.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether a file is a flight of a node: its name, a stamp, a number and why.
fn is_of(name: &str, node: &str) -> bool {
    let rest = name
        .strip_prefix(node)
        .and_then(|rest| rest.strip_suffix(ENDING))
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| {
        let parts: Vec<&str> = rest.split('-').collect();
        parts.len() == 3 && parts[0].bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A lane's recorder, which writes a flight also when the lane's own loop panics.
pub(crate) struct BlackBox<M: core::fmt::Debug + Copy> {
    pub(crate) recorder: Recorder<M>,
    lane: usize,
    dice_key: u128,
    boot: Time,
    folder: Arc<FlightFolder>,
    /// Panics of users' code in the lane, but for those of actors.
    pub(crate) panics: Panics,
    /// The halts and panics that were looked at.
    told: (u64, u64),
    /// Until then panics of users' code lead to no flight.
    quiet: Time,
}

impl<M: core::fmt::Debug + Copy> BlackBox<M> {
    pub(crate) fn new(lane: usize, dice_key: u128, boot: Time, folder: Arc<FlightFolder>) -> Self {
        Self {
            recorder: Recorder::new(),
            lane,
            dice_key,
            boot,
            folder,
            panics: Panics::default(),
            told: (0, 0),
            quiet: boot,
        }
    }

    /// What it holds.
    pub(crate) fn dump(&self) -> Recording {
        self.recorder.dump(self.lane, self.dice_key, self.boot)
    }

    /// Writes a flight when a machine has halted or code has panicked since the last turn.
    pub(crate) fn watch(&mut self, now: Time, halts: u64, actor_panics: u64) {
        let panics = actor_panics + self.panics.count();
        if self.told == (halts, panics) {
            return;
        }
        // Nobody waits for it; what came of it is counted.
        if let Some(fault) = self.fault(now, halts, panics)
            && self.folder.flights.is_some()
        {
            drop(self.folder.write(fault, Vec::from([self.dump()])));
        }
    }

    /// What there is to write about.
    fn fault(&mut self, now: Time, halts: u64, panics: u64) -> Option<FlightFault> {
        let halted = self.told.0 != halts;
        self.told = (halts, panics);
        if !halted && now < self.quiet {
            return None;
        }
        self.quiet = now + PANICS_EVERY;
        Some(match self.recorder.take_halt() {
            Some((machine, reason)) => FlightFault::Halted {
                machine: format!("{machine:?}"),
                reason,
            },
            None if halted => FlightFault::Halted {
                machine: "actors".to_owned(),
                reason: "the node's log has the reason".to_owned(),
            },
            None => {
                let (machine, reason) = self.panics.take().unwrap_or_else(|| {
                    let told = "the node's log has its message";
                    ("an actor's code".to_owned(), told.to_owned())
                });
                FlightFault::Panicked { machine, reason }
            }
        })
    }
}

impl<M: core::fmt::Debug + Copy> Drop for BlackBox<M> {
    fn drop(&mut self) {
        if !thread::panicking() || self.folder.flights.is_none() {
            return;
        }
        // The panic itself goes on as it is, with its message; a second one here would end the process.
        let written = caught(|| {
            let fault = FlightFault::Panicked {
                machine: format!("lane {}", self.lane),
                reason: "its loop ended; the panic's message went to the panic hook".to_owned(),
            };
            self.folder.write_here(fault, Vec::from([self.dump()]))
        });
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use super::{BlackBox, Clock, FlightFolder, Flights, is_of};
    use crate::driver::flight::{Flight, FlightFault};
    use crate::driver::recorder::Recorded;
    use crate::driver::shell::TaskHandle;
    use crate::id::WallTime;
    use crate::log::Input;
    use crate::step::{Span, Time};
    use futures_util::future::BoxFuture;
    use std::sync::Arc;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Time {
            Time::ZERO
        }

        fn wall(&self) -> WallTime {
            WallTime(1_700_000_000_000)
        }

        fn sleep_until(&self, _: Time) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) -> TaskHandle {
            TaskHandle::new(|| ())
        }
    }

    #[test]
    fn a_loop_that_panics_leaves_its_flight_and_its_message() {
        let name = format!("tenure-black-box-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let flights = FlightFolder::new(
            Some(Flights::into_folder(&folder)),
            ("bank".to_owned(), "teller".to_owned()),
            Arc::new(Stopped),
        );
        let flights = Arc::new(flights);
        let mut flight = BlackBox::new(3, 7, Time::ZERO, Arc::clone(&flights));
        flight
            .recorder
            .push(Time::ZERO, "log", Recorded::Log(Input::Tick));
        let ended = std::thread::spawn(move || {
            let _flight = flight;
            panic!("the loop is broken");
        });
        let panic = ended.join().unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the loop is broken"));
        assert_eq!(flights.counts(), (1, 0));
        let path = folder.join("teller-1700000000000-0000-panic.flight");
        let flight = Flight::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let FlightFault::Panicked { machine, .. } = &flight.fault else {
            panic!("{:?}", flight.fault);
        };
        assert_eq!(machine, "lane 3");
        assert_eq!(flight.lanes[0].entries.len(), 1);
    }

    #[test]
    fn a_panic_with_each_message_is_one_flight_in_ten_seconds_and_a_halt_always_one() {
        let names = ("bank".to_owned(), "teller".to_owned());
        let folder = Arc::new(FlightFolder::new(None, names, Arc::new(Stopped)));
        let mut flight = BlackBox::<&str>::new(0, 7, Time::ZERO, folder);
        let mut written = |second, halts, panics| {
            let now = Time::ZERO + Span::from_secs(second);
            flight.fault(now, halts, panics).is_some()
        };
        assert!(written(1, 0, 1));
        assert!(!written(2, 0, 2));
        assert!(!written(10, 0, 9));
        assert!(written(10, 1, 9));
        assert!(!written(19, 1, 10));
        assert!(written(20, 1, 11));
    }

    #[test]
    fn flights_of_nodes_with_longer_names_are_others() {
        assert!(is_of("a-1700000000000-0001-halt.flight", "a"));
        for other in [
            "a-b-1700000000000-0001-halt.flight",
            "ab-1700000000000-0001-halt.flight",
            "a-1700000000000-0001-halt.part",
            "a-notes.flight",
        ] {
            assert!(!is_of(other, "a"), "{other}");
        }
    }
}
