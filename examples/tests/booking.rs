//! The example of a saga keeps its books straight while a node dies, in memory and on a nats-server.

use std::process::Command;

fn books(place: &str) {
    let program = env!("CARGO_BIN_EXE_booking");
    let output = Command::new(program).arg(place).output().expect("it runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    for n in [3, 7] {
        let refused = format!("trip-{n} is not booked: ");
        assert!(out.contains(&refused), "{out}");
    }
    assert!(out.contains("left of seats"), "{out}");
}

#[test]
fn trips_are_booked_or_undone_in_memory() {
    books("mem:trips");
}

#[test]
fn trips_are_booked_or_undone_on_nats() {
    let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
    books(&server.url());
    // Another run finds what the first one left.
    books(&server.url());
}
