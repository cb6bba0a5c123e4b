//! The counter example as a program: asked over HTTP, measured, and asked to end.

#[path = "../common/mod.rs"]
mod common;
mod harness;
mod metrics;

use common::Program;
use common::http::ask;
use common::running::Running;
use harness::{Counter, PROGRAM, count, ids, until};
use rustix::process::Signal;
use std::sync::atomic::{AtomicU64, Ordering};
use tenure_nats_server::NatsServer;

/// What every place and kind has to do.
fn counts(arguments: &[&str]) {
    let counter = Counter::start(arguments);
    let ids = ids(8);
    counter.increment_all(&ids, 40);
    for id in &ids {
        assert_eq!(counter.count(id), 40, "{id} of {arguments:?}");
    }
    assert_eq!(count(&counter.increment("c-0", "{\"amount\":5}")), 45);
    assert_eq!(count(&counter.increment("c-0", "{}")), 46);
    assert_eq!(counter.count("never"), 0);

    for (body, told) in [
        ("{\"amount\":-1}", "amount"),
        ("{\"amount\":99999999999}", "too much"),
        ("not json", "leave it out"),
    ] {
        let answer = counter.increment("c-0", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.body.contains(told), "{body}: {answer:?}");
    }
    let long = "x".repeat(2_000);
    let answer = counter.increment(&long, "");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(ask("GET", &counter.at, "/counters", "").status, 404);
    assert_eq!(ask("DELETE", &counter.at, "/counter/c-0", "").status, 405);
    assert_eq!(counter.count("c-0"), 46);

    assert!(counter.metric("counter_http_requests_total") >= 336.0);
    assert!(counter.metric("counter_http_request_seconds_count") >= 336.0);
    assert!(counter.metric("tenure_served_total") >= 330.0);
    assert!(counter.metric("tenure_shards_owned") >= 8.0);
    let text = counter.metrics();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(name.ends_with('}') && name.contains('{'), "{line}");
    }
    let ended = counter.running.terminate();
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
}

#[test]
fn it_counts_in_memory() {
    counts(&["--nodes", "3", "--shards", "16"]);
}

#[test]
fn it_counts_by_events() {
    counts(&["--nodes", "3", "--shards", "16", "--kind", "entity"]);
}

#[test]
fn it_counts_on_a_server() {
    counts(&["--nodes", "3", "--shards", "16", "--shell", "nats"]);
}

#[test]
fn it_counts_by_events_on_a_server() {
    let entity = ["--shell", "nats", "--kind", "entity"];
    counts(&[&["--nodes", "3", "--shards", "16"], &entity[..]].concat());
}

#[test]
fn it_counts_in_processes_and_what_is_stored_stays() {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let cluster = [
        "--nodes",
        "3",
        "--shards",
        "16",
        "--processes",
        "--shell",
        "nats",
    ];
    let kept = ["--nats", &url, "--kind", "entity"];
    let ids = ids(6);
    for round in 1..=2 {
        let counter = Counter::start(&[&cluster[..], &kept].concat());
        counter.increment_all(&ids, 12);
        for id in &ids {
            assert_eq!(counter.count(id), 12 * round, "{id}");
        }
        let ended = counter.running.terminate();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for node in ["node-1", "node-2", "node-3"] {
            let told = format!("{node} has ended");
            assert!(ended.printed.contains(&told), "{ended:?}");
        }
        // They have left: nobody's lease has to be waited for.
    }
}

/// The README's permissions for nodes of a cluster are enough.
#[test]
fn the_permissions_in_the_readme_are_enough_for_a_cluster() {
    let readme = include_str!("../../../README.md");
    let permissions = readme
        .split("```conf\n")
        .nth(2)
        .expect("a second block of settings");
    let (permissions, _) = permissions.split_once("```").expect("its end");
    let server = NatsServer::builder()
        .config(permissions)
        .start()
        .expect("a nats-server");
    let url = server.url().replacen("nats://", "nats://bank:secret@", 1);
    let small = ["--nodes", "2", "--shards", "8", "--namespace", "bank"];
    for kind in ["memory", "entity"] {
        let place = ["--shell", "nats", "--nats", &url, "--kind", kind];
        counts(&[&small[..], &place].concat());
    }
}

#[test]
fn nodes_are_killed_and_join_at_will() {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let kept = [
        "--shards", "16", "--shell", "nats", "--nats", &url, "--kind", "entity",
    ];
    let mut counter = Counter::start(&[&["--nodes", "3", "--processes"], &kept[..]].concat());
    let ids = ids(16);
    counter.increment_all(&ids, 4);
    // As kill -9 does: the others take over what it owned.
    counter
        .running
        .signal_after("node-2 is process ", Signal::KILL);
    let join = ["--name", "node-4", "--http", "0", "--metrics", "0"];
    let mut joined = Running::start(PROGRAM, &[&join, &kept[..]].concat());
    let at = joined.line_after("serving on http://");
    for id in &ids {
        let mut unknown = 0;
        let path = format!("/counter/{id}/increment");
        // What is answered 503 was not done; what is answered 504 may have been.
        loop {
            let answer = ask("POST", &at, &path, "");
            match answer.status {
                200 => break,
                503 => assert!(answer.head.contains("retry-after: "), "{answer:?}"),
                504 => unknown += 1,
                _ => panic!("{answer:?}"),
            }
        }
        let count = counter.count_patiently(id);
        assert!((5..=5 + unknown).contains(&count), "{id} is at {count}");
    }
    // One that is asked to end hands over what it owns.
    let ended = joined.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    counter
        .running
        .signal_after("node-3 is process ", Signal::TERM);
    counter.running.line_after("node-3 has ended");
    for id in &ids {
        assert!(counter.count_patiently(id) >= 5, "{id}");
    }
    let ended = counter.running.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.errors.contains("node-2 has ended: signal: 9"),
        "{ended:?}"
    );
}

/// More asks of one counter at once than may wait for it: those too many are told so, with when to ask
/// again, and they alone were not done.
fn refuses_what_is_too_much(arguments: &[&str]) {
    let small = ["--nodes", "2", "--shards", "8", "--queue", "1"];
    let counter = Counter::start(&[&small, arguments].concat());
    let (done, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..3_000 {
                    if refused.load(Ordering::Relaxed) >= 10 {
                        break;
                    }
                    let answer = counter.increment("hot", "");
                    match answer.status {
                        200 => done.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
                            assert!(answer.body.contains("too many requests"), "{answer:?}");
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        _ => panic!("{answer:?}"),
                    };
                }
            });
        }
    });
    assert!(refused.into_inner() >= 10, "{arguments:?} refuse nobody");
    assert_eq!(counter.count_patiently("hot"), done.into_inner());
    let ended = counter.running.terminate();
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
}

#[test]
fn what_is_too_much_for_a_counter_in_memory_is_answered_503() {
    refuses_what_is_too_much(&[]);
}

#[test]
fn what_is_too_much_for_a_stored_counter_is_answered_503() {
    refuses_what_is_too_much(&["--shell", "nats", "--kind", "entity"]);
}

/// A process that was suspended for longer than its lease is taken over from, and joins again by
/// itself when it goes on.
#[test]
fn a_process_that_stood_still_joins_again() {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let kept = [
        "--shards", "16", "--shell", "nats", "--nats", &url, "--kind", "entity",
    ];
    let start = |name: &str| Counter::start(&[&["--name", name], &kept[..]].concat());
    let (first, second) = (start("node-1"), start("node-2"));
    let owns = |counter: &Counter| counter.metric("tenure_shards_owned") > 0.0;
    until("both own some", || owns(&first) && owns(&second));
    let ids = ids(16);
    first.increment_all(&ids, 4);
    second.running.signal(Signal::STOP);
    until("it is taken for over", || {
        first.metric("tenure_members") < 2.0 && first.metric("tenure_shards_owned") >= 16.0
    });
    for id in &ids {
        assert_eq!(first.count_patiently(id), 4, "{id}");
    }
    second.running.signal(Signal::CONT);
    until("it joins again, and owns some", || {
        second.metric("tenure_rejoins_total") >= 1.0 && owns(&second)
    });
    until("both see it", || first.metric("tenure_members") >= 2.0);
    for id in &ids {
        assert_eq!(second.count_patiently(id), 4, "{id}");
        let answer = second.increment(id, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(first.count_patiently(id), 5, "{id}");
    }
    for counter in [first, second] {
        let ended = counter.running.terminate();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn a_request_that_is_in_hand_when_it_ends_is_answered() {
    let counter = Counter::start(&["--nodes", "2", "--shards", "8"]);
    let at = counter.at.clone();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answered = 0_u64;
            // Until it listens no more: each that was taken in is answered.
            while let Ok(stream) = std::net::TcpStream::connect(&at) {
                drop(stream);
                let answer =
                    std::panic::catch_unwind(|| ask("POST", &at, "/counter/a/increment", ""));
                match answer {
                    Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
                    Err(_) => break,
                }
                answered += 1;
            }
            answered
        });
        while counter.count("a") < 20 {
            std::thread::yield_now();
        }
        let ended = counter.running.terminate();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(asking.join().expect("it asks") >= 20);
    });
}

#[test]
fn without_tenure_it_is_a_map_behind_http() {
    let counter = Counter::start(&["--bare"]);
    assert_eq!(count(&counter.increment("a", "")), 1);
    assert_eq!(counter.count("a"), 1);
    assert_eq!(counter.running.terminate().code, Some(0));
}

#[test]
fn wrong_arguments_are_told_with_the_remedy() {
    for (arguments, told) in [
        (&["--nodes", "0"][..], "--nodes 0"),
        (&["--nodes", "65"], "give 64 or fewer"),
        (&["--shards", "0"], "--shards 0"),
        (&["--nats", "nats://localhost"], "add --shell nats"),
        (&["--processes"], "add --shell nats"),
        (&["--name", "a"], "--nats URL"),
        (&["--http", "off"], "--http off"),
        (&["--http", "nowhere"], "give a port"),
        (&["--kind", "other"], "memory"),
        (&["--bare", "--nodes", "3"], "--bare"),
        (&["--namespace", "Not A Name"], "Not A Name"),
        (
            &["--shell", "nats", "--nats", "nats://127.0.0.1:1"],
            "no nats-server answers",
        ),
    ] {
        let errors = Program(PROGRAM).fails(arguments, 1);
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let errors = Program(PROGRAM).fails(&["--http", &port, "--metrics", "off"], 0);
    assert!(errors.contains("give --http another port"), "{errors}");
}
