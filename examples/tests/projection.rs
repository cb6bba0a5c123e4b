//! The projections under kill -9 as a program: that it does what it says, not how fast.

mod common;

use common::Program;

const PROJECTION: Program = Program(env!("CARGO_BIN_EXE_projection"));

#[test]
fn killed_projections_are_what_the_replay_is() {
    let told = PROJECTION.tells(&[
        "--shell",
        "nats",
        "--events",
        "20000",
        "--kill",
        "3",
        "--keys",
        "100",
        "--seconds",
        "1",
        "--rate",
        "500",
        "--retries",
        "300",
    ]);
    assert_eq!(told["equal"], true, "{told}");
    assert_eq!(
        (&told["kills"], &told["events"]),
        (&3.into(), &20_000.into())
    );
    for name in ["ratio", "events_per_s", "bare_per_s", "rate"] {
        let value = told[name].as_f64().expect(name);
        assert!(value > 0.0, "{name} of {told}");
    }
    for name in ["delay_p50_us", "delay_p99_us", "rss_after_bytes"] {
        assert!(told[name].is_u64(), "{name} of {told}");
    }
}

#[test]
fn what_cannot_be_run_is_refused_with_the_remedy() {
    for (arguments, told) in [
        (&["--shell", "mem"][..], "add --shell nats"),
        (&["--events", "0"], "--events is 1 to"),
        (&["--keys", "0"], "leaves nothing to add to"),
        (&["--kill", "5000"], "kill"),
    ] {
        let refused = PROJECTION.fails(arguments, 0);
        assert!(refused.contains(told), "{refused}");
    }
}
