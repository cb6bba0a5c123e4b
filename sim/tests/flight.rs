//! Flights on the command line: fed again they come out the same, what is wrong with one is said in a
//! line, and one is drawn as a page.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use tenure_core::api::RawEvent;
use tenure_core::driver::{Flight, Recorded};
use tenure_core::log::Input;
use tenure_sim::{Profile, cluster};

/// What a node's recorder holds after so many appends, a pause after each.
fn flight(appends: u64, pause: Duration) -> Flight {
    let ran = cluster(1)
        .nodes(1)
        .shards(2)
        .profile(Profile::Calm)
        .report(move |sim| async move {
            let tenure = sim.tenure().await;
            let log = tenure.log("notes").await.expect("a log");
            for n in 0..appends {
                let note = RawEvent::new("noted", 1, n.to_le_bytes().to_vec());
                log.append("a", [note]).await.expect("an append");
                sim.sleep(pause).await;
            }
            tenure.flight().await
        });
    ran.ended.expect("nothing is broken").expect("it ended")
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn written(name: &str, bytes: &[u8]) -> String {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("a file of this test's own");
    path.display().to_string()
}

fn sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure-sim"));
    command.args(args).current_dir(folder());
    command.output().expect("the simulator starts")
}

fn told(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The last line, which is JSON.
fn json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().expect("a line");
    serde_json::from_str(last).expect("a line of JSON")
}

#[test]
fn a_whole_flight_is_the_same_again() {
    let flight = flight(20, Duration::from_millis(1));
    let file = written("whole.flight", &flight.to_bytes());
    let output = sim(&["replay", &file, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let json = json(&output);
    assert!(json["same"].as_u64() > Some(100), "{json}");
    assert_eq!(
        (&json["told"], &json["differs"]),
        (&0.into(), &serde_json::Value::Null)
    );
    let until = sim(&["replay", &file, "--until", "3", "--trace"]);
    assert_eq!(until.status.code(), Some(0), "{}", told(&until));
    assert!(
        told(&until).contains(" #3 ") && !told(&until).contains(" #4 "),
        "{}",
        told(&until)
    );
}

#[test]
fn a_flight_that_begins_in_the_middle_of_a_life_is_the_same_from_where_it_can_be_fed() {
    let flight = flight(500, Duration::from_millis(10));
    let dropped: u64 = flight.lanes.iter().map(|lane| lane.dropped).sum();
    assert!(dropped > 500, "the ring came round");
    let output = sim(&[
        "replay",
        &written("middle.flight", &flight.to_bytes()),
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let json = json(&output);
    assert!(json["told"].as_u64() > Some(0), "{json}");
    assert!(json["same"].as_u64() > Some(300), "{json}");
}

#[test]
fn the_first_difference_is_told_with_exit_code_12() {
    let mut flight = flight(5, Duration::from_millis(1));
    let mut entries = flight.lanes.iter_mut().flat_map(|lane| &mut lane.entries);
    let submit = entries.find(|entry| matches!(&entry.input, Recorded::Log(Input::Submit(_))));
    // An effect is recorded that it had not.
    let entry = submit.expect("a command");
    entry.effects.as_mut().expect("it ended").push(8 << 24);
    let file = written("other.flight", &flight.to_bytes());
    let output = sim(&["replay", &file, "--json"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(12), "{text}");
    assert!(
        text.contains("another: log") && text.contains("Halt"),
        "{text}"
    );
    assert!(
        json(&output)["differs"]["machine"]
            .as_str()
            .is_some_and(|it| it.starts_with("log"))
    );
    let page = folder().join("other.html").display().to_string();
    let output = sim(&["explain", &file, "-o", &page]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("does something else"));
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http"),
        "it needs nothing else"
    );
}

#[test]
fn what_is_no_flight_is_refused_in_a_line_with_exit_code_2() {
    let bytes = flight(3, Duration::from_millis(1)).to_bytes();
    let cut = written("cut.flight", &bytes[..bytes.len() / 2]);
    let mut other = bytes.clone();
    other[8] = 9;
    let other = written("version.flight", &other);
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 1] ^= 1;
    let damaged = written("damaged.flight", &damaged);
    let foreign = written("foreign.flight", b"tenure-sim repro 1\n");
    let empty = written("empty.flight", b"");
    for (args, part) in [
        (&["replay", &cut][..], "cut short"),
        (&["explain", &cut], "cut short"),
        (&["replay", &other], "version 9"),
        (&["explain", &other], "version 9"),
        (&["replay", &damaged], "checksum"),
        (&["replay", &foreign], "no flight"),
        (&["replay", &empty], "no flight"),
        (&["replay", "absent.flight"], "absent.flight"),
        (&["replay", &cut, "--until", "soon"], "--until"),
    ] {
        let output = sim(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count();
        assert_eq!(lines, 1, "{args:?}: {text}");
    }
}

#[test]
fn a_run_says_the_same_number_again_and_another_for_another_seed() {
    for world in ["pure", "driver"] {
        let hash = |seed: &str| {
            let profile = if world == "pure" { "swarm" } else { "storm" };
            let output = sim(&[
                "run",
                "--world",
                world,
                "--seed",
                seed,
                "--profile",
                profile,
                "--json",
            ]);
            assert_eq!(output.status.code(), Some(0), "{}", told(&output));
            let json = json(&output);
            (json["trace_hash"].to_string(), json["events"].as_u64())
        };
        let first = hash("7");
        assert!(first.1 > Some(100), "{first:?}");
        assert_eq!(first, hash("7"), "{world}");
        assert_ne!(first.0, hash("8").0, "{world}");
    }
}
