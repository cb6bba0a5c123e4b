//! Actors: one owner at a time, and one life of an actor at a time (P3, leased class).

use crate::intervals::{Interval, overtaken};
use crate::read::{Ask, Done};
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// What the answers of one life of an actor span.
#[derive(Debug)]
struct Life<'a> {
    /// When the first answer had come.
    first_end_us: u64,
    /// When the last ask that it answered began.
    last_start_us: u64,
    asks: Vec<(&'a Ask, &'a Done)>,
}

pub(crate) fn check(asks: &[&Ask], verdict: &mut Verdict) {
    let mut shards: BTreeMap<u16, Vec<(&Ask, u64, &str)>> = BTreeMap::new();
    let mut keys: BTreeMap<&str, BTreeMap<&str, Life<'_>>> = BTreeMap::new();
    for &ask in asks {
        let Some(done) = ask.done() else { continue };
        let Done {
            epoch: Some(epoch),
            node: Some(node),
            activation: Some(activation),
            ..
        } = done
        else {
            let text = format!("{} says no epoch, node or activation", ask.named());
            verdict.broken("cut", text);
            continue;
        };
        verdict.count("turns of actors");
        shards
            .entry(ask.shard)
            .or_default()
            .push((ask, *epoch, node));
        let lives = keys.entry(&ask.key).or_default();
        let life = lives.entry(activation).or_insert(Life {
            first_end_us: u64::MAX,
            last_start_us: 0,
            asks: Vec::new(),
        });
        life.first_end_us = life.first_end_us.min(ask.end_us);
        life.last_start_us = life.last_start_us.max(ask.start_us);
        life.asks.push((ask, done));
    }
    for answers in shards.values() {
        of_shard(answers, verdict);
    }
    for (key, lives) in &keys {
        of_key(key, lives, verdict);
    }
}

/// The answers of two epochs do not interleave, and an epoch is one node's.
fn of_shard(answers: &[(&Ask, u64, &str)], verdict: &mut Verdict) {
    let mut owners: BTreeMap<u64, (&str, &Ask)> = BTreeMap::new();
    for &(ask, epoch, node) in answers {
        let (owner, first) = *owners.entry(epoch).or_insert((node, ask));
        if owner != node {
            let (one, other) = (ask.named(), first.line);
            let text = format!("{one}: epoch {epoch} is of {node}, and of {owner} on line {other}");
            verdict.broken("interleaved", text);
        }
    }
    let all = answers.iter().map(|&(ask, epoch, _)| Interval {
        start_us: ask.start_us,
        end_us: ask.end_us,
        rank: epoch,
        what: (ask, epoch),
    });
    for ((ask, epoch), (before, later)) in overtaken(all.collect(), |_| false) {
        let (one, other) = (ask.named(), before.line);
        let text = format!(
            "{one} was answered under epoch {epoch}, after line {other} had been under {later}"
        );
        verdict.broken("interleaved", text);
    }
}

fn of_key(key: &str, lives: &BTreeMap<&str, Life<'_>>, verdict: &mut Verdict) {
    for life in lives.values() {
        of_life(&life.asks, verdict);
    }
    let all: Vec<_> = lives.iter().collect();
    for (at, (name, one)) in all.iter().enumerate() {
        for (other_name, other) in all.iter().skip(at + 1) {
            let before = one.first_end_us < other.last_start_us;
            let after = other.first_end_us < one.last_start_us;
            if before && after {
                let text = format!("{key} lived as {name} and as {other_name} at the same time");
                verdict.broken("interleaved", text);
            }
        }
    }
}

/// The turns of one life are one after the other, and each adds what it was asked to.
fn of_life(asks: &[(&Ask, &Done)], verdict: &mut Verdict) {
    let all = asks.iter().map(|&(ask, done)| Interval {
        start_us: ask.start_us,
        end_us: ask.end_us,
        rank: done.version,
        what: ask,
    });
    for (ask, before) in overtaken(all.collect(), |_| true) {
        let (one, other) = (ask.named(), before.line);
        let text = format!("{one} had its turn before line {other}, which had ended when it began");
        verdict.broken("stale", text);
    }
    let mut turns: BTreeMap<u64, (&Ask, &Done)> = BTreeMap::new();
    for &(ask, done) in asks {
        if let Some((first, _)) = turns.insert(done.version, (ask, done)) {
            let (one, turn) = (ask.named(), done.version);
            let text = format!("{one} had turn {turn}, which was line {}'s", first.line);
            verdict.broken("doubled", text);
        }
    }
    let mut before: Option<(u64, u64)> = None;
    for (turn, (ask, done)) in turns {
        let (last_turn, last_value) = before.unwrap_or_default();
        let short = done.value < last_value + ask.amount;
        let off = turn == last_turn + 1 && done.value != last_value + ask.amount;
        if short || off {
            let (one, value) = (ask.named(), done.value);
            let text =
                format!("{one} says {value} in turn {turn}, after {last_value} in {last_turn}");
            verdict.broken("lost", text);
        }
        before = Some((turn, done.value));
    }
}
