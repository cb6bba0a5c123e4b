//! What is being replicated, leaders that are lost, and answers from the past.

use super::{Bench, Reply, T0, message, own, rollup, with_id, wrong_last};
use tenure_core::id::Sequence;
use tenure_core::port::{Refused, Source, StoreDone, StoreRequest};
use tenure_core::step::Outcome;

#[test]
fn s10_what_is_being_replicated_refuses_with_10164() {
    let mut bench = Bench::replicated();
    let first = bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.a", 0)))
        .unwrap();
    let second = StoreRequest::Publish(own("s.a", 0));
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::InProcess);
    let other = bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.b", 0)))
        .unwrap();
    Reply(bench.store.commit(T0, first)).stored(1);
    Reply(bench.store.commit(T0, other)).stored(2);
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), wrong_last(1));
}

#[test]
fn s10_an_id_that_is_being_replicated_refuses_with_10158() {
    let mut bench = Bench::replicated();
    let request = StoreRequest::Publish(with_id("c1", message("s.a")));
    let first = bench.store.propose(T0, &request).unwrap();
    let reply = bench.store.propose(T0, &request).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::DuplicateInProcess);
    Reply(bench.store.commit(T0, first)).stored(1);
}

#[test]
fn s10_a_full_queue_is_10167() {
    let mut bench = Bench::replicated();
    bench.store.config_mut().in_flight_max = 1;
    let first = bench
        .store
        .propose(T0, &StoreRequest::Publish(message("s.a")))
        .unwrap();
    let second = StoreRequest::Publish(message("s.b"));
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::Overloaded);
    Reply(bench.store.commit(T0, first)).stored(1);
    bench.apply(second).stored(2);
}

#[test]
fn what_a_lost_leader_proposed_is_not_stored() {
    let mut bench = Bench::replicated();
    bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.a", 0)))
        .unwrap();
    bench.store.drop_proposals();
    assert_eq!(bench.store.last("S"), Sequence::NONE);
    bench.publish(own("s.a", 0)).stored(1);
}

#[test]
fn k2_an_old_leader_answers_from_old_state() {
    let mut bench = Bench::replicated();
    bench.publish(own("s.a", 0)).stored(1);
    bench.publish(own("s.a", 1)).stored(2);
    let old = |bench: &Bench, request| Reply(bench.store.answer_as_of(T0, Sequence(1), &request));
    let behind = old(&bench, StoreRequest::Publish(own("s.a", 2)));
    assert_eq!(behind.refused(), wrong_last(1));
    let taken = old(&bench, StoreRequest::Publish(own("s.a", 1)));
    assert_eq!(taken.0, Outcome::Unknown);
    let get = |sequence| StoreRequest::Get {
        stream: "S".into(),
        sequence: Sequence(sequence),
        source: Source::Leader,
    };
    assert_eq!(old(&bench, get(2)).refused(), Refused::NotFound);
    let StoreDone::Latest(proof) = old(&bench, bench.latest(&["s.a"])).done() else {
        panic!()
    };
    assert_eq!(
        (proof.up_to, proof.messages[0].sequence),
        (Sequence(1), Sequence(1))
    );
}

#[test]
fn k2_an_old_state_still_has_what_was_rolled_up() {
    let mut bench = Bench::replicated();
    bench.publish(message("s.bar")).stored(1);
    bench.publish(message("s.a")).stored(2);
    bench.publish(rollup(message("s.bar"))).stored(3);
    assert_eq!(bench.subjects(), ["s.a@2", "s.bar@3"]);
    let latest = bench.latest(&["s.bar"]);
    let StoreDone::Latest(proof) = Reply(bench.store.answer_as_of(T0, Sequence(2), &latest)).done()
    else {
        panic!()
    };
    assert_eq!(
        (proof.up_to, proof.messages[0].sequence),
        (Sequence(2), Sequence(1))
    );
}

#[test]
fn s13_a_lost_tail_gives_its_sequences_again() {
    let mut bench = Bench::unreplicated();
    bench.publish(own("s.own", 0)).stored(1);
    bench.publish(own("s.own", 1)).stored(2);
    bench
        .publish(rollup(with_id("c1", own("s.own", 2))))
        .stored(3);
    bench.store.lose_tail("S", Sequence(1));
    assert_eq!(bench.subjects(), ["s.own@1"]);
    bench.publish(with_id("c1", own("s.own", 1))).stored(2);
    assert_eq!(bench.publish(own("s.own", 1)).refused(), wrong_last(2));
}

#[test]
fn a_message_that_is_deleted_leaves_the_one_before_it() {
    let mut bench = Bench::unreplicated();
    bench.publish(own("s.own", 0)).stored(1);
    bench.publish(own("s.own", 1)).stored(2);
    assert!(bench.store.delete("S", Sequence(2)));
    assert!(!bench.store.delete("S", Sequence(2)), "once");
    assert_eq!(bench.subjects(), ["s.own@1"]);
    // Its sequence is not given again, and its subject ends with the one before it.
    assert_eq!(bench.publish(own("s.own", 2)).refused(), wrong_last(1));
    bench.publish(own("s.own", 1)).stored(3);
}
