//! What consumers do while somebody waits for them, and when nobody does any more.

use super::{front, request, say, told};
use crate::nats::{Front, Input};
use alloc::format;
use tenure_core::id::WallTime;

/// A front with a stream of so many messages.
fn with_messages(count: usize) -> Front {
    let mut front = front();
    let create = "{\"name\":\"S\",\"subjects\":[\"s\"]}";
    say(&mut front, 1, &request("STREAM.CREATE.S", create));
    for _ in 0..count {
        say(&mut front, 1, "PUB s 2\r\nhi\r\n");
    }
    front
}

fn create(front: &mut Front, config: &str) {
    let body = format!("{{\"stream_name\":\"S\",\"config\":{{\"name\":\"c\",{config}}}}}");
    let told = say(front, 1, &request("CONSUMER.CREATE.S.c", &body));
    assert!(!told.contains("\"error\""), "{told}");
}

/// Whether the consumer is there at a time.
fn is_there(front: &mut Front, at: u64) -> bool {
    while let Some(due) = front.next_wake().filter(|due| due.0 <= at) {
        front.step(due, Input::Woken);
    }
    told(front);
    !say(front, at, &request("CONSUMER.INFO.S.c", "")).contains("\"err_code\":10014")
}

#[test]
fn a_push_consumer_stops_with_who_listened() {
    let mut front = with_messages(0);
    create(
        &mut front,
        "\"deliver_subject\":\"to\",\"ack_policy\":\"none\"",
    );
    say(&mut front, 2, "SUB to 7\r\nUNSUB 7 2\r\n");
    let pause = "{\"pause_until\":\"1970-01-01T00:00:01Z\"}";
    say(&mut front, 2, &request("CONSUMER.PAUSE.S.c", pause));
    for _ in 0..5 {
        say(&mut front, 3, "PUB s 2\r\nhi\r\n");
    }
    front.step(WallTime(1_000), Input::Woken);
    assert_eq!(told(&mut front).matches("MSG s 7 ").count(), 2);
    let info = say(&mut front, 1_001, &request("CONSUMER.INFO.S.c", ""));
    assert!(info.contains("\"num_pending\":3,"), "{info}");
}

#[test]
fn a_push_consumer_is_idle_from_when_nobody_listens() {
    let mut front = with_messages(0);
    say(&mut front, 1, "SUB to 7\r\n");
    create(
        &mut front,
        "\"deliver_subject\":\"to\",\"inactive_threshold\":1000000000",
    );
    assert!(is_there(&mut front, 60_000));
    say(&mut front, 60_000, "UNSUB 7\r\n");
    assert!(is_there(&mut front, 60_999));
    assert!(!is_there(&mut front, 61_000));
}

#[test]
fn who_waits_or_will_acknowledge_uses_a_pull_consumer() {
    const PULL: &str = "CONSUMER.MSG.NEXT.S.c";
    let idle =
        "\"inactive_threshold\":1000000000,\"ack_policy\":\"explicit\",\"ack_wait\":5000000000";
    let mut front = with_messages(1);
    create(&mut front, idle);
    say(&mut front, 500, &request(PULL, ""));
    // The acknowledgement is waited for until 5500, and once more as long for who asks again. Chance adds up
    // to a second.
    assert!(is_there(&mut front, 11_599));
    assert!(!is_there(&mut front, 12_500));
    let mut front = with_messages(0);
    create(&mut front, idle);
    say(&mut front, 500, &request(PULL, "{\"expires\":9900000000}"));
    assert!(is_there(&mut front, 10_399));
    assert!(!is_there(&mut front, 12_400));
    let mut front = with_messages(0);
    create(&mut front, idle);
    say(&mut front, 500, &request(PULL, "{\"expires\":10000000000}"));
    say(&mut front, 600, "UNSUB 0\r\n");
    is_there(&mut front, 2_500);
    say(&mut front, 2_501, "SUB in.* 0\r\n");
    assert!(!is_there(&mut front, 2_502));
}
