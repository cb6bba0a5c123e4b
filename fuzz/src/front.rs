//! Any bytes to a server that speaks the NATS protocol: never a panic, what is held is bounded, and what it
//! writes is protocol. One connection is hostile, another is served all the same.

use crate::chance::Chance;
use bytes::{BufMut, BytesMut};
use tenure_core::id::WallTime;
use tenure_mem::nats::wire::{Parser, WireLimits};
use tenure_mem::nats::{ConnectionId, Front, FrontConfig, Input};

const HOSTILE: ConnectionId = ConnectionId(1);
const OTHER: ConnectionId = ConnectionId(2);

/// Pieces of what clients say, so that chance gets beyond the first line.
const WORDS: [&str; 46] = [
    "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n",
    "PING\r\n",
    "PONG\r\n",
    "SUB in.* 0\r\n",
    "SUB s.> q 1\r\n",
    "SUB to 2\r\n",
    "SUB > 3\r\n",
    "UNSUB 3\r\n",
    "UNSUB 0 2\r\n",
    "PUB s.a in.1 2\r\nhi\r\n",
    "PUB s.b in.2 0\r\n\r\n",
    "HPUB s.a in.3 42 44\r\nNATS/1.0\r\nNats-Msg-Id: 1\r\nNats-TTL: 1s\r\n\r\nhi\r\n",
    "HPUB s.a in.3 36 38\r\nNATS/1.0\r\nNats-Rollup: sub\r\nA: 1\r\n\r\nhi\r\n",
    "HPUB s.a in.4 58 60\r\nNATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 1\r\nA: 1\r\n\r\nhi\r\n",
    "HPUB s.a in.5 54 56\r\nNATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\n\r\nhi\r\n",
    "HPUB s.b in.5 76 78\r\nNATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 2\r\nNats-Batch-Commit: 1\r\n\r\nhi\r\n",
    "$JS.API.INFO",
    "$JS.API.STREAM.CREATE.S",
    "$JS.API.STREAM.UPDATE.S",
    "$JS.API.STREAM.INFO.S",
    "$JS.API.STREAM.DELETE.S",
    "$JS.API.STREAM.PURGE.S",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.MSG.GET.S",
    "$JS.API.STREAM.MSG.DELETE.S",
    "$JS.API.DIRECT.GET.S",
    "$JS.API.CONSUMER.CREATE.S.c",
    "$JS.API.CONSUMER.CREATE.S.p",
    "$JS.API.CONSUMER.INFO.S.c",
    "$JS.API.CONSUMER.DELETE.S.c",
    "$JS.API.CONSUMER.PAUSE.S.c",
    "$JS.API.CONSUMER.LIST.S",
    "$JS.API.CONSUMER.MSG.NEXT.S.c",
    "$JS.ACK.S.c.1.1.1.0.0",
    "$JS.ACK.S.c.1.2.2.0.0",
    "$JS.FC.S.p.abcd",
    "PUB s.a 9999999\r\n",
    "HPUB s.a 9 5\r\n",
    "SUB a..b 1\r\n",
    "\r\n",
    "HPUB s.a in.5 76 78\r\nNATS/1.0\r\nNats-Batch-Id: c\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1\r\n\r\nhi\r\n",
    "HPUB t.a in.6 50 52\r\nNATS/1.0\r\nNats-TTL: never\r\nKV-Operation: PURGE\r\n\r\nhi\r\n",
    "$JS.API.STREAM.CREATE.T",
    "$JS.API.STREAM.UPDATE.T",
    "$JS.API.CONSUMER.CREATE.S",
    "$JS.API.CONSUMER.DURABLE.CREATE.S.c",
];

/// Bodies of requests.
const BODIES: [&str; 26] = [
    "",
    "{}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true,\"allow_atomic\":true,\
     \"allow_msg_ttl\":true,\"allow_rollup_hdrs\":true,\"subject_delete_marker_ttl\":1000000000}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"retention\":\"workqueue\"}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"retention\":\"interest\",\"max_msgs\":3}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"republish\":{\"src\":\">\",\"dest\":\"to.>\"}}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"ack_policy\":\"explicit\",\"ack_wait\":1000000}}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"ack_policy\":\"none\",\"max_deliver\":2}}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"p\",\"deliver_subject\":\"to\",\"flow_control\":true,\
     \"idle_heartbeat\":100000000}}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"deliver_policy\":\"last_per_subject\",\
     \"filter_subject\":\"s.*\"}}",
    "{\"batch\":3,\"expires\":1000000000,\"idle_heartbeat\":200000000}",
    "{\"batch\":9,\"no_wait\":true,\"max_bytes\":40}",
    "{\"seq\":1,\"batch\":4,\"next_by_subj\":\"s.*\"}",
    "{\"multi_last\":[\"s.a\",\"s.>\"],\"batch\":9}",
    "{\"seq\":1}",
    "-NAK {\"delay\":1000000}",
    "+NXT 2",
    "+TERM",
    "{\"name\":\"T\",\"subjects\":[\"t.>\"],\"republish\":{\"src\":\">\",\"dest\":\"s.>\"}}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"republish\":{\"src\":\"s.>\",\"dest\":\"t.>\"}}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"republish\":{\"src\":\"s.a\",\"dest\":\"x\\r\\nPING\"}}",
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"max_msgs\":2,\"max_age\":100000000,\"duplicate_window\":100000000}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\\r\\nPING\\r\\n\",\"ack_policy\":\"explicit\"}}",
    "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"durable_name\":\"c\",\"ack_policy\":\"explicit\",\
     \"backoff\":[0,1],\"pause_until\":\"9999-12-31T23:59:59.999Z\"}}",
    "{\"pause_until\":\"10000-01-01T00:00:00Z\"}",
    DEEP,
];

/// More tokens than a stack has room for.
const DEEP: &str = "deep";

/// A body as it is sent.
fn body(chance: &mut Chance) -> String {
    match BODIES[chance.below(BODIES.len() as u64) as usize] {
        DEEP => {
            let deep = "a.".repeat(100_000) + "a";
            format!(
                "{{\"stream_name\":\"S\",\"config\":{{\"filter_subjects\":[\"{deep}\",\"b\"]}}}}"
            )
        }
        body => body.into(),
    }
}

/// What a client says next: words, requests, and noise.
fn said(chance: &mut Chance) -> BytesMut {
    let mut said = BytesMut::new();
    match chance.below(8) {
        0 => (0..chance.below(30)).for_each(|_| said.put_u8(chance.below(256) as u8)),
        1 => {
            let word = WORDS[chance.below(WORDS.len() as u64) as usize].as_bytes();
            said.put_slice(&word[..chance.below(word.len() as u64 + 1) as usize]);
        }
        _ => {
            let word = WORDS[chance.below(WORDS.len() as u64) as usize];
            if word.starts_with('$') {
                let body = body(chance);
                let line = format!("PUB {word} in.9 {}\r\n{body}\r\n", body.len());
                said.put_slice(line.as_bytes());
            } else {
                said.put_slice(word.as_bytes());
            }
        }
    }
    said
}

/// Takes what waits for all, and whether one of them was closed.
fn take(front: &mut Front, of: ConnectionId) -> (Vec<u8>, bool) {
    let (mut told, mut ends) = (Vec::new(), false);
    while let Some(connection) = front.next_ready() {
        let outgoing = front.take(connection);
        if connection == of {
            told.extend_from_slice(&outgoing.bytes);
            ends |= outgoing.ends;
        } else {
            assert!(!outgoing.ends, "who did nothing was closed");
        }
    }
    (told, ends)
}

/// What a server writes must be protocol, whatever it was told.
fn is_protocol(mut told: &[u8]) {
    const LINES: [&[u8]; 5] = [b"INFO {", b"-ERR '", b"+OK\r\n", b"PING\r\n", b"PONG\r\n"];
    while !told.is_empty() {
        let end = told.windows(2).position(|two| two == b"\r\n");
        let end = end.expect("a line has an end") + 2;
        let line = std::str::from_utf8(&told[..end]).expect("a line is text");
        let rest = &told[end..];
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (size, count) = match words.as_slice() {
            ["MSG", _, _, rest @ ..] => (rest.last(), rest.len()),
            ["HMSG", _, _, rest @ ..] => (rest.last(), rest.len() - 1),
            _ => {
                assert!(
                    LINES.iter().any(|it| line.as_bytes().starts_with(it)),
                    "{line:?}"
                );
                told = rest;
                continue;
            }
        };
        assert!((1..=2).contains(&count), "{line:?}");
        let size: usize = size.and_then(|it| it.parse().ok()).expect("a size");
        assert_eq!(rest.get(size..size + 2), Some(&b"\r\n"[..]), "{line:?}");
        told = &rest[size + 2..];
    }
}

/// Plays what a hostile connection says, and looks whether another one is served.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(data: &[u8]) {
    parse(data);
    let mut chance = Chance::new(data);
    let mut config = FrontConfig::default();
    config.pending_bytes_max = 1 << 20;
    config.consumers_max = 4;
    config.streams_max = 4;
    let mut front = Front::new(config);
    let mut at = WallTime(1_000);
    front.step(at, Input::Opened(OTHER));
    front.step(at, Input::Opened(HOSTILE));
    let mut open = true;
    while chance.is_left() {
        if !open {
            front.step(at, Input::Opened(HOSTILE));
            open = true;
        }
        match chance.below(12) {
            0 => {
                at.0 += chance.below(2_000);
                front.step(at, Input::Woken);
                front.step(at, Input::Received(OTHER, BytesMut::from(&b"PONG\r\n"[..])));
            }
            1 => {
                front.step(at, Input::Closed(HOSTILE));
                open = false;
            }
            _ => front.step(at, Input::Received(HOSTILE, said(&mut chance))),
        }
        let (told, ended) = take(&mut front, HOSTILE);
        is_protocol(&told);
        open &= !ended;
        // Time that is due never stands still.
        for _ in 0..64 {
            match front.next_wake() {
                Some(due) if due <= at => front.step(at, Input::Woken),
                Some(_) | None => break,
            }
        }
        assert!(
            front.next_wake().is_none_or(|due| due > at),
            "it is woken for nothing"
        );
    }
    front.step(at, Input::Received(OTHER, BytesMut::from(&b"PING\r\n"[..])));
    let (told, ended) = take(&mut front, OTHER);
    assert!(
        !ended && told.ends_with(b"PONG\r\n"),
        "another one is not served"
    );
}

/// The parser alone, which must not mind how its input is cut.
fn parse(data: &[u8]) {
    let limits = WireLimits::default();
    let all = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut parser, mut came) = (Parser::new(limits), BytesMut::new());
        let mut found = Vec::new();
        for piece in pieces {
            came.extend_from_slice(piece);
            loop {
                match parser.next(&mut came) {
                    Ok(Some(operation)) => found.push(operation),
                    Ok(None) => break,
                    Err(_) => return (found, true),
                }
            }
        }
        (found, false)
    };
    let whole = all(&mut std::iter::once(data));
    let cut = all(&mut data.chunks(3));
    assert_eq!(whole, cut);
    for operation in whole.0 {
        let mut written = BytesMut::new();
        operation.encode(&mut written);
        assert_eq!(Parser::new(limits).next(&mut written), Ok(Some(operation)));
    }
}
