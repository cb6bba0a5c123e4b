//! The load test in small, everywhere that it runs: what it prints, what it leaves behind, and what
//! it says to wrong input. How fast anything is, is not looked at.

mod common;

use common::Program;
use serde_json::Value;
use tenure_nats_server::NatsServer;

const LOADTEST: Program = Program(env!("CARGO_BIN_EXE_loadtest"));

/// The last line of a run that went well.
fn measured(arguments: &[&str]) -> Value {
    let told = LOADTEST.tells(arguments);
    for field in ["ops_per_s", "p50_us", "p99_us", "p999_us", "max_us"] {
        assert!(positive(&told, field), "{field}: {told}");
    }
    // Memory is told by Linux.
    if std::path::Path::new("/proc/self/status").exists() {
        assert!(positive(&told, "cpu_us"), "{told}");
        assert!(
            positive(&told, "rss_bytes") && positive(&told, "rss_peak_bytes"),
            "{told}"
        );
    }
    told
}

fn positive(told: &Value, field: &str) -> bool {
    told[field].as_f64().is_some_and(|value| value > 0.0)
}

/// What it said, on one line, and nothing on standard output but the header.
fn refused(arguments: &[&str]) -> String {
    LOADTEST.fails(arguments, 1)
}

const SMALL: [&str; 6] = ["--ops", "400", "--users", "20", "--concurrency", "16"];

#[test]
fn it_measures_in_memory_beside_the_raw_peer() {
    let told = measured(&[&SMALL[..], &["--raw", "--seed", "7"]].concat());
    assert_eq!(told["seed"], 7);
    assert_eq!(told["ops"], 400);
    // One for each user before the measurement.
    assert_eq!(told["acknowledged"], 420);
    assert_eq!(told["read_back"], 420);
    assert!(
        positive(&told, "raw_ops_per_s") && positive(&told, "ratio"),
        "{told}"
    );
}

#[test]
fn it_runs_in_each_mode_with_snapshots_and_on_several_threads() {
    for more in [
        ["--kind", "owned", "--snapshots", "off"],
        ["--kind", "direct", "--snapshots", "5"],
        ["--cache", "off", "--snapshots", "1"],
        ["--threads", "2", "--hot", "50"],
        ["--warmup", "0", "--blocks", "1"],
    ] {
        let told = measured(&[&SMALL[..], &more].concat());
        assert_eq!(told["acknowledged"], told["read_back"], "{more:?}: {told}");
        assert_eq!(told["ratio"], Value::Null, "no raw peer was asked for");
    }
}

/// Snapshots are stored beside the commits, so there are more requests with them.
#[test]
fn snapshots_are_taken_when_they_are_asked_for() {
    let requests = |snapshots| {
        let more = [
            "--snapshots",
            snapshots,
            "--seed",
            "3",
            "--concurrency",
            "1",
        ];
        let told = measured(&[&SMALL[..4], &more].concat());
        told["store_requests"].as_u64().expect("a number")
    };
    assert!(requests("4") > requests("off"));
}

/// Without entities in memory each operation reads its own one first.
#[test]
fn an_entity_is_loaded_for_each_use_when_the_cache_is_off() {
    let requests = |cache| {
        let more = ["--cache", cache, "--concurrency", "1"];
        let told = measured(&[&SMALL[..4], &more].concat());
        told["store_requests"].as_u64().expect("a number")
    };
    let (on, some, off) = (requests("on"), requests("10"), requests("off"));
    assert_eq!(on, 400, "one commit for each operation");
    assert!(on < some && some < off, "{on} {some} {off}");
    assert!(off >= 800, "{off}");
}

/// The sequences of the stream of snapshots run ahead of those of eight event streams; they must not
/// be taken for them. The run fails by itself when the node finds a stream's tail lost.
#[test]
fn snapshots_on_a_cluster_are_no_news_of_the_event_streams() {
    let cluster = ["--shell", "nats", "--replicas", "3"];
    let more = ["--cache", "off", "--snapshots", "2"];
    let told = measured(&[&SMALL[..], &cluster, &more].concat());
    assert_eq!(told["acknowledged"], told["read_back"], "{told}");
    assert_eq!(told["lost_tails"], 0, "{told}");
}

#[test]
fn it_measures_on_a_server_of_its_own_beside_the_bare_client() {
    for more in [&["--raw"][..], &["--raw", "--raw-fold", "--kind", "owned"]] {
        let told = measured(&[&SMALL[..], &["--shell", "nats"], more].concat());
        assert_eq!(told["acknowledged"], 420, "{told}");
        assert_eq!(told["read_back"], 420, "{told}");
        assert!(
            positive(&told, "raw_ops_per_s") && positive(&told, "ratio"),
            "{told}"
        );
        assert!(
            positive(&told, "commit_bytes") && positive(&told, "commits"),
            "{told}"
        );
        let published = told["raw_messages"].as_u64().expect("a number");
        assert!(published <= 420, "{told}");
        assert!(more.contains(&"--raw-fold") || published == 420, "{told}");
    }
}

#[test]
fn it_leaves_nothing_on_a_server_that_it_was_given() {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let arguments = [&SMALL[..], &["--shell", "nats", "--nats", &url, "--raw"]].concat();
    measured(&arguments);
    let page = server.monitor("/jsz").expect("the monitoring page");
    assert_eq!(page["streams"], 0, "{page}");
}

/// Writing commits is what this server's users may not.
#[test]
fn it_leaves_nothing_there_when_it_ends_with_an_error_either() {
    let users = r#"
        authorization {
            users: [{ user: any, password: any, permissions: { publish: { deny: "*.ev.>" } } }]
        }
        no_auth_user: any
    "#;
    let server = NatsServer::builder().config(users).start();
    let server = server.expect("a nats-server");
    let url = server.url();
    let place = ["--shell", "nats", "--nats", &url];
    let error = LOADTEST.fails(&[&SMALL[..], &place].concat(), 1);
    assert!(error.contains("may not"), "{error}");
    let page = server.monitor("/jsz").expect("the monitoring page");
    assert_eq!(page["streams"], 0, "{page}");
}

/// The leader of a stream is killed amid the operations; the checker reads all of them out of the
/// streams. At full size: `--ops 20000 --concurrency 256`.
#[test]
fn every_acknowledged_commit_is_there_once_and_in_order_after_a_leader_was_killed() {
    for kind in ["direct", "owned"] {
        let cluster = ["--shell", "nats", "--replicas", "3", "--kill-leader"];
        let size = ["--users", "4000", "--ops", "2000", "--concurrency", "256"];
        let told = measured(&[&cluster[..], &size, &["--kind", kind]].concat());
        assert_eq!(told["acknowledged"], 6_000, "{told}");
        assert_eq!(told["read_back"], 6_000, "{told}");
        assert_eq!(told["shards"], 256, "{told}");
        assert!(told["leader_killed"].is_string(), "{told}");
    }
}

#[test]
fn wrong_input_is_told_in_one_line() {
    for (arguments, told) in [
        (&["--ops", "0"][..], "--ops 0 measures nothing"),
        (&["--users", "0"], "--users 0 leaves nobody"),
        (&["--users", "18446744073709551615"], "or fewer"),
        (&["--ops", "18446744073709551615"], "or fewer"),
        (&["--warmup", "18446744073709551615"], "or fewer"),
        (&["--concurrency", "0"], "--concurrency 0"),
        (&["--blocks", "0"], "--blocks 0"),
        (&["--ops", "5", "--blocks", "6"], "fewer blocks"),
        (&["--threads", "0"], "--threads"),
        (&["--hot", "101"], "0 to 100"),
        (&["--snapshots", "0"], "or off"),
        (&["--snapshots", "often"], "or off"),
        (&["--cache", "some"], "on, off, or a number"),
        (&["--kind", "leased"], "leased"),
        (&["--shell", "redis"], "redis"),
        (&["--replicas", "3"], "add --shell nats"),
        (&["--shell", "nats", "--replicas", "2"], "give 1, 3 or 5"),
        (&["--nats", "nats://127.0.0.1:9"], "add --shell nats"),
        (
            &["--shell", "nats", "--nats", "nats://127.0.0.1:9"],
            "no nats-server answers at nats://127.0.0.1:9",
        ),
        (
            &["--shell", "nats", "--nats", "http://x"],
            "no nats-server answers at",
        ),
        (&["--raw-fold"], "--raw"),
        (&["--raw", "--raw-fold"], "--shell nats"),
        (&["--shell", "nats", "--kill-leader"], "--replicas 3"),
        (
            &["--shell", "nats", "--replicas", "3", "--kill-leader"],
            "give 4000 or more",
        ),
        (
            &[
                "--shell",
                "nats",
                "--replicas",
                "3",
                "--kill-leader",
                "--raw",
            ],
            "--raw",
        ),
        (&["--fast"], "--fast"),
    ] {
        let error = refused(arguments);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}
