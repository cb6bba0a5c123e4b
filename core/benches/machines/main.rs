//! What the machines cost: time and allocations of a step, of a commit, of a load, and of a commit's
//! bytes. Everything around them is answered at once, and not counted as far as it allocates.

mod allocations;
#[path = "../../tests/trace/world/place.rs"]
mod place;
mod rig;
mod route;

use allocations::{Measured, measure};
use criterion::{Criterion, criterion_group, criterion_main};
use rig::{Answers, Rig};
use std::cell::RefCell;
use tenure_core::format::{Commit, WriteMode};
use tenure_core::log::SnapshotPolicy;
use tenure_core::port::{StoreDone, StoreReply};
use tenure_core::step::Outcome;

/// Enough for the lists in a commit and the table of command ids to have their full length.
const SETTLED: usize = 200;

fn writer(mode: WriteMode) -> Rig {
    let mut rig = Rig::new(mode, SnapshotPolicy::never(), rig::store());
    rig.commits(SETTLED);
    rig.acknowledged()
}

fn steps(c: &mut Criterion) {
    let rig = RefCell::new(writer(WriteMode::Direct));
    let tick = Measured {
        name: "step/tick",
        elements: 1,
    };
    measure(c, tick, || (), |()| rig.borrow_mut().tick());
}

fn commits(c: &mut Criterion) {
    /// Commands of one commit where they are many.
    const GROUP: u64 = 64;
    for (mode, name) in [(WriteMode::Direct, "direct"), (WriteMode::Owned, "owned")] {
        // The steps of one commit, which are the same in all: submit, decided, stored, settled.
        let mut counted = writer(mode);
        counted.steps = 0;
        counted.commits(1);
        let steps = counted.steps;
        let rig = RefCell::new(counted);
        let name_of_commit = format!("commit/{name}");
        let commit = Measured {
            name: &name_of_commit,
            elements: 1,
        };
        measure(c, commit, || (), |()| rig.borrow_mut().commits(1));
        let name_of_step = format!("step/{name} commit");
        let step = Measured {
            name: &name_of_step,
            elements: steps,
        };
        measure(c, step, || (), |()| rig.borrow_mut().commits(1));

        // A commit is in flight while 64 commands come; they are the next one.
        let mut rig = writer(mode);
        rig.hold = true;
        rig.commits(1);
        let before = rig.replies;
        let rig = RefCell::new(rig);
        let round = || {
            let mut rig = rig.borrow_mut();
            (0..GROUP).for_each(|_| rig.submit());
            rig.acknowledge();
        };
        round();
        round();
        assert_eq!(rig.borrow().replies, before + 1 + GROUP, "it is one commit");
        let name_of_group = format!("commit/{name}, 64 commands");
        let group = Measured {
            name: &name_of_group,
            elements: GROUP,
        };
        measure(c, group, || (), |()| round());
    }
}

/// What a store says to a node that reads an entity of so many commits.
fn recorded(commits: usize, snapshots: SnapshotPolicy) -> Vec<StoreReply> {
    let mut writer = Rig::new(WriteMode::Direct, snapshots, rig::store());
    writer.commits(commits);
    let Answers::Store { store, .. } = writer.answers else {
        unreachable!("it was begun with a store");
    };
    let said = Vec::new();
    let mut reader = reader(Answers::Store { store, said });
    reader.read();
    assert_eq!(reader.replies, 1);
    match reader.answers {
        Answers::Store { said, .. } => said,
        Answers::Recorded(_) | Answers::Acknowledged(_) => unreachable!("as above"),
    }
}

fn reader(answers: Answers) -> Rig {
    Rig::new(WriteMode::Direct, SnapshotPolicy::never(), answers)
}

fn loads(c: &mut Criterion) {
    for (name, commits, snapshots) in [
        ("load/100 commits", 100, SnapshotPolicy::never()),
        ("load/a snapshot", 1_001, SnapshotPolicy::every(1_000)),
    ] {
        let said = recorded(commits, snapshots);
        let load = Measured { name, elements: 1 };
        let setup = || reader(Answers::Recorded(said.iter().cloned().collect()));
        measure(c, load, setup, |mut rig| {
            rig.read();
            assert_eq!(rig.replies, 1);
            rig
        });
    }
}

fn formats(c: &mut Criterion) {
    let said = recorded(100, SnapshotPolicy::never());
    let messages = said.iter().filter_map(|reply| match reply {
        Outcome::Done(StoreDone::Latest(proof)) => proof.messages.last(),
        Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => None,
    });
    let bytes = messages.last().expect("the last commit").payload.clone();
    let commit = Commit::decode(&bytes).expect("a commit");
    assert_eq!(commit.earlier.len(), 64);
    let encode = Measured {
        name: "format/encode a commit",
        elements: 1,
    };
    measure(c, encode, || (), |()| commit.encode());
    let decode = Measured {
        name: "format/decode a commit",
        elements: 1,
    };
    measure(c, decode, || (), |()| Commit::decode(&bytes));
}

criterion_group!(machines, steps, commits, loads, formats, route::routes);
criterion_main!(machines);
