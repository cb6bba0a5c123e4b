//! `TENURE_SIM_MINIMIZE=1` on a test of a user's own: the failing run is made smaller, written down and
//! drawn.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tenure_sim::{Repro, Seeds};

/// Set for the run in which the test below is to fail.
const FAILS: &str = "TENURE_SIM_TEST_FAILS";

/// It takes for granted that no node ever goes away.
#[test]
fn a_test_that_fails_when_it_is_told_to() {
    if std::env::var_os(FAILS).is_none() {
        return;
    }
    Seeds::new(
        "minimized::a_test_that_fails_when_it_is_told_to",
        "tenure-sim",
    )
    .count(20)
    .faults("takeover")
    .run(
        |cluster| cluster.nodes(3),
        |sim| async move {
            while (0..3).any(|node| sim.node(node).is_none()) {
                sim.sleep(Duration::from_millis(50)).await;
            }
            for _ in 0..100 {
                sim.sleep(Duration::from_millis(50)).await;
                assert!(
                    (0..3).all(|node| sim.node(node).is_some()),
                    "a node is away"
                );
            }
        },
    );
}

#[test]
fn a_failing_test_is_made_smaller_written_down_and_drawn() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("minimized");
    // It is not there the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder of this test's own");
    let run = |minimize: bool| {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command
            .args(["--exact", "a_test_that_fails_when_it_is_told_to"])
            .args(["--nocapture", "--test-threads", "1"])
            .env(FAILS, "1")
            .env_remove("TENURE_SIM_SEED")
            .env_remove("TENURE_SIM_SEEDS")
            .env_remove("TENURE_SIM_MINIMIZE")
            .current_dir(&folder);
        if minimize {
            command.env("TENURE_SIM_MINIMIZE", "1");
        }
        let output = command.output().expect("this test starts again");
        assert!(!output.status.success(), "it fails");
        let told = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&told).into_owned()
    };
    let told = run(false);
    assert!(told.contains("smaller: TENURE_SIM_MINIMIZE=1"), "{told}");
    assert!(told.contains("again: TENURE_SIM_SEED="), "{told}");
    let told = run(true);
    assert!(told.contains("a node is away"), "{told}");
    assert!(told.contains("\n  smaller: "), "{told}");
    let files = std::fs::read_dir(folder.join("target/sim")).expect("what it wrote");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    let of = |end: &str| {
        let found = files
            .iter()
            .find(|file| file.extension().is_some_and(|it| it == end));
        let found = found.unwrap_or_else(|| panic!("no {end} in {files:?}"));
        std::fs::read_to_string(found).expect("a text")
    };
    let repro = Repro::from_text(&of("repro")).expect("a repro");
    let left = repro.case.only.expect("a list").len();
    assert!((1..=8).contains(&left), "{left} deviations are left");
    assert!(
        repro.expect.what.contains("a node is away"),
        "{}",
        repro.expect
    );
    let page = of("html");
    assert!(page.starts_with("<!doctype html>") && page.contains("a node is away"));
}
