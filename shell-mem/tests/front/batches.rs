//! Messages that are stored as one or not at all.

use crate::line::Line;
use crate::server::same;

const STREAM: &str = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true,\
    \"allow_rollup_hdrs\":true,\"allow_msg_ttl\":true,\"allow_atomic\":true}";
const LAST: &str = "Nats-Expected-Last-Subject-Sequence";

/// One message of a batch, by its number; the last one commits it.
async fn part(
    line: &mut Line,
    (id, number, last): (&str, u64, bool),
    subject: &str,
    more: &[(&str, &str)],
) -> String {
    let number = number.to_string();
    let mut headers = vec![
        ("Nats-Batch-Id", id),
        ("Nats-Batch-Sequence", number.as_str()),
    ];
    if last {
        headers.push(("Nats-Batch-Commit", "1"));
    }
    headers.extend_from_slice(more);
    line.ask_with(subject, &headers, "body").await
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_refused() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = vec![line.ask("$JS.API.STREAM.CREATE.S", STREAM).await];
        told.push(part(&mut line, ("a", 1, false), "s.a", &[]).await);
        told.push(part(&mut line, ("a", 2, false), "s.b", &[]).await);
        told.push(part(&mut line, ("a", 3, true), "s.c", &[]).await);
        // A gap.
        told.push(part(&mut line, ("b", 1, false), "s.a", &[]).await);
        told.push(part(&mut line, ("b", 3, true), "s.a", &[]).await);
        // Without a begin.
        told.push(part(&mut line, ("c", 2, true), "s.a", &[]).await);
        // An expectation that does not hold.
        told.push(part(&mut line, ("d", 1, false), "s.a", &[(LAST, "1")]).await);
        told.push(part(&mut line, ("d", 2, true), "s.b", &[(LAST, "9")]).await);
        // The same subject twice.
        told.push(part(&mut line, ("e", 1, false), "s.a", &[(LAST, "1")]).await);
        told.push(part(&mut line, ("e", 2, true), "s.a", &[(LAST, "1")]).await);
        // The same id twice.
        told.push(part(&mut line, ("f", 1, false), "s.a", &[("Nats-Msg-Id", "x")]).await);
        told.push(part(&mut line, ("f", 2, true), "s.b", &[("Nats-Msg-Id", "x")]).await);
        let long = "y".repeat(65);
        told.push(part(&mut line, (&long, 1, true), "s.a", &[]).await);
        told.push(part(&mut line, ("g", 1, true), "s.a", &[("Nats-Rollup", "sub")]).await);
        told.push(line.ask("$JS.API.STREAM.INFO.S", "").await);
        told
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_so_many_open_batches() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        line.ask("$JS.API.STREAM.CREATE.S", STREAM).await;
        // All at once: who takes long over them has them abandoned meanwhile.
        for n in 0..52 {
            let id = format!("b{n}");
            let headers = [("Nats-Batch-Id", id.as_str()), ("Nats-Batch-Sequence", "1")];
            line.publish("s.a", &format!("in.b{n}"), &headers, "body")
                .await;
        }
        let mut told = Vec::new();
        for _ in 0..52 {
            told.push(line.message().await.told());
        }
        told.sort();
        told
    })
    .await;
}
