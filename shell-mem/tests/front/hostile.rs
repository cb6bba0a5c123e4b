//! What must not end the server, nor make it hold more and more.

use crate::line::{CONNECT, Line};
use crate::server::FrontServer;
use std::time::Duration;
use tenure_mem::nats::FrontConfig;

#[tokio::test]
async fn who_does_not_take_what_is_his_is_let_go() {
    let mut config = FrontConfig::default();
    config.pending_bytes_max = 1 << 20;
    let front = FrontServer::with(config).await;
    let mut slow = Line::open(&front.url).await;
    slow.send(CONNECT).await;
    slow.send("SUB flood 1\r\n").await;
    slow.flush().await;
    let mut line = Line::connect(&front.url).await;
    let body = "x".repeat(100_000);
    for _ in 0..400 {
        line.publish("flood", "", &[], &body).await;
    }
    line.flush().await;
    assert_eq!(front.listener.with_front(|front| front.refused()), 1);
    let end = slow.until_end().await;
    let last = end.last().map(String::as_str);
    assert_eq!(last, Some("-ERR 'Slow Consumer'"));
}

#[tokio::test]
async fn connections_and_subscriptions_are_bounded() {
    let mut config = FrontConfig::default();
    config.connections_max = 2;
    config.subscriptions_max = 3;
    let front = FrontServer::with(config).await;
    let mut one = Line::open(&front.url).await;
    let two = Line::open(&front.url).await;
    let mut three = Line::open(&front.url).await;
    assert_eq!(
        three.until_end().await,
        ["-ERR 'maximum connections exceeded'"]
    );
    one.send(CONNECT).await;
    one.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB c 3\r\n")
        .await;
    one.send("SUB d 4\r\n").await;
    assert_eq!(
        one.until_end().await,
        ["-ERR 'maximum subscriptions exceeded'"]
    );
    drop(two);
}

#[tokio::test]
async fn a_server_that_ends_tells_its_clients() {
    let mut config = FrontConfig::default();
    config.lame_duck_grace_ms = 300;
    let mut front = FrontServer::with(config).await;
    let mut line = Line::connect(&front.url).await;
    front.listener.lame_duck();
    line.send("SUB still 1\r\nPUB still 2\r\nhi\r\n").await;
    let told = line.until_end().await;
    assert!(
        told[0].starts_with("INFO {") && told[0].contains("\"ldm\":true"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["[1] still hi"]);
    front.ended().await;
}

#[tokio::test]
async fn a_server_that_ends_waits_for_its_clients_and_takes_no_others() {
    let mut front = FrontServer::start().await;
    let mut line = Line::connect(&front.url).await;
    front.listener.lame_duck();
    let mut late = Line::open(&front.url).await;
    assert_eq!(late.until_end().await, [""; 0]);
    assert_eq!(line.flush().await.len(), 1, "it is told, and served");
    drop(line);
    front.ended().await;
}

#[tokio::test]
async fn a_server_without_clients_ends_at_once() {
    let mut front = FrontServer::start().await;
    front.listener.lame_duck();
    front.ended().await;
}

#[tokio::test]
async fn who_is_silent_is_asked_and_let_go() {
    let mut config = FrontConfig::default();
    config.ping_interval_ms = 100;
    let front = FrontServer::with(config).await;
    let mut line = Line::open(&front.url).await;
    let told = line.until_end().await;
    assert_eq!(told, ["PING", "PING", "-ERR 'Stale Connection'"]);
}

#[tokio::test]
async fn who_takes_nothing_for_too_long_is_let_go() {
    let mut config = FrontConfig::default();
    config.write_deadline_ms = 200;
    let front = FrontServer::with(config).await;
    let mut stuck = Line::open(&front.url).await;
    stuck.send(CONNECT).await;
    stuck.send("SUB flood 1\r\n").await;
    stuck.flush().await;
    let mut line = Line::connect(&front.url).await;
    // More than the operating system holds for a connection, and less than what may wait.
    let body = "x".repeat(1_000_000);
    for _ in 0..40 {
        line.publish("flood", "", &[], &body).await;
    }
    line.flush().await;
    let gone = || front.listener.with_front(|front| front.connections() == 1);
    till(gone).await;
    assert_eq!(front.listener.with_front(|front| front.refused()), 1);
}

/// Waits until something is so, for as long as a scene may take.
async fn till(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let so = tokio::time::timeout(Duration::from_secs(30), so).await;
    so.expect("it is so in time");
}
