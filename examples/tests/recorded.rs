//! The recording in this folder: what the first build wrote and the present one went on with, as the
//! present one records it.

use tenure::kit::RecordedStreams;
use tenure::{
    Aggregate, CommandId, Decision, Event, KindSettings, MemShell, Never, Tenure, WallTime,
};
use tenure_examples::account::{Account, Deposit};

const FILE: &str = "tests/recorded/account.jsonl";

/// An account of the first build.
#[derive(Clone, Default)]
struct FirstAccount;

/// What happened to it.
#[derive(Event)]
enum FirstEvent {
    #[event(name = "opened", version = 1)]
    Opened { amount: u64 },
    #[event(name = "moved", version = 1)]
    Moved { by: i64 },
}

impl Aggregate for FirstAccount {
    type Event = FirstEvent;
    const KIND: &'static str = Account::KIND;

    fn evolve(&mut self, _: &FirstEvent) {}

    fn settings() -> KindSettings {
        Account::settings()
    }
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
    let store = MemShell::fresh();
    let node = async || {
        let builder = Tenure::builder().namespace("accounting");
        builder.start_with(store.clone()).await.expect("a node")
    };
    let first = node().await;
    let opened = || vec![FirstEvent::Opened { amount: 100 }];
    let moved = |by: i64| FirstEvent::Moved { by };
    let accounts = first.repository::<FirstAccount>().await;
    let accounts = accounts.expect("the accounts");
    for (owner, events) in [
        ("alice", opened()),
        ("bob", opened()),
        ("alice", vec![moved(70), moved(-20)]),
        ("bob", vec![moved(0)]),
        ("bob", vec![moved(-30)]),
    ] {
        let mut events = Some(events);
        let happen = move |_: &FirstAccount| {
            let events = events.take().expect("it is decided once");
            Ok::<_, Never>(Decision::events(events))
        };
        accounts.transact(owner, happen).await.expect("a commit");
    }
    first.stop().await;
    let tenure = node().await;
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
