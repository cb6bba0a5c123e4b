//! What a client that means harm must not do: end the server, fill its memory, or keep it busy.

use super::{ALICE, CONNECT, front, front_with, request, say, told};
use crate::nats::{ConnectionId, Front, FrontConfig, Input};
use alloc::format;
use alloc::string::String;
use bytes::BytesMut;
use tenure_core::id::WallTime;

/// A client that sends the same again and again, and takes nothing of what comes back.
fn is_let_go(begin: &str, again: &str) {
    let mut front = Front::new(FrontConfig {
        pending_bytes_max: 10_000,
        ..FrontConfig::default()
    });
    front.step(WallTime(0), Input::Opened(ALICE));
    say(&mut front, 0, begin);
    for _ in 0..1_000 {
        let again = BytesMut::from(again.repeat(10).as_bytes());
        front.step(WallTime(1), Input::Received(ALICE, again));
    }
    let all = front.take(ALICE);
    assert!(all.ends && all.bytes.len() < 100, "{again:?}");
    assert_eq!(&all.bytes[..], b"-ERR 'Slow Consumer'\r\n");
    assert_eq!((front.connections(), front.refused()), (0, 1));
}

#[test]
fn who_takes_no_answers_is_let_go() {
    is_let_go(CONNECT, "PING\r\n");
    is_let_go("CONNECT {\"verbose\":true}\r\n", "SUB a 1\r\nUNSUB 1\r\n");
    is_let_go(CONNECT, "SUB a..b 1\r\n");
}

#[test]
fn what_comes_of_a_connection_that_ends_is_not_kept() {
    let mut front = front();
    say(&mut front, 0, "PING\r\n");
    front.step(
        WallTime(1),
        Input::Received(ALICE, BytesMut::from("NOPE\r\n")),
    );
    let more = BytesMut::from(&[b'x'; 1_000][..]);
    front.step(WallTime(1), Input::Received(ALICE, more));
    assert!(front.connections[&ALICE].came.is_empty());
}

#[test]
fn what_was_taken_leaves_no_room_behind() {
    let mut front = front();
    say(&mut front, 0, "SUB a 1\r\n");
    let body = "x".repeat(100_000);
    for _ in 0..10 {
        let publish = format!("PUB a {}\r\n{body}\r\n", body.len());
        front.step(
            WallTime(1),
            Input::Received(ALICE, BytesMut::from(publish.as_bytes())),
        );
    }
    assert!(front.take(ALICE).bytes.len() > 1_000_000);
    assert!(front.connections[&ALICE].waiting.capacity() < 100_000);
}

#[test]
fn filters_may_be_deep() {
    let mut front = front();
    let line = "a.".repeat(2_000) + "a";
    say(
        &mut front,
        1,
        &format!("SUB {line} 1\r\nPUB {line} 0\r\n\r\nUNSUB 1\r\n"),
    );
    let deep = "a.".repeat(200_000) + "a";
    let create = format!("{{\"name\":\"S\",\"subjects\":[\"{deep}\"]}}");
    let told = say(&mut front, 1, &request("STREAM.CREATE.S", &create));
    assert!(told.contains("\"did_create\":true"), "it is made");
    let create = format!(
        "{{\"stream_name\":\"S\",\"config\":{{\"name\":\"c\",\"filter_subjects\":[\"{deep}\",\"b\"]}}}}"
    );
    let told = say(&mut front, 1, &request("CONSUMER.CREATE.S.c", &create));
    assert!(told.contains("\"num_pending\":0"), "it is made");
    let told = say(&mut front, 1, &request("STREAM.DELETE.S", ""));
    assert!(told.contains("\"success\":true"), "{told}");
}

#[test]
fn streams_and_consumers_have_so_many_filters() {
    let mut front = front_with(FrontConfig {
        filters_max: 3,
        ..FrontConfig::default()
    });
    let create = "{\"name\":\"S\",\"subjects\":[\"a\",\"b\",\"c\",\"d\"]}";
    let told = say(&mut front, 1, &request("STREAM.CREATE.S", create));
    assert!(
        told.contains("more than 3 subjects are not offered"),
        "{told}"
    );
    let create = "{\"name\":\"S\",\"subjects\":[\"a\",\"b\",\"c\"]}";
    say(&mut front, 1, &request("STREAM.CREATE.S", create));
    let create =
        "{\"stream_name\":\"S\",\"config\":{\"filter_subjects\":[\"a\",\"b\",\"c\",\"d\"]}}";
    let told = say(&mut front, 1, &request("CONSUMER.CREATE.S", create));
    assert!(
        told.contains("more than 3 filter_subjects are not offered"),
        "{told}"
    );
}

#[test]
fn streams_that_republish_into_each_other_come_to_an_end() {
    let mut front = front();
    for (name, dest) in [("A", "b.>"), ("B", "a.>")] {
        let own = name.to_lowercase();
        let create = format!(
            "{{\"name\":\"{name}\",\"subjects\":[\"{own}.>\"],\
             \"republish\":{{\"src\":\"{own}.>\",\"dest\":\"{dest}\"}}}}"
        );
        let told = say(
            &mut front,
            1,
            &request(&format!("STREAM.CREATE.{name}"), &create),
        );
        assert!(told.contains("\"did_create\":true"), "{told}");
    }
    say(&mut front, 2, "PUB a.x 2\r\nhi\r\n");
    let info = say(&mut front, 3, &request("STREAM.INFO.B", ""));
    assert!(info.contains("\"messages\":8,"), "{info}");
}

#[test]
fn what_a_stream_republishes_to_is_a_subject() {
    let mut front = front();
    for dest in ["r b", "r\\r\\nPING", "r..s", "{{partition(1,1)}}", "$1"] {
        let create = format!(
            "{{\"name\":\"S\",\"subjects\":[\"s\"],\"republish\":{{\"src\":\"s\",\"dest\":\"{dest}\"}}}}"
        );
        let told = say(&mut front, 1, &request("STREAM.CREATE.S", &create));
        assert!(told.contains("\"err_code\":10052"), "{dest}: {told}");
    }
}

#[test]
fn what_open_batches_hold_counts_over_all_streams() {
    let mut front = front_with(FrontConfig {
        pending_bytes_max: 10_000,
        ..FrontConfig::default()
    });
    let mut answers = String::new();
    for n in 0..12 {
        let create =
            format!("{{\"name\":\"S{n}\",\"subjects\":[\"s.{n}\"],\"allow_atomic\":true}}");
        say(
            &mut front,
            1,
            &request(&format!("STREAM.CREATE.S{n}"), &create),
        );
        let headers = "NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\n\r\n";
        let body = "x".repeat(1_000);
        let all = headers.len() + body.len();
        let part = format!(
            "HPUB s.{n} in.1 {} {all}\r\n{headers}{body}\r\n",
            headers.len()
        );
        answers += &say(&mut front, 1, &part);
    }
    assert!(answers.contains("\"err_code\":10210"), "{answers}");
    say(&mut front, 2, &request("STREAM.DELETE.S0", ""));
    let gone = say(&mut front, 20_000, &request("STREAM.DELETE.S1", ""));
    assert!(gone.contains("\"success\":true"), "{gone}");
}

#[test]
fn a_server_that_ends_is_not_woken_for_who_takes_nothing() {
    let mut front = front();
    front.step(WallTime(10), Input::LameDuck);
    assert_eq!(front.next_wake(), Some(WallTime(10_010)));
    front.step(WallTime(10_010), Input::Woken);
    let wake = front.next_wake();
    assert!(wake.is_none_or(|wake| wake > WallTime(10_010)), "{wake:?}");
    let late = ConnectionId(2);
    front.step(WallTime(10_011), Input::Opened(late));
    assert!(front.take(late).ends);
    told(&mut front);
    assert_eq!(front.connections(), 0);
}

#[test]
fn a_time_beyond_all_times_is_refused_or_cut() {
    let mut front = front();
    say(
        &mut front,
        1,
        &request("STREAM.CREATE.S", "{\"name\":\"S\"}"),
    );
    let create = "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\"}}";
    say(&mut front, 1, &request("CONSUMER.CREATE.S.c", create));
    for year in ["99999", "9223372036854775807", "-5"] {
        let pause = format!("{{\"pause_until\":\"{year}-01-01T00:00:00Z\"}}");
        let told = say(&mut front, 1, &request("CONSUMER.PAUSE.S.c", &pause));
        assert!(told.contains("\"err_code\":10025"), "{told}");
    }
    let pause = "{\"pause_until\":\"9999-12-31T23:59:59Z\"}";
    let told = say(&mut front, 1, &request("CONSUMER.PAUSE.S.c", pause));
    assert!(
        told.contains("\"pause_remaining\":9223372036854775807"),
        "{told}"
    );
}

#[test]
fn a_wait_of_nothing_does_not_hold_time_up() {
    let mut front = front();
    let create = "{\"name\":\"S\",\"subjects\":[\"s\"]}";
    say(&mut front, 1, &request("STREAM.CREATE.S", create));
    let create = "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"ack_policy\":\"explicit\",\
        \"backoff\":[0],\"durable_name\":\"c\"}}";
    say(&mut front, 1, &request("CONSUMER.CREATE.S.c", create));
    say(&mut front, 1, "PUB s 0\r\n\r\n");
    say(&mut front, 1, &request("CONSUMER.MSG.NEXT.S.c", "9"));
    let wake = front.next_wake();
    assert!(wake.is_none_or(|wake| wake > WallTime(1)), "{wake:?}");
}
