//! States of projections over a model store: several nodes load and save them in any order, and answers and
//! requests are lost (J1 to J4); and the dead letters of former lives (J7).

mod world;

use proptest::prelude::*;
use tenure_core::format::{Cause, DeadLetter, EventPlace, Unknown};
use tenure_core::id::{LayoutId, Partition, Sequence, Version, WallTime};
use tenure_core::name::{EntityId, KindName};
use tenure_core::port::{Expect, Publish, Refused, Rollup, StoreReply, StoreRequest};
use tenure_core::projection::{
    ClearLetter, FormerLetter, FormerLetters, Held, Hold, Load, Next, Save, Saved, StateFault,
};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};
use world::{KEY, World, mark, namespace, projection, state};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_stored_is_whole_and_never_goes_back(
        acts in proptest::collection::vec((0_usize..3, any::<u8>()), 1..120),
    ) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
    }
}

#[test]
fn what_was_replaced_is_gone() {
    let mut world = World::new();
    for _ in 0..4 {
        world.nodes[0].events += 9;
        world.act((0, 8));
        while world.nodes[0].save.is_some() {
            world.act((0, 8));
        }
    }
    let stream = namespace().consumer_stream();
    let parts = world.store.messages(&stream);
    let parts = parts.filter(|message| message.subject.contains(".part."));
    let there: Vec<String> = parts
        .filter(|message| !message.payload.is_empty())
        .map(|message| message.subject.as_str().to_owned())
        .collect();
    let loaded = world.load().unwrap().unwrap();
    let named = loaded.mark.state.unwrap().parts;
    assert_eq!(loaded.mark.positions[0].sequence, Sequence(36));
    assert_eq!(u32::try_from(there.len()), Ok(named), "{there:?}");
}

/// The parts of states that are there.
fn parts(world: &World) -> usize {
    let stream = namespace().consumer_stream();
    let parts = world.store.messages(&stream);
    let parts = parts.filter(|message| message.subject.contains(".part."));
    parts.filter(|message| !message.payload.is_empty()).count()
}

/// A save of a state in parts, whose mark is answered with this; what it came to, and what is there then.
fn given_up(at_mark: &[StoreReply], applied: bool) -> (Next<Saved>, World) {
    let mut world = World::new();
    let state = (mark(1, 100), state(100));
    let mut save = Save::new(
        namespace(),
        state,
        (KEY, 7),
        (Sequence::NONE, None),
        64,
        vec![],
    );
    let mut replies = at_mark.iter().cloned();
    loop {
        let request = save.request();
        let about_part = matches!(&request, StoreRequest::Publish(publish) if !publish.subject.ends_with(".mark"));
        let reply = match (!about_part).then(|| replies.next()).flatten() {
            Some(reply) => {
                if applied && matches!(reply, Outcome::Unknown) {
                    world.apply(&request);
                }
                reply
            }
            None => world.apply(&request),
        };
        match save.answered(reply) {
            Next::Ask | Next::Wait => {}
            ended @ (Next::Done(_) | Next::Fail(_)) => return (ended, world),
        }
    }
}

#[test]
fn a_save_that_is_given_up_leaves_no_parts() {
    let denied = Outcome::Refused(Refused::Denied("no right".into()));
    let (ended, world) = given_up(&[denied], false);
    assert!(
        matches!(ended, Next::Fail(StateFault::Store { .. })),
        "{ended:?}"
    );
    assert_eq!(parts(&world), 0);
}

/// The mark may be there already, or come yet.
#[test]
fn parts_that_a_mark_in_doubt_names_stay() {
    let denied = Outcome::Refused(Refused::Denied("no right".into()));
    let (ended, mut world) = given_up(&[Outcome::Unknown, denied], true);
    assert!(
        matches!(ended, Next::Fail(StateFault::Store { .. })),
        "{ended:?}"
    );
    assert!(parts(&world) > 1);
    let loaded = world.load().unwrap().expect("it was stored");
    world.check(&loaded);
}

/// Writes a mark over the one at a place, until it is there or cannot be; at most so many requests.
fn held(world: &mut World, over: Sequence) -> Next<Held> {
    let mut hold = Hold::new(namespace(), mark(1, 9), over);
    for _ in 0..100 {
        let reply = world.apply(&hold.request());
        match hold.answered(reply) {
            Next::Ask | Next::Wait => {}
            done @ (Next::Done(_) | Next::Fail(_)) => return done,
        }
    }
    Next::Wait
}

/// A mark in a bucket that somebody removed, or that its stream lost, is not waited for for ever.
#[test]
fn a_mark_that_is_gone_is_not_waited_for() {
    let mut world = World::new();
    let Next::Done(Held::At(first)) = held(&mut world, Sequence::NONE) else {
        panic!("nothing is there")
    };
    let Next::Done(Held::At(second)) = held(&mut world, first) else {
        panic!("it is this run's")
    };
    let gone = Next::Fail(StateFault::MarkGone {
        projection: projection(),
    });
    let stream = namespace().consumer_stream();
    world.store.lose_tail(&stream, first);
    assert_eq!(held(&mut world, second), gone, "an older one is there");
    world.store.lose_tail(&stream, Sequence::NONE);
    assert_eq!(held(&mut world, second), gone, "none is there");
}

/// A replica that lags has no mark: where there is known to be one it is looked for again, and not for
/// ever.
#[test]
fn a_mark_that_a_replica_lacks_is_looked_for() {
    let mut world = World::new();
    assert!(matches!(
        held(&mut world, Sequence::NONE),
        Next::Done(Held::At(_))
    ));
    let lacking = || Outcome::Refused(Refused::NotFound);
    let load = || Load::new(namespace(), projection(), KEY, true);
    let (mut plain, mut known) = (load(), load().of_known());
    for load in [&mut plain, &mut known] {
        let stream = world.apply(&load.request());
        assert!(matches!(load.answered(stream), Next::Ask));
    }
    assert!(matches!(plain.answered(lacking()), Next::Done(None)));
    assert!(matches!(known.answered(lacking()), Next::Wait));
    let shown = world.apply(&known.request());
    assert!(matches!(known.answered(shown), Next::Done(Some(_))));
    let mut gone = load().of_known();
    let stream = world.apply(&gone.request());
    assert!(matches!(gone.answered(stream), Next::Ask));
    let looks = (1..100).find(|_| matches!(gone.answered(lacking()), Next::Done(None)));
    assert!(looks.is_some_and(|looks| looks > 5), "{looks:?}");
}

fn place(sequence: u64) -> EventPlace {
    EventPlace {
        partition: Partition(0),
        sequence: Sequence(sequence),
        index: 0,
    }
}

/// Puts an event aside, in a life of the projection over a log.
fn put_aside(world: &mut World, sequence: u64, generation: u64, layout: LayoutId) {
    let place = place(sequence);
    let letter = DeadLetter {
        layout,
        consumer: projection(),
        place,
        kind: KindName::new("account").unwrap(),
        entity: EntityId::new("alice").unwrap(),
        version: Version(sequence),
        event: "moved".into(),
        cause: Cause::Handler,
        text: "no".into(),
        tries: 1,
        time: WallTime(1),
        generation,
        unknown: Unknown::default(),
    };
    let put = StoreRequest::Publish(Publish {
        stream: namespace().consumer_stream(),
        subject: namespace().dead_letter_subject(&projection(), place),
        expect: Expect::Nothing,
        rollup: Rollup::Subject,
        dedup: None,
        ttl_s: None,
        payload: letter.encode(),
    });
    assert!(matches!(world.apply(&put), Outcome::Done(_)));
}

/// The letters that a run of a life lists that begins after a place; by the places of their events.
fn former(world: &mut World, generation: u64, after: u64) -> Vec<FormerLetter> {
    let mut listing = FormerLetters::new(namespace(), mark(generation, after));
    loop {
        let reply = world.apply(&listing.request());
        match listing.answered(reply) {
            Next::Ask | Next::Wait => {}
            Next::Done(letters) => return letters,
            Next::Fail(fault) => panic!("{fault}"),
        }
    }
}

fn places(letters: &[FormerLetter]) -> Vec<u64> {
    let places = letters.iter().map(|letter| letter.place.sequence.0);
    places.collect()
}

fn cleared(world: &mut World, letter: FormerLetter) {
    let mut clear = ClearLetter::new(&namespace(), mark(2, 20), letter);
    // The answer to the first attempt is lost.
    world.apply(&clear.request());
    assert!(matches!(clear.answered(Outcome::Unknown), Next::Wait));
    let again = world.apply(&clear.request());
    assert!(matches!(clear.answered(again), Next::Done(())));
}

/// A run takes in what former lives put aside and it has yet to come to: nothing of its own life, of
/// another log, or behind it (J7).
#[test]
fn letters_of_former_lives_are_told_that_are_before_a_run() {
    let mut world = World::new();
    assert_eq!(former(&mut world, 2, 0), [], "there are none");
    for (sequence, generation) in [(3, 1), (5, 2), (7, 1), (400, 1)] {
        put_aside(&mut world, sequence, generation, LayoutId(7));
    }
    put_aside(&mut world, 8, 1, LayoutId(8));
    assert_eq!(former(&mut world, 1, 0), []);
    assert_eq!(places(&former(&mut world, 2, 0)), [3, 7, 400]);
    assert_eq!(places(&former(&mut world, 2, 3)), [7, 400]);
    assert_eq!(places(&former(&mut world, 3, 0)), [3, 5, 7, 400]);
    // More than are told at once.
    for sequence in 401..=900 {
        put_aside(&mut world, sequence, 1, LayoutId(7));
    }
    assert_eq!(former(&mut world, 2, 3).len(), 502);
    let letter = former(&mut world, 2, 0)[0];
    assert!(letter.is_passed(&mark(2, 3).positions));
    assert!(!letter.is_passed(&mark(2, 2).positions));
}

/// A letter goes that is what it was when the run began; one that came in its place stays (J7).
#[test]
fn a_letter_that_came_later_stays() {
    let mut world = World::new();
    put_aside(&mut world, 3, 1, LayoutId(7));
    put_aside(&mut world, 7, 1, LayoutId(7));
    let letters = former(&mut world, 2, 0);
    // The new life cannot take it in either.
    put_aside(&mut world, 7, 2, LayoutId(7));
    for letter in letters {
        cleared(&mut world, letter);
    }
    assert_eq!(places(&former(&mut world, 3, 0)), [7]);
}

/// There is no stream before the first consumer made it.
#[test]
fn without_a_stream_there_are_no_letters() {
    let mut world = World::new();
    world.store = Store::new(StoreConfig::default());
    assert_eq!(former(&mut world, 2, 0), []);
}
