//! The oracles on what was written down by hand: each is silent where nothing is wrong, and speaks where
//! something is.

use super::super::super::book::{Act, Why};
use super::super::super::judge::{Past as Handled, Wanted};
use super::super::super::shape::Shape;
use super::super::orders::Ordered;
use super::past::{Past, Stored};
use super::{Judged, again, ahead, alone, continues, ended, lives, paused, sequence};
use crate::stage::Record;
use std::collections::BTreeMap;
use std::ops::Range;
use tenure_core::api::consumer::{EventPlace, Position, Then};
use tenure_core::format::{Checkpoint, GroupOrders, LifeStart, Unknown};
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
        reads: String::new(),
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

/// The group was told to begin a life after a place.
fn told(at: u64, life: u64, after: u64) -> Record {
    let orders = GroupOrders {
        layout: LayoutId(1),
        group: ConsumerName::new("crew").expect("a name"),
        token: Incarnation(at.into()),
        paused: None,
        life,
        from: LifeStart::After(vec![Position::whole(Sequence(after))]),
        node: "n1".into(),
        time: WallTime(1),
        earlier: Vec::new(),
        unknown: Unknown::default(),
    };
    let mut record = stored(at, &record(1, 0, &[]));
    record.message.subject = "sim.grp.crew.orders".into();
    record.message.payload = orders.encode();
    record
}

/// A record of a life.
fn of_life(generation: u64, record: Checkpoint) -> Checkpoint {
    Checkpoint {
        generation,
        ..record
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
    said_of(judge, acts, stored, (void, Ordered::default()))
}

/// The same where people wanted to tell the group something.
fn said_of(
    judge: impl Fn(&Past<'_>) -> Judged,
    acts: &[(u64, Act)],
    stored: &[Record],
    (void, ordered): (Option<u64>, Ordered),
) -> Judged {
    let (shape, wanted) = (Shape::plain(Then::Stop), wanted());
    let mut read = Stored::default();
    read.read_on("crew", stored).expect("records");
    judge(&Past {
        void,
        ordered,
        ..past((&shape, &wanted), acts, &read)
    })
}

/// What came about where nobody told the group anything.
fn past<'a>(
    (shape, wanted): (&'a Shape, &'a Wanted),
    acts: &'a [(u64, Act)],
    stored: &'a Stored,
) -> Past<'a> {
    Past {
        acts,
        nodes: [(1, 1), (2, 2)].into(),
        still: BTreeMap::new(),
        stored,
        ordered: Ordered::default(),
        void: None,
        handled: Handled::new(shape, wanted, acts),
        partitions: 2,
    }
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
        lives::judge,
        paused::judge,
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

#[test]
fn what_is_not_handled_again_after_a_rewind_is_seen() {
    let acts = [
        (20, handed(1, 2)),
        (21, handled(1, 2)),
        (60, handed(2, 4)),
        (61, handled(2, 4)),
    ];
    let stored = |after| {
        [
            stored(10, &record(1, 0, &[])),
            told(30, 2, after),
            stored(40, &released(3, 1, &[2])),
            stored(50, &of_life(2, record(2, 0, &[]))),
            stored(70, &of_life(2, record(2, 1, &[4]))),
        ]
    };
    let rewound = || Ordered {
        rewinds: 1,
        begun: vec![(35, 2)],
        ..Ordered::default()
    };
    let said = |judge: fn(&Past<'_>) -> Judged, after| {
        said_of(judge, &acts, &stored(after), (None, rewound()))
    };
    is_wrong(&said(sequence::judge, 0), "0.2.0 is not handled");
    is_wrong(&said(ahead::judge, 0), "0.2.0 is not handled");
    for judge in [
        sequence::judge,
        ahead::judge,
        continues::judge,
        again::judge,
        lives::judge,
    ] {
        assert_eq!(said(judge, 2), Ok(()), "the life begins after it");
    }
}

#[test]
fn a_rewind_that_counts_twice_is_seen() {
    let twice = [told(30, 2, 0), told(31, 3, 0)];
    let asked = |rewinds, begun: &[(u64, u64)]| Ordered {
        rewinds,
        begun: begun.to_vec(),
        ..Ordered::default()
    };
    let said = |stored: &[Record], ordered| said_of(lives::judge, &[], stored, (None, ordered));
    is_wrong(&said(&twice, asked(1, &[])), "1 rewinds were asked for");
    assert_eq!(said(&twice, asked(2, &[(35, 2), (36, 3)])), Ok(()));
    is_wrong(&said(&twice, asked(2, &[(35, 3), (36, 3)])), "two rewinds");
    is_wrong(&said(&twice, asked(2, &[(30, 2)])), "has not begun");
    is_wrong(&said(&[told(30, 3, 0)], asked(2, &[])), "from life 1 to 3");
    let early = [stored(20, &of_life(2, record(1, 0, &[]))), told(30, 2, 0)];
    is_wrong(&said(&early, asked(1, &[])), "is in life 2");
    let late = [
        stored(20, &record(1, 3, &[2])),
        told(30, 2, 0),
        stored(40, &of_life(2, record(1, 4, &[2]))),
    ];
    let said = said_of(continues::judge, &[], &late, (None, asked(1, &[])));
    is_wrong(&said, "is no claim");
}

#[test]
fn a_node_that_hands_over_while_it_says_that_it_is_paused_is_seen() {
    let ms = 1_000_000;
    let (paused, goes_on) = (1_000 * ms, 5_000 * ms);
    let said = |batch, still: &[Range<u64>], acts: &[(u64, Act)]| {
        let acts: Vec<_> = acts
            .iter()
            .map(|(at, act)| (at * ms, act.clone()))
            .collect();
        let mut shape = Shape::plain(Then::Stop);
        shape.batch = batch;
        let (wanted, read) = (wanted(), Stored::default());
        let still = still.iter().map(|it| it.start * ms..it.end * ms);
        paused::judge(&Past {
            still: [(1, still.collect())].into(),
            ordered: Ordered {
                says: vec![(1, paused, true), (1, goes_on, false)],
                ..Ordered::default()
            },
            ..past((&shape, &wanted), &acts, &read)
        })
    };
    let given = [(900, handed(1, 2)), (3_000, handled(1, 2))];
    let [begun, done] = given;
    // The next one of its entity at once, which may be of the same batch.
    let follows = [begun.clone(), done.clone(), (3_000, handed(1, 4))];
    assert_eq!(said(2, &[], &follows), Ok(()));
    is_wrong(&said(1, &[], &follows), "hands 0.4.0 over");
    let after = |ms| [begun.clone(), done.clone(), (ms, handed(1, 4))];
    assert_eq!(said(2, &[], &after(3_005)), Ok(()));
    is_wrong(&said(2, &[], &after(3_006)), "hands 0.4.0 over");
    let stood = 3_002..3_400;
    assert_eq!(said(2, &[stood], &after(3_405)), Ok(()));
    let failed = (
        3_000,
        Act::Failed {
            run: 1,
            place: at(2),
        },
    );
    let again = [begun.clone(), failed, (3_000, handed(1, 2))];
    is_wrong(&said(2, &[], &again), "hands 0.2.0 over");
    let others = [begun, done, (3_000, handed(1, 3))];
    is_wrong(&said(2, &[], &others), "hands 0.3.0 over");
    // One that was to begin before, and may be held up.
    assert_eq!(said(1, &[], &[(1_300, handed(1, 2))]), Ok(()));
    is_wrong(&said(1, &[], &[(1_301, handed(1, 2))]), "hands 0.2.0 over");
    let still = [500..600, 1_200..2_000, 3_000..4_000];
    assert_eq!(said(1, &still, &[(2_300, handed(1, 2))]), Ok(()));
    is_wrong(
        &said(1, &still, &[(4_100, handed(1, 2))]),
        "hands 0.2.0 over",
    );
    // Who writes that down is woken with its handlers.
    is_wrong(&said(1, &[], &[(4_994, handed(1, 2))]), "hands 0.2.0 over");
    assert_eq!(said(1, &[], &[(4_995, handed(1, 2))]), Ok(()));
}
