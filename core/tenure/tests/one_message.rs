//! A commit is one message and one acknowledgement, however many events it has (S4): counted by the
//! node, in the stream, and by the server on the node's connection.

#![cfg(feature = "nats")]

mod common;

use common::{Account, AccountEvent};
use std::time::Duration;
use tenure::prelude::*;
use tenure_nats_server::NatsServer;
use tokio::time::Instant;

const EVENTS: usize = 500;
const COMMITS: u64 = 10;
/// When something hangs, the test fails after this long; nothing is timed by it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server has counted of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traffic {
    /// Messages in the event stream.
    stored: u64,
    /// Messages from the node.
    sent: u64,
    /// Messages to the node.
    received: u64,
}

fn traffic(server: &NatsServer) -> Traffic {
    let streams = server.monitor("/jsz?streams=true").expect("the page");
    let details = streams["account_details"][0]["stream_detail"].as_array();
    let events = details.expect("streams").iter();
    let events = events.filter(|stream| stream["name"] == "bank_ev_0");
    let stored = events.map(|stream| stream["state"]["messages"].as_u64().expect("a number"));
    let connections = server.monitor("/connz").expect("the page");
    let count = |field: &str| {
        let all = connections["connections"]
            .as_array()
            .expect("connections")
            .iter();
        let counts = all.map(|one| one[field].as_u64().expect("a number"));
        counts.sum()
    };
    Traffic {
        stored: stored.sum(),
        sent: count("in_msgs"),
        received: count("out_msgs"),
    }
}

/// Waits until the server has counted so much; it may count more, and counts late.
async fn until(server: &NatsServer, least: Traffic) -> Traffic {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = traffic(server);
        let reached =
            now.stored >= least.stored && now.sent >= least.sent && now.received >= least.received;
        if reached {
            return now;
        }
        assert!(Instant::now() < end, "{now:?}, expected at least {least:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_commit_of_500_events_is_one_message_and_one_acknowledgement() {
    let server = NatsServer::start().expect("a nats-server");
    let node = Tenure::builder()
        .namespace("bank")
        .start(server.url())
        .await;
    let node = node.expect("a node");
    let accounts = node.repository::<Account>().await.expect("a repository");
    let many = |_: &Account| -> Result<_, String> {
        let events = (0..EVENTS).map(|_| AccountEvent::Moved { cents: 1 });
        Ok(Decision::events(events))
    };
    // The first one loads the entity; the others find it in memory.
    accounts.transact("alice", many).await.expect("a commit");
    let requests = node.counters().await.store_requests;
    let mut before = traffic(&server);
    loop {
        // What was counted late is of the beginning.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = traffic(&server);
        if now == before {
            break;
        }
        before = now;
    }
    for _ in 0..COMMITS {
        accounts.transact("alice", many).await.expect("a commit");
    }
    assert_eq!(node.counters().await.store_requests, requests + COMMITS);
    let expected = Traffic {
        stored: before.stored + COMMITS,
        sent: before.sent + COMMITS,
        received: before.received + COMMITS,
    };
    assert_eq!(until(&server, expected).await, expected);
    let version = accounts.version("alice").await.expect("its version").0;
    assert_eq!(version, (COMMITS + 1) * EVENTS as u64);
    node.stop().await;
}
