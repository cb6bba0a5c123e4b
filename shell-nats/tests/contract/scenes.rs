//! What random requests to a healthy server do not bring about, one scene for each: a crowd of open
//! batches, a full queue, missing rights, no JetStream, a server that is frozen, gone or restored
//! from a backup.

use crate::alphabet::{Random, message, settings};
use crate::bodies;
use crate::relation::Observed;
use crate::stage::{Place, Stage, batch, is_of_a_consumer, one_of_each};
use crate::table::{Answer, Class, Table};
use crate::world::{ask, until};
use futures_util::StreamExt as _;
use std::time::Duration;
use tenure_core::driver::Shell as _;
use tenure_core::id::Sequence;
use tenure_core::port::{
    Ack, Expect, Publish, Refused, RefusedClass, Republish, StoreDone, StoreReply, StoreRequest,
    StreamSettings,
};
use tenure_core::step::{Outcome, Span};
use tenure_nats_server::NatsServer;

/// Those that do nothing to a server, on the front.
pub(crate) async fn all_on_front() -> Table {
    let mut table = Table::default();
    let front = Place::Front;
    open_batches(front, &mut table).await;
    dedup_window(front, &mut table).await;
    late_marker(front, &mut table).await;
    bodies::deleted_and_expired(front, &mut table).await;
    age(front, &mut table).await;
    crate::front::scenes(&mut table).await;
    table
}

/// All scenes with one server.
pub(crate) async fn all(seed: u64) -> Table {
    let mut table = Table::default();
    open_batches(Place::Server, &mut table).await;
    full_queue(&mut table).await;
    small_disk(&mut table).await;
    without_jetstream(&mut table).await;
    account_without_jetstream(&mut table).await;
    without_rights(&mut table).await;
    dedup_window(Place::Server, &mut table).await;
    late_marker(Place::Server, &mut table).await;
    bodies::deleted_and_expired(Place::Server, &mut table).await;
    age(Place::Server, &mut table).await;
    frozen(&mut table).await;
    restarted(&mut table).await;
    restored(seed, &mut table).await;
    gone(&mut table).await;
    table
}

/// Fifty batches that nobody goes on with stop all others for ten seconds (H15).
async fn open_batches(place: Place, table: &mut Table) {
    let mut stage = Stage::at(place, "open batches", settings("S", 1)).await;
    let client = async_nats::connect(stage.url())
        .await
        .expect("the server is there");
    for n in 0..50 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Batch-Id", format!("abandoned{n}").as_str());
        headers.insert("Nats-Batch-Sequence", "1");
        client
            .request_with_headers("s.0", headers, "begun".into())
            .await
            .expect("it is begun");
        stage.model.abandon_batch(stage.shell.wall(), "S");
    }
    for count in [1, 3] {
        let reply = stage.both(table, batch(count)).await;
        assert_eq!(reply, Outcome::Refused(Refused::TooManyBatches));
    }
    stage.store(1).await;
    let taken = |reply: &StoreReply| matches!(reply, Outcome::Done(_));
    until(&stage.shell, &batch(1), taken).await;
}

/// More messages than the stream's queue takes: some are refused, and the others are stored.
async fn full_queue(table: &mut Table) {
    let server = NatsServer::builder().jetstream_config("max_buffered_msgs: 1");
    let mut stage = Stage::new("full queue", server, settings("S", 1)).await;
    stage.model.config_mut().in_flight_max = 0;
    for request in [StoreRequest::Publish(message("S", "s.0")), batch(1)] {
        let deadline = stage.shell.now() + Span::from_secs(30);
        let mut stored = Vec::new();
        let refused = loop {
            assert!(stage.shell.now() < deadline, "the queue never was full");
            let burst = (0..200).map(|_| anew(&request));
            let (_, _, seen) = ask(&stage.shell, burst.collect()).await;
            for Observed { request, reply } in &seen {
                match reply {
                    Outcome::Done(StoreDone::Published(ack)) => stored.push(ack.sequence),
                    Outcome::Refused(Refused::Overloaded | Refused::BatchIncomplete) => {}
                    Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => {
                        panic!("{request:?}: {reply:?}")
                    }
                }
            }
            let overloaded = |seen: &&Observed| seen.reply == Outcome::Refused(Refused::Overloaded);
            if let Some(seen) = seen.iter().find(overloaded) {
                break seen.reply.clone();
            }
        };
        assert_eq!(stage.model.apply(stage.shell.wall(), &request), refused);
        table.scene(stage.name, Class::of(&request, &refused));
        let count = stored.len();
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len(), count, "a sequence was given twice");
    }
}

/// The same request; a batch under an id of its own.
fn anew(request: &StoreRequest) -> StoreRequest {
    if matches!(request, StoreRequest::Batch { .. }) {
        batch(1)
    } else {
        request.clone()
    }
}

/// A stream that asks for more space than there is.
async fn small_disk(table: &mut Table) {
    let server = NatsServer::builder().jetstream_config("max_file_store: 1MB");
    let stage = Stage::new("small disk", server, settings("S", 1)).await;
    let large = StreamSettings {
        bytes_max: 10 << 20,
        ..settings("T", 1)
    };
    let request = StoreRequest::CreateStream(large);
    let reply = stage.shell.store(request.clone()).await;
    assert_eq!(reply, Outcome::Refused(Refused::NoSpace));
    table.around(stage.name, Class::of(&request, &reply));
}

/// The server comes back without JetStream: nobody answers.
async fn without_jetstream(table: &mut Table) {
    let stage = Stage::plain("server without JetStream").await;
    stage
        .server()
        .set(NatsServer::builder().without_jetstream());
    stage.server().restart().expect("it restarts");
    let nobody = |request: &StoreRequest, reply: &StoreReply| {
        // A consumer for which nobody answers is gone.
        let refused = if matches!(request, StoreRequest::Fetch { .. }) {
            Refused::NoConsumer
        } else {
            Refused::NoResponders
        };
        *reply == Outcome::Refused(refused)
    };
    stage.all_become(table, nobody).await;
}

/// The user is moved to an account without JetStream: only the API still answers, and says so.
async fn account_without_jetstream(table: &mut Table) {
    let accounts = |with: &str, without: &str| {
        NatsServer::builder().config(format!(
            "accounts {{
               WITH {{ jetstream: enabled, users: [{{ user: {with}, password: p }}] }}
               WITHOUT {{ users: [{{ user: {without}, password: p }}] }}
             }}"
        ))
    };
    let stream = settings("S", 1);
    let mut stage = Stage::new("account without JetStream", accounts("u", "v"), stream).await;
    stage.server().set(accounts("v", "u"));
    stage.server().restart().expect("it restarts");
    stage.model.config_mut().capabilities.jetstream = false;
    let ready = StoreRequest::StreamInfo { stream: "S".into() };
    let wanted = Outcome::Refused(Refused::NoJetStream);
    until(&stage.shell, &ready, |reply| *reply == wanted).await;
    for request in one_of_each() {
        stage.both(table, request).await;
    }
    let capabilities = stage.shell.store(StoreRequest::Capabilities).await;
    let Outcome::Done(StoreDone::Capabilities(capabilities)) = capabilities else {
        panic!("{capabilities:?}");
    };
    assert!(!capabilities.jetstream);
}

/// The user loses the rights to everything.
async fn without_rights(table: &mut Table) {
    let user = |permissions: &str| {
        let user = format!("{{ user: u, password: p{permissions} }}");
        NatsServer::builder().config(format!("authorization {{ users: [{user}] }}"))
    };
    let stage = Stage::new("missing rights", user(""), settings("S", 1)).await;
    let deny = ", permissions: { publish: { deny: [\"s.>\", \"$JS.API.>\"] } }";
    stage.server().set(user(deny));
    stage.server().restart().expect("it restarts");
    let denied = |_: &StoreRequest, reply: &StoreReply| {
        matches!(reply, Outcome::Refused(Refused::Denied(_)))
    };
    stage.all_become(table, denied).await;
    let request = StoreRequest::Capabilities;
    let reply = stage.shell.store(request.clone()).await;
    assert!(
        matches!(reply, Outcome::Refused(Refused::Denied(_))),
        "{reply:?}"
    );
    table.around(stage.name, Class::of(&request, &reply));
}

/// A deduplication id is known for its window at least, and forgotten in the end.
async fn dedup_window(place: Place, table: &mut Table) {
    let stream = StreamSettings {
        dedup_window_ns: 1_000_000_000,
        ..settings("S", 1)
    };
    let mut stage = Stage::at(place, "deduplication window", stream).await;
    let request = StoreRequest::Publish(Publish {
        dedup: Some("id".into()),
        ..message("S", "s.0")
    });
    stage.both(table, request.clone()).await;
    let began = stage.shell.now();
    let anew = Outcome::Done(StoreDone::Published(Ack {
        sequence: Sequence(2),
        duplicate: false,
    }));
    until(&stage.shell, &request, |reply| *reply == anew).await;
    let took = stage.shell.now().since(began);
    assert!(
        took > Span::from_millis(900),
        "the id was forgotten after {took}"
    );
}

/// A message whose time is over leaves a marker some time later, which goes silently; both are
/// announced as the model says (K6).
async fn late_marker(place: Place, table: &mut Table) {
    let bucket = StreamSettings {
        allow_ttl: true,
        marker_ttl_s: 2,
        messages_per_subject_max: 1,
        republish: Some(Republish {
            source: ">".into(),
            destination: "said.>".into(),
        }),
        ..settings("S", 1)
    };
    let mut stage = Stage::at(place, "late marker", bucket).await;
    let client = async_nats::connect(stage.url())
        .await
        .expect("the server is there");
    let mut heard = client.subscribe("said.>").await.expect("it is heard");
    // Answered after the server took the subscription.
    let nobody = client.request("nobody.listens", "".into()).await;
    nobody.expect_err("nobody listens");
    let own = |last, ttl_s| {
        let expect = Expect::OwnLast(Sequence(last));
        StoreRequest::Publish(Publish {
            expect,
            ttl_s,
            ..message("S", "s.0")
        })
    };
    let latest = StoreRequest::Latest {
        stream: "S".into(),
        subjects: vec!["s.0".into()],
    };
    let marked = |reply: &StoreReply| {
        let Outcome::Done(StoreDone::Latest(proof)) = reply else {
            return false;
        };
        proof.messages.iter().all(|message| message.expired_marker)
    };
    stage.both(table, own(0, Some(1))).await;
    until(&stage.shell, &latest, marked).await;
    stage
        .model
        .expire(stage.model.first_over().expect("it expires"));
    stage.both(table, latest.clone()).await;
    stage.both(table, own(0, Some(1))).await;
    let nothing = Outcome::Refused(Refused::NotFound);
    until(&stage.shell, &latest, |reply| *reply == nothing).await;
    stage
        .model
        .expire(stage.model.first_over().expect("the marker expires"));
    stage.both(table, own(2, None)).await;
    stage.both(table, own(0, None)).await;
    for wanted in stage.model.take_announcements() {
        let heard = tokio::time::timeout(Duration::from_secs(30), heard.next()).await;
        let heard = heard.expect("it is announced").expect("the client lives");
        assert_eq!(heard.subject.as_str(), wanted.subject);
        assert_eq!(heard.payload, wanted.message.payload);
        let headers = heard.headers.expect("headers");
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(
            header("Nats-Sequence"),
            Some(wanted.message.sequence.0.to_string())
        );
        assert_eq!(
            header("Nats-Marker-Reason").is_some(),
            wanted.message.expired_marker
        );
    }
}

/// A stream with an age forgets all that is older, and its sequences go on.
async fn age(place: Place, table: &mut Table) {
    let aged = StreamSettings {
        age_max_ns: 1_000_000_000,
        dedup_window_ns: 1_000_000_000,
        ..settings("S", 1)
    };
    let mut stage = Stage::at(place, "age", aged).await;
    stage.store(5).await;
    let info = StoreRequest::StreamInfo { stream: "S".into() };
    let empty = |reply: &StoreReply| matches!(reply, Outcome::Done(StoreDone::Stream(info)) if info.messages == 0);
    until(&stage.shell, &info, empty).await;
    while let Some(over) = stage.model.first_over() {
        stage.model.expire(over);
    }
    stage.both(table, info).await;
    stage.store(1).await;
}

/// A frozen server: nobody knows what became of a request.
async fn frozen(table: &mut Table) {
    let mut stage = Stage::plain("frozen server").await;
    stage.store(3).await;
    stage.server().pause().expect("it is frozen");
    let (_, _, seen) = ask(
        &stage.shell,
        [one_of_each(), vec![StoreRequest::Capabilities]].concat(),
    )
    .await;
    for Observed { request, reply } in seen {
        assert_eq!(reply, Outcome::Unknown, "{request:?}");
        table.around(stage.name, Class::of(&request, &reply));
    }
    stage.server().resume().expect("it goes on");
    let info = StoreRequest::StreamInfo { stream: "S".into() };
    let done = |reply: &StoreReply| matches!(reply, Outcome::Done(_));
    let reply = until(&stage.shell, &info, done).await;
    let Outcome::Done(StoreDone::Stream(info)) = reply else {
        panic!("{reply:?}")
    };
    // The publish and the batch may have been stored, or not.
    assert!(
        (3..=5).contains(&info.last.0),
        "the stream ends at {}",
        info.last
    );
}

/// A server that is killed and comes back has everything that it acknowledged.
async fn restarted(table: &mut Table) {
    let mut stage = Stage::plain("killed and restarted server").await;
    for _ in 0..3 {
        stage.store(20).await;
        stage.server().kill().expect("it is killed");
        stage.server().restart().expect("it restarts");
        stage.model.forget_consumers();
        let info = StoreRequest::StreamInfo { stream: "S".into() };
        until(&stage.shell, &info, |reply| {
            matches!(reply, Outcome::Done(_))
        })
        .await;
        for request in one_of_each() {
            stage.both(table, request).await;
        }
        // One is there when it is killed, and not afterwards.
        let consumer = one_of_each().into_iter().filter(is_of_a_consumer);
        let [open, fetch, _] = consumer.collect::<Vec<_>>().try_into().expect("three");
        stage.both(table, open).await;
        stage.both(table, fetch.clone()).await;
        stage.server().kill().expect("it is killed");
        stage.server().restart().expect("it restarts");
        stage.model.forget_consumers();
        until(&stage.shell, &info, |reply| {
            matches!(reply, Outcome::Done(_))
        })
        .await;
        let reply = stage.both(table, fetch).await;
        assert_eq!(reply, Outcome::Refused(Refused::NoConsumer));
    }
}

/// A store that is restored from a backup has lost its tail: sequences are given again, and a
/// writer that was acknowledged is told of an end below what it expects (S13).
async fn restored(seed: u64, table: &mut Table) {
    let mut stage = Stage::plain("restored store").await;
    stage.store(10).await;
    stage.server().stop().expect("it stops");
    let backup = stage.server().folder("backup").expect("a folder");
    stage.server().save_store(&backup).expect("it is saved");
    stage.server().restart().expect("it restarts");
    let info = StoreRequest::StreamInfo { stream: "S".into() };
    let done = |reply: &StoreReply| matches!(reply, Outcome::Done(_));
    until(&stage.shell, &info, done).await;
    stage.store(7).await;
    stage.server().stop().expect("it stops");
    stage
        .server()
        .restore_store(&backup)
        .expect("it is restored");
    stage.server().restart().expect("it restarts");
    until(&stage.shell, &info, done).await;
    stage.model.lose_tail("S", Sequence(10));
    let last = StoreRequest::Publish(Publish {
        expect: Expect::OwnLast(Sequence(17)),
        ..message("S", "s.0")
    });
    let reply = stage.both(table, last.clone()).await;
    assert_eq!(
        Class::of(&last, &reply).1,
        Answer::Refused(RefusedClass::WrongLastBehind)
    );
    let mut random = Random::new(seed);
    for _ in 0..60 {
        let requests = one_of_each().into_iter();
        let requests: Vec<_> = requests.filter(|it| !is_of_a_consumer(it)).collect();
        let request = random.pick(&requests).clone();
        stage.both(table, request).await;
    }
    let reply = stage
        .both(table, StoreRequest::Publish(message("S", "s.0")))
        .await;
    let Outcome::Done(StoreDone::Published(ack)) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(ack.sequence, Sequence(stage.model.last("S").0));
}

/// The server is gone: nothing is handed over.
async fn gone(table: &mut Table) {
    let stage = Stage::plain("server gone").await;
    stage.server().kill().expect("it is killed");
    let not_connected =
        |_: &StoreRequest, reply: &StoreReply| *reply == Outcome::Refused(Refused::NotConnected);
    stage.all_become(table, not_connected).await;
    let request = StoreRequest::Capabilities;
    let reply = stage.shell.store(request.clone()).await;
    assert_eq!(reply, Outcome::Refused(Refused::NotConnected));
    table.around(stage.name, Class::of(&request, &reply));
}
