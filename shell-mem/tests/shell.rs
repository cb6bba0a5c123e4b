//! The shell in memory: shared stores, clocks, and what goes with time.

use bytes::Bytes;
use std::time::Duration;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::port::{
    ConsumerSettings, Expect, Publish, Refused, Rollup, Start, StoreDone, StoreReply, StoreRequest,
    StreamSettings,
};
use tenure_core::step::{Outcome, Span};
use tenure_mem::MemShell;
use tenure_mem::store::Store;

fn publish(ttl_s: Option<u32>) -> StoreRequest {
    StoreRequest::Publish(Publish {
        stream: "s".into(),
        subject: "s.a".into(),
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s,
        payload: Bytes::from_static(b"x"),
    })
}

fn latest() -> StoreRequest {
    StoreRequest::Latest {
        stream: "s".into(),
        subjects: vec!["s.a".into()],
    }
}

async fn with_stream(shell: &MemShell) {
    let mut settings = StreamSettings::event_log("s".into(), vec!["s.>".into()], 1);
    settings.allow_ttl = true;
    let created = shell.store(StoreRequest::CreateStream(settings)).await;
    assert!(matches!(created, Outcome::Done(_)), "{created:?}");
}

#[tokio::test]
async fn clones_and_names_share_a_store_and_fresh_ones_do_not() {
    let shell = MemShell::named("shell-test");
    with_stream(&shell).await;
    let clone = shell.clone();
    assert!(matches!(clone.store(publish(None)).await, Outcome::Done(_)));
    let again = MemShell::named("shell-test");
    assert!(matches!(
        again.store(latest()).await,
        Outcome::Done(StoreDone::Latest(_))
    ));
    MemShell::forget("shell-test");
    for empty in [MemShell::named("shell-test"), MemShell::fresh()] {
        let reply = empty.store(latest()).await;
        assert!(matches!(reply, Outcome::Refused(_)), "{reply:?}");
    }
    assert!(
        matches!(shell.store(latest()).await, Outcome::Done(_)),
        "it stays on its store"
    );
}

#[tokio::test]
async fn what_has_a_time_to_live_goes_by_itself() {
    let shell = MemShell::fresh();
    with_stream(&shell).await;
    assert!(matches!(
        shell.store(publish(Some(1))).await,
        Outcome::Done(_)
    ));
    assert!(matches!(shell.store(latest()).await, Outcome::Done(_)));
    let patience = shell.now() + Span::from_secs(30);
    while !matches!(
        shell.store(latest()).await,
        Outcome::Refused(Refused::NotFound)
    ) {
        assert!(shell.now() < patience, "it never went");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_is_connected_from_the_start_and_its_clock_goes_on() {
    let shell = MemShell::fresh();
    assert!(matches!(
        shell.inbox().recv().await,
        Some(Inbound::Connected(..))
    ));
    let before = shell.now();
    shell.sleep_until(before + Span::from_millis(5)).await;
    assert!(shell.now() >= before + Span::from_millis(5));
    assert_ne!(shell.seed(), shell.seed());
}

#[tokio::test]
async fn what_is_for_one_link_does_not_go_over_the_next() {
    let shell = MemShell::fresh();
    with_stream(&shell).await;
    let mut inbox = shell.inbox();
    let Some(Inbound::Connected(_, first)) = inbox.recv().await else {
        panic!("it is connected from the start");
    };
    let during = shell.during(first);
    assert!(matches!(
        during.store(publish(None)).await,
        Outcome::Done(_)
    ));
    shell.cut(true);
    shell.cut(false);
    let refused = Outcome::Refused(Refused::NotConnected);
    assert_eq!(during.store(publish(None)).await, refused);
    assert_eq!(during.answer(&latest()), Some(refused));
    assert!(matches!(shell.store(publish(None)).await, Outcome::Done(_)));
    assert_eq!(inbox.recv().await, Some(Inbound::Disconnected));
    let Some(Inbound::Connected(_, second)) = inbox.recv().await else {
        panic!("it is connected again");
    };
    assert!(second > first);
    let during = shell.during(second);
    assert!(matches!(
        during.store(publish(None)).await,
        Outcome::Done(_)
    ));
}

#[tokio::test]
async fn a_spawned_task_can_be_ended() {
    let shell = MemShell::fresh();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let task = shell.spawn(async move {
        std::future::pending::<()>().await;
        drop(sender);
    });
    task.abort();
    assert!(receiver.await.is_err(), "its end drops what it holds");
}

fn fetch(wait: Span) -> StoreRequest {
    StoreRequest::Fetch {
        stream: "s".into(),
        consumer: "c".into(),
        messages_max: 10,
        bytes_max: 1 << 20,
        wait,
    }
}

async fn with_consumer(shell: &MemShell) {
    with_stream(shell).await;
    let settings = ConsumerSettings {
        stream: "s".into(),
        name: "c".into(),
        filters: vec!["s.>".into()],
        from: Start::New,
        idle: Span::from_secs(60),
    };
    let opened = shell.store(StoreRequest::OpenConsumer(settings)).await;
    assert!(matches!(opened, Outcome::Done(_)), "{opened:?}");
}

fn count(reply: &StoreReply) -> usize {
    let Outcome::Done(StoreDone::Fetched(fetched)) = reply else {
        panic!("{reply:?}")
    };
    fetched.messages.len()
}

#[tokio::test]
async fn a_fetch_waits_for_what_is_stored() {
    let shell = MemShell::fresh();
    with_consumer(&shell).await;
    assert_eq!(shell.answer(&fetch(Span::from_secs(60))), None);
    let other = shell.beside();
    let (reply, ()) = tokio::join!(shell.store(fetch(Span::from_secs(60))), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        other.store(publish(None)).await;
    });
    assert_eq!(count(&reply), 1);
    // What is there already is answered at once, and what does not come after the wait.
    shell.store(publish(None)).await;
    let at_once = shell.answer(&fetch(Span::from_secs(60)));
    assert_eq!(count(&at_once.expect("it is there")), 1);
    let before = shell.now();
    assert_eq!(count(&shell.store(fetch(Span::from_millis(50))).await), 0);
    assert!(shell.now().since(before) >= Span::from_millis(50));
    assert_eq!(count(&shell.store(fetch(Span::ZERO)).await), 0);
}

#[tokio::test]
async fn a_fetch_does_not_know_what_comes_when_its_link_is_cut() {
    let shell = MemShell::fresh();
    with_consumer(&shell).await;
    let (reply, ()) = tokio::join!(shell.store(fetch(Span::from_secs(60))), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        shell.cut(true);
    });
    assert_eq!(reply, Outcome::Unknown);
    shell.cut(false);
    let (reply, ()) = tokio::join!(shell.store(fetch(Span::from_secs(60))), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        shell.with_store(Store::forget_consumers);
    });
    assert_eq!(reply, Outcome::Refused(Refused::NoConsumer));
}
