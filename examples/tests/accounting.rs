//! The accounting example in every place that it runs in, and what it says to wrong input.

mod common;

use common::Program;
use tenure_nats_server::NatsServer;

const BALANCES: [&str; 3] = ["alice 150", "bob 70", "charlie 300"];

const ACCOUNTING: Program = Program(env!("CARGO_BIN_EXE_accounting"));

/// What it printed, after it ended with the right balances.
fn balanced(arguments: &[&str]) -> String {
    let ended = ACCOUNTING.succeeds(arguments);
    let lines: Vec<_> = ended.printed.lines().collect();
    assert!(lines.ends_with(&BALANCES), "{arguments:?}: {ended:?}");
    assert_eq!(ended.errors, "", "{arguments:?}");
    ended.printed
}

/// The one line that it failed with.
fn refused(arguments: &[&str]) -> String {
    ACCOUNTING.fails(arguments, 0)
}

#[test]
fn it_runs_in_memory() {
    let printed = balanced(&[]);
    assert!(printed.contains("read back by another node"), "{printed}");
    for node in ["node-0", "node-1", "node-2"] {
        let started = format!("started {node} with ");
        assert!(printed.contains(&started), "{printed}");
    }
    for refused in [
        "no 500 from bob: insufficient funds: 500 were asked for, 70 are there",
        "no 0 from alice: an amount is at least 1",
        "no 5 from dora: the account is not open",
    ] {
        assert!(printed.contains(refused), "{refused}: {printed}");
    }
    for lent in [
        "lent 20 to bob from alice, now 130 (",
        "bob got 20 from alice (",
        "bob pays 20 back in 250 ms (",
        "alice got 20 from bob, by a reminder (",
    ] {
        assert!(printed.contains(lent), "{lent}: {printed}");
    }
    // Whoever asks, an account's owner answers.
    for owner in ["alice", "bob", "charlie"] {
        let of_owner = |line: &&str| line.contains(owner) && !line.starts_with("lent");
        let of_two = |line: &&str| !line.contains(" from alice (") && !line.contains(" from bob, ");
        let lines = printed.lines().filter(of_owner).filter(of_two);
        let nodes: Vec<_> = lines.filter_map(|line| line.split_once('(')).collect();
        assert!(nodes.len() >= 3, "{printed}");
        assert!(
            nodes.iter().all(|(_, node)| *node == nodes[0].1),
            "{printed}"
        );
    }
    assert!(
        printed.contains(
            "alice had 100 at version 1\nalice got 20 from another account\nalice got 50 from Zoë\n"
        ),
        "{printed}"
    );
    balanced(&["--shell", "mem", "--namespace", "bank"]);
}

#[test]
fn it_runs_on_a_server_of_its_own() {
    let printed = balanced(&["--shell", "nats"]);
    assert!(printed.contains("read back by process"), "{printed}");
}

#[test]
fn it_runs_again_and_again_on_one_server() {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let first = balanced(&["--nats", &url]);
    assert!(!first.contains("earlier run"), "{first}");
    let second = balanced(&["--nats", &url]);
    assert!(
        second.contains("opened alice with 100, by an earlier run"),
        "{second}"
    );
    let other = balanced(&["--nats", &url, "--namespace", "other"]);
    assert!(!other.contains("earlier run"), "{other}");
    let read = balanced(&["--nats", &url, "--read-back"]);
    assert!(!read.contains("opened"), "{read}");
}

#[test]
fn credentials_are_those_that_the_server_knows() {
    let users = "authorization { users: [{ user: teller, password: secret }] }";
    let server = NatsServer::builder()
        .config(users)
        .start()
        .expect("a nats-server");
    let url = server.url();
    balanced(&["--nats", &url, "--user", "teller", "--password", "secret"]);
    for wrong in [
        vec!["--nats", &url],
        vec!["--nats", &url, "--user", "teller", "--password", "guess"],
    ] {
        let error = refused(&wrong);
        assert!(error.contains("refuses the credentials"), "{error}");
        assert!(!error.contains("guess"), "{error}");
    }
    let error = refused(&["--nats", &url, "--creds", "absent.creds"]);
    assert!(error.contains("absent.creds"), "{error}");
}

#[test]
fn a_server_that_cannot_be_used_is_told_in_one_line() {
    let server = NatsServer::builder().without_jetstream().start();
    let server = server.expect("a nats-server");
    let error = refused(&["--nats", &server.url()]);
    assert!(error.contains("no JetStream"), "{error}");
    server.kill().expect("it runs");
    let error = refused(&["--nats", &server.url()]);
    assert!(error.contains("no nats-server answers at"), "{error}");
}

#[test]
fn wrong_input_is_told_in_one_line() {
    for (arguments, told) in [
        (vec!["--shell", "redis"], "redis"),
        (
            vec!["--shell", "nats", "--nats", "nats://h"],
            "cannot be used with",
        ),
        (vec!["--user", "teller"], "--password"),
        (
            vec!["--nats", "http://localhost"],
            "only nats:// and tls:// are known",
        ),
        (
            vec!["--nats", "nats://127.0.0.1:9"],
            "no nats-server answers at",
        ),
        (vec!["--namespace", ""], "namespace"),
        (vec!["--namespace", "a.b"], "namespace"),
        (vec!["--namespace", "tenure"], "reserved"),
        (
            vec!["--namespace", "a-name-of-thirty-three-characters"],
            "32",
        ),
        (vec!["--deposit"], "--deposit"),
    ] {
        let error = refused(&arguments);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

/// The README's permissions are enough, for a namespace that is not there yet, too; and they are
/// for no other.
#[test]
fn the_permissions_in_the_readme_are_enough_for_their_namespace() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<_> = readme.split("```conf\n").collect();
    let rest = blocks.iter().find(|block| block.contains("bank.node.>"));
    let rest = rest.expect("the settings of a cluster's nodes");
    let (permissions, _) = rest.split_once("```").expect("its end");
    let server = NatsServer::builder()
        .config(permissions)
        .start()
        .expect("a nats-server");
    let url = server.url();
    let mut arguments = vec!["--nats", &url, "--user", "bank", "--password", "secret"];
    arguments.extend(["--namespace", "bank"]);
    balanced(&arguments);
    balanced(&arguments);
    arguments.pop();
    arguments.push("other");
    let error = refused(&arguments);
    assert!(error.contains("may not"), "{error}");
}

/// The table is a projection of another process, which is killed and goes on from its last snapshot.
#[test]
fn the_table_that_was_killed_goes_on_and_is_right() {
    let printed = ACCOUNTING.succeeds(&["--shell", "nats", "--watch"]).printed;
    assert!(printed.contains("began with the first of"), "{printed}");
    assert!(printed.contains("killed process"), "{printed}");
    let (before, again) = printed.split_once("killed process").expect("a kill");
    let tables = |told: &str| {
        told.lines()
            .filter(|line| line.starts_with("alice "))
            .count()
    };
    assert!(tables(before) >= 5 && tables(again) >= 5, "{printed}");
    assert!(again.contains("went on from a snapshot"), "{printed}");
    assert!(again.ends_with("the table is right\n"), "{printed}");
    let refused = refused(&["--watch"]);
    assert!(refused.contains("add --shell nats"), "{refused}");
}

#[test]
fn it_tells_what_it_consists_of() {
    let chart = ACCOUNTING.succeeds(&["--model", "mermaid"]).printed;
    assert!(chart.starts_with("flowchart LR\n"), "{chart}");
    assert_eq!(chart, include_str!("model/accounting.mmd"), "{chart}");
    let json = ACCOUNTING.succeeds(&["--model", "json"]).printed;
    let model: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let opened = &model["aggregates"][0]["events"][0];
    assert_eq!(opened["schema"]["properties"]["balance"]["type"], "integer");
    let moved = &model["aggregates"][0]["earlier"][0];
    assert_eq!(moved["name"], "moved");
    assert_eq!(model["read_models"][0]["of"][1]["event"], "deposited");
    let told = refused(&["--model", "picture"]);
    assert!(told.contains("json, mermaid"), "{told}");
}
