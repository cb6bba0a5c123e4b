//! Histories: each filter is held against a naive one, over the whole log in memory.

use crate::world::World;
use std::collections::BTreeMap;
use tenure::prelude::*;
use tenure::{History, Log, Past, RawEvent, Sequence, WallTime};

on_both_shells![
    what_is_told_is_what_a_naive_filter_leaves,
    a_start_does_not_read_what_is_before_it,
    nothing_is_read_after_what_is_wanted,
    a_range_that_ends_before_it_begins_is_a_mistake,
    a_limit_is_kept_on_pages_of_any_size,
];

/// Numbers that a seed makes.
struct Draws(u64);

impl Draws {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64);
        &all[usize::try_from(index).unwrap()]
    }
}

const NAMES: [&str; 3] = ["ann", "bob", "carl"];

/// A log of commits of one event and of several, with gaps, metadata, and others' in between.
async fn drawn(tenure: &Tenure, log: &Log, entity: &str, draws: &mut Draws) {
    let mut version = 0;
    for _ in 0..40 {
        let mut events = Vec::new();
        for _ in 0..=draws.below(3) {
            version += 1 + draws.below(3) / 2;
            let event = RawEvent::new(*draws.of(&NAMES), 1, &b"\xa0"[..]);
            events.push(event.at(Version(version)));
        }
        let said = match draws.below(4) {
            0 => Metadata::new(),
            1 => Metadata::new().correlation(draws.of(&NAMES)),
            _ => {
                let said = Metadata::new().header("user", *draws.of(&NAMES));
                said.header("tenant", *draws.of(&NAMES))
            }
        };
        let id = tenure.command_id();
        log.append(entity, events)
            .id(id)
            .metadata(said)
            .await
            .unwrap();
        if draws.below(3) == 0 {
            log.append("b", [RawEvent::new("noise", 1, &b""[..])])
                .await
                .unwrap();
        }
    }
}

type Filter = Box<dyn Fn(&Past<RawEvent>) -> bool>;

/// A filter of a history, by its kind, and what it is in words.
type Filters = BTreeMap<u64, (Filter, String)>;

/// One more filter of a history, and the same by looking at each event. One that is given again
/// takes the place of the one before.
fn filtered(
    history: History<RawEvent>,
    all: &[Past<RawEvent>],
    draws: &mut Draws,
    filters: &mut Filters,
) -> History<RawEvent> {
    let some = draws.of(all).clone();
    let off = draws.below(3);
    let version = Version((some.version.0 + 1).saturating_sub(off));
    let sequence = Sequence((some.sequence.0 + 1).saturating_sub(off));
    let time = WallTime((some.stored.0 + 1).saturating_sub(off));
    let name = (*draws.of(&NAMES)).to_owned();
    let kind = draws.below(10);
    // Several headers are all required; one of each name is enough here.
    if kind == 9 && filters.contains_key(&kind) {
        return history;
    }
    let (history, filter, what): (_, Filter, _) = match kind {
        0 => (
            history.from_version(version),
            Box::new(move |past| past.version >= version),
            format!("from {version:?}"),
        ),
        1 => (
            history.to_version(version),
            Box::new(move |past| past.version <= version),
            format!("to {version:?}"),
        ),
        2 => (
            history.from_sequence(sequence),
            Box::new(move |past| past.sequence >= sequence),
            format!("from {sequence:?}"),
        ),
        3 => (
            history.to_sequence(sequence),
            Box::new(move |past| past.sequence <= sequence),
            format!("to {sequence:?}"),
        ),
        4 => (
            history.since(time),
            Box::new(move |past| past.stored >= time),
            format!("since {time:?}"),
        ),
        5 => (
            history.until(time),
            Box::new(move |past| past.stored <= time),
            format!("until {time:?}"),
        ),
        6 => (
            history.events([name.clone(), "nothing".to_owned()]),
            Box::new(move |past| past.event.name == name),
            "of a name".to_owned(),
        ),
        7 => {
            let id = some.command.unwrap();
            (
                history.command(id),
                Box::new(move |past| past.command == Some(id)),
                format!("of command {id}"),
            )
        }
        8 => {
            let id = some.correlation_id();
            (
                history.correlation(&id),
                Box::new(move |past| past.correlation_id() == id),
                "of a correlation".to_owned(),
            )
        }
        _ => (
            history.header("user", &name),
            Box::new(move |past| past.metadata().header_value("user") == Some(&name)),
            "of a user".to_owned(),
        ),
    };
    filters.insert(kind, (filter, what));
    history
}

async fn what_is_told_is_what_a_naive_filter_leaves(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("told").await.unwrap();
    for seed in 1..=4 {
        naively(&tenure, &log, seed).await;
    }
}

async fn naively(tenure: &Tenure, log: &Log, seed: u64) {
    let mut draws = Draws(seed);
    let entity = format!("a{seed}");
    drawn(tenure, log, &entity, &mut draws).await;
    let all = log.history(&entity).unwrap().collect().await.unwrap();
    assert!(all.len() > 40);
    let mut empty = 0;
    for round in 0..80 {
        let mut history = log.history(&entity).unwrap();
        let mut filters = Filters::new();
        for _ in 0..=draws.below(3) {
            history = filtered(history, &all, &mut draws, &mut filters);
        }
        let backward = draws.below(2) == 0;
        if backward {
            history = history.backward();
        }
        let page = *draws.of(&[1, 7, 64]);
        let what: Vec<_> = filters.values().map(|(_, what)| what.as_str()).collect();
        let context =
            format!("seed {seed}, round {round}: {what:?}, backward {backward}, pages of {page}");
        let told = match history.page(page).collect().await {
            Ok(told) => told,
            Err(LoadError::Range { .. }) => continue,
            Err(error) => panic!("{error}, {context}"),
        };
        let takes = |past: &&Past<RawEvent>| filters.values().all(|(filter, _)| filter(past));
        let mut expected: Vec<_> = all.iter().filter(takes).cloned().collect();
        if backward {
            expected.reverse();
        }
        assert_eq!(told, expected, "{context}");
        empty += usize::from(told.is_empty());
    }
    assert!(empty < 60, "{empty} of 80 rounds told nothing, seed {seed}");
}

/// Events of one commit each, so that what is read can be counted.
async fn plain(log: &Log, commits: usize) {
    for _ in 0..commits {
        log.append("a", [RawEvent::new("e", 1, &b""[..])])
            .await
            .unwrap();
    }
}

/// How many requests a history makes.
async fn requests(tenure: &Tenure, history: History<RawEvent>, events: usize) -> u64 {
    let before = tenure.counters().await.store_requests;
    let told = history.collect().await.unwrap();
    assert_eq!(told.len(), events);
    tenure.counters().await.store_requests - before
}

async fn a_start_does_not_read_what_is_before_it(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("told").await.unwrap();
    plain(&log, 300).await;
    let all = log.history("a").unwrap().collect().await.unwrap();
    let history = || log.history("a").unwrap();
    // The head, the commit that has the version, a scan.
    assert_eq!(
        requests(&tenure, history().from_version(Version(290)), 11).await,
        3
    );
    let sequence = all[289].sequence;
    assert_eq!(
        requests(&tenure, history().from_sequence(sequence), 11).await,
        2
    );
    // The head, and ten commits that it lists.
    let back = history().from_version(Version(290)).backward();
    assert_eq!(requests(&tenure, back, 11).await, 11);
    let back = history().from_sequence(sequence).backward();
    assert_eq!(requests(&tenure, back, 11).await, 11);
    let since = all[289].stored;
    let events = all.iter().filter(|past| past.stored >= since).count();
    let count = requests(&tenure, history().since(since), events).await;
    assert!(count <= 2 + 14, "{count} requests");
}

async fn nothing_is_read_after_what_is_wanted(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("told").await.unwrap();
    plain(&log, 200).await;
    let all = log.history("a").unwrap().collect().await.unwrap();
    let history = || log.history("a").unwrap();
    assert_eq!(
        requests(&tenure, history().to_version(Version(5)), 5).await,
        2
    );
    let sequence = all[4].sequence;
    assert_eq!(
        requests(&tenure, history().to_sequence(sequence), 5).await,
        2
    );
    assert_eq!(requests(&tenure, history().limit(5), 5).await, 2);
    assert_eq!(requests(&tenure, history().backward().limit(5), 5).await, 5);
    // A command is in one commit: the pages after that one are not read.
    let command = history().page(10).command(all[14].command.unwrap());
    assert_eq!(requests(&tenure, command, 1).await, 3);
}

async fn a_range_that_ends_before_it_begins_is_a_mistake(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("told").await.unwrap();
    plain(&log, 3).await;
    let history = || log.history("a").unwrap();
    let mistakes = [
        (
            history().from_version(Version(3)).to_version(Version(2)),
            "version 3",
        ),
        (
            history()
                .from_sequence(Sequence(9))
                .to_sequence(Sequence(8)),
            "sequence 9",
        ),
        (history().since(WallTime(7)).until(WallTime(6)), "time 7"),
        (
            history()
                .from_version(Version(3))
                .to_version(Version(2))
                .limit(0),
            "version 3",
        ),
    ];
    for (mut history, from) in mistakes {
        let told = history.next().await;
        let Err(error @ LoadError::Range { .. }) = told else {
            panic!("{told:?}");
        };
        assert!(error.to_string().contains(from), "{error}");
        assert!(!error.is_retryable());
    }
    // What is nowhere is no mistake.
    for history in [
        history().from_version(Version(9)),
        history().to_version(Version::ABSENT),
        history().since(WallTime(u64::MAX)),
        history().until(WallTime(1)),
        history().from_sequence(Sequence(u64::MAX)),
        history().to_sequence(Sequence::NONE),
        history().limit(0),
    ] {
        assert_eq!(history.collect().await.unwrap(), []);
    }
}

async fn a_limit_is_kept_on_pages_of_any_size(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("told").await.unwrap();
    let two = || [(); 2].map(|()| RawEvent::new("e", 1, &b""[..]));
    for _ in 0..10 {
        log.append("a", two()).await.unwrap();
    }
    for page in [1, 3, 64] {
        for limit in [1, 2, 3, 7, 19, 20, 21] {
            let history = || log.history("a").unwrap().page(page).limit(limit);
            let expected: Vec<u64> = (1..=limit.min(20)).collect();
            let told = history().collect().await.unwrap();
            assert!(
                told.iter()
                    .map(|past| past.version.0)
                    .eq(expected.iter().copied())
            );
            let mut by_pages = history();
            let mut versions = Vec::new();
            while let Some(page) = by_pages.next_page().await.unwrap() {
                versions.extend(page.iter().map(|past| past.version.0));
            }
            assert_eq!(versions, expected);
        }
    }
}
