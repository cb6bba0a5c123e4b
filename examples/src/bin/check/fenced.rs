//! Entities: each acknowledged add is counted once, in the order of real time (P1, P4, P5), and no
//! commit of an owner is stored after another one's claim (P2).

use crate::intervals::{Interval, overtaken};
use crate::read::{Ask, Done, Op, Outcome};
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// One command, over all its attempts.
struct Command<'a> {
    amount: u64,
    start_us: u64,
    /// The answer that came first.
    answer: Option<(&'a Ask, &'a Done)>,
    /// It may have taken effect.
    unknown: bool,
}

/// A state that someone was told of.
struct Told<'a> {
    ask: &'a Ask,
    done: &'a Done,
}

pub(crate) fn check(asks: &[&Ask], verdict: &mut Verdict) {
    let mut keys: BTreeMap<&str, Vec<&Ask>> = BTreeMap::new();
    let mut shards: BTreeMap<u16, Vec<&Ask>> = BTreeMap::new();
    for ask in asks {
        keys.entry(&ask.key).or_default().push(ask);
        shards.entry(ask.shard).or_default().push(ask);
    }
    for (key, asks) in keys {
        verdict.count("entities");
        of_key(key, &asks, verdict);
    }
    for asks in shards.values() {
        fence(asks, verdict);
    }
}

fn of_key(key: &str, asks: &[&Ask], verdict: &mut Verdict) {
    let commands = commands(asks, verdict);
    sums(key, asks, &commands, verdict);
    one_line(asks, verdict);
    order(asks, &commands, verdict);
    invented(asks, &commands, verdict);
}

fn commands<'a>(asks: &[&'a Ask], verdict: &mut Verdict) -> BTreeMap<&'a str, Command<'a>> {
    let mut commands: BTreeMap<&str, Command<'_>> = BTreeMap::new();
    for &ask in asks.iter().filter(|ask| ask.op == Op::Add) {
        let Some(id) = ask.id.as_deref() else {
            verdict.broken("cut", format!("{} has no id", ask.named()));
            continue;
        };
        let command = commands.entry(id).or_insert(Command {
            amount: ask.amount,
            start_us: ask.start_us,
            answer: None,
            unknown: false,
        });
        command.start_us = command.start_us.min(ask.start_us);
        match &ask.outcome {
            Outcome::Unknown {} => command.unknown = true,
            Outcome::Rejected {} | Outcome::Refused {} => {}
            Outcome::Ok(done) => {
                if let Some((first, answer)) = command.answer {
                    if (answer.value, answer.version) != (done.value, done.version) {
                        let text = format!(
                            "{} was answered {} at version {}, and on line {} {} at version {}",
                            ask.named(),
                            done.value,
                            done.version,
                            first.line,
                            answer.value,
                            answer.version,
                        );
                        verdict.broken("doubled", text);
                    }
                    if first.end_us <= ask.end_us {
                        continue;
                    }
                }
                command.answer = Some((ask, done));
            }
        }
    }
    commands
}

/// The counter is at what was acknowledged, and at most at what may have been done beside it.
fn sums(key: &str, asks: &[&Ask], commands: &BTreeMap<&str, Command<'_>>, verdict: &mut Verdict) {
    let (mut least, mut most) = ((0, 0), (0, 0));
    for command in commands.values() {
        if command.answer.is_some() {
            verdict.count("adds acknowledged");
            least = (least.0 + command.amount, least.1 + 1);
        }
        if command.answer.is_some() || command.unknown {
            most = (most.0 + command.amount, most.1 + 1);
        }
    }
    let looks = asks.iter().filter(|ask| ask.is_final && ask.op == Op::Look);
    let looks: Vec<_> = looks.filter_map(|ask| Some((ask, ask.done()?))).collect();
    if looks.is_empty() && most.1 > 0 {
        verdict.broken("unread", format!("nobody could read {key} at the end"));
    }
    for (ask, done) in looks {
        let told = format!(
            "{} says {} at version {}",
            ask.named(),
            done.value,
            done.version
        );
        if done.value < least.0 || done.version < least.1 {
            let text = format!(
                "{told}; {} adds of {} in all were acknowledged",
                least.1, least.0
            );
            verdict.broken("lost", text);
        }
        if done.value > most.0 || done.version > most.1 {
            let text = format!(
                "{told}; {} adds of {} in all can have been done",
                most.1, most.0
            );
            verdict.broken("doubled", text);
        }
    }
}

/// All answers are of one line of states: a version has one value, and is of one command.
fn one_line(asks: &[&Ask], verdict: &mut Verdict) {
    let mut versions: BTreeMap<u64, Told<'_>> = BTreeMap::new();
    let mut made: BTreeMap<u64, (&Ask, u64)> = BTreeMap::new();
    for &ask in asks {
        let Some(done) = ask.done() else { continue };
        let (version, value) = (done.version, done.value);
        let told = versions.entry(version).or_insert(Told { ask, done });
        if told.done.value != value {
            let (one, other) = (ask.named(), told.ask.line);
            let text = format!(
                "{one} says that version {version} is {value}, line {other} that it is {}",
                told.done.value
            );
            verdict.broken("forked", text);
        }
        if ask.op == Op::Add {
            let (first, amount) = *made.entry(version).or_insert((ask, ask.amount));
            if first.id != ask.id {
                let (one, other) = (ask.named(), first.line);
                let text = format!("{one} made version {version}, which line {other} made, too");
                verdict.broken("doubled", text);
            } else if amount != ask.amount {
                verdict.broken("cut", format!("{} has two amounts", ask.named()));
            }
        }
    }
    let mut before = (0, 0);
    for (&version, Told { ask, done }) in &versions {
        let at_least = before.1 + (version - before.0);
        let exactly = made.get(&version).filter(|_| version == before.0 + 1);
        let wrong = match exactly {
            Some((_, amount)) => done.value != before.1 + amount,
            None => done.value < at_least,
        };
        if wrong {
            let (one, value) = (ask.named(), done.value);
            let (earlier, earlier_value) = before;
            let text = format!(
                "{one} says that version {version} is {value}, after {earlier_value} at version {earlier}"
            );
            verdict.broken("forked", text);
        }
        before = (version, done.value);
    }
}

/// Nothing that began after an answer knows less than it.
fn order(asks: &[&Ask], commands: &BTreeMap<&str, Command<'_>>, verdict: &mut Verdict) {
    let adds = commands.values().filter_map(|command| {
        let (ask, done) = command.answer?;
        Some(Interval {
            start_us: command.start_us,
            end_us: ask.end_us,
            rank: done.version,
            what: ask,
        })
    });
    let looks = asks.iter().filter(|ask| ask.op == Op::Look);
    let looks = looks.filter_map(|&ask| {
        let done = ask.done().filter(|done| !done.local)?;
        Some(Interval {
            start_us: ask.start_us,
            end_us: ask.end_us,
            rank: done.version,
            what: ask,
        })
    });
    let all = adds.chain(looks).collect();
    for (ask, before) in overtaken(all, |ask: &Ask| ask.op == Op::Add) {
        let text = format!(
            "{} came to version {} after {} had come to {}",
            ask.named(),
            version(ask),
            before.named(),
            version(before),
        );
        verdict.broken("stale", text);
    }
}

fn version(ask: &Ask) -> u64 {
    ask.done().map_or(0, |done| done.version)
}

/// No answer holds more than had been asked for when it came; also not one that may be old.
fn invented(asks: &[&Ask], commands: &BTreeMap<&str, Command<'_>>, verdict: &mut Verdict) {
    let mut adds: Vec<_> = commands.values().collect();
    adds.retain(|add| add.answer.is_some() || add.unknown);
    adds.sort_by_key(|add| add.start_us);
    let mut told: Vec<_> = asks.iter().filter(|ask| ask.done().is_some()).collect();
    told.sort_by_key(|ask| ask.end_us);
    let mut adds = adds.into_iter().peekable();
    let (mut value, mut version) = (0, 0);
    for ask in told {
        while let Some(add) = adds.next_if(|add| add.start_us <= ask.end_us) {
            (value, version) = (value + add.amount, version + 1);
        }
        let Some(done) = ask.done() else { continue };
        if done.value > value || done.version > version {
            let text = format!(
                "{} says {} at version {}, when {version} adds of {value} in all had begun",
                ask.named(),
                done.value,
                done.version,
            );
            verdict.broken("invented", text);
        }
    }
}

/// An epoch is the place of its claim in the stream; what its owner commits is before the next one.
fn fence(asks: &[&Ask], verdict: &mut Verdict) {
    let mut owners: BTreeMap<u64, (&str, &Ask)> = BTreeMap::new();
    for ask in asks {
        let Some(Done {
            epoch: Some(epoch),
            node: Some(node),
            ..
        }) = ask.done()
        else {
            continue;
        };
        let (owner, first) = *owners.entry(*epoch).or_insert((node, ask));
        if owner != node {
            let (one, other) = (ask.named(), first.line);
            let text = format!("{one}: epoch {epoch} is of {node}, and of {owner} on line {other}");
            verdict.broken("zombie", text);
        }
    }
    let epochs: BTreeSet<u64> = owners.keys().copied().collect();
    for ask in asks {
        let Some(Done {
            epoch: Some(epoch),
            sequence: Some(sequence),
            duplicate: false,
            ..
        }) = ask.done()
        else {
            continue;
        };
        verdict.count("commits fenced");
        let next = epochs.range(epoch + 1..).next();
        if let Some(next) = next.filter(|next| *next < sequence) {
            let one = ask.named();
            let text = format!(
                "{one} was stored at {sequence} under epoch {epoch}, after epoch {next} of its shard had begun"
            );
            verdict.broken("zombie", text);
        }
    }
}
