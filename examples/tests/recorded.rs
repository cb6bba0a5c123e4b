//! The recording in this folder: what the first build wrote and the present one went on with, as the
//! present one records it.

use tenure::kit::RecordedStreams;
use tenure::{CommandId, Fields, RawEvent, Tenure, WallTime};
use tenure_examples::account::{Account, Deposit};

const FILE: &str = "tests/recorded/account.jsonl";

/// An event of the first build: one field.
fn stored(name: &str, field: &str, value: i64) -> RawEvent {
    let fields = Fields::new().with(field, value);
    let data = tenure::Codec::Cbor.encode(&fields).expect("one field");
    RawEvent::new(name, 1, data)
}

/// Without the times, which differ from run to run.
fn timeless(streams: &RecordedStreams) -> Vec<String> {
    let text = streams.to_string();
    let line = |line: &str| match line.split_once("\"time_ms\":") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{after}")
        }
        None => line.to_owned(),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn the_recording_is_of_streams_of_both_builds() {
    let builder = Tenure::builder().namespace("accounting");
    let tenure = builder.start("mem:").await.expect("a node");
    let log = tenure.log("account").await.expect("the log");
    for (owner, events) in [
        ("alice", vec![stored("opened", "amount", 100)]),
        ("bob", vec![stored("opened", "amount", 100)]),
        (
            "alice",
            vec![stored("moved", "by", 70), stored("moved", "by", -20)],
        ),
        ("bob", vec![stored("moved", "by", 0)]),
        ("bob", vec![stored("moved", "by", -30)]),
    ] {
        log.append(owner, events).await.expect("an append");
    }
    let accounts = tenure.repository::<Account>().await.expect("the accounts");
    let id = CommandId::new(WallTime(1_700_000_000_000), 1);
    let deposit = accounts.execute("bob", Deposit { amount: 7 }).id(id);
    assert_eq!(deposit.await.expect("a balance"), 77);

    let balance = |account: &Account| account.balance().ok();
    let streams = accounts.record(["alice", "bob"], balance).await;
    let streams = streams.expect("two streams");
    tenure.stop().await;
    if std::env::var("TENURE_GOLDEN").is_ok_and(|told| told == "write") {
        streams.write(FILE).expect("a file");
    }
    let committed = RecordedStreams::read(FILE).expect("the recording");
    assert_eq!(
        timeless(&streams),
        timeless(&committed),
        "TENURE_GOLDEN=write records it anew"
    );
}
