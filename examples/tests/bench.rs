//! The bench as a program: that it does what it says, not how fast.

mod common;

use common::Program;
use serde_json::Value;

const BENCH: Program = Program(env!("CARGO_BIN_EXE_bench"));

/// What every run tells.
fn told(arguments: &[&str]) -> Value {
    let told = BENCH.tells(arguments);
    for name in ["ops_per_s", "p50_us", "p99_us", "p999_us", "max_us"] {
        let value = told[name].as_f64().expect(name);
        assert!(value > 0.0, "{name} of {told}");
    }
    assert_eq!(told["acknowledged"], told["read_back"], "{told}");
    told
}

#[test]
fn it_measures_counters_in_memory() {
    let told = told(&[
        "--ops", "2000", "--keys", "100", "--nodes", "3", "--shards", "16",
    ]);
    assert_eq!(told["ops"], 2_000);
    assert!(told.get("raw_ops_per_s").is_none(), "{told}");
    assert!(told["frames"].as_u64().expect("frames") > 0, "{told}");
}

#[test]
fn it_measures_entities_by_a_timetable() {
    let told = told(&[
        "--ops", "500", "--keys", "10", "--nodes", "2", "--shards", "8", "--entity", "--rate",
        "2000", "--zipf", "0.99", "--blocks", "2",
    ]);
    assert_eq!(told["entity"], true);
    // A block of 250 at 2,000 in a second takes no less than 249 / 2,000 s.
    assert!(
        told["ops_per_s"].as_f64().expect("a rate") < 2_100.0,
        "{told}"
    );
}

#[test]
fn it_measures_the_bare_client_beside() {
    for outstanding in ["1", "50"] {
        let told = told(&[
            "--shell",
            "nats",
            "--raw",
            "--ops",
            "2000",
            "--keys",
            "20",
            "--nodes",
            "3",
            "--shards",
            "16",
            "--outstanding",
            outstanding,
        ]);
        for name in [
            "raw_ops_per_s",
            "raw_p50_us",
            "ratio",
            "ratio_median",
            "latency_ratio",
        ] {
            assert!(told[name].as_f64().expect(name) > 0.0, "{name} of {told}");
        }
    }
}

#[test]
fn wrong_arguments_are_told_with_the_remedy() {
    for (arguments, told) in [
        (&["--ops", "0"][..], "--ops 0"),
        (&["--keys", "0"], "--keys 0"),
        (&["--nodes", "0"], "--nodes 0"),
        (&["--outstanding", "0"], "--outstanding 0"),
        (&["--rate", "0"], "--rate 0"),
        (&["--rate", "nan"], "--rate NaN"),
        (&["--zipf=-1"], "--zipf"),
        (&["--raw"], "add --shell nats"),
        (&["--nats", "nats://localhost"], "add --shell nats"),
        (&["--blocks", "9", "--ops", "8"], "fewer blocks"),
    ] {
        let errors = BENCH.fails(arguments, 0);
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
}
