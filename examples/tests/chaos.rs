//! `chaos` on a small scale: real processes over a real nats-server, to which each fault is done once
//! and one while another lasts, and a history that `check` finds nothing in; and `check` itself, which
//! finds each thing that can be wrong with a history.

mod common;

use common::{Ended, Program};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const CHAOS: Program = Program(env!("CARGO_BIN_EXE_chaos"));
const CHECK: Program = Program(env!("CARGO_BIN_EXE_check"));

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("{name}-{}.jsonl", std::process::id()))
}

/// Removed when the test ends well.
fn with_file(name: &str, test: impl FnOnce(&str)) {
    let file = file(name);
    test(file.to_str().expect("a path in UTF-8"));
    fs::remove_file(file).expect("it was written");
}

#[test]
fn nodes_that_drain_stop_and_die_lose_and_double_nothing() {
    with_file("chaos", |file| {
        let arguments = [
            ["--nodes", "4"],
            ["--seconds", "54"],
            ["--keys", "400"],
            ["--shards", "16"],
            ["--rate", "100"],
            ["--faults", "kill,stop,drain,join,nats"],
            ["--stop-seconds", "20"],
            ["--overlaps", "1"],
            ["--history", file],
        ];
        // A build for tests is no measure of speed.
        let arguments = [arguments.as_flattened(), &["--report-only"]].concat();
        let report = CHAOS.tells(&arguments);
        let faults = report["faults"].as_array().expect("faults");
        let alone = faults.iter().filter(|fault| fault["during"].is_null());
        let mut alone: Vec<_> = alone.map(|fault| fault["fault"].as_str()).collect();
        alone.sort_unstable();
        let each = ["drain", "join", "kill", "nats", "stop"].map(Some);
        assert_eq!(alone, each, "{report}");
        let met = faults.iter().filter(|fault| fault["during"] == "stop");
        assert_eq!(met.count(), 1, "{report}");
        assert_eq!(report["check"]["passed"], true, "{report}");
        assert_eq!(report["check"]["counts"]["entities"], 400, "{report}");
        let measured = report["take_over"].as_array().expect("figures");
        let measured = |fault: &str, class: &str| {
            let found = measured.iter().find(|one| {
                one["overlapped"] == false && one["fault"] == fault && one["class"] == class
            });
            let found = found.unwrap_or_else(|| panic!("no {fault} {class}: {report}"));
            assert!(found["shards"].as_u64() > Some(0), "{report}");
            assert!(found["p99_max_ms"].as_u64() > Some(0), "{report}");
        };
        for fault in ["drain", "kill", "stop", "nats"] {
            for class in ["fenced", "leased"] {
                measured(fault, class);
            }
        }
        still_found_in(file);
    });
}

#[test]
fn callers_who_wait_for_too_long_fail_a_run() {
    with_file("slow", |file| {
        let arguments = [
            ["--nodes", "2"],
            ["--seconds", "9"],
            ["--keys", "64"],
            ["--shards", "8"],
            ["--rate", "50"],
            ["--faults", "kill"],
            ["--overlaps", "0"],
            // No take-over of a lease is before its end.
            ["--beyond-lease-p99-ms", "0"],
            ["--kill-p99-ms", "60000"],
            ["--history", file],
        ];
        let told = CHAOS.fails(arguments.as_flattened(), 20);
        let begin = "error: kill, leased class: p99 of ";
        assert!(told.starts_with(begin), "{told}");
        assert!(told.trim_end().ends_with("more than 3000 ms"), "{told}");
    });
}

/// A good history is found wanting as soon as one counter has lost what it acknowledged.
fn still_found_in(file: &str) {
    let text = fs::read_to_string(file).expect("a history");
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let read = lines
        .iter_mut()
        .find(|line| line["final"] == true && line["value"] != 0);
    let value = &mut read.expect("a counter that is not at 0")["value"];
    *value = json!(value.as_u64().unwrap() - 1);
    assert!(refused(&lines).contains("lost: "));
}

/// What is wrong with a history, as the check tells it.
fn refused(lines: &[Value]) -> String {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut told = String::new();
    with_file(&format!("doctored-{number}"), |file| {
        let ended = check(file, lines);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        told = ended.printed;
    });
    told
}

fn check(file: &str, lines: &[Value]) -> Ended {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    fs::write(file, lines.join("\n")).expect("a file");
    CHECK.run(&[file])
}

/// The lines of `add` and `look` in the order of their times, of one entity and one actor.
struct Good(Vec<Value>);

impl Good {
    fn new() -> Self {
        let run =
            json!({"line": "run", "format": 1, "seed": 1, "nodes": 2, "shards": 1, "keys": 1});
        Self(vec![
            run,
            Self::stored("a", 0, 1, 2, 2, 1, 11),
            Self::stored("b", 2_000, 1, 3, 5, 2, 12),
            json!({"line": "fault", "fault": "kill", "whom": "n1", "at_us": 3_500}),
            // Its first attempt is of unknown outcome, its second one is the answer.
            Self::unknown("c", 4_000),
            Self::stored("c", 5_000, 20, 1, 6, 3, 21),
            Self::look(6_000, 6, 3, false),
            Self::unknown("d", 7_000),
            Self::turn(1_000, 9, "x", 1, 1),
            Self::turn(2_000, 9, "x", 2, 2),
            Self::turn(8_000, 30, "y", 1, 1),
            Self::look(9_000, 6, 3, true),
            json!({"line": "end", "asks": 10}),
        ])
    }

    fn ask(class: &str, op: &str, start_us: u64) -> Value {
        json!({
            "line": "ask", "class": class, "key": "k0", "shard": 0, "op": op, "id": null,
            "amount": 0, "final": false, "start_us": start_us, "end_us": start_us + 500,
            "deadline_us": start_us + 5_000_000, "outcome": "ok", "sequence": null, "node": null,
            "epoch": null, "activation": null, "local": false, "duplicate": false,
        })
    }

    fn with(mut line: Value, more: Value) -> Value {
        let more: Value = more;
        for (name, value) in more.as_object().expect("an object") {
            line[name] = value.clone();
        }
        line
    }

    fn stored(
        id: &str,
        at: u64,
        epoch: u64,
        amount: u64,
        value: u64,
        version: u64,
        sequence: u64,
    ) -> Value {
        let node = format!("n{epoch}");
        let more = json!({
            "id": id, "amount": amount, "value": value, "version": version, "epoch": epoch,
            "sequence": sequence, "node": node,
        });
        Self::with(Self::ask("fenced", "add", at), more)
    }

    fn unknown(id: &str, at: u64) -> Value {
        let more = json!({"id": id, "amount": 1, "outcome": "unknown", "error": "no answer"});
        Self::with(Self::ask("fenced", "add", at), more)
    }

    fn look(at: u64, value: u64, version: u64, is_final: bool) -> Value {
        let more = json!({"value": value, "version": version, "final": is_final});
        Self::with(Self::ask("fenced", "look", at), more)
    }

    fn turn(at: u64, epoch: u64, life: &str, value: u64, turn: u64) -> Value {
        let more = json!({
            "amount": 1, "value": value, "version": turn, "epoch": epoch, "activation": life,
            "node": format!("n{epoch}"),
        });
        Self::with(Self::ask("leased", "add", at), more)
    }

    /// The same with some values of one line changed, and what the check says then.
    fn told(line: usize, changed: Value) -> String {
        let mut this = Self::new();
        this.0[line] = Self::with(this.0[line].clone(), changed);
        refused(&this.0)
    }
}

#[test]
fn a_good_history_passes() {
    with_file("good", |file| {
        let ended = check(file, &Good::new().0);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended
                .printed
                .starts_with("passed: 3 adds acknowledged, 10 asks"),
            "{ended:?}"
        );
    });
}

#[test]
fn what_may_have_been_done_may_be_counted_or_not() {
    with_file("counted", |file| {
        let mut good = Good::new();
        good.0[11] = Good::look(9_000, 7, 4, true);
        assert_eq!(check(file, &good.0).code, Some(0));
    });
}

#[test]
fn what_is_lost_or_doubled_is_found() {
    let told = Good::told(11, json!({"value": 5, "version": 2}));
    assert!(
        told.contains("lost: ") && told.contains("stale: "),
        "{told}"
    );
    // One more than all that can have been done.
    let told = Good::told(11, json!({"value": 8, "version": 5}));
    assert!(
        told.contains("doubled: line 12 (look of k0) says 8 at version 5"),
        "{told}"
    );
    // Another answer for the same id.
    let mut again = Good::new();
    again.0.insert(7, Good::stored("a", 6_800, 20, 2, 8, 4, 30));
    again.0[13]["asks"] = json!(11);
    assert!(refused(&again.0).contains("doubled: "));
    // Two commands made one version.
    let told = Good::told(2, json!({"value": 2, "version": 1}));
    assert!(
        told.contains("doubled: line 3 (add of k0) made version 1"),
        "{told}"
    );
}

#[test]
fn an_old_answer_is_found_unless_it_says_so() {
    let old = json!({"value": 5, "version": 2});
    let told = Good::told(6, old.clone());
    assert!(
        told.contains("stale: line 7 (look of k0) came to version 2"),
        "{told}"
    );
    with_file("local", |file| {
        let mut good = Good::new();
        good.0[6] = Good::with(Good::with(good.0[6].clone(), old), json!({"local": true}));
        assert_eq!(check(file, &good.0).code, Some(0));
    });
    // Also a state that never was is found, however old it may be.
    let told = Good::told(6, json!({"value": 4, "version": 2, "local": true}));
    assert!(told.contains("forked: "), "{told}");
    let told = Good::told(
        1,
        json!({"value": 9, "version": 4, "op": "look", "local": true}),
    );
    assert!(told.contains("invented: "), "{told}");
}

#[test]
fn a_late_answer_is_found() {
    with_file("late", |file| {
        let mut good = Good::new();
        good.0[11]["end_us"] = json!(5_400_000);
        // Within the tolerance.
        assert_eq!(check(file, &good.0).code, Some(0));
    });
    let told = Good::told(6, json!({"end_us": 5_600_000, "deadline_us": 5_000_000}));
    assert!(
        told.contains("late: line 7 (look of k0) ended 600000 us after"),
        "{told}"
    );
}

#[test]
fn owners_at_the_same_time_are_found() {
    // The first epoch's owner stores after the second one's claim at 20.
    let told = Good::told(2, json!({"sequence": 25}));
    assert!(told.contains("zombie: line 3"), "{told}");
    // The new owner of the actor's shard answers before the old one.
    let told = Good::told(10, json!({"start_us": 1_600, "end_us": 1_700}));
    assert!(
        told.contains("interleaved: line 10 (add of k0) was answered under epoch 9"),
        "{told}"
    );
    let told = Good::told(9, json!({"node": "n7"}));
    assert!(
        told.contains("interleaved: line 10 (add of k0): epoch 9 is of n7"),
        "{told}"
    );
    let told = Good::told(9, json!({"version": 1}));
    assert!(
        told.contains("doubled: line 10 (add of k0) had turn 1"),
        "{told}"
    );
}

#[test]
fn a_history_that_is_cut_is_no_history() {
    let mut cut = Good::new();
    cut.0.pop();
    assert!(refused(&cut.0).contains("cut: the history has 10 asks and its end says None"));
    let mut unread = Good::new();
    unread.0[11]["outcome"] = json!("refused");
    assert!(refused(&unread.0).contains("unread: nobody could read k0"));
    with_file("empty", |file| {
        fs::write(file, "").expect("a file");
        assert!(CHECK.fails(&[file], 0).contains("it is empty"));
    });
}

#[test]
fn what_cannot_be_run_is_refused_with_the_remedy() {
    let refusals: [(&[&str], &str); 9] = [
        (&["--seconds", "10"], "give 54 or more, or fewer faults"),
        (&["--shell", "mem"], "give nats"),
        (&["--nodes", "1"], "give 2 to 64"),
        (&["--nodes", "2"], "give 3 or more, or --overlaps 0"),
        (&["--faults", "stop"], "name another than stop"),
        (&["--keys", "10"], "8 for each shard"),
        (&["--faults", "flood"], "invalid value 'flood'"),
        (&["--floor", "0"], "give 1 to 100"),
        (&["--rate", "1"], "give a higher rate, or fewer --keys"),
    ];
    for (arguments, remedy) in refusals {
        let told = CHAOS.fails(arguments, 0);
        assert!(told.contains(remedy), "{arguments:?}: {told}");
    }
}
