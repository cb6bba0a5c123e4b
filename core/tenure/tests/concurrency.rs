//! Entities do not wait for each other, callers may go whenever they like, and each gets the answer
//! that is its own.

use crate::common::{
    Account, AccountEvent, Fate, FaultyShell, Move, Owned, World, idle,
    on_both_shells_and_the_front,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;
use tenure::StoreRequest;
use tenure::prelude::*;
use tenure_core::step::{Dice, Purpose};
use tokio::runtime::Handle;
use tokio::sync::watch;

on_both_shells_and_the_front!(
    each_caller_gets_its_own_answer,
    callers_that_go_leave_nothing_behind,
    no_task_is_left_behind,
);

async fn each_caller_gets_its_own_answer(world: &World) {
    let accounts = world.accounts().await;
    let transactions = (0..300_u32).map(|n| {
        // Some succeed, some say no, some panic; all on a few entities at once.
        let decide = move |_: &Account| match n % 3 {
            0 => Ok(Decision::event(AccountEvent::Moved { cents: 1 }).reply(n)),
            1 => Err(n),
            _ => panic!("panic {n}"),
        };
        accounts
            .transact(format!("a{}", n % 7), decide)
            .into_future()
    });
    for (n, result) in (0_u32..).zip(join_all(transactions).await) {
        match (n % 3, result) {
            (0, Ok(reply)) => assert_eq!(reply, n),
            (1, Err(ExecuteError::Rejected(told))) => assert_eq!(told, n),
            (2, Err(ExecuteError::Failed(cause))) => {
                assert!(cause.ends_with(&format!("panic {n}")), "{n}: {cause}");
            }
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    let mut sum = 0;
    for n in 0..7 {
        sum += accounts.load(format!("a{n}")).await.unwrap().state.cents;
    }
    assert_eq!(sum, 100);
}

/// A transaction that holds a token for as long as anything of it is left.
fn with_token(
    accounts: &Repository<Account>,
    id: String,
    token: &Arc<()>,
) -> impl Future<Output = Result<u64, ExecuteError<()>>> + Send + 'static {
    let token = Arc::clone(token);
    let decide = move |account: &Account| {
        let _held = &token;
        let event = AccountEvent::Moved { cents: 1 };
        Ok(Decision::event(event).reply(u64::from(account.moves)))
    };
    accounts.transact(id, decide).into_future()
}

async fn callers_that_go_leave_nothing_behind(world: &World) {
    const SEED: u128 = 1;
    let dice = Dice::new(SEED);
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let token = Arc::new(());
    let mut stayed = 0;
    for n in 0..2_000_u64 {
        let id = format!("a{}", n % 20);
        let mut caller = Box::pin(with_token(&accounts, id, &token));
        // Each is dropped after it was looked at so many times, or waits for its answer.
        let looks = dice.below(Purpose::World, n, 12);
        let mut answer = None;
        for _ in 0..looks {
            answer = answer.or_else(|| caller.as_mut().now_or_never());
            if answer.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if answer.is_none() && looks == 11 {
            answer = Some(caller.as_mut().await);
        }
        if let Some(answer) = answer {
            answer.unwrap_or_else(|error| panic!("seed {SEED}, caller {n}: {error:?}"));
            stayed += 1;
        }
    }
    assert!((1..2_000).contains(&stayed), "{stayed} stayed");
    let counters = idle(&node).await;
    assert_eq!(counters.requests, counters.answers);
    assert_eq!(counters.halts, 0);
    // Whoever handed over its command had it done, whether it waited or not: none twice.
    let mut moves = 0;
    for n in 0..20 {
        moves += u64::from(
            accounts
                .load_or_create(format!("a{n}"))
                .await
                .unwrap()
                .state
                .moves,
        );
    }
    assert!(
        stayed <= moves && moves <= 2_000,
        "{stayed} stayed, {moves} moves"
    );
    let counters = idle(&node).await;
    assert_eq!(counters.requests, counters.answers);
    node.stop().await;
    assert_eq!(Arc::strong_count(&token), 1, "a command is left behind");
}

async fn no_task_is_left_behind(world: &World) {
    let before = Handle::current().metrics().num_alive_tasks();
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("a", Move { cents: 1 }).await.unwrap();
    let started = Handle::current().metrics().num_alive_tasks();
    for round in 0..10 {
        let ids = (0..50).map(|n| format!("a{}", n * round % 37));
        let all = ids.map(|id| accounts.execute(id, Move { cents: 1 }).into_future());
        for reply in join_all(all).await {
            reply.unwrap();
        }
        let now = Handle::current().metrics().num_alive_tasks();
        assert!(now <= started, "{started} tasks, then {now}");
    }
    node.stop().await;
    drop((accounts, node));
    // A client's own tasks end when their last handle is gone.
    let gone = async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
    assert!(gone.is_ok(), "tasks are left behind");
}

/// Whether a request is about an entity.
fn is_about(request: &StoreRequest, id: &str) -> bool {
    let on = |subject: &str| subject.ends_with(&format!(".{id}"));
    match request {
        StoreRequest::Publish(publish) => on(&publish.subject),
        StoreRequest::Batch { messages, .. } => messages.iter().any(|m| on(&m.subject)),
        StoreRequest::Latest { subjects, .. } => subjects.iter().any(|subject| on(subject)),
        StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => false,
    }
}

/// All in one shard: what the store holds up for one entity holds up no other.
async fn a_slow_answer_holds_up_its_entity_alone<A>(loaded: bool)
where
    A: Aggregate + Decide<Move, Reply = i64, Error = crate::common::Refused>,
{
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank").shards(1);
    let node = node.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<A>().await.unwrap();
    if loaded {
        // What is held up is then its commit, else its load.
        accounts.execute("slow", Move { cents: 1 }).await.unwrap();
    }
    let (release, released) = watch::channel(false);
    shell.set(move |request| is_about(request, "slow").then(|| Fate::Held(released.clone())));
    let slow: Vec<_> = (0..10)
        .map(|_| tokio::spawn(accounts.execute("slow", Move { cents: 1 }).into_future()))
        .collect();
    for round in 1..=20 {
        for n in 0..10 {
            let reply = accounts.execute(format!("a{n}"), Move { cents: 1 }).await;
            assert_eq!(reply.unwrap(), round);
        }
    }
    assert!(slow.iter().all(|caller| !caller.is_finished()));
    release.send(true).unwrap();
    let mut replies = Vec::new();
    for caller in slow {
        replies.push(caller.await.unwrap().unwrap());
    }
    replies.sort_unstable();
    let first = 1 + i64::from(loaded);
    assert_eq!(replies, (first..first + 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_load_holds_up_its_entity_alone() {
    a_slow_answer_holds_up_its_entity_alone::<Account>(false).await;
    a_slow_answer_holds_up_its_entity_alone::<Owned>(false).await;
}

#[tokio::test]
async fn a_slow_commit_holds_up_its_entity_alone() {
    a_slow_answer_holds_up_its_entity_alone::<Account>(true).await;
    a_slow_answer_holds_up_its_entity_alone::<Owned>(true).await;
}
