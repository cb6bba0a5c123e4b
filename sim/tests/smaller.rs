//! Failing runs are made smaller and break the same; what the command line is told wrongly is refused.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tenure_sim::{Case, Corruption, Part, Profile, Repro, minimize};

/// The first seed in which a corruption is caught, as a repro.
fn failing(corruption: Corruption, profile: Profile) -> Repro {
    for seed in 0..50 {
        let case = Case {
            corruption: Some(corruption),
            ..Case::new(seed, profile)
        };
        if let Some(expect) = case.run().broken() {
            return Repro {
                case,
                expect,
                remarks: Vec::new(),
            };
        }
    }
    panic!("{corruption} is not caught in 50 seeds of {profile}");
}

#[test]
fn failing_runs_come_down_to_a_few_deviations_that_break_the_same() {
    let mut counts = Vec::new();
    for (corruption, profile) in [
        (Corruption::Unchecked, Profile::Owned),
        (Corruption::Zombie, Profile::Churn),
        (Corruption::LyingAck, Profile::Direct),
        (Corruption::FalseProof, Profile::Swarm),
        (Corruption::ForgottenIds, Profile::Swarm),
        (Corruption::EndlessLease, Profile::Drift),
        (Corruption::Nameless, Profile::Storm),
    ] {
        let repro = failing(corruption, profile);
        let smaller = minimize(&repro, Part::All, 400, &mut |_| {}).expect("it fails again");
        let again = smaller.repro.case.run().broken().expect("it fails");
        assert!(
            again.is_like(&repro.expect),
            "{again}, not {}",
            repro.expect
        );
        let text = smaller.repro.to_text();
        assert_eq!(Repro::from_text(&text), Ok(smaller.repro));
        println!(
            "{corruption}: {} of {} deviations, {} of {} questions, {} runs",
            smaller.progress.deviations,
            smaller.before.deviations,
            smaller.progress.asks,
            smaller.before.asks,
            smaller.progress.runs
        );
        assert!(smaller.progress.deviations < smaller.before.deviations);
        counts.push(smaller.progress.deviations);
    }
    counts.sort_unstable();
    assert!(counts[counts.len() / 2] <= 8, "{counts:?}");
}

#[test]
fn a_run_that_breaks_something_else_is_not_made_smaller() {
    let mut repro = failing(Corruption::Unchecked, Profile::Owned);
    repro.case.corruption = None;
    let refused = minimize(&repro, Part::All, 10, &mut |_| {}).unwrap_err();
    assert!(refused.contains("breaks nothing"), "{refused}");
}

fn sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure-sim"));
    command.args(args).current_dir(folder());
    command.output().expect("the simulator starts")
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn written(name: &str, text: &str) -> String {
    let path = folder().join(name);
    std::fs::write(&path, text).expect("a file of this test's own");
    path.display().to_string()
}

#[test]
fn wrong_input_is_refused_with_its_reason_and_exit_code_2() {
    let good = failing(Corruption::Unchecked, Profile::Owned).to_text();
    let other_version = written("version.repro", &good.replace("repro 1", "repro 9"));
    let list = good.replace("\nall\n", "\nonly\nfault gremlins 1 1\n");
    let unknown_fault = written("fault.repro", &list);
    let cut = written("cut.repro", good.split("expect").next().unwrap_or_default());
    let whole = written("whole.repro", &good);
    for (args, part) in [
        (&["run", "--seed", "-1"][..], "--seed"),
        (&["run", "--seed", "18446744073709551616"], "--seed"),
        (&["run", "--seed", "1", "--profile", "wild"], "no profile"),
        (&["swarm"], "--seeds"),
        (&["swarm", "--for", "soon"], "no time"),
        (&["swarm", "--seeds", "0"], "--seeds"),
        (&["swarm", "--seeds", "1", "--threads", "0"], "--threads"),
        (
            &["swarm", "--seeds", "1", "--failures-max", "0"],
            "--failures",
        ),
        (
            &["swarm", "--seeds", "2", "--from", "18446744073709551615"],
            "beyond 2^64-1",
        ),
        (&["minimize", "absent.repro"], "absent.repro"),
        (&["minimize", &other_version], "version 9"),
        (&["minimize", &unknown_fault], "gremlins"),
        (&["minimize", &cut], "missing"),
        (
            &["what-if", &whole, "--without", "100000"],
            "has the deviations",
        ),
        (&["what-if", &whole, "--without", "0"], "has the deviations"),
    ] {
        let output = sim(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(part), "{args:?}: {told}");
    }
}

#[test]
fn a_failure_is_written_down_and_can_be_tried_without_a_part_of_it() {
    let repros = folder().join("repros").display().to_string();
    let args = [
        "run",
        "--seed",
        "4",
        "--profile",
        "owned",
        "--corrupt",
        "unchecked",
    ];
    let output = sim(&[&args[..], &["--repros", &repros, "--json"]].concat());
    assert_eq!(output.status.code(), Some(10));
    let file = format!("{repros}/owned-4-unchecked.repro");
    let smaller = format!("{repros}/smaller.repro");
    let output = sim(&["minimize", &file, "-o", &smaller]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    // Every deviation that is left is needed.
    let output = sim(&["what-if", &smaller, "--without", "1"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!told.contains("still breaks"), "{told}");
    let same = sim(&["what-if", &file, "--without", "1"]);
    assert_eq!(
        same.status.code(),
        Some(10),
        "the first of many is not needed"
    );
}

#[test]
fn a_reader_who_goes_away_ends_it_without_a_panic() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure-sim"));
    command.args(["run", "--seed", "3", "--profile", "owned", "--trace"]);
    command.current_dir(folder());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sim = command.spawn().expect("the simulator starts");
    drop(sim.stdout.take());
    let output = sim.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*told), (Some(141), ""));
}

#[test]
fn a_run_that_is_printed_says_the_same_to_programs() {
    let last = |args: &[&str]| {
        let args = [
            &["run", "--seed", "3", "--profile", "owned", "--json"],
            args,
        ]
        .concat();
        let told = String::from_utf8_lossy(&sim(&args).stdout).into_owned();
        told.lines().last().map(str::to_owned)
    };
    let json = last(&[]);
    assert!(json.as_ref().is_some_and(|it| it.contains("trace_hash")));
    assert_eq!(json, last(&["--trace"]));
}
