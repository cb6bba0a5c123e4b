//! The machine by itself: time, and what must stay small.

mod harm;
mod waits;

use super::{ConnectionId, Front, FrontConfig, Input};
use crate::store::StoreConfig;
use alloc::format;
use alloc::string::String;
use bytes::BytesMut;
use tenure_core::id::WallTime;

const ALICE: ConnectionId = ConnectionId(1);
const CONNECT: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// Says something at a time, and gives what is told.
fn say(front: &mut Front, at: u64, text: &str) -> String {
    front.step(
        WallTime(at),
        Input::Received(ALICE, BytesMut::from(text.as_bytes())),
    );
    told(front)
}

fn told(front: &mut Front) -> String {
    let mut told = String::new();
    while let Some(connection) = front.next_ready() {
        let bytes = front.take(connection).bytes;
        told.push_str(core::str::from_utf8(&bytes).unwrap());
    }
    told
}

fn front() -> Front {
    front_with(FrontConfig::default())
}

fn front_with(config: FrontConfig) -> Front {
    let mut front = Front::new(config);
    front.step(WallTime(0), Input::Opened(ALICE));
    say(&mut front, 0, CONNECT);
    say(&mut front, 0, "SUB in.* 0\r\n");
    front
}

fn request(subject: &str, body: &str) -> String {
    format!("PUB $JS.API.{subject} in.1 {}\r\n{body}\r\n", body.len())
}

#[test]
fn a_run_is_a_function_of_its_inputs() {
    let run = || {
        let mut front = front();
        let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"]}";
        let mut all = say(&mut front, 1, &request("STREAM.CREATE.S", create));
        let create = "{\"stream_name\":\"S\",\"config\":{\"ack_policy\":\"none\"}}";
        all += &say(&mut front, 2, &request("CONSUMER.CREATE.S", create));
        all += &say(
            &mut front,
            3,
            "SUB w g 1\r\nSUB w g 2\r\nPUB w 1\r\na\r\nPUB w 1\r\nb\r\n",
        );
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn a_cluster_says_that_it_is_one_and_has_streams_with_replicas() {
    let config = |store| FrontConfig {
        store,
        ..FrontConfig::default()
    };
    for (store, clustered) in [
        (StoreConfig::default(), false),
        (StoreConfig::clustered(3), true),
    ] {
        let mut front = Front::new(config(store));
        front.step(WallTime(0), Input::Opened(ALICE));
        let info = told(&mut front);
        assert_eq!(info.contains("\"cluster\":\"front\""), clustered, "{info}");
        say(&mut front, 1, CONNECT);
        say(&mut front, 1, "SUB in.* 0\r\n");
        let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"num_replicas\":3}";
        let told = say(&mut front, 1, &request("STREAM.CREATE.S", create));
        assert_eq!(told.contains("\"err_code\":10074"), !clustered, "{told}");
    }
}

#[test]
fn time_alone_ends_pulls_and_unused_consumers() {
    let mut front = front();
    say(
        &mut front,
        1,
        &request("STREAM.CREATE.S", "{\"name\":\"S\"}"),
    );
    let create = "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"ack_policy\":\"none\"}}";
    say(&mut front, 1, &request("CONSUMER.CREATE.S.c", create));
    let pull = request(
        "CONSUMER.MSG.NEXT.S.c",
        "{\"batch\":1,\"expires\":1000000000}",
    );
    assert_eq!(say(&mut front, 10, &pull), "");
    assert_eq!(front.next_wake(), Some(WallTime(1_010)));
    front.step(WallTime(1_009), Input::Woken);
    assert_eq!(told(&mut front), "");
    front.step(WallTime(1_010), Input::Woken);
    assert!(told(&mut front).contains("NATS/1.0 408 Request Timeout"));
    // Nobody pulls any more: it goes five seconds after somebody pulled last.
    let wake = front.next_wake();
    assert!(
        wake.is_some_and(|wake| (5_101..6_001).contains(&wake.0)),
        "{wake:?}"
    );
    front.step(WallTime(5_109), Input::Woken);
    let info = say(&mut front, 5_109, &request("CONSUMER.INFO.S.c", ""));
    assert!(info.contains("\"name\":\"c\""), "{info}");
    front.step(WallTime(6_010), Input::Woken);
    let info = say(&mut front, 6_010, &request("CONSUMER.INFO.S.c", ""));
    assert!(info.contains("\"err_code\":10014"), "{info}");
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    let mut front = front();
    let create = "{\"name\":\"S\",\"mirror\":{\"name\":\"T\"}}";
    let told = say(&mut front, 1, &request("STREAM.CREATE.S", create));
    assert!(
        told.contains("mirror is not offered by the front"),
        "{told}"
    );
    say(
        &mut front,
        1,
        &request("STREAM.CREATE.S", "{\"name\":\"S\"}"),
    );
    let create = "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"rate_limit_bps\":9}}";
    let told = say(&mut front, 1, &request("CONSUMER.CREATE.S.c", create));
    assert!(
        told.contains("rate_limit_bps is not offered by the front"),
        "{told}"
    );
}

#[test]
fn what_it_holds_does_not_grow_with_what_it_took() {
    let mut front = front();
    let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"max_msgs\":10}";
    say(&mut front, 1, &request("STREAM.CREATE.S", create));
    let create = "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"ack_policy\":\"explicit\"}}";
    say(&mut front, 1, &request("CONSUMER.CREATE.S.c", create));
    for n in 0..5_000 {
        say(&mut front, 2, &format!("PUB s.{n} 1\r\nx\r\n"));
        say(&mut front, 2, "SUB t 7\r\nUNSUB 7\r\n");
    }
    let info = say(&mut front, 3, &request("STREAM.INFO.S", ""));
    assert!(
        info.contains("\"messages\":10,") && info.contains("\"num_subjects\":10"),
        "{info}"
    );
    let info = say(&mut front, 3, &request("CONSUMER.INFO.S.c", ""));
    assert!(info.contains("\"num_pending\":10,"), "{info}");
    assert!(front.router.is_only(1), "subscriptions that ended are held");
}
