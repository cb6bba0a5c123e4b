//! A namespace that cannot be used any more: who reads it is told, and does not wait for it for ever.

use super::{Notes, moved, noting, soon};
use crate::common::{Account, AccountEvent, Fate, FaultyShell};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "nats")]
use tenure::SpaceError;
use tenure::bus::{BusError, Published};
use tenure::consumer::{
    Consumed, ConsumerBuilder, ConsumerError, ConsumerHandle, Fault, Group, GroupHandle,
};
use tenure::prelude::*;
use tenure::projection::{Memory, Projection, ProjectionError};
use tenure::{RawEvent, StoreRequest};
use tenure_core::bus::Refusal;
use tenure_core::port::{Page, Refused, StoreDone, StoreReply};
use tenure_core::step::Outcome;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "paid", version = 1)]
struct Paid {
    cents: u64,
}

/// All who read the namespace of a node.
struct Readers {
    node: Tenure,
    consumer: ConsumerHandle,
    notes: Notes,
    group: GroupHandle,
    durable: ConsumerHandle,
    projection: Projection<Memory<i64>>,
}

impl Readers {
    /// They have three moves of an account.
    async fn start(node: Tenure) -> Self {
        let accounts = node.repository::<Account>().await.unwrap();
        moved(&accounts, "alice", 1..=3).await;
        let notes = Notes::default();
        let consumer = noting(&node, "reader", &notes).start().await.unwrap();
        let group = noting(&node, "readers", &Notes::default());
        let group = group.grouped(Group::partitions(4)).start().await.unwrap();
        let durable = node.bus().durable("payer", "orders.*");
        let durable = durable.start(|_: Published| async {}).await.unwrap();
        let projection = node.projection("sums", Memory::default()).fold::<Account>(
            |sum: &mut i64, event: &Consumed<AccountEvent>| {
                if let AccountEvent::Moved { cents } = event.event {
                    *sum += cents;
                }
            },
        );
        let projection = projection.start().await.unwrap();
        soon(projection.live()).await.unwrap();
        soon(consumer.live()).await.unwrap();
        soon(group.until_status(|status| status.partitions.iter().all(|part| part.here.is_some())))
            .await
            .unwrap();
        soon(group.live()).await.unwrap();
        Self {
            node,
            consumer,
            notes,
            group,
            durable,
            projection,
        }
    }

    /// How each of them ends, and who begins afterwards.
    async fn ends(self) -> Vec<Arc<ConsumerError>> {
        let ends = [
            soon(self.consumer.ended()).await,
            soon(self.durable.ended()).await,
            soon(self.group.ended()).await,
            soon(raw(&self.node, "late").start()).await.map(drop),
            soon(
                raw(&self.node, "later")
                    .grouped(Group::partitions(4))
                    .start(),
            )
            .await
            .map(drop),
        ];
        let projected = match soon(self.projection.ended()).await {
            Err(ProjectionError::Consumer(error)) => error,
            other => panic!("{other:?}"),
        };
        // What was handled stays so, and stays known.
        assert_eq!(self.projection.read(|sum| *sum), 6);
        assert_eq!(self.notes.cents(), [1, 2, 3]);
        let status = self.consumer.status();
        assert_eq!((status.handled, &status.stalled), (3, &None));
        assert!(status.positions[0].sequence.0 >= 3, "{status:?}");
        let mut ends = Vec::from(ends.map(|end| Arc::new(end.unwrap_err())));
        ends.push(projected);
        ends
    }
}

/// A consumer that knows no kind, so that its start asks for none.
fn raw(node: &Tenure, name: &str) -> ConsumerBuilder {
    node.consumer(name).raw(|_: Consumed<RawEvent>| async {})
}

fn cluster() -> tenure::Builder {
    let cluster = Cluster::named("a").settle(Duration::from_millis(50));
    Tenure::builder().namespace("bank").cluster(cluster)
}

/// What the store answers to who looks at the control stream; about the others it says nothing.
fn control(
    answer: impl Fn() -> StoreReply + Send + 'static,
) -> impl FnMut(&StoreRequest) -> Option<Fate> + Send + 'static {
    move |request| {
        let StoreRequest::StreamInfo { stream } = request else {
            return None;
        };
        Some(match stream.as_str() {
            "bank_ctl" => Fate::Answer(answer()),
            _ => Fate::Silence,
        })
    }
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn who_reads_a_server_that_was_replaced_by_an_empty_one_ends() {
    let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
    let node = cluster().start(&server.url()).await.unwrap();
    let readers = Readers::start(node.clone()).await;
    server.stop().unwrap();
    std::fs::remove_dir_all(server.store()).unwrap();
    server.restart().unwrap();
    for end in readers.ends().await {
        let ConsumerError::Fault(Fault::Space(SpaceError::StreamLost { stream })) = &*end else {
            panic!("{end:?}");
        };
        assert_eq!(stream, "bank_ctl", "{end}");
    }
    node.stop().await;
}

#[tokio::test]
async fn who_reads_a_namespace_that_is_no_more_at_a_reconnect_ends() {
    let shell = FaultyShell::new();
    let node = cluster().start_with(shell.clone()).await.unwrap();
    let readers = Readers::start(node.clone()).await;
    shell.set(control(|| Outcome::Refused(Refused::NoJetStream)));
    shell.disconnect();
    // The stream of the bus is not looked at in time, so it waits.
    let bus = node.bus();
    let publish = bus.publish("orders.eu", &Paid { cents: 1 });
    let publish = publish.durable().timeout(10 * super::SOON);
    let waiting = tokio::spawn(publish.into_future());
    shell.connect();
    for end in readers.ends().await {
        let space = matches!(&*end, ConsumerError::Fault(Fault::Space(_)));
        assert!(space, "{end:?}");
    }
    let published = soon(waiting).await.unwrap();
    assert!(
        matches!(published, Err(BusError::Refused(Refusal::Space(_)))),
        "{published:?}"
    );
    node.stop().await;
}

/// The machine that keeps the namespace verified finds its state wrong.
#[tokio::test]
async fn who_reads_a_namespace_whose_machine_halts_ends() {
    let shell = FaultyShell::new();
    let node = cluster().start_with(shell.clone()).await.unwrap();
    let readers = Readers::start(node.clone()).await;
    shell.set(control(|| {
        let (messages, more) = (Vec::new(), false);
        Outcome::Done(StoreDone::Page(Page { messages, more }))
    }));
    shell.disconnect();
    shell.connect();
    for end in readers.ends().await {
        let halted = matches!(&*end, ConsumerError::Fault(Fault::SpaceHalted { .. }));
        assert!(halted, "{end:?}");
    }
    node.stop().await;
}
