//! Consumers: made, pulled, pushed, acknowledged, gone.

use crate::line::Line;
use crate::server::same;

async fn line(url: &str, messages: usize) -> Line {
    let mut line = Line::connect(url).await;
    let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"]}";
    line.ask("$JS.API.STREAM.CREATE.S", create).await;
    for n in 0..messages {
        line.ask_with(&format!("s.{}", n % 3), &[("N", &n.to_string())], "body")
            .await;
    }
    line
}

async fn create(line: &mut Line, name: &str, config: &str) -> String {
    let body = format!("{{\"stream_name\":\"S\",\"config\":{{\"name\":\"{name}\",{config}}}}}");
    line.ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), &body)
        .await
}

#[tokio::test]
async fn consumers_are_made_and_refused() {
    same(async |url| {
        let mut line = line(url, 5).await;
        let mut told = Vec::new();
        for (n, config) in [
            "\"ack_policy\":\"none\"",
            "\"ack_policy\":\"explicit\"",
            "\"ack_policy\":\"explicit\",\"durable_name\":\"c2\"",
            "\"ack_policy\":\"all\",\"filter_subject\":\"s.1\",\"mem_storage\":true,\"num_replicas\":1",
            "\"ack_policy\":\"none\",\"filter_subjects\":[\"s.1\",\"s.2\"]",
            "\"ack_policy\":\"none\",\"filter_subjects\":[\"s.1\",\"s.*\"]",
            "\"ack_policy\":\"none\",\"filter_subjects\":[\"\"]",
            "\"ack_policy\":\"none\",\"filter_subjects\":[\"s.1\"],\"filter_subject\":\"s.2\"",
            "\"deliver_policy\":\"new\"",
            "\"deliver_policy\":\"last\"",
            "\"deliver_policy\":\"last_per_subject\",\"filter_subject\":\">\"",
            "\"deliver_policy\":\"last_per_subject\"",
            "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":3",
            "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":99",
            "\"deliver_policy\":\"by_start_sequence\"",
            "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"2020-01-01T00:00:00Z\"",
            "\"deliver_policy\":\"all\",\"opt_start_seq\":3",
            "\"deliver_subject\":\"to.*\"",
            "\"deliver_subject\":\"to\",\"flow_control\":true",
            "\"deliver_subject\":\"to\",\"idle_heartbeat\":1000000",
            "\"deliver_subject\":\"to\",\"idle_heartbeat\":1000000000,\"flow_control\":true",
            "\"idle_heartbeat\":1000000000",
            "\"flow_control\":true",
            "\"max_waiting\":-1",
            "\"max_deliver\":1,\"backoff\":[1000000000,2000000000],\"ack_policy\":\"explicit\"",
            "\"max_deliver\":5,\"backoff\":[1000000000,2000000000],\"ack_policy\":\"explicit\"",
            "\"inactive_threshold\":30000000000,\"headers_only\":true,\"max_batch\":7",
            "\"durable_name\":\"other\"",
            "\"num_replicas\":3",
        ]
        .iter()
        .enumerate()
        {
            told.push(format!("c{n} {config}"));
            told.push(create(&mut line, &format!("c{n}"), config).await);
        }
        for (request, body) in [
            ("INFO.S.c1", ""),
            ("INFO.S.none", ""),
            ("INFO.X.c1", ""),
            ("INFO.S.c1", "{}"),
            ("NAMES.S", ""),
            ("NAMES.X", ""),
            ("DELETE.S.c0", ""),
            ("DELETE.S.c0", ""),
            ("CREATE.S.c1", "{\"stream_name\":\"S\",\"action\":\"create\",\"config\":{\"name\":\"c1\"}}"),
            ("CREATE.S.u", "{\"stream_name\":\"S\",\"action\":\"update\",\"config\":{\"name\":\"u\"}}"),
            ("CREATE.S.u", "{\"stream_name\":\"T\",\"config\":{\"name\":\"u\"}}"),
            ("CREATE.T.u", "{\"stream_name\":\"T\",\"config\":{\"name\":\"u\"}}"),
            ("CREATE.S.u", "nonsense"),
            ("CREATE.S.u.s.1", "{\"stream_name\":\"S\",\"config\":{\"name\":\"u\",\"filter_subject\":\"s.1\"}}"),
            ("CREATE.S.u.s.1", "{\"stream_name\":\"S\",\"config\":{\"name\":\"u\",\"filter_subject\":\"s.2\"}}"),
            ("DURABLE.CREATE.S.d", "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"d\",\"ack_policy\":\"explicit\"}}"),
            ("DURABLE.CREATE.S.d", "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"e\"}}"),
            ("DURABLE.CREATE.S.d", "{\"stream_name\":\"S\",\"config\":{}}"),
        ] {
            told.push(line.ask(&format!("$JS.API.CONSUMER.{request}"), body).await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn pulls_are_answered() {
    same(async |url| {
        let mut line = line(url, 9).await;
        let mut told = vec![create(&mut line, "c", "\"ack_policy\":\"none\"").await];
        const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.S.c";
        told.push(line.ask(NEXT, "").await);
        told.push(line.ask(NEXT, "1").await);
        told.push(line.ask(NEXT, "nonsense").await);
        told.extend(
            line.ask_many(NEXT, "{\"batch\":3,\"no_wait\":true,\"max_bytes\":90}")
                .await,
        );
        told.extend(
            line.ask_many(NEXT, "{\"batch\":2,\"max_bytes\":100000}")
                .await,
        );
        told.extend(line.ask_many(NEXT, "{\"batch\":9,\"no_wait\":true}").await);
        told.extend(line.ask_many(NEXT, "{\"batch\":9,\"no_wait\":true}").await);
        told.extend(
            line.ask_many(NEXT, "{\"batch\":9,\"expires\":200000000}")
                .await,
        );
        told.extend(
            line.ask_many(NEXT, "{\"batch\":1,\"idle_heartbeat\":1000000000}")
                .await,
        );
        told.extend(
            line.ask_many(
                NEXT,
                "{\"batch\":9,\"expires\":500000000,\"idle_heartbeat\":200000000}",
            )
            .await,
        );
        told.push(line.ask("$JS.API.CONSUMER.MSG.NEXT.S.none", "").await);
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
        line.publish(NEXT, "in.gone", &[], "{\"batch\":9,\"expires\":5000000000}")
            .await;
        line.flush().await;
        line.publish("$JS.API.CONSUMER.DELETE.S.c", "", &[], "")
            .await;
        told.push(line.message().await.told());
        told
    })
    .await;
}

#[tokio::test]
async fn messages_are_acknowledged_or_come_again() {
    same(async |url| {
        let mut line = line(url, 6).await;
        let config = "\"ack_policy\":\"explicit\",\"ack_wait\":500000000,\"max_deliver\":3,\
            \"max_ack_pending\":4";
        let mut told = vec![create(&mut line, "c", config).await];
        const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.S.c";
        const INFO: &str = "$JS.API.CONSUMER.INFO.S.c";
        let mut acks = Vec::new();
        line.publish(NEXT, "in.p", &[], "{\"batch\":4,\"expires\":5000000000}")
            .await;
        for _ in 0..4 {
            let message = line.message().await;
            told.push(message.told());
            acks.push(message.reply);
        }
        told.push(line.ask(INFO, "").await);
        told.push(line.ask(&acks[1], "").await);
        told.push(line.ask(INFO, "").await);
        told.push(line.ask(&acks[0], "+TERM").await);
        told.push(line.ask(INFO, "").await);
        told.push(line.ask(&acks[2], "-NAK").await);
        told.push(line.ask(NEXT, "").await);
        told.push(line.ask(INFO, "").await);
        // The two that are left come again when nobody acknowledges them.
        for _ in 0..2 {
            line.publish(NEXT, "in.q", &[], "").await;
            told.push(line.message().await.told());
        }
        told.push(line.ask(INFO, "").await);
        told.push(line.ask(&acks[3], "+NXT").await);
        told
    })
    .await;
}

#[tokio::test]
async fn an_acknowledgement_of_all_takes_those_before() {
    same(async |url| {
        let mut line = line(url, 6).await;
        let mut told = vec![create(&mut line, "c", "\"ack_policy\":\"all\"").await];
        line.publish("$JS.API.CONSUMER.MSG.NEXT.S.c", "in.p", &[], "5")
            .await;
        let mut replies = Vec::new();
        for _ in 0..5 {
            replies.push(line.message().await.reply);
        }
        told.push(line.ask(&replies[2], "+ACK").await);
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.c", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn messages_are_pushed_to_who_listens() {
    same(async |url| {
        let mut line = line(url, 4).await;
        let config = "\"deliver_subject\":\"to\",\"idle_heartbeat\":300000000,\
            \"flow_control\":true,\"ack_policy\":\"none\",\"filter_subject\":\"s.0\"";
        let mut told = vec![create(&mut line, "p", config).await];
        line.send("SUB to 3\r\n").await;
        for _ in 0..3 {
            // Two messages, then a sign of life.
            told.push(line.message().await.told());
        }
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.p", "").await);
        told.push(line.ask("$JS.API.CONSUMER.MSG.NEXT.S.p", "").await);
        line.send("UNSUB 3\r\n").await;
        line.flush().await;
        line.publish("s.0", "", &[], "later").await;
        line.flush().await;
        told.push(line.ask("$JS.API.CONSUMER.INFO.S.p", "").await);
        line.send("SUB to 4\r\n").await;
        told.push(line.message().await.told());
        told
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_work_or_of_interest_lets_go_of_what_is_done() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = Vec::new();
        for retention in ["workqueue", "interest"] {
            let stream =
                format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"retention\":\"{retention}\"}}");
            told.push(line.ask("$JS.API.STREAM.CREATE.S", &stream).await);
            told.push(line.ask("s.0", "before").await);
            let config = "\"ack_policy\":\"explicit\",\"durable_name\":\"w\"";
            told.push(create(&mut line, "w", config).await);
            told.push(create(&mut line, "w2", "\"ack_policy\":\"explicit\"").await);
            told.push(create(&mut line, "w3", "\"ack_policy\":\"none\"").await);
            told.push(line.ask("$JS.API.CONSUMER.DELETE.S.w2", "").await);
            told.push(line.ask("$JS.API.CONSUMER.DELETE.S.w3", "").await);
            told.push(line.ask("s.1", "after").await);
            line.publish("$JS.API.CONSUMER.MSG.NEXT.S.w", "in.p", &[], "")
                .await;
            let message = line.message().await;
            told.push(message.told());
            told.push(line.ask(&message.reply, "+ACK").await);
            told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
            told.push(line.ask("$JS.API.STREAM.DELETE.S", "").await);
        }
        told
    })
    .await;
}
