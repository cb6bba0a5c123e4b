//! Messages into streams and out of them: what is expected, refused, replaced, and read back.

use crate::line::Line;
use crate::server::same;

const STREAM: &str = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true,\
    \"allow_rollup_hdrs\":true,\"allow_msg_ttl\":true,\"allow_atomic\":true,\
    \"republish\":{\"src\":\"s.r.>\",\"dest\":\"heard.>\"}}";

async fn line(url: &str) -> Line {
    let mut line = Line::connect(url).await;
    let made = line.ask("$JS.API.STREAM.CREATE.S", STREAM).await;
    assert!(!made.contains("error"), "{made}");
    line
}

#[tokio::test]
async fn expectations_hold_or_refuse() {
    same(async |url| {
        let mut line = line(url).await;
        let mut told = Vec::new();
        const LAST: &str = "Nats-Expected-Last-Subject-Sequence";
        const OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
        for headers in [
            &[][..],
            &[(LAST, "1")],
            &[(LAST, "1")],
            &[(LAST, "9")],
            &[(LAST, "0")],
            &[(LAST, "2"), (OF, "s.a")],
            &[(LAST, "0"), (OF, "s.other")],
            &[(LAST, "4"), (OF, "s.>")],
            &[(LAST, "4"), (OF, "s.>")],
            &[(OF, "s.>")],
            &[("Nats-Expected-Last-Sequence", "5")],
            &[("Nats-Expected-Last-Sequence", "5")],
            &[("Nats-Expected-Stream", "S")],
            &[("Nats-Expected-Stream", "T")],
            &[("Nats-Msg-Id", "one")],
            &[("Nats-Msg-Id", "one")],
            &[("Nats-Msg-Id", "one"), (LAST, "1")],
            &[("Nats-Expected-Last-Msg-Id", "one")],
            &[("Nats-Expected-Last-Msg-Id", "two")],
            &[("Nats-TTL", "500ms")],
            &[("Nats-TTL", "nonsense")],
            &[("Nats-TTL", "1h")],
            &[("Nats-TTL", "never")],
            &[("Nats-Rollup", "nonsense")],
            &[("Nats-Rollup", "sub")],
            &[("Nats-Rollup", "all")],
        ] {
            told.push(format!("{headers:?}"));
            told.push(line.ask_with("s.a", headers, "body").await);
        }
        told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn a_stream_refuses_what_it_does_not_take() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let create = "{\"name\":\"P\",\"subjects\":[\"p.>\"],\"max_msgs\":2,\"discard\":\"new\",\
            \"max_msg_size\":50}";
        let mut told = vec![line.ask("$JS.API.STREAM.CREATE.P", create).await];
        for headers in [
            &[][..],
            &[("Nats-TTL", "5s")],
            &[("Nats-Rollup", "sub")],
            &[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", "1")],
            &[],
            &[],
        ] {
            told.push(line.ask_with("p.a", headers, "body").await);
        }
        told.push(line.ask("p.a", &"x".repeat(51)).await);
        told.push(line.ask("$JS.API.STREAM.INFO.P", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn messages_are_read_back() {
    same(async |url| {
        let mut line = line(url).await;
        let mut told = Vec::new();
        for n in 0..7 {
            let subject = format!("s.{}", n % 3);
            told.push(
                line.ask_with(&subject, &[("N", &n.to_string())], "body")
                    .await,
            );
        }
        told.push(line.ask("s.plain", "without headers").await);
        for body in [
            "{\"seq\":2}",
            "{\"seq\":99}",
            "{\"last_by_subj\":\"s.1\"}",
            "{\"last_by_subj\":\"s.none\"}",
            "{\"next_by_subj\":\"s.2\",\"seq\":4}",
            "{\"next_by_subj\":\"s.>\",\"seq\":4}",
            "{}",
            "",
            "nonsense",
        ] {
            told.push(format!("{body:?}"));
            told.push(line.ask("$JS.API.STREAM.MSG.GET.S", body).await);
            told.push(line.ask("$JS.API.DIRECT.GET.S", body).await);
        }
        told.push(line.ask("$JS.API.DIRECT.GET.S.s.1", "").await);
        told.push(line.ask("$JS.API.DIRECT.GET.S.s.none", "").await);
        told.push(line.ask("$JS.API.DIRECT.GET.X", "{\"seq\":1}").await);
        told.push(line.ask("$JS.API.STREAM.MSG.GET.X", "{\"seq\":1}").await);
        for body in [
            "{\"seq\":1,\"batch\":3}",
            "{\"seq\":3,\"batch\":100,\"next_by_subj\":\"s.1\"}",
            "{\"seq\":3,\"batch\":2,\"next_by_subj\":\"s.*\"}",
            "{\"seq\":99,\"batch\":2,\"next_by_subj\":\"s.*\"}",
            "{\"multi_last\":[\"s.1\",\"s.2\"],\"batch\":2}",
            "{\"multi_last\":[\"s.*\"]}",
            "{\"multi_last\":[\"s.1\",\"s.0\"],\"up_to_seq\":4}",
            "{\"multi_last\":[\"s.none\"],\"batch\":1}",
        ] {
            told.push(format!("{body:?}"));
            told.extend(line.ask_many("$JS.API.DIRECT.GET.S", body).await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_heard_where_the_stream_republishes() {
    same(async |url| {
        let mut line = line(url).await;
        line.send("SUB heard.> 7\r\n").await;
        let mut told = Vec::new();
        for n in 0..3 {
            let headers: &[(&str, &str)] = if n == 1 { &[("A", "1")] } else { &[] };
            line.publish("s.r.a", "", headers, "body").await;
            told.push(line.message().await.told());
        }
        told.push(line.ask("s.a", "not heard").await);
        told
    })
    .await;
}

#[tokio::test]
async fn what_is_over_goes_and_leaves_a_marker() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let create = "{\"name\":\"K\",\"subjects\":[\"k.>\"],\"max_msgs_per_subject\":1,\
            \"allow_msg_ttl\":true,\"subject_delete_marker_ttl\":1000000000,\"allow_direct\":true,\
            \"republish\":{\"src\":\">\",\"dest\":\"heard.>\"}}";
        let mut told = vec![line.ask("$JS.API.STREAM.CREATE.K", create).await];
        line.send("SUB heard.> 7\r\n").await;
        line.publish("k.a", "", &[("Nats-TTL", "1s")], "body").await;
        told.push(line.message().await.told());
        told.push(line.message().await.told());
        told.push(line.ask("$JS.API.DIRECT.GET.K.k.a", "").await);
        told
    })
    .await;
}
