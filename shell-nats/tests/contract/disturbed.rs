//! A replicated stream whose leader is frozen or killed while writers go on.

use crate::alphabet::{Random, message, settings};
use crate::history::History;
use crate::table::Table;
use crate::world::{config, until};
use futures_util::future::{join, join_all};
use std::cell::Cell;
use std::time::Duration;
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{
    Expect, Fence, Message, Publish, Refused, Source, StoreDone, StoreReply, StoreRequest, Subject,
};
use tenure_core::step::{Outcome, Span};
use tenure_nats::{NatsOptions, NatsShell};
use tenure_nats_server::Cluster;

/// How many writers there are, each with a subject of its own.
const WRITERS: u64 = 4;

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Frozen,
    Killed,
}

/// All scenes with a cluster.
pub(crate) async fn all(cluster: &Cluster, seed: u64) -> Table {
    let mut table = Table::default();
    scene(
        cluster,
        ("leader frozen", "F", Fault::Frozen),
        seed,
        &mut table,
    )
    .await;
    scene(
        cluster,
        ("leader killed", "K", Fault::Killed),
        seed,
        &mut table,
    )
    .await;
    hung(cluster).await;
    table
}

/// The first trap of `traps`: a wrong `Nats-Expected-Last-Msg-Id` is refused on a replicated stream, which then
/// answers no writer any more.
async fn hung(cluster: &Cluster) {
    println!("scene: hung by a last id");
    let shell = NatsShell::connect(NatsOptions::new(cluster.url())).await;
    let shell = shell.expect("the cluster is there");
    let create = StoreRequest::CreateStream(settings("H", 3));
    until(&shell, &create, |reply| matches!(reply, Outcome::Done(_))).await;
    let publish = StoreRequest::Publish(message("H", "h.0"));
    until(&shell, &publish, |reply| matches!(reply, Outcome::Done(_))).await;
    let client = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(2)));
    let client = client.connect(cluster.servers()[0].url()).await;
    let client = client.expect("the cluster is there");
    let mut wrong = async_nats::HeaderMap::new();
    wrong.insert("Nats-Expected-Last-Msg-Id", "none");
    let refused = client.request_with_headers("h.0", wrong, "".into()).await;
    let refused = refused.expect("it is refused").payload;
    let text = String::from_utf8_lossy(&refused);
    assert!(text.contains("10070"), "{text}");
    let after = client.request("h.0", "".into()).await;
    let told = after.expect_err("no answer comes");
    assert_eq!(told.kind(), async_nats::RequestErrorKind::TimedOut);
}

async fn scene(
    cluster: &Cluster,
    (name, stream, fault): (&'static str, &str, Fault),
    seed: u64,
    table: &mut Table,
) {
    println!("scene: {name}");
    let options = || NatsOptions::new(cluster.url()).store_timeout(Span::from_secs(1));
    let shell = NatsShell::connect(options())
        .await
        .expect("the cluster is there");
    let settings = settings(stream, 3);
    let create = StoreRequest::CreateStream(settings.clone());
    until(&shell, &create, |reply| matches!(reply, Outcome::Done(_))).await;
    let history = History::default();
    let over = Cell::new(false);
    let bodies = Cell::new(0);
    let writers = join_all((0..WRITERS).map(|number| {
        let writer = Writer {
            stream,
            number,
            history: &history,
            over: &over,
            bodies: &bodies,
            random: Random::new(seed ^ number),
        };
        writer.run(&shell)
    }));
    let trouble = async {
        grows(&history, 60).await;
        let leader = cluster.stream_leader(stream).expect("a leader");
        let server = &cluster.servers()[leader];
        match fault {
            Fault::Frozen => server.pause().expect("it is frozen"),
            Fault::Killed => server.kill().expect("it is killed"),
        }
        // The others elect, and go on.
        grows(&history, 60).await;
        match fault {
            Fault::Frozen => server.resume().expect("it goes on"),
            Fault::Killed => server.restart().expect("it restarts"),
        }
        grows(&history, 200).await;
        over.set(true);
    };
    join(writers, trouble).await;
    cluster.wait_ready().expect("the cluster is whole");
    let log = log(&shell, stream, history.acknowledged()).await;
    let odd = history.check(name, (config(&shell).await, settings), &log, table);
    println!("scene: {name}: {} messages, {odd:?}", log.len());
}

/// Waits until so many more sequences were acknowledged.
async fn grows(history: &History, count: u64) {
    let wanted = history.acknowledged().0 + count;
    let wait = async {
        while history.acknowledged().0 < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let patience = Duration::from_secs(90);
    tokio::time::timeout(patience, wait)
        .await
        .expect("writes are acknowledged again");
}

/// The whole stream, from a replica that has all that was acknowledged.
async fn log(shell: &NatsShell, stream: &str, acknowledged: Sequence) -> Vec<Message> {
    let info = StoreRequest::StreamInfo {
        stream: stream.into(),
    };
    let whole = |reply: &StoreReply| matches!(reply, Outcome::Done(StoreDone::Stream(info)) if info.last >= acknowledged);
    let Outcome::Done(StoreDone::Stream(info)) = until(shell, &info, whole).await else {
        panic!("the stream is gone");
    };
    let mut log: Vec<Message> = Vec::new();
    while log.len() < usize::try_from(info.messages).unwrap() {
        let from = Sequence(log.last().map_or(1, |message| message.sequence.0 + 1));
        let scan = StoreRequest::Scan {
            stream: stream.into(),
            filter: ">".into(),
            from,
            messages_max: 500,
        };
        let some = |reply: &StoreReply| matches!(reply, Outcome::Done(StoreDone::Page(page)) if !page.messages.is_empty());
        let Outcome::Done(StoreDone::Page(page)) = until(shell, &scan, some).await else {
            panic!("the stream is gone");
        };
        log.extend(page.messages);
    }
    log
}

/// Where a writer believes its subject and the fence to end.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    last: Sequence,
    fence: Sequence,
}

/// One writer that goes on through everything.
struct Writer<'a> {
    stream: &'a str,
    number: u64,
    history: &'a History,
    over: &'a Cell<bool>,
    bodies: &'a Cell<u64>,
    random: Random,
}

impl Writer<'_> {
    async fn run(mut self, shell: &NatsShell) {
        let mut known = Known::default();
        while !self.over.get() {
            let request = self.request(&known);
            let reply = self.history.ask(shell, request.clone()).await;
            self.learn(&mut known, &request, &reply);
            let lost = matches!(
                reply,
                Outcome::Unknown | Outcome::Refused(Refused::WrongLast { .. })
            );
            if lost {
                let latest = self.latest();
                let reply = self.history.ask(shell, latest.clone()).await;
                self.learn(&mut known, &latest, &reply);
            }
            if matches!(reply, Outcome::Refused(_)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    fn learn(&self, known: &mut Known, request: &StoreRequest, reply: &StoreReply) {
        let Outcome::Done(done) = reply else { return };
        match done {
            StoreDone::Published(ack) => {
                let claim = matches!(request, StoreRequest::Publish(publish)
                    if publish.subject == self.fence());
                *(if claim {
                    &mut known.fence
                } else {
                    &mut known.last
                }) = ack.sequence;
            }
            StoreDone::Latest(proof) => {
                for message in &proof.messages {
                    let own = message.subject == self.subject();
                    *(if own {
                        &mut known.last
                    } else {
                        &mut known.fence
                    }) = message.sequence;
                }
            }
            StoreDone::Message(_)
            | StoreDone::Page(_)
            | StoreDone::Stream(_)
            | StoreDone::Capabilities(_)
            | StoreDone::Consumer(_)
            | StoreDone::Fetched(_)
            | StoreDone::Closed => {}
        }
    }

    fn latest(&self) -> StoreRequest {
        let subjects = vec![self.subject(), self.fence()];
        StoreRequest::Latest {
            stream: self.stream.into(),
            subjects,
        }
    }

    fn request(&mut self, known: &Known) -> StoreRequest {
        let Known { last, fence } = *known;
        let fenced = Expect::Fence(Fence {
            subject: self.fence(),
            sequence: fence,
        });
        match self.random.below(20) {
            0 => StoreRequest::Publish(self.publish(self.fence(), Expect::OwnLast(fence))),
            1..4 => StoreRequest::Publish(self.publish(self.subject(), fenced)),
            4..8 => {
                let entity = self.publish(self.subject(), Expect::OwnLast(last));
                let bar = self.publish(self.subject(), fenced);
                let id = BatchId(u128::from(self.random.next()));
                StoreRequest::Batch {
                    id,
                    messages: vec![entity, bar],
                }
            }
            8 | 9 => self.latest(),
            10..13 => StoreRequest::Get {
                stream: self.stream.into(),
                sequence: self.history.acknowledged().max(Sequence(1)),
                source: *self.random.pick(&[Source::Leader, Source::Replica]),
            },
            _ => StoreRequest::Publish(self.publish(self.subject(), Expect::OwnLast(last))),
        }
    }

    fn publish(&self, subject: Subject, expect: Expect) -> Publish {
        self.bodies.set(self.bodies.get() + 1);
        let payload = self.bodies.get().to_string().into();
        Publish {
            expect,
            payload,
            ..message(self.stream, &subject)
        }
    }

    fn subject(&self) -> Subject {
        format!("{}.{}", self.stream.to_lowercase(), self.number).into()
    }

    fn fence(&self) -> Subject {
        format!("{}.own", self.stream.to_lowercase()).into()
    }
}
