//! A server's life: ready, paused, killed, restarted on the same port and store, gone.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of waits for another process"
)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use tenure_nats_server::{Cluster, NatsServer, PATIENCE, ServerError};

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_server_keeps_its_port_and_store_over_a_kill() {
    let server = NatsServer::start().unwrap();
    let (url, first) = (server.url(), server.pid().unwrap());
    assert!(server.store().is_dir());
    std::fs::write(server.store().join("mark"), b"here").unwrap();

    server.kill().unwrap();
    assert!(!lives(first), "the killed server still runs");
    assert!(matches!(server.kill(), Err(ServerError::NotRunning)));
    server.restart().unwrap();

    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(first));
    assert!(server.store().join("mark").is_file());
}

#[test]
fn a_store_can_be_saved_and_restored() {
    let server = NatsServer::start().unwrap();
    let copy = server.folder("copy").unwrap();
    assert!(matches!(
        server.save_store(&copy),
        Err(ServerError::Running)
    ));
    server.stop().unwrap();
    server.save_store(&copy).unwrap();
    std::fs::write(server.store().join("later"), b"x").unwrap();
    server.restore_store(&copy).unwrap();
    assert!(!server.store().join("later").exists());
    server.restart().unwrap();
}

#[test]
fn a_paused_server_answers_again_after_it_is_resumed() {
    let server = NatsServer::start().unwrap();
    server.pause().unwrap();
    server.resume().unwrap();
    server.wait_ready().unwrap();
}

#[test]
fn a_dropped_server_leaves_nothing() {
    let server = NatsServer::start().unwrap();
    let (pid, store) = (server.pid().unwrap(), server.store());
    drop(server);
    assert!(!lives(pid) && !store.exists());
}

#[test]
fn a_wrong_configuration_is_told_with_the_log() {
    let error = NatsServer::builder()
        .config("no_such_setting: {")
        .start()
        .unwrap_err();
    assert!(matches!(error, ServerError::Ended { .. }), "{error}");
}

#[test]
fn a_cluster_of_three_elects_a_leader_and_survives_a_kill() {
    let cluster = Cluster::start(3).unwrap();
    assert_eq!(cluster.url().split(',').count(), 3);
    cluster.servers()[1].kill().unwrap();
    cluster.servers()[1].restart().unwrap();
    cluster.wait_ready().unwrap();
}

/// Runs one of these tests in a process of its own and tells what it printed.
fn elsewhere(test: &str, name: &str, value: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(name, value)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_server_dies_with_an_owner_that_aborts() {
    const ROLE: &str = "TENURE_TEST_OWNER";
    if std::env::var_os(ROLE).is_some() {
        let server = NatsServer::start().unwrap();
        println!("pid={};", server.pid().unwrap());
        std::process::abort();
    }
    let said = elsewhere("a_server_dies_with_an_owner_that_aborts", ROLE, "1");
    let pid = said
        .split_once("pid=")
        .and_then(|(_, rest)| rest.split_once(';'));
    let pid = pid.unwrap().0.parse().unwrap();
    let end = Instant::now() + PATIENCE;
    while lives(pid) {
        assert!(Instant::now() < end, "the server outlives its owner");
        std::thread::yield_now();
    }
}

#[test]
fn a_binary_that_is_not_there_is_named() {
    const WRONG: &str = "/no/such/nats-server";
    if std::env::var("NATS_SERVER").is_ok_and(|path| path == WRONG) {
        println!("error={};", NatsServer::start().unwrap_err());
        return;
    }
    let said = elsewhere("a_binary_that_is_not_there_is_named", "NATS_SERVER", WRONG);
    assert!(
        said.contains("NATS_SERVER is \"/no/such/nats-server\""),
        "{said}"
    );
}
