//! The trap of `reference/nats.md`, §0, that takes memory of a client (10), against a real server and the front. Linux
//! tells how much a process has.

use crate::stage::Place;
use crate::traps::{SECOND, Sprung, on_server_and_front};
use async_nats::{Client, ConnectOptions, RequestErrorKind};
use futures_util::{StreamExt as _, stream as futures};
use std::process::Command;
use tokio::task::spawn_blocking;

on_server_and_front!(a_request_that_timed_out_keeps_its_memory);

/// Where a test of its own process finds the server.
const URL: &str = "TENURE_TRAP_URL";

/// Trap 10: the client's table of answers keeps an entry of each, here some 350 bytes. It is seen in a process that
/// does nothing else.
async fn a_request_that_timed_out_keeps_its_memory(place: Place) {
    let at = Sprung::at(place).await;
    let silent = at.client().await;
    let mut asked = silent.subscribe("ask").await.expect("it listens");
    silent.flush().await.expect("the server knows");
    let heard = tokio::spawn(async move { while asked.next().await.is_some() {} });
    let test = std::env::current_exe().expect("a test has a program");
    let mut process = Command::new(test);
    process.args(["--ignored", "--exact", "--nocapture"]);
    process
        .arg("traps_of_memory::asks_in_vain")
        .env(URL, at.url());
    // The front serves on this thread meanwhile.
    let output = spawn_blocking(move || process.output()).await;
    let output = output.expect("it is not cancelled").expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let grown = text.lines().find_map(|line| {
        let kib = line.strip_prefix("grown by ")?.strip_suffix(" KiB")?;
        kib.parse::<u64>().ok()
    });
    let grown = grown.expect("it tells its memory");
    assert!(grown > 4 * 1_024, "{grown} KiB");
    heard.abort();
}

/// Asks many times without an answer, in a process of its own, and tells by how much its memory grew meanwhile.
#[tokio::test]
#[ignore = "a part of another test, which starts it"]
async fn asks_in_vain() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let options = ConnectOptions::new().request_timeout(Some(SECOND / 4));
    let client = options.connect(url).await.expect("it is there");
    // The first has the memory grow for what is under way at once.
    ask_in_vain(&client).await;
    let before = memory_kib();
    for _ in 0..4 {
        ask_in_vain(&client).await;
    }
    println!("grown by {} KiB", memory_kib().saturating_sub(before));
}

async fn ask_in_vain(client: &Client) {
    let asks = futures::iter(0..10_000).map(|_| client.request("ask", "?".into()));
    let answers = asks.buffer_unordered(10_000);
    let vain = answers
        .all(|told| async { told.is_err_and(|error| error.kind() == RequestErrorKind::TimedOut) });
    assert!(vain.await, "nobody answers");
}

/// How much memory this process has, in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("Linux tells it")
}
