//! Every request, and what a server does about it.

use crate::scene::{Asks, Scene, acknowledged, events, message, refused, texts};
use tenure_core::driver::Shell;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    Ack, Expect, Fence, Page, Persist, Proof, Publish, Refused, Republish, Rollup, Source,
    StoreDone, StoreReply, StoreRequest, Subject,
};
use tenure_core::step::Outcome;

fn own_last(message: Publish, last: u64) -> Publish {
    Publish {
        expect: Expect::OwnLast(Sequence(last)),
        ..message
    }
}

fn batch(id: u128, messages: Vec<Publish>) -> StoreRequest {
    StoreRequest::Batch {
        id: BatchId(id),
        messages,
    }
}

fn latest(subjects: &[&str]) -> StoreRequest {
    let subjects = subjects.iter().map(|subject| (*subject).into()).collect();
    StoreRequest::Latest {
        stream: "S".into(),
        subjects,
    }
}

fn scan(filter: &str, from: u64, messages_max: u32) -> StoreRequest {
    let from = Sequence(from);
    StoreRequest::Scan {
        stream: "S".into(),
        filter: filter.into(),
        from,
        messages_max,
    }
}

fn proof(reply: StoreReply) -> Proof {
    match reply {
        Outcome::Done(StoreDone::Latest(proof)) => proof,
        other => panic!("no proof: {other:?}"),
    }
}

fn page(reply: StoreReply) -> Page {
    match reply {
        Outcome::Done(StoreDone::Page(page)) => page,
        other => panic!("no page: {other:?}"),
    }
}

#[tokio::test]
async fn a_publish_is_stored_under_its_expectations() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let one = shell.published(own_last(message("s.a", "one"), 0)).await;
    let two = shell
        .published(own_last(message("s.a", "two"), one.0))
        .await;
    assert!(two > one);

    let stale = shell.publish(own_last(message("s.a", "late"), one.0)).await;
    assert_eq!(refused(stale), Refused::WrongLast { actual: Some(two) });

    let fence = |last| {
        Expect::Fence(Fence {
            subject: "s.a".into(),
            sequence: last,
        })
    };
    let fenced = Publish {
        expect: fence(two),
        ..message("s.b", "fenced")
    };
    let three = shell.published(fenced).await;
    let stale = Publish {
        expect: fence(one),
        ..message("s.b", "zombie")
    };
    let stale = refused(shell.publish(stale).await);
    assert_eq!(stale, Refused::WrongLast { actual: Some(two) });

    let last = Publish {
        expect: Expect::StreamLast(three),
        ..message("s.c", "last")
    };
    shell.published(last).await;
}

#[tokio::test]
async fn a_dedup_id_is_answered_with_the_older_message() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let once = || Publish {
        dedup: Some("d1".into()),
        ..message("s.a", "once")
    };
    let sequence = shell.published(once()).await;
    let again = shell.publish(once()).await;
    let duplicate = Ack {
        sequence,
        duplicate: true,
    };
    assert_eq!(again, Outcome::Done(StoreDone::Published(duplicate)));
}

#[tokio::test]
async fn a_rollup_replaces_its_subject() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    shell.published(message("s.a", "one")).await;
    shell.published(message("s.b", "other")).await;
    let rollup = Publish {
        rollup: Rollup::Subject,
        ..message("s.a", "all")
    };
    shell.published(rollup).await;
    let page = page(shell.ask(scan("s.>", 1, 10)).await);
    assert_eq!(
        texts(&page.messages),
        [("s.b", 2, "other"), ("s.a", 3, "all")]
    );
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let good = vec![
        own_last(message("s.a", "1"), 0),
        own_last(message("s.b", "2"), 0),
        own_last(message("s.c", "3"), 0),
    ];
    assert_eq!(acknowledged(shell.ask(batch(1, good)).await), Sequence(3));
    let alone = vec![own_last(message("s.d", "4"), 0)];
    assert_eq!(acknowledged(shell.ask(batch(2, alone)).await), Sequence(4));

    let bad = vec![
        own_last(message("s.a", "5"), 1),
        own_last(message("s.b", "6"), 0),
    ];
    let bad = refused(shell.ask(batch(3, bad)).await);
    assert!(matches!(bad, Refused::WrongLast { .. }), "{bad:?}");
    let page = page(shell.ask(scan("s.>", 1, 10)).await);
    assert_eq!(page.messages.len(), 4);

    let twice = vec![
        own_last(message("s.a", "7"), 1),
        own_last(message("s.a", "8"), 1),
    ];
    assert_eq!(
        refused(shell.ask(batch(4, twice)).await),
        Refused::InProcess
    );
}

#[tokio::test]
async fn a_batch_that_no_stream_takes_is_refused_as_that() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    shell
        .created(tenure_core::port::StreamSettings {
            allow_atomic: false,
            ..events("S", "s.>")
        })
        .await;
    let messages = || vec![message("s.a", "1"), message("s.b", "2")];
    assert_eq!(
        refused(shell.ask(batch(1, messages())).await),
        Refused::BatchDisabled
    );
    let elsewhere = vec![message("t.a", "1"), message("t.b", "2")];
    assert_eq!(
        refused(shell.ask(batch(2, elsewhere)).await),
        Refused::NoResponders
    );
    let empty = refused(shell.ask(batch(3, Vec::new())).await);
    assert!(matches!(empty, Refused::BadRequest(_)), "{empty:?}");
}

#[tokio::test]
async fn the_latest_messages_come_with_their_proof() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let nothing = refused(shell.ask(latest(&["s.a", "s.b"])).await);
    assert_eq!(nothing, Refused::NotFound);
    for (subject, body) in [("s.b", "b1"), ("s.a", "a1"), ("s.b", "b2"), ("s.z", "z")] {
        shell.published(message(subject, body)).await;
    }
    let found = proof(shell.ask(latest(&["s.b", "s.a", "s.c"])).await);
    assert_eq!(texts(&found.messages), [("s.a", 2, "a1"), ("s.b", 3, "b2")]);
    assert_eq!(found.up_to, Sequence(4));
    let stored = found.messages[0].stored;
    assert!(stored.0.abs_diff(shell.wall().0) < 60_000, "{stored:?}");
    assert_eq!(
        refused(
            shell
                .ask(StoreRequest::Latest {
                    stream: "No".into(),
                    subjects: vec!["s.a".into()]
                })
                .await
        ),
        Refused::NoResponders
    );
}

#[tokio::test]
async fn a_thousand_subjects_are_read_at_once() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let subjects: Vec<Subject> = (0..1_000).map(|n| format!("s.{n}").into()).collect();
    let writes = subjects
        .iter()
        .map(|subject| message(subject, "x"))
        .collect();
    assert_eq!(
        acknowledged(shell.ask(batch(1, writes)).await),
        Sequence(1_000)
    );
    let all = StoreRequest::Latest {
        stream: "S".into(),
        subjects: subjects.clone(),
    };
    let found = proof(shell.ask(all).await);
    assert!(
        found
            .messages
            .iter()
            .map(|message| &message.subject)
            .eq(&subjects)
    );
    let more = subjects.into_iter().chain(["s.more".into()]).collect();
    let more = StoreRequest::Latest {
        stream: "S".into(),
        subjects: more,
    };
    assert!(matches!(
        refused(shell.ask(more).await),
        Refused::BadRequest(_)
    ));
}

#[tokio::test]
async fn one_message_is_read_from_a_replica_and_from_the_leader() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    shell.published(own_last(message("s.a", "body"), 0)).await;
    let replica = shell.get(1, Source::Replica).await;
    let Outcome::Done(StoreDone::Message(found)) = &replica else {
        panic!("{replica:?}")
    };
    assert_eq!(texts(std::slice::from_ref(found)), [("s.a", 1, "body")]);
    assert!(!found.expired_marker);
    assert_eq!(shell.get(1, Source::Leader).await, replica);
    for source in [Source::Replica, Source::Leader] {
        assert_eq!(refused(shell.get(2, source).await), Refused::NotFound);
    }
    let nowhere = |source| StoreRequest::Get {
        stream: "No".into(),
        sequence: Sequence(1),
        source,
    };
    let reply = shell.ask(nowhere(Source::Replica)).await;
    assert_eq!(refused(reply), Refused::NoResponders);
    assert_eq!(
        refused(shell.ask(nowhere(Source::Leader)).await),
        Refused::NoStream
    );
}

#[tokio::test]
async fn a_scan_pages_through_a_filter() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    for n in 0..5 {
        let subject = if n % 2 == 0 { "s.even" } else { "s.odd" };
        shell.published(message(subject, "x")).await;
    }
    let first = page(shell.ask(scan("s.even", 1, 2)).await);
    assert!(first.more);
    let sequences: Vec<u64> = first.messages.iter().map(|m| m.sequence.0).collect();
    assert_eq!(sequences, [1, 3]);
    let rest = page(shell.ask(scan("s.even", 4, 2)).await);
    assert_eq!((rest.messages.len(), rest.more), (1, false));
    let none = page(shell.ask(scan("s.none", 1, 2)).await);
    assert_eq!((none.messages.len(), none.more), (0, false));
    let beyond = page(shell.ask(scan("s.>", 100, 2)).await);
    assert_eq!((beyond.messages.len(), beyond.more), (0, false));
}

#[tokio::test]
async fn a_stream_is_created_once_and_told_in_full() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    let wanted = events("S", "s.>");
    let created = shell.created(wanted.clone()).await;
    assert_eq!(*created.settings, wanted);
    assert!(created.created > WallTime(1_700_000_000_000));
    assert_eq!(
        (created.first, created.last, created.messages),
        (Sequence(0), Sequence(0), 0)
    );
    shell.published(message("s.a", "x")).await;
    let again = shell.created(wanted.clone()).await;
    assert_eq!(
        (again.last, again.messages, again.created),
        (Sequence(1), 1, created.created)
    );

    let info = shell
        .ask(StoreRequest::StreamInfo { stream: "S".into() })
        .await;
    assert_eq!(info, Outcome::Done(StoreDone::Stream(again)));

    let mut other = wanted;
    other.age_max_ns = 3_600_000_000_000;
    let other = refused(shell.ask(StoreRequest::CreateStream(other)).await);
    assert_eq!(other, Refused::StreamExists);
    let overlap = StoreRequest::CreateStream(events("T", "s.a"));
    assert_eq!(refused(shell.ask(overlap).await), Refused::SubjectOverlap);
    let none = StoreRequest::StreamInfo {
        stream: "No".into(),
    };
    assert_eq!(refused(shell.ask(none).await), Refused::NoStream);
    for name in ["", "a.b", "a b", "a>", "*"] {
        let bad = StoreRequest::StreamInfo {
            stream: name.into(),
        };
        let bad = refused(shell.ask(bad).await);
        assert!(matches!(bad, Refused::BadRequest(_)), "{name:?}: {bad:?}");
    }
}

#[tokio::test]
async fn every_setting_survives_the_way_there_and_back() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    let mut odd = events("Odd", "odd.>");
    odd.retention = tenure_core::port::Retention::Interest;
    odd.discard = tenure_core::port::Discard::Old;
    odd.age_max_ns = 3_600_000_000_000;
    odd.messages_max = 10;
    odd.messages_per_subject_max = 1;
    odd.bytes_max = 1_000_000;
    odd.message_bytes_max = 1_000;
    odd.deny_delete = false;
    odd.allow_ttl = true;
    odd.marker_ttl_s = 2;
    odd.allow_direct = false;
    odd.allow_atomic = false;
    odd.persist = Persist::Async;
    odd.dedup_window_ns = 1_000_000_000;
    odd.republish = Some(Republish {
        source: "odd.>".into(),
        destination: "told.>".into(),
    });
    assert_eq!(*shell.created(odd.clone()).await.settings, odd);

    let mut memory = events("Memory", "mem.>");
    memory.storage = tenure_core::port::Storage::Memory;
    memory.retention = tenure_core::port::Retention::WorkQueue;
    memory.allow_rollup = false;
    memory.deny_purge = true;
    assert_eq!(*shell.created(memory.clone()).await.settings, memory);
}

#[tokio::test]
async fn settings_of_others_are_named() {
    let Scene { shell, server } = Scene::start().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let create = |name: &'static str, more: &'static str| {
        let client = client.clone();
        async move {
            let body =
                format!("{{\"name\":\"{name}\",\"num_replicas\":1,\"storage\":\"file\",{more}}}");
            let subject = format!("$JS.API.STREAM.CREATE.{name}");
            let answer = client.request(subject, body.into()).await.unwrap();
            let text = String::from_utf8_lossy(&answer.payload).into_owned();
            assert!(!text.contains("\"error\""), "{text}");
        }
    };
    create("SOURCE", r#""subjects":["src.>"]"#).await;
    let cases = [
        ("MIRROR", r#""mirror":{"name":"SOURCE"}"#, "mirror"),
        ("SOURCES", r#""sources":[{"name":"SOURCE"}]"#, "sources"),
        (
            "TRANSFORM",
            r#""subjects":["tr.>"],"subject_transform":{"src":"tr.>","dest":"to.>"}"#,
            "subject_transform",
        ),
        ("NOACK", r#""subjects":["na.>"],"no_ack":true"#, "no_ack"),
        (
            "COUNTER",
            r#""subjects":["co.>"],"allow_msg_counter":true"#,
            "allow_msg_counter",
        ),
        (
            "SCHEDULES",
            r#""subjects":["sc.>"],"allow_msg_schedules":true,"allow_rollup_hdrs":true,"allow_msg_ttl":true"#,
            "allow_msg_schedules",
        ),
        (
            "FIRST",
            r#""subjects":["fi.>"],"first_seq":100"#,
            "first_seq",
        ),
        (
            "HEADERS",
            r#""subjects":["he.>"],"republish":{"src":"he.>","dest":"xx.>","headers_only":true}"#,
            "republish.headers_only",
        ),
    ];
    for (name, more, setting) in cases {
        create(name, more).await;
        let info = shell
            .ask(StoreRequest::StreamInfo {
                stream: name.into(),
            })
            .await;
        let Outcome::Done(StoreDone::Stream(info)) = info else {
            panic!("{name}: {info:?}")
        };
        assert_eq!(info.settings.foreign, [setting], "{name}");
    }
    let foreign = tenure_core::port::StreamSettings {
        foreign: vec!["mirror".into()],
        ..events("Mine", "mine.>")
    };
    let foreign = refused(shell.ask(StoreRequest::CreateStream(foreign)).await);
    assert!(matches!(foreign, Refused::BadRequest(_)), "{foreign:?}");
}

#[tokio::test]
async fn an_expired_message_leaves_a_marker() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    let mut bucket = events("S", "s.>");
    bucket.allow_ttl = true;
    bucket.marker_ttl_s = 60;
    bucket.deny_delete = false;
    bucket.messages_per_subject_max = 1;
    shell.created(bucket).await;
    let short = Publish {
        ttl_s: Some(1),
        ..message("s.beat", "alive")
    };
    shell.published(short).await;
    let marker = crate::scene::within("the marker", async {
        loop {
            let found = proof(shell.ask(latest(&["s.beat"])).await)
                .messages
                .remove(0);
            if found.expired_marker {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(marker.sequence, Sequence(2));
    let leader = shell.get(2, Source::Leader).await;
    assert_eq!(leader, Outcome::Done(StoreDone::Message(marker)));
    let zero = Publish {
        ttl_s: Some(0),
        ..message("s.beat", "x")
    };
    assert_eq!(refused(shell.publish(zero).await), Refused::TtlInvalid);
}

#[tokio::test]
async fn the_capabilities_are_the_servers() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    let reply = shell.ask(StoreRequest::Capabilities).await;
    let Outcome::Done(StoreDone::Capabilities(found)) = reply else {
        panic!("{reply:?}")
    };
    assert!(found.version.supported() && found.jetstream && !found.clustered);
    assert_eq!(found.payload_bytes_max, 1_048_576);
}
