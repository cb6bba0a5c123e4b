//! The oracles on what was written down by hand: each is silent where nothing is wrong, and speaks where
//! something is.

use super::super::book::{Act, Book, Why};
use super::super::shape::Shape;
use super::past::Past;
use super::{Judged, Known, Wanted};
use super::{ahead, ended, kept, letters, live, lives, order, projection, skipped, together};
use std::collections::BTreeSet;
use tenure_core::api::consumer::{EventPlace, Position, Then};
use tenure_core::id::{Partition, Sequence, Version};

/// The event of a commit.
fn at(sequence: u64) -> EventPlace {
    EventPlace {
        partition: Partition(0),
        sequence: Sequence(sequence),
        index: 0,
    }
}

/// Events 2 and 4 are of one entity, 3 of another.
fn wanted() -> Wanted {
    let mut wanted = Wanted {
        entities: vec![vec![at(2), at(4)], vec![at(3)]],
        ..Wanted::default()
    };
    wanted
        .places
        .extend([(at(2), (0, 0)), (at(4), (0, 1)), (at(3), (1, 0))]);
    let key = ("counter".to_owned(), "one".to_owned());
    wanted
        .folded
        .entry(key)
        .or_default()
        .add(Version(1), "counted", b"1");
    wanted
}

fn known() -> Known {
    let folded = wanted().folded;
    Known {
        letters: BTreeSet::new(),
        lost: false,
        replicated: false,
        folded: Some(folded.clone()),
        replayed: Some(folded),
    }
}

fn begins(run: u64, last: u64) -> Act {
    Act::Begins {
        run,
        ends: vec![Sequence(last)],
        reset: false,
    }
}

fn handed(run: u64, sequence: u64) -> Act {
    Act::Handed {
        run,
        place: at(sequence),
        live: false,
    }
}

/// An event is handed over, handled, and that is told.
fn done(run: u64, sequence: u64) -> [Act; 3] {
    let place = at(sequence);
    let (handled, told) = (Act::Handled { run, place }, Act::Told { run, place });
    [handed(run, sequence), handled, told]
}

fn failed(run: u64, sequence: u64) -> [Act; 2] {
    let place = at(sequence);
    [handed(run, sequence), Act::Failed { run, place }]
}

fn saved(run: u64, sequence: u64) -> Act {
    let positions = vec![Position::whole(Sequence(sequence))];
    Act::Saved { run, positions }
}

fn rewound(run: u64, generation: u64) -> [Act; 2] {
    let rewinds = Act::Rewinds {
        run,
        ends: vec![Sequence(4)],
        generation: 1,
    };
    let to = vec![Position::START];
    [
        rewinds,
        Act::Rewound {
            run,
            to,
            generation,
        },
    ]
}

/// What an oracle says of a past.
fn said(then: Then, acts: &[&[Act]], oracle: impl Fn(&Past<'_>) -> Judged) -> Option<String> {
    let (shape, wanted) = (Shape::plain(then), wanted());
    let acts: Vec<(u64, Act)> = acts.concat().into_iter().map(|act| (1, act)).collect();
    oracle(&Past::new(&shape, &wanted, &acts)).err()
}

fn speaks(acts: &[&[Act]], oracle: impl Fn(&Past<'_>) -> Judged) -> bool {
    said(Then::Stop, acts, oracle).is_some()
}

#[test]
fn an_event_that_comes_before_its_predecessor_or_again_is_seen() {
    let all: [&[Act]; 4] = [&[begins(1, 1)], &done(1, 2), &done(1, 3), &done(1, 4)];
    assert!(!speaks(&all, order::judge));
    assert!(speaks(&[&done(1, 2), &done(1, 2)], order::judge), "again");
    assert!(speaks(&[&done(1, 4), &done(1, 2)], order::judge), "after");
    assert!(speaks(&[&done(1, 9)], order::judge), "not in the log");
    assert!(
        speaks(&[&failed(1, 2), &done(1, 4)], order::judge),
        "left out"
    );
    // Two tries are what the policy has.
    let given_up: [&[Act]; 3] = [&failed(1, 2), &failed(1, 2), &done(1, 4)];
    assert_eq!(said(Then::Skip, &given_up, order::judge), None);
    let again: [&[Act]; 3] = [&done(1, 2), &rewound(1, 2), &done(1, 2)];
    assert!(!speaks(&again, order::judge), "it went back");
}

#[test]
fn a_dead_letter_says_nothing_of_the_events_behind_it() {
    let places = [(at(2), (0, 0)), (at(4), (0, 1)), (at(5), (0, 2))];
    let wanted = Wanted {
        places: places.into(),
        entities: vec![vec![at(2), at(4), at(5)]],
        ..Wanted::default()
    };
    let letter = Act::Letter {
        run: 1,
        place: at(2),
    };
    // Its checkpoint was behind event 4 when it began.
    let acts = [
        vec![begins(1, 5), letter],
        done(1, 2).into(),
        done(1, 5).into(),
    ];
    let acts: Vec<(u64, Act)> = acts.concat().into_iter().map(|act| (1, act)).collect();
    let shape = Shape::plain(Then::DeadLetter);
    assert_eq!(order::judge(&Past::new(&shape, &wanted, &acts)), Ok(()));
    let other = Past::new(&shape, &wanted, &acts[2..]);
    assert!(order::judge(&other).is_err(), "without the letter");
}

#[test]
fn what_is_handled_by_nobody_is_seen_in_each_life() {
    let all: [&[Act]; 3] = [&done(1, 2), &done(1, 3), &done(2, 4)];
    assert!(!speaks(&all, skipped::judge));
    assert!(speaks(&all[..2], skipped::judge));
    let rewound = rewound(2, 2);
    let anew = [all[0], all[1], all[2], &rewound, all[0], all[1]];
    let told = said(Then::Stop, &anew, skipped::judge);
    assert!(told.is_some_and(|what| what.contains("0.4.0")));
}

#[test]
fn a_checkpoint_ahead_of_what_was_handled_is_seen() {
    let fine: [&[Act]; 3] = [&[begins(1, 1)], &done(1, 2), &[saved(1, 2)]];
    assert!(!speaks(&fine, ahead::judge));
    let ahead: [&[Act]; 3] = [&[begins(1, 1)], &done(1, 2), &[saved(1, 3)]];
    assert!(speaks(&ahead, ahead::judge));
}

#[test]
fn a_checkpoint_that_is_taken_back_is_seen() {
    let first: [&[Act]; 3] = [&[begins(1, 1)], &done(1, 2), &[saved(1, 2)]];
    let then = |acts: &[Act]| speaks(&[&first.concat(), acts], kept::judge);
    assert!(!then(&[begins(2, 3), saved(2, 2), handed(2, 3)]));
    assert!(then(&[begins(2, 3), handed(2, 2)]), "it comes again");
    assert!(then(&[begins(2, 3), saved(2, 1)]), "it stands before");
}

#[test]
fn what_was_there_and_is_told_as_live_is_seen() {
    let live_of = |acts: &[&[Act]]| speaks(acts, |past| live::judge(past, &known()));
    let tells = |sequence| Act::Handed {
        run: 1,
        place: at(sequence),
        live: true,
    };
    assert!(!live_of(&[&[begins(1, 2), tells(3)]]));
    assert!(live_of(&[&[begins(1, 2), tells(2)]]));
    let is = Act::Live { run: 1 };
    assert!(live_of(&[&[begins(1, 2), is.clone()]]), "2 is left");
    assert!(!live_of(&[&[begins(1, 2)], &done(1, 2), &[is]]));
}

#[test]
fn a_run_is_live_by_the_life_in_which_it_began() {
    let live_of = |acts: &[&[Act]]| speaks(acts, |past| live::judge(past, &known()));
    let is = |run| Act::Live { run };
    let (first, back) = (done(1, 2), rewound(2, 2));
    // It was not superseded yet.
    let before: [&[Act]; 5] = [&[begins(1, 2)], &first, &[begins(2, 2)], &back, &[is(1)]];
    assert!(!live_of(&before));
    let after: [&[Act]; 3] = [&before.concat(), &[begins(3, 2)], &[is(3)]];
    assert!(live_of(&after), "2 is left in the life of run 3");
    let never: [&[Act]; 4] = [&[begins(1, 2)], &[begins(2, 2)], &back, &[is(1)]];
    assert!(live_of(&never), "2 was handled in no life");
}

#[test]
fn a_rewind_without_a_life_of_its_own_is_seen() {
    assert!(!speaks(&[&rewound(1, 2)], lives::judge));
    assert!(speaks(&[&rewound(1, 1)], lives::judge));
}

#[test]
fn what_was_put_aside_and_is_not_there_is_seen() {
    let acts: [&[Act]; 3] = [&done(1, 2), &done(1, 3), &failed(1, 4)];
    let with =
        |known: &Known| said(Then::DeadLetter, &acts, |past| letters::judge(past, known)).is_some();
    let mut known = known();
    assert!(with(&known));
    known.letters.insert(at(4));
    assert!(!with(&known));
}

#[test]
fn a_run_that_ends_without_a_reason_is_seen() {
    let ends = |run, why| Act::Ended { run, why };
    let judged = |acts: &[Act]| speaks(&[acts], |past| ended::judge(past, &known()));
    assert!(judged(&[begins(1, 1), ends(1, Why::Superseded)]));
    assert!(!judged(&[
        begins(1, 1),
        begins(2, 1),
        ends(1, Why::Superseded)
    ]));
    assert!(judged(&[begins(1, 1), ends(1, Why::TailLost)]));
    assert!(!judged(&[begins(1, 1), ends(1, Why::Stopped)]));
}

#[test]
fn a_projection_that_is_no_replay_is_seen() {
    let (wanted, mut known) = (wanted(), known());
    assert_eq!(projection::judge(&wanted, &known), Ok(()));
    known.folded = Some(super::Folded::new());
    assert!(projection::judge(&wanted, &known).is_err());
}

#[test]
fn two_of_a_key_at_once_are_seen() {
    let book = Book::new(|| 1);
    let hands = |sequence| book.hands(1, "one".to_owned(), at(sequence), false);
    drop(hands(2));
    let first = hands(3);
    assert_eq!(together::judge(&book), Ok(()));
    drop((hands(4), first));
    assert!(together::judge(&book).is_err());
}
