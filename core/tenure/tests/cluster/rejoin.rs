//! A node that was silent for longer than its lease, and goes on: it joins again as another run, or
//! says why it does not.

use crate::cluster::nodes::{PATIENCE, node, wait};
use crate::common::{Add, Count, Put, Tally, Till};
use tenure::{Builder, Cluster, JoinError, MemShell, Span, TakeOver, Tenure, Terms};

const TILLS: u64 = 24;

fn builder(cluster: Cluster) -> Builder {
    let terms = Terms::of_ttl(Span::from_millis(1_500));
    node(cluster.terms(terms)).serve::<Till>().actor::<Tally>()
}

/// Two nodes over one store, the second of which can be cut off from it and from the first.
async fn two(second: Cluster) -> (Tenure, Tenure, MemShell) {
    let shell = MemShell::fresh();
    let others = shell.beside();
    let first = builder(Cluster::named("a"))
        .start_with(shell)
        .await
        .unwrap();
    let second = builder(second).start_with(others.clone()).await.unwrap();
    both_own(&first, &second).await;
    (first, second, others)
}

async fn both_own(first: &Tenure, second: &Tenure) {
    for node in [first, second] {
        wait(node, |view| {
            let owns = |class| view.is_served(class) && view.owned(class).len() == 2;
            owns(TakeOver::Fenced) && owns(TakeOver::Leased)
        })
        .await;
    }
}

/// Each till is one cent fuller, and what it held before is there.
async fn count_on(node: &Tenure, cents: u64) {
    for n in 0..TILLS {
        let till = node.entity::<Till>(format!("till-{n}"));
        let put = till.ask(Put { cents: 1 }).timeout(PATIENCE).await.unwrap();
        assert_eq!(put, i64::try_from(cents).unwrap(), "till {n}");
    }
}

#[tokio::test]
async fn a_node_that_was_taken_for_over_joins_again_as_another_run() {
    let (first, second, link) = two(Cluster::named("b")).await;
    count_on(&second, 1).await;
    let before = second.cluster().unwrap().view();
    assert_eq!((before.rejoins(), before.cause()), (0, None));
    let run = before.node("b").unwrap().run;

    link.cut(true);
    wait(&first, |view| {
        view.node("b").is_none() && view.is_served(TakeOver::Leased)
    })
    .await;
    count_on(&first, 2).await;
    // What is asked while it is nobody waits, or is told that nothing is known of it.
    let till = second.entity::<Till>("till-0");
    let held = tokio::spawn({
        let till = till.clone();
        async move { till.read(Count).timeout(PATIENCE).await }
    });
    let unknown = till
        .ask(Put { cents: 0 })
        .timeout(std::time::Duration::from_millis(100));
    assert!(unknown.await.is_err(), "it reaches nobody");
    link.cut(false);

    let view = wait(&second, |view| {
        view.rejoins() > 0 && view.state() == "joined"
    })
    .await;
    assert_eq!((view.rejoins(), view.cause()), (1, None));
    let again = view.node("b").unwrap().run;
    assert_ne!(again, run, "a run that was over never comes back");
    assert_eq!(held.await.unwrap().unwrap().0, 2, "its caller was held");
    both_own(&first, &second).await;
    assert_eq!(
        first.cluster().unwrap().view().node("b").unwrap().run,
        again
    );
    assert_eq!(
        second.node("b").info().await.unwrap().run,
        again.to_string()
    );

    // It asks and is asked, owns and serves, as any node.
    count_on(&second, 3).await;
    count_on(&first, 4).await;
    for n in 0..TILLS {
        let tally = second.actor::<Tally>(format!("tally-{n}"));
        assert!(tally.ask(Add(1)).timeout(PATIENCE).await.unwrap().epoch > 0);
        let tally = first.actor::<Tally>(format!("tally-{n}"));
        assert_eq!(tally.ask(Add(1)).timeout(PATIENCE).await.unwrap().count, 2);
    }
    let counters = second.counters().await;
    assert_eq!((counters.rejoins, counters.halts), (1, 0));
    // And again.
    link.cut(true);
    wait(&first, |view| view.node("b").is_none()).await;
    link.cut(false);
    wait(&second, |view| {
        view.rejoins() == 2 && view.state() == "joined"
    })
    .await;
    both_own(&first, &second).await;
    count_on(&second, 5).await;
    second.stop().await;
    wait(&first, |view| {
        view.node("b").is_none() && view.is_served(TakeOver::Fenced)
    })
    .await;
    count_on(&first, 6).await;
}

#[tokio::test]
async fn what_its_actors_held_is_gone_and_they_live_once() {
    let (first, second, link) = two(Cluster::named("b")).await;
    for n in 0..TILLS {
        let tally = first.actor::<Tally>(format!("tally-{n}"));
        tally.ask(Add(5)).await.unwrap();
    }
    let there = second.counters().await.actors_held;
    assert!(there > 0);
    link.cut(true);
    wait(&first, |view| view.node("b").is_none()).await;
    link.cut(false);
    wait(&second, |view| {
        view.rejoins() == 1 && view.state() == "joined"
    })
    .await;
    assert_eq!(second.counters().await.actors_held, 0, "they were stopped");
    let mut lost = 0;
    for n in 0..TILLS {
        let tally = second.actor::<Tally>(format!("tally-{n}"));
        match tally.ask(Add(1)).timeout(PATIENCE).await.unwrap().count {
            6 => {}
            1 => lost += 1,
            count => panic!("{count}"),
        }
    }
    assert!(lost >= there, "{lost} of {there}");
}

#[tokio::test]
async fn a_node_that_is_to_stay_out_says_why_it_is_none() {
    let (first, second, link) = two(Cluster::named("b").rejoin(false)).await;
    link.cut(true);
    wait(&first, |view| view.node("b").is_none()).await;
    link.cut(false);
    let view = wait(&second, |view| view.state() == "refused").await;
    let cause = view.cause().unwrap();
    assert!(cause.contains("start it again"), "{cause}");
    assert!(matches!(view.refused(), Some(JoinError::Expired { .. })));
    assert_eq!(view.rejoins(), 0);
    first.stop().await;
    let left = first.cluster().unwrap().view();
    assert_eq!((left.state(), left.cause()), ("left", None));
}

#[tokio::test]
async fn a_node_whose_name_another_one_has_by_then_does_not_fight_for_it() {
    let (first, second, link) = two(Cluster::named("b")).await;
    link.cut(true);
    wait(&first, |view| view.node("b").is_none()).await;
    let other = builder(Cluster::named("b")).start_with(link.beside()).await;
    let other = other.unwrap();
    link.cut(false);
    let view = wait(&second, |view| view.state() == "refused").await;
    let cause = view.cause().unwrap();
    assert!(cause.contains("took this node's place"), "{cause}");
    assert!(matches!(view.refused(), Some(JoinError::Replaced { .. })));
    both_own(&first, &other).await;
    assert_eq!(other.cluster().unwrap().view().rejoins(), 0);
}

#[tokio::test]
async fn a_node_that_drains_does_so_as_the_next_run_too() {
    let (first, second, link) = two(Cluster::named("b")).await;
    second.cluster().unwrap().drain().await.unwrap();
    link.cut(true);
    wait(&first, |view| view.node("b").is_none()).await;
    link.cut(false);
    let view = wait(&second, |view| {
        view.rejoins() == 1 && view.state() == "drained"
    })
    .await;
    assert!(view.node("b").unwrap().draining);
    wait(&first, |view| view.node("b").is_some_and(|b| b.draining)).await;
    assert_eq!(
        first
            .cluster()
            .unwrap()
            .view()
            .owned(TakeOver::Fenced)
            .len(),
        1
    );
}
