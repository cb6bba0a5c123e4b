//! The oracles on what was written down by hand: each is silent where nothing is wrong, and speaks where
//! something is.

use super::super::entity::{Manner, NO, Order, StepEvent};
use super::past::{Course, Past, key};
use super::{Judged, course, sum, whole};
use tenure_core::api::saga::SagaEvent;

/// What a saga did, and what became of its steps.
type Story = (Vec<SagaEvent<Order>>, Vec<(u64, u32, StepEvent)>);

fn order() -> Order {
    Order {
        from: "vault-0".to_owned(),
        past: "guard-0".to_owned(),
        to: "vault-1".to_owned(),
        amount: 10,
        manners: [Manner::Prompt; 3],
        put_off: false,
        stays: false,
        timeout_ms: 400,
    }
}

fn done(step: u32, by: i64) -> StepEvent {
    let step = key("m", step);
    StepEvent::Done { step, by }
}

fn undone(step: u32) -> StepEvent {
    let step = key("m", step);
    StepEvent::Undone { step }
}

fn turned(step: u32, why: &str) -> SagaEvent<Order> {
    let why = why.to_owned();
    SagaEvent::TurnedBack { step, why }
}

/// One saga whose events are stored at 10, 20 and so on, and what became of its steps.
fn past(order: Order, then: Vec<SagaEvent<Order>>, steps: &[(u64, u32, StepEvent)]) -> Past {
    let mut past = Past::default();
    let all = [SagaEvent::Started(order.clone())].into_iter().chain(then);
    let course: Course = (1..).map(|nth| nth * 10).zip(all).collect();
    past.sagas.insert("m".to_owned(), course);
    let vaults = [(0, &order.from), (2, &order.to)];
    for (at, step, event) in steps {
        let of = past.steps.entry(key("m", *step)).or_default();
        of.push((*at, event.clone()));
        if let Some((_, vault)) = vaults.iter().find(|(it, _)| it == step) {
            let vault = past.vaults.entry((*vault).clone()).or_default();
            vault.push(event.clone());
        }
    }
    past
}

fn all(past: &Past) -> Judged {
    course::judge(past)?;
    whole::judge(past)?;
    sum::judge(past)
}

/// All three steps are done.
fn completed() -> Story {
    let advanced = (0..3).map(SagaEvent::Advanced);
    let steps = vec![
        (25, 0, done(0, -10)),
        (35, 1, done(1, 0)),
        (45, 2, done(2, 10)),
    ];
    (advanced.chain([SagaEvent::Completed]).collect(), steps)
}

/// The last one is late: all are undone.
fn compensated() -> Story {
    let advanced = (0..3).map(SagaEvent::Advanced);
    let back = [2, 1, 0].map(SagaEvent::Undoing);
    let end = [SagaEvent::Compensated];
    let all = advanced.chain([turned(2, "late")]).chain(back).chain(end);
    let steps = vec![
        (25, 0, done(0, -10)),
        (35, 1, done(1, 0)),
        (45, 2, done(2, 10)),
        (65, 2, undone(2)),
        (75, 1, undone(1)),
        (85, 0, undone(0)),
    ];
    (all.collect(), steps)
}

#[test]
fn nothing_is_said_where_nothing_is_wrong() {
    let (then, steps) = completed();
    assert_eq!(all(&past(order(), then, &steps)), Ok(()));
    let (then, steps) = compensated();
    assert_eq!(all(&past(order(), then, &steps)), Ok(()));
    let refused = vec![
        SagaEvent::Advanced(0),
        turned(0, NO),
        SagaEvent::Compensated,
    ];
    assert_eq!(all(&past(order(), refused, &[])), Ok(()));
    // An undo is sent again.
    let (mut then, mut steps) = compensated();
    then.insert(7, SagaEvent::UndoneAgain(0));
    steps[5].0 = 95;
    assert_eq!(all(&past(order(), then, &steps)), Ok(()));
    // What the guard did stays.
    let stays = Order {
        stays: true,
        ..order()
    };
    let (mut then, mut steps) = compensated();
    then.retain(|it| *it != SagaEvent::Undoing(1));
    steps.retain(|(_, step, event)| *step != 1 || *event != undone(1));
    steps
        .iter_mut()
        .filter(|it| it.2 == undone(0))
        .for_each(|it| it.0 = 75);
    assert_eq!(all(&past(stays, then, &steps)), Ok(()));
}

#[test]
fn a_step_that_is_left_out_is_seen() {
    let (then, mut steps) = completed();
    steps.remove(1);
    let wrong = all(&past(order(), then, &steps)).unwrap_err();
    assert!(wrong.contains("step 1 is not done"), "{wrong}");
    let (mut then, mut steps) = compensated();
    then.remove(5);
    steps.remove(4);
    let wrong = all(&past(order(), then, &steps)).unwrap_err();
    assert!(wrong.contains("Undoing(0)"), "{wrong}");
    let (then, mut steps) = compensated();
    steps.remove(3);
    let wrong = all(&past(order(), then, &steps)).unwrap_err();
    assert!(wrong.contains("step 2 is not undone"), "{wrong}");
    let (mut then, mut steps) = compensated();
    then.insert(7, SagaEvent::UndoneAgain(0));
    steps.remove(5);
    let wrong = all(&past(order(), then, &steps)).unwrap_err();
    assert!(wrong.contains("step 0 is not undone"), "{wrong}");
    let (mut then, steps) = compensated();
    then.insert(7, SagaEvent::UndoneAgain(1));
    assert!(course::judge(&past(order(), then, &steps)).is_err());
}

#[test]
fn a_step_before_it_was_wanted_and_one_that_comes_twice_are_seen() {
    let (then, mut steps) = completed();
    steps[2].0 = 15;
    let early = all(&past(order(), then, &steps)).unwrap_err();
    assert!(early.contains("before Advanced(2)"), "{early}");
    let (then, mut steps) = completed();
    steps.push((99, 2, done(2, 10)));
    let twice = all(&past(order(), then, &steps)).unwrap_err();
    assert!(twice.contains("a second time"), "{twice}");
}

#[test]
fn what_is_left_of_one_that_was_undone_and_money_from_nowhere_are_seen() {
    let (then, mut steps) = compensated();
    steps.push((99, 2, done(2, 10)));
    let late = past(order(), then, &steps);
    assert!(whole::judge(&late).unwrap_err().contains("its step 2"));
    assert!(sum::judge(&late).unwrap_err().contains("10 more"));
    let poor = past(order(), Vec::new(), &[(25, 0, done(0, -200))]);
    assert!(sum::judge(&poor).unwrap_err().contains("has -100"));
}

#[test]
fn one_that_goes_on_after_its_end_or_has_none_is_seen() {
    let (mut then, steps) = completed();
    then.push(SagaEvent::Completed);
    assert!(course::judge(&past(order(), then, &steps)).is_err());
    let (mut then, steps) = completed();
    then.pop();
    let open = past(order(), then, &steps);
    assert_eq!(open.open(), Some("m"));
    let (then, _) = compensated();
    assert!(past(order(), then, &[]).has_compensated());
}
