//! What the shell says of a write is true, whatever happens to the server: what is `Done` is
//! stored where it says, what is `Refused` never is, and a batch is stored whole or not at all.

use crate::scene::{Asks, Scene, connected, message, within};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure_core::driver::Shell;
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{Ack, StoreDone, StoreReply, StoreRequest, Subject};
use tenure_core::step::{Outcome, Span};
use tenure_nats::NatsShell;
use tenure_nats_server::NatsServer;

/// Messages of one batch.
const BATCH: u64 = 3;

fn subject(writer: u64, write: u64, part: u64) -> String {
    format!("s.{writer}.{write}.{part}")
}

/// Writes on and on, every other time a batch, and keeps what was said of each.
async fn write(shell: NatsShell, writer: u64, stop: Arc<AtomicBool>) -> Vec<StoreReply> {
    let mut replies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = replies.len() as u64;
        let part = |part| message(&subject(writer, number, part), "x");
        let request = if number.is_multiple_of(2) {
            StoreRequest::Publish(part(0))
        } else {
            let id = BatchId(u128::from(writer) << 64 | u128::from(number));
            StoreRequest::Batch {
                id,
                messages: (0..BATCH).map(part).collect(),
            }
        };
        let reply = shell.store(request).await;
        if matches!(reply, Outcome::Refused(_)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        replies.push(reply);
    }
    replies
}

/// Every message of the stream: subject to sequence.
async fn stored(shell: &NatsShell) -> BTreeMap<Subject, Sequence> {
    let mut found = BTreeMap::new();
    let mut from = Sequence(1);
    loop {
        let filter = "s.>".into();
        let scan = StoreRequest::Scan {
            stream: "S".into(),
            filter,
            from,
            messages_max: 1_000,
        };
        let Outcome::Done(StoreDone::Page(page)) = shell.ask(scan).await else {
            continue;
        };
        for message in page.messages {
            from = Sequence(message.sequence.0 + 1);
            let before = found.insert(message.subject, message.sequence);
            assert_eq!(before, None, "stored twice");
        }
        if !page.more {
            return found;
        }
    }
}

#[tokio::test]
async fn what_is_said_of_writes_is_true_over_kills_and_freezes() {
    let server = NatsServer::start().unwrap();
    let short = |options: tenure_nats::NatsOptions| options.store_timeout(Span::from_secs(2));
    let Scene { shell, server } = Scene::on(server, short).await;
    let mut settings = crate::scene::events("S", "s.>");
    settings.subjects.push("own".into());
    shell.created(settings).await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|writer| tokio::spawn(write(shell.clone(), writer, Arc::clone(&stop))))
        .collect();
    for round in 0..6 {
        // Until something was stored in this round.
        acknowledged(&shell).await;
        if round == 3 {
            server.pause().unwrap();
            crate::scene::next(&mut inbox).await;
            server.resume().unwrap();
        } else {
            server.kill().unwrap();
            crate::scene::next(&mut inbox).await;
            server.restart().unwrap();
        }
        connected(&mut inbox).await;
    }
    acknowledged(&shell).await;
    stop.store(true, Ordering::Relaxed);
    let mut said = Vec::new();
    for writer in writers {
        said.push(within("a writer", writer).await.unwrap());
    }
    let found = within("the scan", stored(&shell)).await;

    let (mut done, mut refused, mut unknown) = (0, 0, 0);
    for (writer, replies) in (0_u64..).zip(said) {
        for (number, reply) in (0_u64..).zip(replies) {
            let parts = if number.is_multiple_of(2) { 1 } else { BATCH };
            let places: Vec<_> = (0..parts)
                .filter_map(|part| found.get(subject(writer, number, part).as_str()))
                .collect();
            let name = subject(writer, number, 0);
            let whole = places.len() as u64 == parts;
            assert!(whole || places.is_empty(), "{name} is torn: {places:?}");
            match reply {
                Outcome::Done(StoreDone::Published(Ack {
                    sequence,
                    duplicate: false,
                })) => {
                    assert_eq!(places.last(), Some(&&sequence), "{name} was acknowledged");
                    done += 1;
                }
                Outcome::Refused(why) => {
                    assert!(!whole, "{name} was refused ({why:?}) and is stored");
                    refused += 1;
                }
                Outcome::Unknown => unknown += 1,
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    println!(
        "{done} done, {refused} refused, {unknown} unknown, {} stored",
        found.len()
    );
    assert!(done > 0 && refused > 0 && unknown > 0);
}

/// Waits until a write of its own is acknowledged behind what was in flight before.
async fn acknowledged(shell: &NatsShell) {
    within("a write", async {
        for _ in 0..5 {
            while !matches!(shell.publish(message("own", "x")).await, Outcome::Done(_)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
    .await;
}
