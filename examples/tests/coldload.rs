//! The cold load in small: how many requests it takes does not depend on the messages of others.
//! At full size: `cargo run --release -p tenure-examples --bin coldload`.

mod common;

use common::Program;
use serde_json::Value;

const COLDLOAD: Program = Program(env!("CARGO_BIN_EXE_coldload"));

fn coldload(arguments: &[&str]) -> Value {
    COLDLOAD.tells(&[arguments, &["--loads", "3"]].concat())
}

#[test]
fn a_hundred_commits_are_a_hundred_requests_however_large_the_stream() {
    for messages in [100, 10_000] {
        let told = coldload(&["--messages", &messages.to_string()]);
        // The anchor is a message, too.
        assert_eq!(told["messages"], messages + 101, "{told}");
        assert_eq!(told["requests"], 100, "{told}");
        assert!(
            told["round_trips"]
                .as_f64()
                .is_some_and(|ratio| ratio > 0.0),
            "{told}"
        );
    }
}

#[test]
fn a_snapshot_takes_the_place_of_the_commits_before_it() {
    let snapshots = [
        "--snapshots",
        "100",
        "--commits",
        "350",
        "--messages",
        "350",
    ];
    let told = coldload(&snapshots);
    // The latest commit, the snapshot, and those since: fewer than would be listed without it.
    let requests = told["requests"].as_u64().expect("a number");
    assert!((2..=102).contains(&requests), "{told}");
}

#[test]
fn a_delay_is_in_every_round_trip() {
    let told = coldload(&["--messages", "100", "--delay-ms", "2"]);
    let round_trip = told["round_trip_us"].as_u64().expect("a number");
    assert!(round_trip >= 4_000, "{told}");
    assert!(
        told["load_us"]
            .as_u64()
            .is_some_and(|load| load >= 2 * round_trip),
        "{told}"
    );
}

#[test]
fn counts_that_cannot_be_multiplied_are_told_in_one_line() {
    for name in ["--messages", "--commits"] {
        for count in ["18446744073709551615", "4294967296"] {
            let error = COLDLOAD.fails(&[name, count], 0);
            assert!(error.contains(name) && error.contains(count), "{error}");
        }
    }
}
