//! The example of a key for each person: what is left when one is deleted, in memory and on a nats-server.

use std::process::Command;

fn shredded(place: &str) {
    let program = env!("CARGO_BIN_EXE_shred");
    let output = Command::new(program).arg(place).output().expect("it runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    let (before, after) = out
        .split_once("the key of alice is deleted")
        .expect("it comes so far");
    for line in [
        "directory: alice is Alice Archer, 3 Elm Street",
        "alice at version 2: \"Alice Archer\", \"3 Elm Street\", 0 events shredded",
    ] {
        assert!(before.contains(line), "{out}");
    }
    assert!(
        before.contains("stored: registered of ") && !before.contains(", readable"),
        "{out}"
    );
    for line in [
        "directory: bob is Bob Baker, 5 Oak Lane",
        "alice at version 2: \"\", \"\", 2 events shredded",
        "bob at version 2: \"Bob Baker\", \"5 Oak Lane\", 0 events shredded",
        "nothing more is stored of alice: true",
        "alice exists: false",
    ] {
        assert!(after.contains(line), "{out}");
    }
    assert!(
        !after.contains("Alice") && !after.contains("Elm"),
        "it is forgotten: {out}"
    );
}

#[test]
fn who_is_forgotten_in_memory_is_forgotten() {
    shredded("mem:people");
}

#[test]
fn who_is_forgotten_on_nats_is_forgotten() {
    let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
    shredded(&server.url());
    shredded(&server.url());
}
