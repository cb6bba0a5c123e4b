//! Flights: what a node writes of its flight recorder, and what the machines make of it again.

use crate::common::{Account, Fate, FaultyShell, Move};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure::{Flight, FlightError, FlightFault, FlightWriteError, Flights, StoreRequest, Tenure};
use tenure_core::driver::{Recorded, RecordedInput, Recording, Rerun, StepOutcome};
use tenure_core::id::{OpId, Sequence, WallTime};
use tenure_core::log::Input;
use tenure_core::port::{Ack, Page, Refused, StoreDone};
use tenure_core::step::{Outcome, Time};

/// A fresh folder, which goes with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("flights")
            .join(name);
        // It is not there the first time.
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    pub(crate) fn flights(&self) -> Flights {
        Flights::into_folder(&self.0)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".flight")).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Flight {
        let bytes = std::fs::read(self.0.join(name)).unwrap();
        Flight::from_bytes(&bytes).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is overwritten the next time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn node(shell: &FaultyShell, folder: &Folder) -> Tenure {
    Tenure::builder()
        .namespace("bank")
        .node("teller")
        .timeout(Duration::from_secs(10))
        .flights(folder.flights())
        .start_with(shell.clone())
        .await
        .unwrap()
}

/// How many steps came out how: told, began, met, the same. Nothing may differ.
fn fed(flight: &Flight) -> [usize; 4] {
    let mut counts = [0; 4];
    for step in flight.lanes.iter().flat_map(Rerun::new) {
        assert!(!step.outcome.differs(), "{step:?}");
        let at = match step.outcome {
            StepOutcome::Told { .. } => 0,
            StepOutcome::Began => 1,
            StepOutcome::Met => 2,
            StepOutcome::Same { .. } => 3,
            StepOutcome::Other { .. }
            | StepOutcome::Became { .. }
            | StepOutcome::Panicked { .. } => unreachable!("it does not differ"),
        };
        counts[at] += 1;
    }
    counts
}

#[tokio::test]
async fn what_a_node_did_is_done_again() {
    let folder = Folder::new("again");
    let shell = FaultyShell::new();
    let node = node(&shell, &folder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    // More than after which machines are kept again, and fewer than the ring holds.
    while node.flight().await.lanes[0].entries.len() < 700 {
        for cents in 1..10 {
            accounts.execute("alice", Move { cents }).await.unwrap();
            let other = format!("other-{cents}");
            accounts.load_or_create(other).await.unwrap();
        }
        shell.ahead().fetch_add(1_000_000_000, Ordering::Relaxed);
    }
    let path = node.write_flight().await.unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(folder.names(), [name]);
    assert!(
        name.starts_with("teller-") && name.ends_with("-asked.flight"),
        "{name}"
    );
    let flight = folder.read(name);
    assert_eq!((&*flight.namespace, &*flight.node), ("bank", "teller"));
    assert_eq!(flight.fault, FlightFault::None);
    let [told, began, met, same] = fed(&flight);
    assert_eq!(told, 0, "each machine begins in it");
    assert!(began >= 2 && met >= 1 && same > 100, "{began} {met} {same}");
    let again = node.flight().await;
    assert_eq!(again.lanes.len(), flight.lanes.len());
    assert_eq!(node.counters().await.flights_written, 1);
}

#[tokio::test]
async fn a_flight_that_begins_in_the_middle_is_fed_from_the_next_beginning_on() {
    let folder = Folder::new("middle");
    let shell = FaultyShell::new();
    let node = node(&shell, &folder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 0..1_200 {
        if n % 100 == 0 {
            shell.ahead().fetch_add(1_000_000_000, Ordering::Relaxed);
        }
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    }
    let flight = node.flight().await;
    assert!(flight.lanes[0].dropped > 1_000, "the ring came round");
    let [told, began, met, same] = fed(&flight);
    assert!(told > 0, "what is before the first beginning is told");
    assert!(began >= 1 && same > 300, "{began} {met} {same}");
}

#[tokio::test]
async fn an_input_that_is_missing_shows() {
    let folder = Folder::new("missing");
    let node = node(&FaultyShell::new(), &folder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    for cents in 1..5 {
        accounts.execute("alice", Move { cents }).await.unwrap();
    }
    let mut flight = node.flight().await;
    let entries = &mut flight.lanes[0].entries;
    let log = |entry: &tenure_core::driver::RecordedInput| {
        matches!(&entry.input, Recorded::Log(_))
            && entry.effects.as_ref().is_some_and(|it| !it.is_empty())
    };
    let at = entries.iter().position(log).expect("a step of a log");
    entries.remove(at);
    let differs = Rerun::new(&flight.lanes[0]).find(|step| step.outcome.differs());
    let differs = differs.expect("a difference");
    assert!(differs.machine.starts_with("log"), "{differs:?}");
}

#[tokio::test]
async fn a_halt_is_written_down_with_its_reason() {
    let folder = Folder::new("halt");
    let shell = FaultyShell::new();
    let node = node(&shell, &folder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    let once = AtomicBool::new(true);
    shell.set(move |request| {
        let writes = matches!(request, StoreRequest::Publish(_));
        let wrong = writes && once.swap(false, Ordering::Relaxed);
        wrong.then(|| {
            let page = Page {
                messages: Vec::new(),
                more: false,
            };
            Fate::Answer(Outcome::Done(StoreDone::Page(page)))
        })
    });
    accounts
        .execute("alice", Move { cents: 1 })
        .await
        .unwrap_err();
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    while node.counters().await.flights_written == 0 {
        assert!(tokio::time::Instant::now() < patience, "no flight comes");
        tokio::task::yield_now().await;
    }
    let names = folder.names();
    assert!(
        names.len() == 1 && names[0].ends_with("-halt.flight"),
        "{names:?}"
    );
    let flight = folder.read(&names[0]);
    let FlightFault::Halted { machine, reason } = &flight.fault else {
        panic!("{:?}", flight.fault);
    };
    assert!(machine.starts_with("log"), "{machine}");
    assert!(reason.contains("is another kind"), "{reason}");
    let halts = flight.lanes.iter().flat_map(Rerun::new).filter(|step| {
        matches!(&step.outcome, StepOutcome::Same { effects } if effects.iter().any(|it| it.starts_with("Halt")))
    });
    assert_eq!(halts.count(), 1, "it halts again");
    fed(&flight);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_ends_nothing() {
    let folder = Folder::new("blocked");
    std::fs::create_dir_all(folder.0.parent().unwrap()).unwrap();
    std::fs::write(&folder.0, "a file in its place").unwrap();
    let node = node(&FaultyShell::new(), &folder).await;
    let refused = node.write_flight().await.unwrap_err();
    assert!(
        matches!(refused, FlightWriteError::Io { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("blocked"), "{refused}");
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let counters = node.counters().await;
    assert_eq!((counters.flights_written, counters.flights_failed), (0, 1));
    std::fs::remove_file(&folder.0).unwrap();
    let without = Tenure::builder()
        .namespace("bank")
        .start("mem:")
        .await
        .unwrap();
    let refused = without.write_flight().await.unwrap_err();
    assert!(matches!(refused, FlightWriteError::NoFolder), "{refused:?}");
}

#[tokio::test]
async fn a_folder_holds_so_many_flights_and_no_larger_ones() {
    let folder = Folder::new("bounded");
    let mut flights = folder.flights();
    flights.files_max = 2;
    flights.bytes_max = 30_000;
    let node = Tenure::builder()
        .namespace("bank")
        .flights(flights)
        .start("mem:")
        .await
        .unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    for cents in 1..100 {
        accounts.execute("alice", Move { cents }).await.unwrap();
    }
    let mut written = Vec::new();
    for _ in 0..5 {
        let path = node.write_flight().await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= 30_000);
        written.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(folder.names(), written[3..]);
    let flight = folder.read(&written[4]);
    assert!(flight.lanes[0].dropped > 0 && !flight.lanes[0].entries.is_empty());
    fed(&flight);
}

/// A flight of which all is fixed.
async fn fixed() -> Flight {
    let entry = |nanos, input, effects| RecordedInput {
        now: Time::from_nanos(nanos),
        machine: "log s7".to_owned(),
        input: Recorded::Log(input),
        effects,
    };
    let stored = |op, reply| Input::Stored {
        op: OpId(op),
        reply,
    };
    let ack = Ack {
        sequence: Sequence(9),
        duplicate: false,
    };
    let done = Outcome::Done(StoreDone::Published(ack));
    let refused = Outcome::Refused(Refused::NoResponders);
    let node = Tenure::builder()
        .namespace("bank")
        .start("mem:")
        .await
        .unwrap();
    let mut flight = node.flight().await;
    flight.build = "0.1.0".to_owned();
    flight.node = "teller".to_owned();
    flight.written = WallTime(1_700_000_000_000);
    flight.fault = FlightFault::None;
    flight.lanes = vec![Recording {
        lane: 1,
        dice_key: 1 << 100,
        boot: Time::from_nanos(5),
        dropped: 3,
        entries: vec![
            entry(1_000, Input::Tick, Some(vec![])),
            entry(2_000, stored(1, done), Some(vec![0x0200_0001, 3])),
            entry(3_000, stored(2, Outcome::Unknown), None),
            entry(4_000, stored(3, refused), None),
        ],
    }];
    flight
}

#[tokio::test]
async fn what_is_written_is_what_was_always_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/flight.hex");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let digits = lines.flat_map(|line| line.chars());
    let pinned: String = digits.filter(|c| !c.is_whitespace()).collect();
    let flight = fixed().await;
    let bytes = flight.to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, pinned, "what is written is not what is pinned");
    let again = Flight::from_bytes(&bytes).unwrap();
    assert_eq!(format!("{again:?}"), format!("{flight:?}"));
}

#[tokio::test]
async fn what_is_no_whole_flight_of_this_version_is_refused() {
    let bytes = fixed().await.to_bytes();
    for end in 1..bytes.len() {
        let refused = Flight::from_bytes(&bytes[..end]).unwrap_err();
        assert!(
            matches!(refused, FlightError::Length { .. }),
            "{end}: {refused}"
        );
    }
    assert_eq!(Flight::from_bytes(b"").unwrap_err(), FlightError::Foreign);
    let foreign = Flight::from_bytes(b"tenure-sim repro 1\n").unwrap_err();
    assert_eq!(foreign, FlightError::Foreign);
    let mut other = bytes.clone();
    other[8] = 2;
    let refused = Flight::from_bytes(&other).unwrap_err();
    assert_eq!(refused, FlightError::OtherVersion { found: 2, known: 1 });
    let mut longer = bytes.clone();
    longer.push(0);
    let refused = Flight::from_bytes(&longer).unwrap_err();
    assert!(matches!(refused, FlightError::Length { .. }), "{refused}");
    for at in 28..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(
            Flight::from_bytes(&damaged).unwrap_err(),
            FlightError::Damaged
        );
    }
    // Behind a checksum that is right nothing panics, either.
    let body = &bytes[28..];
    for at in 0..body.len() {
        for value in [0x00, 0x1f, 0x5f, 0x9b, 0xbf, 0xff, body[at] ^ 1] {
            let mut other = body.to_vec();
            other[at] = value;
            drop(Flight::from_body(&other));
        }
        assert!(Flight::from_body(&body[..at]).is_err(), "{at}");
    }
}
