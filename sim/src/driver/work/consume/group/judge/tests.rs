//! The oracles on what was written down by hand: each is silent where nothing is wrong, and speaks where
//! something is.

use super::super::super::book::{Act, Why};
use super::super::super::judge::{Past as Handled, Wanted};
use super::super::super::shape::Shape;
use super::past::{Past, records};
use super::{Judged, again, ahead, alone, continues, ended, sequence};
use crate::stage::Record;
use tenure_core::api::consumer::{EventPlace, Position, Then};
use tenure_core::format::{Checkpoint, Unknown};
use tenure_core::id::{Incarnation, LayoutId, Partition, Sequence, WallTime};
use tenure_core::name::ConsumerName;
use tenure_core::port::Message;

/// The event of a commit.
fn at(sequence: u64) -> EventPlace {
    EventPlace {
        partition: Partition(0),
        sequence: Sequence(sequence),
        index: 0,
    }
}

/// Events 2 and 4 are of one entity, 3 of another, in the other partition.
fn wanted() -> Wanted {
    let mut wanted = Wanted {
        entities: vec![vec![at(2), at(4)], vec![at(3)]],
        shards: vec![0, 1],
        ..Wanted::default()
    };
    let places = [(at(2), (0, 0)), (at(4), (0, 1)), (at(3), (1, 0))];
    wanted.places.extend(places);
    wanted
}

/// A record of partition 0: the run that wrote it, the how manieth of that it is, and up to where it goes.
fn record(run: u128, ordinal: u64, positions: &[u64]) -> Checkpoint {
    let positions = positions.iter().map(|at| Position::whole(Sequence(*at)));
    Checkpoint {
        layout: LayoutId(1),
        consumer: ConsumerName::new("crew").expect("a name"),
        definition: 1,
        generation: 1,
        positions: positions.collect(),
        run: Incarnation(run),
        ordinal,
        node: format!("n{run}"),
        time: WallTime(1),
        owner: Some(Incarnation(run)),
        witnesses: Vec::new(),
        unknown: Unknown::default(),
    }
}

/// One that names nobody.
fn released(run: u128, of: u128, positions: &[u64]) -> Checkpoint {
    Checkpoint {
        node: format!("n{of}"),
        owner: None,
        ..record(run, 0, positions)
    }
}

fn stored(at: u64, record: &Checkpoint) -> Record {
    Record {
        at,
        message: Message {
            subject: "sim.grp.crew.0".into(),
            sequence: Sequence(at),
            stored: WallTime(1),
            expired_marker: false,
            payload: record.encode(),
        },
    }
}

fn handed(run: u64, sequence: u64) -> Act {
    Act::Handed {
        run,
        place: at(sequence),
        live: false,
    }
}

fn handled(run: u64, sequence: u64) -> Act {
    let place = at(sequence);
    Act::Handled { run, place }
}

/// What an oracle says of acts and records; run 1 is of node 1, run 2 of node 2, and leases mean nothing
/// from a time on.
fn said(
    judge: impl Fn(&Past<'_>) -> Judged,
    acts: &[(u64, Act)],
    stored: &[Record],
    void: Option<u64>,
) -> Judged {
    let (shape, wanted) = (Shape::plain(Then::Stop), wanted());
    judge(&Past {
        acts,
        nodes: [(1, 1), (2, 2)].into(),
        records: records("crew", stored).expect("records"),
        void,
        handled: Handled::new(&shape, &wanted, acts),
        partitions: 2,
    })
}

fn is_wrong(judged: &Judged, what: &str) {
    assert!(
        judged.as_ref().is_err_and(|it| it.contains(what)),
        "{judged:?}"
    );
}

#[test]
fn a_group_that_is_handed_over_in_order_is_fine() {
    let acts = [
        (20, handed(1, 2)),
        (21, handled(1, 2)),
        (40, handed(2, 4)),
        (41, handled(2, 4)),
        (
            90,
            Act::Ended {
                run: 1,
                why: Why::Stopped,
            },
        ),
    ];
    let stored = [
        stored(10, &record(1, 0, &[])),
        stored(25, &record(1, 1, &[2])),
        stored(30, &record(2, 0, &[2])),
        stored(45, &record(2, 1, &[4])),
        stored(50, &released(3, 2, &[4])),
    ];
    for judge in [
        ahead::judge,
        again::judge,
        alone::judge,
        continues::judge,
        sequence::judge,
        ended,
    ] {
        assert_eq!(said(judge, &acts, &stored, None), Ok(()));
    }
}

#[test]
fn an_event_before_its_predecessor_is_seen() {
    let acts = [(20, handed(1, 2)), (21, handed(2, 4))];
    is_wrong(
        &said(sequence::judge, &acts, &[], None),
        "0.2.0 is not handled",
    );
}

#[test]
fn who_acts_for_what_is_anothers_is_seen_while_leases_mean_something() {
    let acts = [(20, handed(1, 2)), (40, handled(1, 2))];
    let stored = [
        stored(10, &record(1, 0, &[])),
        stored(30, &record(2, 0, &[])),
    ];
    is_wrong(&said(alone::judge, &acts, &stored, None), "on n1 acts");
    assert_eq!(said(alone::judge, &acts, &stored, Some(35)), Ok(()));
    is_wrong(&said(alone::judge, &acts, &[], None), "None");
    let released = [stored[0].clone(), self::stored(30, &released(3, 1, &[]))];
    is_wrong(&said(alone::judge, &acts, &released, None), "None");
}

#[test]
fn a_record_that_does_not_go_on_from_the_one_before_it_is_seen() {
    let first = record(1, 3, &[3]);
    let wrong = |after: &Checkpoint, what: &str| {
        let stored = [stored(10, &first), stored(20, after)];
        is_wrong(&said(continues::judge, &[], &stored, None), what);
    };
    wrong(&record(2, 1, &[3]), "n1 has taken over");
    wrong(&record(1, 3, &[3]), "number 3 of its run after number 3");
    wrong(&record(2, 0, &[2]), "goes back");
    wrong(&record(2, 0, &[]), "goes back");
    wrong(&released(3, 2, &[3]), "releases for n2 what n1 had");
}

#[test]
fn a_checkpoint_of_what_is_not_handled_is_seen() {
    let acts = [(5, handed(1, 2)), (30, handled(1, 2))];
    let ahead_of = |at| {
        said(
            ahead::judge,
            &acts,
            &[stored(at, &record(1, 1, &[3]))],
            None,
        )
    };
    is_wrong(&ahead_of(1), "0.2.0 is not handled");
    is_wrong(&ahead_of(20), "0.2.0 is not handled");
    // Event 3 is of the other partition.
    assert_eq!(ahead_of(40), Ok(()));
}

#[test]
fn what_a_checkpoint_has_behind_it_is_not_handed_over_again() {
    let acts = [(20, handed(1, 2)), (40, handed(2, 2))];
    let stored = [stored(30, &record(1, 1, &[2]))];
    is_wrong(
        &said(again::judge, &acts, &stored, None),
        "run 2 hands 0.2.0 over",
    );
    assert_eq!(said(again::judge, &acts, &stored, Some(35)), Ok(()));
}

#[test]
fn a_part_that_ends_by_itself_is_seen() {
    let why = Why::Other("it halted".to_owned());
    let acts = [(20, Act::Ended { run: 1, why })];
    is_wrong(&said(ended, &acts, &[], None), "it halted");
}
