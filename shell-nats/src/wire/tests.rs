//! Answers find their asks, and what ends without one.

use super::{Answer, NotEntered, Question, Subjects, Until, Wire};
use crate::submit::Told;
use async_nats::{Message, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::Completion;
use tenure_core::port::{Ack, Refused, StoreDone};
use tenure_core::step::Outcome;
use tokio::time::Instant;

fn wire() -> Arc<Wire> {
    Wire::new("_INBOX.x".into())
}

fn question(subject: &str, writes: bool, until: Until) -> Question {
    Question {
        subjects: Subjects::One(subject.into()),
        writes,
        until,
        due: None,
    }
}

fn message(
    subject: async_nats::Subject,
    status: Option<StatusCode>,
    payload: &'static str,
) -> Message {
    Message {
        subject,
        reply: None,
        payload: payload.into(),
        headers: None,
        status,
        description: None,
        length: 0,
    }
}

#[tokio::test]
async fn an_answer_finds_its_ask_and_a_late_one_finds_none() {
    let wire = wire();
    let first = wire.enter(question("a", true, Until::First)).unwrap();
    let late = first.reply();
    drop(first);
    let second = wire.enter(question("a", true, Until::First)).unwrap();
    // The second ask stands in the place of the first.
    wire.deliver(message(late, None, "late"));
    assert_eq!(wire.waiting(), 1);
    wire.deliver(message(second.reply(), None, "mine"));
    let Some(Answer::Replied { last, .. }) = second.await else {
        panic!("no answer")
    };
    assert_eq!(last.payload, "mine");
    assert_eq!(wire.waiting(), 0);
}

#[tokio::test]
async fn a_committed_batch_is_told_by_the_first_answer_with_a_body() {
    let wire = wire();
    let ask = wire.enter(question("a", true, Until::Committed)).unwrap();
    wire.deliver(message(ask.reply(), None, ""));
    wire.deliver(message(ask.reply(), None, "{}"));
    assert!(matches!(ask.await, Some(Answer::Replied { last, .. }) if last.payload == "{}"));
}

#[tokio::test]
async fn messages_before_a_status_belong_to_the_answer() {
    let wire = wire();
    let ask = wire.enter(question("a", false, Until::Status)).unwrap();
    wire.deliver(message(ask.reply(), None, "one"));
    wire.deliver(message(ask.reply(), Some(StatusCode::NOT_FOUND), ""));
    let Some(Answer::Replied { before, .. }) = ask.await else {
        panic!("no answer")
    };
    assert_eq!(before.len(), 1);
}

#[tokio::test]
async fn a_lost_connection_fails_what_waits_and_takes_no_more() {
    let wire = wire();
    let ask = wire.enter(question("a", true, Until::First)).unwrap();
    wire.close();
    assert!(ask.await.is_none());
    let lost = wire.enter(question("a", true, Until::First));
    assert_eq!(lost.unwrap_err(), NotEntered::Lost);
    wire.open();
    assert!(wire.enter(question("a", true, Until::First)).is_ok());
}

#[tokio::test]
async fn an_ask_that_is_due_ends_without_an_answer_and_others_go_on() {
    let wire = wire();
    let now = Instant::now();
    let due = |after| Question {
        due: after,
        ..question("a", true, Until::First)
    };
    let later = now + Duration::from_secs(2);
    let first = wire.enter(due(Some(now))).unwrap();
    let second = wire.enter(due(Some(later))).unwrap();
    let third = wire.enter(due(None)).unwrap();
    assert_eq!(wire.expire(now), Some(later));
    assert_eq!(wire.waiting(), 2);
    // An answer that comes too late changes nothing.
    wire.deliver(message(first.reply(), None, "late"));
    assert!(first.await.is_none());
    wire.deliver(message(second.reply(), None, "in time"));
    assert_eq!(wire.expire(later), None);
    let answer = second.await;
    assert!(matches!(answer, Some(Answer::Replied { last, .. }) if last.payload == "in time"));
    assert_eq!(wire.waiting(), 1);
    drop(third);
    assert_eq!(wire.waiting(), 0);
}

#[tokio::test]
async fn an_answer_that_is_told_needs_its_place_no_more() {
    let wire = wire();
    let now = Instant::now();
    let ask = |due| {
        let (done, answer) = Completion::alone();
        let question = Question {
            due: Some(due),
            ..question("a", true, Until::First)
        };
        let told = Told::new(done, "ev".into(), None);
        (wire.enter_told(question, told).unwrap(), answer)
    };
    let later = now + Duration::from_secs(2);
    let (due, silent) = ask(now);
    let (entry, answer) = ask(later);
    assert_eq!(wire.expire(now), Some(later));
    assert_eq!(silent.await, Outcome::Unknown);
    // What has ended is not taken back, nor what stands in its place.
    assert!(wire.retract(due).is_none());
    let (again, third) = ask(later);
    assert!(wire.retract(due).is_none());
    wire.deliver(message(wire.reply(due), None, "late"));
    assert_eq!(wire.waiting(), 2);
    let acknowledged = "{\"stream\":\"ev\", \"seq\":7}";
    wire.deliver(message(wire.reply(entry), None, acknowledged));
    assert!(matches!(
        answer.await,
        Outcome::Done(StoreDone::Published(Ack { sequence, .. })) if sequence.0 == 7
    ));
    wire.retract(again).unwrap().refuse(Refused::NotConnected);
    assert_eq!(third.await, Outcome::Refused(Refused::NotConnected));
    let (_, lost) = ask(later);
    wire.close();
    assert_eq!(lost.await, Outcome::Unknown);
    assert_eq!(wire.asks().waiting.len(), 0);
    let told = Told::new(Completion::alone().0, "ev".into(), None);
    let entered = wire.enter_told(question("a", true, Until::First), told);
    assert_eq!(entered.unwrap_err().0, NotEntered::Lost);
}

#[tokio::test]
async fn one_write_on_a_forbidden_subject_is_denied_and_of_two_none() {
    let wire = wire();
    let text = "Permissions Violation for Publish to \"a.b\"";
    let ask = || wire.enter(question("a.b", true, Until::First)).unwrap();
    let other = wire.enter(question("a.c", true, Until::First)).unwrap();
    let one = ask();
    wire.take_error(text);
    assert!(matches!(one.await, Some(Answer::Denied(said)) if said == text));
    let (one, two) = (ask(), ask());
    wire.take_error(text);
    assert!(one.await.is_none() && two.await.is_none());
    assert_eq!(wire.waiting(), 1);
    drop(other);
}

#[tokio::test]
async fn without_an_inbox_reads_are_denied_and_writes_unknown() {
    let wire = wire();
    let text = "Permissions Violation for Subscription to \"_INBOX.x.*\"";
    let read = wire.enter(question("a", false, Until::First)).unwrap();
    let write = wire.enter(question("a", true, Until::First)).unwrap();
    wire.take_error(text);
    assert!(matches!(read.await, Some(Answer::Denied(said)) if said == text));
    assert!(write.await.is_none());
    let next = wire.enter(question("a", true, Until::First));
    assert_eq!(next.unwrap_err(), NotEntered::Denied(text.into()));
}

#[test]
fn the_subject_for_an_answer_fits_its_room() {
    for (number, digits) in [(0, 1), (1, 1), (15, 1), (16, 2), (255, 2), (256, 3)] {
        assert_eq!(super::digits(number), digits, "{number}");
    }
    assert_eq!(super::digits(u64::MAX), 16);
}
