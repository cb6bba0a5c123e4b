//! Defects that event stores have had, each a test that fails on it.

use crate::counter::{
    Counted, Counter, Increment, count_and_version, counters_of, incremented, one,
};
use crate::world::{World, until, within};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tenure::{
    AppendError, Decision, ExecuteError, LoadError, Log, Namespace, RawEvent, Repository, Version,
};
use tenure_nats_server::NatsServer;

on_both_shells![
    defect_01_multi_event_commits_are_atomic_under_concurrency,
    defect_01_multi_event_commands_are_atomic_under_concurrency,
    defect_02_a_writer_that_gives_up_leaves_all_or_nothing,
    defect_04_a_failed_transaction_leaves_nothing_for_the_next,
    defect_04_a_rejection_leaves_nothing_for_its_neighbours_in_a_commit,
    defect_04_a_commit_that_was_not_stored_leaves_nothing_for_the_next,
    defect_05_after_a_conflict_the_next_command_succeeds,
    defect_12_any_id_is_stored_loaded_and_seen_by_every_filter,
    defect_14_versions_must_rise,
    defect_14_a_commit_of_another_entity_is_not_folded,
    defect_16_a_type_that_is_renamed_or_moved_writes_and_reads_the_same_events,
    defect_36_a_long_history_is_read_in_bounded_pages,
];

async fn defect_01_multi_event_commits_are_atomic_under_concurrency(world: &World) {
    let one = world.node().await.log("counter").await.unwrap();
    let two = world.node().await.log("counter").await.unwrap();
    let events = |count| (0..count).map(move |_| incremented(count));
    for round in 0..20 {
        let id = format!("e{round}");
        let (three, five) = tokio::join!(
            one.append(&id, events(3)).expected_none().into_future(),
            two.append(&id, events(5)).expected_none().into_future(),
        );
        let stored = match (three, five) {
            (Ok(three), Err(AppendError::Conflict { actual, .. })) => {
                assert_eq!(actual, three.version);
                3
            }
            (Err(AppendError::Conflict { actual, .. }), Ok(five)) => {
                assert_eq!(actual, five.version);
                5
            }
            both => panic!("one is first: {both:?}"),
        };
        // Nobody is locked out, and the loser left no event.
        let fresh = counters_of::<0>(&world.node().await).await;
        let loaded = count_and_version(&fresh, &id).await;
        assert_eq!(loaded, (stored * stored, stored));
        one.append(&id, events(1)).await.unwrap();
        two.append(&id, events(1)).await.unwrap();
        assert_eq!(fresh.version(&id).await.unwrap(), Version(stored + 2));
    }
}

async fn defect_01_multi_event_commands_are_atomic_under_concurrency(world: &World) {
    let mut writers = Vec::new();
    for _ in 0..3 {
        writers.push(counters_of::<0>(&world.node().await).await);
    }
    let commands = writers.iter().enumerate().flat_map(|(n, writer)| {
        (0..10).map(move |_| {
            let by = 2 + n as u64;
            async move { writer.execute("a", Increment { by }).receipt().await }
        })
    });
    let receipts = join_all(commands).await;
    let mut receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
    receipts.sort_by_key(|receipt| receipt.version);
    let fresh = counters_of::<0>(&world.node().await).await;
    let past = fresh.history("a").unwrap().collect().await.unwrap();
    let mut events = past.iter();
    let mut before = 0;
    for receipt in receipts {
        // Its events, all of them, next to each other, and its reply is of the state before.
        let own: Vec<_> = events
            .by_ref()
            .take((receipt.version.0 - before) as usize)
            .collect();
        assert!(own.iter().all(|past| past.command == Some(receipt.id)));
        assert!(
            own.iter()
                .all(|past| Some(past.sequence) == receipt.sequence)
        );
        assert_eq!(receipt.reply, receipt.version.0);
        before = receipt.version.0;
    }
    assert_eq!(before, 10 * (2 + 3 + 4));
    assert!(events.next().is_none());
}

async fn defect_02_a_writer_that_gives_up_leaves_all_or_nothing(world: &World) {
    let writer = world.node().await;
    let log = writer.log("counter").await.unwrap();
    let appends: Vec<_> = (0..60_u64)
        .map(|n| {
            // Some are dropped at once, some when they are under way, some give up by themselves.
            let append = fifty(&log, &format!("e{n}")).timeout(Duration::from_micros(n * 100));
            tokio::spawn(append.into_future())
        })
        .collect();
    for (n, append) in appends.into_iter().enumerate() {
        if n % 2 == 0 {
            append.abort();
        }
        let result = append.await;
        if let Ok(Err(error)) = result {
            let told = matches!(
                error,
                AppendError::Execute(ExecuteError::Deadline | ExecuteError::Unknown { .. })
            );
            assert!(told, "{error:?}");
        }
        tokio::task::yield_now().await;
    }
    // What was unknown is decided when the writer is gone.
    within("the end of the writer", writer.stop()).await;
    let reader = world.node().await.log("counter").await.unwrap();
    for n in 0..60 {
        whole_or_absent(&reader, &format!("e{n}")).await;
    }
}

/// The writer dies with its server, which comes back: a store in memory dies with its writer.
#[tokio::test]
async fn defect_02_a_writer_that_dies_with_its_server_leaves_all_or_nothing() {
    let world = World::alone(NatsServer::builder());
    let node = world.builder().stop_timeout(Duration::ZERO);
    let writer = world.start(node).await.unwrap();
    let log = writer.log("counter").await.unwrap();
    // Each appends until it cannot, so that fifty appends are under way at any time.
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut told = Vec::new();
                loop {
                    let id = format!("e{n}-{}", told.len());
                    let result = fifty(&log, &id).await;
                    let over = result.is_err();
                    told.push((id, result));
                    if over {
                        return told;
                    }
                }
            })
        })
        .collect();
    until("some are acknowledged", || async {
        writer.counters().await.answers >= 20
    })
    .await;
    world.server().kill().unwrap();
    within("the end of the writer", writer.stop()).await;
    world.server().restart().unwrap();
    let reader = world.node().await.log("counter").await.unwrap();
    let mut acknowledged = 0;
    for writer in writers {
        for (id, told) in within("the answers", writer).await.unwrap() {
            let whole = whole_or_absent(&reader, &id).await;
            match told {
                Ok(appended) => {
                    assert_eq!(appended.version, Version(50));
                    assert!(whole, "{id} is acknowledged and absent");
                    acknowledged += 1;
                }
                Err(error) if error.is_unknown() => {}
                Err(AppendError::Execute(ExecuteError::Stopped)) => assert!(!whole, "{id}"),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(acknowledged >= 20, "{acknowledged}");
}

fn fifty(log: &Log, id: &str) -> tenure::Append {
    log.append(id, (1..=50).map(incremented))
}

/// Whether all fifty events are there; nothing between is right.
async fn whole_or_absent(log: &Log, id: &str) -> bool {
    let past = log.history(id).unwrap().collect().await.unwrap();
    let version = log.version(id).await.unwrap();
    assert_eq!(version.0, past.len() as u64, "{id}");
    match past.len() {
        0 => false,
        50 => {
            let expected: Vec<RawEvent> = (1..=50).map(incremented).collect();
            let stored = past.iter().map(|past| &past.event.data);
            assert!(stored.eq(expected.iter().map(|event| &event.data)), "{id}");
            true
        }
        part => panic!("{id} has {part} of 50 events"),
    }
}

async fn defect_04_a_failed_transaction_leaves_nothing_for_the_next(world: &World) {
    let repository = counters_of::<0>(&world.node().await).await;
    repository.create("a", one()).await.unwrap();
    let before = world.extents().await;
    // It made its events, and then said no.
    let failed = repository.transact("a", |counter: &Counter| {
        let event = Counted::Incremented { by: 100 };
        let mut mine = counter.clone();
        mine.count += 100;
        let decision: Decision<Counter, u64> = Decision::event(event).reply(mine.count);
        if mine.count == 101 {
            Err("no")
        } else {
            Ok(decision)
        }
    });
    assert!(matches!(failed.await, Err(ExecuteError::Rejected("no"))));
    let panicked = repository.transact("a", |counter: &Counter| {
        assert_eq!(counter.count, 0, "the count is not");
        Ok::<_, Infallible>(Decision::event(Counted::Incremented { by: 100 }))
    });
    let panicked = panicked.await;
    assert!(matches!(&panicked, Err(ExecuteError::Failed(cause)) if cause.contains("panicked")));
    assert_eq!(world.extents().await, before);
    assert_eq!(repository.execute("a", one()).await.unwrap(), 2);
    let past = repository.history("a").unwrap().collect().await.unwrap();
    let stored: Vec<_> = past.into_iter().map(|past| past.event).collect();
    assert_eq!(stored, [1, 1].map(|by| Counted::Incremented { by }));
}

async fn defect_04_a_rejection_leaves_nothing_for_its_neighbours_in_a_commit(world: &World) {
    let repository = counters_of::<0>(&world.node().await).await;
    // What queues behind the first command becomes one commit.
    let commands = (0..40_u64).map(|n| {
        let by = n % 2;
        repository.execute("a", Increment { by }).into_future()
    });
    let results = join_all(commands).await;
    for (n, result) in results.iter().enumerate() {
        match result {
            Ok(_) => assert_eq!(n % 2, 1),
            Err(ExecuteError::Rejected(_)) => assert_eq!(n % 2, 0),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(count_and_version(&repository, "a").await, (20, 20));
    let fresh = counters_of::<0>(&world.node().await).await;
    assert_eq!(count_and_version(&fresh, "a").await, (20, 20));
}

async fn defect_04_a_commit_that_was_not_stored_leaves_nothing_for_the_next(world: &World) {
    let small = world.with_max_payload(65_536);
    let repository = counters_of::<0>(&small.node().await).await;
    repository.create("a", one()).await.unwrap();
    let before = small.extents().await;
    // Its events are made and folded; the commit of them all is more than the server takes.
    let failed = repository.execute("a", Increment { by: 5_000 }).await;
    assert!(
        matches!(failed, Err(ExecuteError::TooLarge { .. })),
        "{failed:?}"
    );
    assert_eq!(small.extents().await, before);
    assert_eq!(count_and_version(&repository, "a").await, (1, 1));
    assert_eq!(repository.execute("a", one()).await.unwrap(), 2);
    assert_eq!(count_and_version(&repository, "a").await, (2, 2));
}

async fn defect_05_after_a_conflict_the_next_command_succeeds(world: &World) {
    let here = counters_of::<0>(&world.node().await).await;
    let there = counters_of::<0>(&world.node().await).await;
    here.create("a", one()).await.unwrap();
    for round in 0..3 {
        let stale = here.load("a").await.unwrap().version;
        there.execute("a", one()).await.unwrap();
        let conflict = here.execute("a", one()).expected(stale).await;
        let Err(ExecuteError::Conflict {
            expected, actual, ..
        }) = conflict
        else {
            panic!("{conflict:?}");
        };
        assert_eq!((expected, actual), (stale, Version(stale.0 + 1)));
        // At the version that the error told, and again without one.
        let next = here.execute("a", one()).expected(actual).await.unwrap();
        assert_eq!(next, 3 * round + 3);
        assert_eq!(here.execute("a", one()).await.unwrap(), next + 1);
    }
}

async fn defect_12_any_id_is_stored_loaded_and_seen_by_every_filter(world: &World) {
    let longest = "\u{1f980}".repeat(256);
    let plain = "x".repeat(1_024);
    let ids = [
        "user.1",
        "user-1",
        "user_1",
        "user 1",
        "user%201",
        "user=201",
        ".",
        "..",
        "*",
        ">",
        "a.*.>",
        "$JS.API.>",
        "\u{1f980}",
        "\u{e9}",
        "e\u{301}",
        "\u{0}",
        "\r\n",
        "\t",
        "/",
        ":",
        "~",
        &plain,
        &longest,
    ];
    let writer = counters_of::<0>(&world.node().await).await;
    for (n, id) in ids.iter().enumerate() {
        let by = 1 + n as u64;
        assert_eq!(writer.create(id, Increment { by }).await.unwrap(), by);
    }
    let reader = counters_of::<0>(&world.node().await).await;
    for (n, id) in ids.iter().enumerate() {
        let by = 1 + n as u64;
        assert_eq!(count_and_version(&reader, id).await, (by, by), "{id:?}");
        let past = reader.history(id).unwrap().collect().await.unwrap();
        assert_eq!(past.len() as u64, by, "{id:?}");
        assert_eq!(writer.execute(id, one()).await.unwrap(), by + 1, "{id:?}");
    }
    let stored = world.commits("counter").await;
    assert_eq!(stored.len(), 2 * ids.len());
    let namespace = Namespace::new(&world.namespace).unwrap();
    let seen: BTreeSet<String> = stored
        .iter()
        .map(|message| namespace.parse_event_subject(&message.subject).unwrap())
        .map(|subject| subject.id.as_str().to_owned())
        .collect();
    assert_eq!(seen, ids.map(str::to_owned).into());
}

async fn defect_14_versions_must_rise(world: &World) {
    let log = world.node().await.log("counter").await.unwrap();
    let at = |version| incremented(1).at(Version(version));
    log.append("a", [at(3), at(5)]).await.unwrap();
    let before = world.extents().await;
    for (events, last, given) in [
        (vec![at(5)], 5, 5),
        (vec![at(2)], 5, 2),
        (vec![at(7), at(7)], 7, 7),
        (vec![at(9), incremented(1), at(10)], 10, 10),
        (vec![at(6), at(0)], 6, 0),
    ] {
        let refused = log.append("a", events).await;
        let Err(AppendError::VersionNotRising {
            last: Version(l),
            given: Version(g),
            ..
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((l, g), (last, given));
    }
    assert_eq!(world.extents().await, before);
    assert_eq!(log.append("a", [at(6)]).await.unwrap().version, Version(6));
}

async fn defect_14_a_commit_of_another_entity_is_not_folded(world: &World) {
    let one_shard = world.builder().shards(1);
    let tenure = world.start(one_shard).await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    counters.create("a", one()).await.unwrap();
    let stored = world.commits("counter").await.remove(0);
    // Somebody copies a's commit to where b's would be.
    let subject = stored.subject.strip_suffix(".a").unwrap();
    let subject = format!("{subject}.b");
    world.publish("ev_0", &subject, &stored.payload).await;
    let before = world.extents().await;
    let loaded = counters.load("b").await;
    assert!(matches!(loaded, Err(LoadError::Damaged(_))), "{loaded:?}");
    let history = counters.history("b").unwrap().collect().await;
    assert!(matches!(history, Err(LoadError::Damaged(_))), "{history:?}");
    let executed = counters.execute("b", one()).await;
    assert!(
        matches!(executed, Err(ExecuteError::Damaged(_))),
        "{executed:?}"
    );
    assert_eq!(world.extents().await, before);
    assert_eq!(count_and_version(&counters, "a").await, (1, 1));
}

/// The counter as another module of another program has it: nothing is called the same, but for what
/// is stored.
mod moved {
    use tenure::prelude::*;

    #[derive(Clone, Debug, Default)]
    pub(super) struct Tally {
        pub(super) sum: u64,
    }

    #[derive(Debug, Event)]
    pub(super) enum Happened {
        #[event(name = "incremented", version = 1)]
        WentUp {
            #[serde(rename = "by")]
            steps: u64,
        },
    }

    impl Aggregate for Tally {
        type Event = Happened;
        const KIND: &'static str = "counter";

        fn evolve(&mut self, event: &Happened) {
            let Happened::WentUp { steps } = event;
            self.sum += steps;
        }
    }
}

async fn defect_16_a_type_that_is_renamed_or_moved_writes_and_reads_the_same_events(world: &World) {
    let counters = counters_of::<0>(&world.node().await).await;
    let tallies: Repository<moved::Tally> = world.node().await.repository().await.unwrap();
    for round in 1..=3 {
        assert_eq!(counters.execute("a", one()).await.unwrap(), 2 * round - 1);
        let transaction = tallies.transact("a", |tally| {
            let event = moved::Happened::WentUp { steps: 1 };
            Ok::<_, Infallible>(Decision::event(event).reply(tally.sum))
        });
        assert_eq!(transaction.await.unwrap(), 2 * round - 1);
    }
    assert_eq!(count_and_version(&counters, "a").await, (6, 6));
    let log = world.node().await.log("counter").await.unwrap();
    let stored = log.history("a").unwrap().collect().await.unwrap();
    let one = incremented(1);
    for past in stored {
        let event = (past.event.name, past.event.schema, past.event.data);
        assert_eq!(event, (one.name.clone(), one.schema, one.data.clone()));
    }
}

async fn defect_36_a_long_history_is_read_in_bounded_pages(world: &World) {
    const COMMITS: u64 = 500;
    const EVENTS: u64 = 20;
    let log = world.node().await.log("counter").await.unwrap();
    for _ in 0..COMMITS {
        let events = (0..EVENTS).map(|_| incremented(1));
        log.append("a", events).await.unwrap();
    }
    let reader = counters_of::<0>(&world.node().await).await;
    let mut watched = None;
    if world.on_nats() {
        let client = world.jetstream().await.client();
        watched = Some(client.subscribe("$JS.API.>").await.unwrap());
        client.flush().await.unwrap();
    }
    for backward in [false, true] {
        assert_eq!(pages(&reader, backward).await, COMMITS * EVENTS);
    }
    if let Some(mut watched) = watched {
        // The reader asked for messages, and for nothing that grows with the stream.
        let stream = format!("{}_ev_0", world.namespace);
        let mut gets = 0;
        watched.unsubscribe().await.unwrap();
        while let Some(request) = watched.next().await {
            let asked = request.subject.as_str();
            if asked.split('.').any(|token| token == stream) {
                assert!(asked.starts_with("$JS.API.DIRECT.GET."), "{asked}");
                gets += 1;
            }
        }
        assert!(gets >= 2 * COMMITS / 16, "{gets} requests were seen");
    }
}

/// Reads a whole history in pages of sixteen commits, and holds no more than one.
async fn pages(reader: &Repository<Counter>, backward: bool) -> u64 {
    let mut history = reader.history("a").unwrap().page(16);
    if backward {
        history = history.backward();
    }
    let mut seen = 0;
    while let Some(page) = history.next_page().await.unwrap() {
        assert!(page.len() <= 16 * 20, "{} events in a page", page.len());
        for past in page {
            seen += 1;
            let expected = if backward { 10_001 - seen } else { seen };
            assert_eq!(past.version, Version(expected));
        }
    }
    seen
}
