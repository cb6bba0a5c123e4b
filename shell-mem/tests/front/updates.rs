//! Other settings for what is there, and how what is unused goes.

use crate::line::Line;
use crate::server::same;
use std::time::Duration;
use tokio::time::sleep;

async fn line(url: &str, messages: usize) -> Line {
    let mut line = Line::connect(url).await;
    let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"]}";
    line.ask("$JS.API.STREAM.CREATE.S", create).await;
    for n in 0..messages {
        line.ask(&format!("s.{}", n % 3), "body").await;
    }
    line
}

async fn consumer(line: &mut Line, name: &str, config: &str) -> String {
    let body = format!("{{\"stream_name\":\"S\",\"config\":{{\"name\":\"{name}\",{config}}}}}");
    line.ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), &body)
        .await
}

#[tokio::test]
async fn a_stream_lets_go_of_what_is_beyond_its_new_limits() {
    same(async |url| {
        let mut told = Vec::new();
        for limit in [
            "\"max_msgs\":4",
            "\"max_bytes\":150",
            "\"max_msgs_per_subject\":2",
            "\"max_msgs\":4,\"discard\":\"new\"",
            "\"max_msgs_per_subject\":1,\"discard\":\"new\"",
            "\"max_age\":100000000,\"duplicate_window\":100000000",
            "\"max_msg_size\":1",
        ] {
            let mut line = line(url, 10).await;
            told.push(consumer(&mut line, "c", "\"ack_policy\":\"none\"").await);
            let update = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],{limit}}}");
            line.ask("$JS.API.STREAM.UPDATE.S", &update).await;
            sleep(Duration::from_millis(700)).await;
            told.push(limit.into());
            told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
            told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
            told.push(line.ask("s.0", "more").await);
            told.push(line.ask("$JS.API.STREAM.DELETE.S", "").await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn a_consumer_goes_on_with_its_new_settings() {
    same(async |url| {
        let mut line = line(url, 6).await;
        let mut told = Vec::new();
        let config = "\"ack_policy\":\"explicit\",\"ack_wait\":60000000000,\"durable_name\":\"c\"";
        told.push(consumer(&mut line, "c", config).await);
        const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.S.c";
        for _ in 0..3 {
            told.push(line.ask(NEXT, "").await);
        }
        let config = "\"ack_policy\":\"explicit\",\"ack_wait\":300000000,\"durable_name\":\"c\",\
            \"max_ack_pending\":2,\"max_deliver\":2,\"filter_subject\":\"s.0\"";
        told.push(consumer(&mut line, "c", config).await);
        // What is not acknowledged comes again after the new time.
        for _ in 0..3 {
            told.push(line.ask(NEXT, "").await);
        }
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
        sleep(Duration::from_millis(600)).await;
        told.push(line.ask(NEXT, "").await);
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
        // A pause is not changed by an update.
        let config = format!("{config},\"pause_until\":\"2999-01-01T00:00:00Z\"");
        told.push(consumer(&mut line, "c", &config).await);
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn a_consumer_waits_for_what_it_begins_with() {
    same(async |url| {
        let mut line = line(url, 3).await;
        let config = "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":6";
        let mut told = vec![consumer(&mut line, "c", config).await];
        const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.S.c";
        for _ in 0..3 {
            told.push(line.ask("s.0", "more").await);
            told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
            told.push(line.ask(NEXT, "{\"no_wait\":true}").await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn a_consumer_goes_when_nobody_uses_it() {
    same(async |url| {
        let mut line = line(url, 3).await;
        let mut told = Vec::new();
        const IDLE: &str = "\"inactive_threshold\":500000000";
        line.send("SUB to 7\r\nSUB waits.* 8\r\n").await;
        consumer(
            &mut line,
            "push",
            &format!("{IDLE},\"deliver_subject\":\"to\""),
        )
        .await;
        consumer(&mut line, "pull", IDLE).await;
        consumer(&mut line, "waits", IDLE).await;
        let acked = format!("{IDLE},\"ack_policy\":\"explicit\",\"ack_wait\":1500000000");
        consumer(&mut line, "acked", &acked).await;
        consumer(
            &mut line,
            "lasts",
            &format!("{IDLE},\"durable_name\":\"lasts\""),
        )
        .await;
        line.ask("$JS.API.CONSUMER.MSG.NEXT.S.acked", "").await;
        let wait = "{\"batch\":9,\"expires\":3000000000}";
        line.publish("$JS.API.CONSUMER.MSG.NEXT.S.waits", "waits.1", &[], wait)
            .await;
        // One that is pulled from stays up to a second longer than it asks for, by chance.
        for wait_ms in [300, 2_000, 4_000] {
            if wait_ms == 4_000 {
                line.send("UNSUB 7\r\n").await;
                line.flush().await;
                sleep(Duration::from_millis(200)).await;
                told.push(there(&mut line, "push").await);
            }
            sleep(Duration::from_millis(wait_ms)).await;
            told.push(format!("after {wait_ms} ms"));
            for name in ["push", "pull", "waits", "acked", "lasts"] {
                told.push(there(&mut line, name).await);
            }
        }
        told
    })
    .await;
}

async fn there(line: &mut Line, name: &str) -> String {
    let info = line
        .ask(&format!("$JS.API.CONSUMER.INFO.S.{name}"), "")
        .await;
    format!("{name} {}", !info.contains("10014"))
}

#[tokio::test]
async fn what_says_that_it_is_gone_leaves_no_marker() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let create = "{\"name\":\"K\",\"subjects\":[\"k.>\"],\"max_msgs_per_subject\":1,\
            \"allow_msg_ttl\":true,\"subject_delete_marker_ttl\":60000000000,\"allow_direct\":true}";
        let mut told = vec![line.ask("$JS.API.STREAM.CREATE.K", create).await];
        const TTL: (&str, &str) = ("Nats-TTL", "1s");
        const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");
        for (subject, headers) in [
            ("k.plain", &[TTL][..]),
            ("k.purged", &[TTL, ROLLUP, ("KV-Operation", "PURGE")]),
            ("k.deleted", &[TTL, ("KV-Operation", "DEL")]),
            ("k.marked", &[TTL, ("Nats-Marker-Reason", "MaxAge")]),
            ("k.removed", &[]),
            ("k.emptied", &[]),
        ] {
            told.push(line.ask_with(subject, headers, "").await);
        }
        told.push(line.ask("$JS.API.STREAM.MSG.DELETE.K", "{\"seq\":5}").await);
        told.push(line.ask("$JS.API.STREAM.PURGE.K", "{\"filter\":\"k.emptied\"}").await);
        sleep(Duration::from_millis(1_700)).await;
        for subject in ["plain", "purged", "deleted", "marked", "removed", "emptied"] {
            told.push(line.ask(&format!("$JS.API.DIRECT.GET.K.k.{subject}"), "").await);
        }
        told.push(line.ask("$JS.API.STREAM.INFO.K", "{\"subjects_filter\":\">\"}").await);
        told
    })
    .await;
}
