//! Whoever reads what the simulator prints may leave: it ends at once and without a word.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// A run with its story, of which a line is read before the reader leaves.
fn left_by_its_reader(world: &str) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_tenure-sim"))
        .args([
            "run",
            "--world",
            world,
            "--seed",
            "7",
            "--profile",
            "calm",
            "--trace",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator");
    let mut lines = BufReader::new(run.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("a text");
    assert!(first.starts_with("cargo sim run"), "{first}");
    drop(lines);
    let ended = run.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), said.as_ref()), (Some(141), ""));
}

#[test]
fn a_story_whose_reader_left_ends_quietly_in_the_pure_world() {
    left_by_its_reader("pure");
}

#[test]
fn a_story_whose_reader_left_ends_quietly_in_the_driver_world() {
    left_by_its_reader("driver");
}
