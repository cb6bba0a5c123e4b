//! What is no name, no subject, or beyond a limit; and headers that contradict each other.

use crate::line::Line;
use crate::server::{FrontServer, same};

const CREATE: &str = "$JS.API.STREAM.CREATE.S";

async fn stream(line: &mut Line, more: &str) -> String {
    let body = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"]{more}}}");
    line.ask(CREATE, &body).await
}

#[tokio::test]
async fn names_of_consumers_are_looked_at() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = vec![stream(&mut line, "").await];
        let long = "n".repeat(256);
        for name in [
            "a b",
            "a.b",
            "a*",
            ">",
            "a\\r\\nb",
            "a\\tb",
            "a/b",
            "a\\\\b",
            "é",
            "\\u0000",
            long.as_str(),
            "fine",
        ] {
            let body = format!("{{\"stream_name\":\"S\",\"config\":{{\"name\":\"{name}\"}}}}");
            told.push(format!("{name:?}"));
            told.push(line.ask("$JS.API.CONSUMER.CREATE.S", &body).await);
        }
        for name in ["a/b", "é", long.as_str()] {
            let body = "{\"stream_name\":\"S\",\"config\":{}}";
            told.push(
                line.ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), body)
                    .await,
            );
        }
        told
    })
    .await;
}

#[tokio::test]
async fn where_a_stream_republishes_to_is_looked_at() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = Vec::new();
        for (source, destination) in [
            (">", "r.>"),
            (">", "r"),
            ("s.a", "r.>"),
            ("s.*", "r.*"),
            ("s.*", "r"),
            ("s.a", "r.b"),
            ("s..a", "r"),
            (">", "r..>"),
            ("s.a", ""),
            ("", "r.>"),
            (">", "s.>"),
        ] {
            let more =
                format!(",\"republish\":{{\"src\":\"{source}\",\"dest\":\"{destination}\"}}");
            told.push(format!("{source} {destination}"));
            told.push(stream(&mut line, &more).await);
            told.push(line.ask("$JS.API.STREAM.DELETE.S", "").await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn settings_have_limits() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let long = "d".repeat(4_097);
        let mut told = vec![stream(&mut line, &format!(",\"description\":\"{long}\"")).await];
        told.push(stream(&mut line, "").await);
        for config in [
            format!("\"description\":\"{long}\""),
            "\"backoff\":[0],\"ack_policy\":\"explicit\"".into(),
            "\"backoff\":[-1],\"ack_policy\":\"explicit\"".into(),
            "\"backoff\":[1000000000,0],\"ack_policy\":\"explicit\"".into(),
            "\"ack_wait\":-1,\"ack_policy\":\"explicit\"".into(),
            "\"deliver_subject\":\"s.a\"".into(),
            "\"deliver_subject\":\"a b\"".into(),
            "\"deliver_subject\":\"a..b\"".into(),
            "\"deliver_subject\":\"a\\r\\nb\"".into(),
            "\"filter_subject\":\"a..b\"".into(),
            "\"filter_subject\":\"t.a\"".into(),
            "\"max_expires\":1".into(),
            "\"pause_until\":\"99999-01-01T00:00:00Z\"".into(),
            "\"pause_until\":\"2000-02-30T00:00:00Z\"".into(),
            "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"10000-01-01T00:00:00Z\""
                .into(),
        ] {
            let body = format!("{{\"stream_name\":\"S\",\"config\":{{{config}}}}}");
            told.push(config.chars().take(60).collect());
            told.push(line.ask("$JS.API.CONSUMER.CREATE.S.c", &body).await);
            told.push(line.ask("$JS.API.CONSUMER.DELETE.S.c", "").await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn headers_are_read_one_by_one() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        const STREAM_LAST: &str = "Nats-Expected-Last-Sequence";
        const LAST: &str = "Nats-Expected-Last-Subject-Sequence";
        const OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
        let mut told = vec![stream(&mut line, ",\"allow_rollup_hdrs\":true").await];
        for headers in [
            &[][..],
            &[(LAST, "1"), (STREAM_LAST, "1")],
            &[(LAST, "7"), (STREAM_LAST, "2")],
            &[(LAST, "2"), (STREAM_LAST, "8")],
            &[(LAST, "7"), (STREAM_LAST, "8")],
            &[(LAST, "7"), (OF, "s.>"), (STREAM_LAST, "8")],
            &[(LAST, "7"), ("Nats-Msg-Id", "one")],
            &[("Nats-Msg-Id", "one"), ("Nats-Msg-Id", "two")],
            &[("Nats-Msg-Id", "two")],
            &[("Nats-Msg-Id", "one")],
            &[("Nats-TTL", "never")],
            &[("Nats-TTL", "never"), (LAST, "7")],
            &[("Nats-TTL", "5s")],
            &[(LAST, "nonsense")],
            &[(STREAM_LAST, "nonsense")],
        ] {
            told.push(format!("{headers:?}"));
            told.push(line.ask_with("s.a", headers, "body").await);
        }
        let block = b"NATS/1.0\r\nA: \xff\r\nNats-Expected-Last-Sequence: 99\r\n\r\n";
        let mut publish =
            format!("HPUB s.a in.raw {} {}\r\n", block.len(), block.len()).into_bytes();
        publish.extend_from_slice(block);
        publish.extend_from_slice(b"\r\n");
        line.send(publish).await;
        told.push(line.message().await.told());
        told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn a_part_that_is_refused_ends_its_batch() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let more = ",\"allow_atomic\":true,\"max_msg_size\":300,\"allow_rollup_hdrs\":true";
        let mut told = vec![stream(&mut line, more).await];
        let large = "x".repeat(400);
        let part = |id: &'static str, number: &'static str, end: &'static str| {
            let mut headers = vec![("Nats-Batch-Id", id), ("Nats-Batch-Sequence", number)];
            headers.extend((!end.is_empty()).then_some(("Nats-Batch-Commit", end)));
            headers
        };
        for (headers, body) in [
            // Too large in the middle.
            (part("a", "1", ""), "1"),
            (part("a", "2", ""), large.as_str()),
            (part("a", "2", ""), "2"),
            (part("a", "3", "1"), "3"),
            // A begin for the second time.
            (part("b", "1", ""), "1"),
            (part("b", "1", ""), "1"),
            (part("b", "2", "1"), "2"),
            // A commit that is none.
            (part("c", "1", ""), "1"),
            (part("c", "2", "2"), "2"),
            (part("c", "2", "1"), "2"),
            (part("c2", "1", "no"), "2"),
            (part("c2", "1", "1"), "2"),
            // Without a number.
            (part("d", "1", ""), "1"),
            (vec![("Nats-Batch-Id", "d")], "2"),
            (part("d", "nonsense", ""), "2"),
            (part("d", "0", ""), "2"),
            (part("d", "2", "1"), "2"),
            // Headers that say nothing.
            (part("e", "1", ""), "1"),
            (
                [part("e", "2", ""), vec![("Nats-Rollup", "nonsense")]].concat(),
                "2",
            ),
            (part("e", "3", "1"), "3"),
            (part("f", "1", ""), "1"),
            (
                [
                    part("f", "2", ""),
                    vec![("Nats-Expected-Last-Subject-Sequence", "x")],
                ]
                .concat(),
                "2",
            ),
            (part("f", "3", "1"), "3"),
            (part("g", "1", ""), "1"),
            (
                [
                    part("g", "2", ""),
                    vec![("Nats-Expected-Last-Subject-Sequence-Subject", "s.a")],
                ]
                .concat(),
                "2",
            ),
            (part("g", "3", "1"), "3"),
            (part("h", "1", ""), "1"),
            (
                [part("h", "2", ""), vec![("Nats-TTL", "never")]].concat(),
                "2",
            ),
            (part("h", "3", "1"), "3"),
            (part("i", "1", ""), "1"),
            (
                [part("i", "2", ""), vec![("Nats-Expected-Stream", "T")]].concat(),
                "2",
            ),
            (part("i", "3", "1"), "3"),
            // Ended without its last message, and with nothing.
            (part("j", "1", ""), "1"),
            (part("j", "2", "eob"), "2"),
            (part("k", "1", "eob"), "1"),
        ] {
            told.push(format!("{headers:?}"));
            told.push(line.ask_with("s.a", &headers, body).await);
        }
        told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn what_wants_a_cluster_is_refused() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = vec![stream(&mut line, "").await];
        for request in [
            "STREAM.LEADER.STEPDOWN.S",
            "STREAM.LEADER.STEPDOWN.X",
            "STREAM.PEER.REMOVE.S",
            "STREAM.PEER.REMOVE.X",
            "STREAM.PEER.EVACUATE.S",
            "CONSUMER.LEADER.STEPDOWN.S.c",
            "CONSUMER.PEER.REMOVE.S.c",
            "CONSUMER.PEER.EVACUATE.S.c",
        ] {
            let request = format!("$JS.API.{request}");
            for body in ["", "{}", "{\"peer\":\"x\"}", "nonsense"] {
                told.push(line.ask(&request, body).await);
            }
        }
        told
    })
    .await;
}

/// What is wrong with a request that the front does not serve is told as by the server.
const NOT_SERVED: [(&str, &str); 22] = [
    ("STREAM.SNAPSHOT.S", ""),
    ("STREAM.SNAPSHOT.S", "{}"),
    ("STREAM.SNAPSHOT.S", "nonsense"),
    ("STREAM.SNAPSHOT.S", "{\"deliver_subject\":\"a.*\"}"),
    ("STREAM.SNAPSHOT.S", "{\"deliver_subject\":\"a b\"}"),
    ("STREAM.SNAPSHOT.S", "{\"deliver_subject\":5}"),
    ("STREAM.SNAPSHOT.X", ""),
    ("STREAM.SNAPSHOT.X", "{\"deliver_subject\":\"to\"}"),
    ("STREAM.RESTORE.S", ""),
    ("STREAM.RESTORE.S", "nonsense"),
    ("STREAM.RESTORE.S", "{\"config\":{\"name\":\"S\"}}"),
    ("STREAM.RESTORE.S", "{\"config\":{\"name\":\"X\"}}"),
    (
        "STREAM.RESTORE.S",
        "{\"config\":{\"name\":\"S\",\"subjects\":[\"s..a\"]}}",
    ),
    ("STREAM.RESTORE.X", "{\"config\":{\"name\":\"S\"}}"),
    ("CONSUMER.UNPIN.S.new", ""),
    ("CONSUMER.UNPIN.S.new", "{}"),
    ("CONSUMER.UNPIN.S.new", "{\"group\":\"g\"}"),
    ("CONSUMER.UNPIN.S.none", "{\"group\":\"g\"}"),
    ("CONSUMER.UNPIN.X.new", "{\"group\":\"g\"}"),
    ("CONSUMER.RESET.S.new", "nonsense"),
    ("CONSUMER.RESET.S.new", "{\"seq\":-1}"),
    ("CONSUMER.RESET.S.new", "{\"seq\":2}"),
];

const NEW: &str =
    "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"new\",\"deliver_policy\":\"new\"}}";

#[tokio::test]
async fn what_is_wrong_is_told_of_what_is_not_served() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = vec![stream(&mut line, "").await];
        told.push(line.ask("$JS.API.CONSUMER.CREATE.S.new", NEW).await);
        for (request, body) in NOT_SERVED {
            told.push(line.ask(&format!("$JS.API.{request}"), body).await);
        }
        told
    })
    .await;
}

/// What a server does and the front has not got is refused at once, with the number of such a failure.
#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let front = FrontServer::start().await;
    let mut line = Line::connect(&front.url).await;
    stream(&mut line, "").await;
    line.ask("$JS.API.CONSUMER.CREATE.S.new", NEW).await;
    for (request, body, number) in [
        ("STREAM.SNAPSHOT.S", "{\"deliver_subject\":\"to\"}", "10064"),
        ("STREAM.RESTORE.X", "{\"config\":{\"name\":\"X\"}}", "10062"),
        ("CONSUMER.RESET.S.new", "", "10204"),
    ] {
        let told = line.ask(&format!("$JS.API.{request}"), body).await;
        assert!(told.contains("not offered by the front"), "{told}");
        assert!(told.contains(number), "{told}");
    }
}
