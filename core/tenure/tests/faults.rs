//! What callers are told when the store or their own code misbehaves.

use crate::common::{Account, AccountEvent, Fate, FaultyShell, Move, World, on_both_shells};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{FoldError, KindError, SpaceError, StoreRequest};
use tenure_core::driver::Recorded;
use tenure_core::log::Input;
use tenure_core::port::{Page, Refused, StoreDone};
use tenure_core::step::Outcome;

on_both_shells!(
    a_panic_in_decide_fails_its_command_alone,
    a_panic_in_evolve_fails_its_command_alone,
    a_stored_event_that_makes_evolve_panic_fails_the_load,
    a_state_whose_clone_panics_fails_its_readers_alone,
);

/// An aggregate with bad code.
#[derive(Debug, Default)]
pub(crate) struct Clumsy {
    sum: i64,
}

impl Clone for Clumsy {
    fn clone(&self) -> Self {
        assert!(self.sum != 1_000, "a thousand");
        Self { sum: self.sum }
    }
}

#[derive(Debug, Event)]
pub(crate) enum ClumsyEvent {
    #[event(name = "added", version = 1)]
    Added(i64),
}

impl Aggregate for Clumsy {
    type Event = ClumsyEvent;
    const KIND: &'static str = "clumsy";

    fn evolve(&mut self, event: &ClumsyEvent) {
        let ClumsyEvent::Added(n) = event;
        self.sum += n;
        assert!(*n != 13, "thirteen");
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "add", version = 1)]
pub(crate) struct Add(pub(crate) i64);

impl Decide<Add> for Clumsy {
    type Reply = i64;
    type Error = ();

    fn decide(&self, command: &Add, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, ()> {
        assert!(command.0 != 7, "seven");
        Ok(Decision::event(ClumsyEvent::Added(command.0)).reply(self.sum + command.0))
    }
}

/// The same, written by the owners of its shards.
#[derive(Clone, Debug, Default)]
struct Owned(i64);

impl Aggregate for Owned {
    type Event = ClumsyEvent;
    const KIND: &'static str = "owned";

    fn evolve(&mut self, event: &ClumsyEvent) {
        let ClumsyEvent::Added(n) = event;
        self.0 += n;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Add> for Owned {
    type Reply = i64;
    type Error = ();

    fn decide(&self, command: &Add, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, ()> {
        Ok(Decision::event(ClumsyEvent::Added(command.0)).reply(self.0 + command.0))
    }
}

async fn with_neighbours(world: &World, bad: i64, text: &str) {
    let clumsy = world.node().await.repository::<Clumsy>().await.unwrap();
    let (before, failed, after) = tokio::join!(
        clumsy.execute("c", Add(1)).into_future(),
        clumsy.execute("c", Add(bad)).into_future(),
        clumsy.execute("c", Add(2)).into_future(),
    );
    assert_eq!((before.unwrap(), after.unwrap()), (1, 3));
    let error = failed.unwrap_err();
    assert!(matches!(error, ExecuteError::Failed(_)), "{error:?}");
    assert!(format!("{error:?}").contains(text), "{error:?}");
    assert!(!error.is_unknown());
    assert_eq!(clumsy.load("c").await.unwrap().state.sum, 3);
}

async fn a_panic_in_decide_fails_its_command_alone(world: &World) {
    with_neighbours(world, 7, "decide panicked: seven").await;
}

async fn a_panic_in_evolve_fails_its_command_alone(world: &World) {
    with_neighbours(world, 13, "evolve panicked: thirteen").await;
}

async fn a_state_whose_clone_panics_fails_its_readers_alone(world: &World) {
    let node = world.node().await;
    let clumsy = node.repository::<Clumsy>().await.unwrap();
    clumsy.execute("c", Add(1_000)).await.unwrap();
    let load = clumsy.load("c").await;
    assert!(
        matches!(&load, Err(LoadError::Failed(cause)) if cause.contains("a thousand")),
        "{load:?}"
    );
    let execute = clumsy.execute("c", Add(1)).await;
    assert!(
        matches!(&execute, Err(ExecuteError::Failed(cause)) if cause.contains("a thousand")),
        "{execute:?}"
    );
    assert_eq!(clumsy.version("c").await.unwrap(), Version(1));
    assert_eq!(node.counters().await.halts, 0);
}

async fn a_stored_event_that_makes_evolve_panic_fails_the_load(world: &World) {
    let node = world.node().await;
    let data = tenure::Codec::Cbor.encode(&13).unwrap();
    let log = node.log("clumsy").await.unwrap();
    log.append("c", [tenure::RawEvent::new("added", 1, data)])
        .await
        .unwrap();
    let clumsy = node.repository::<Clumsy>().await.unwrap();
    let load = clumsy.load("c").await.unwrap_err();
    assert!(
        matches!(
            load,
            LoadError::Fold {
                cause: FoldError::Panicked {
                    version: Version(1),
                    ..
                },
                ..
            }
        ),
        "{load:?}"
    );
    assert_eq!(clumsy.execute("d", Add(1)).await.unwrap(), 1);
}

async fn faulty() -> (FaultyShell, Repository<Account>) {
    let shell = FaultyShell::new();
    let node = Tenure::builder()
        .namespace("bank")
        .start_with(shell.clone())
        .await
        .unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    (shell, accounts)
}

fn writes(request: &StoreRequest) -> bool {
    matches!(
        request,
        StoreRequest::Publish(_) | StoreRequest::Batch { .. }
    )
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_log() {
    let (shell, accounts) = faulty().await;
    let once = AtomicBool::new(true);
    shell.set(move |request| {
        let lose = writes(request) && once.swap(false, Ordering::Relaxed);
        lose.then_some(Fate::Instead(Outcome::Unknown))
    });
    assert_eq!(
        accounts.execute("alice", Move { cents: 1 }).await.unwrap(),
        1
    );
    assert_eq!(accounts.version("alice").await.unwrap(), Version(1));
}

#[tokio::test]
async fn a_store_that_stays_silent_is_unknown_and_the_same_id_tells_later() {
    let (shell, accounts) = faulty().await;
    // Each write is stored, and its answer is lost; so is each look at it.
    let reads = Arc::new(AtomicBool::new(false));
    let hidden = Arc::clone(&reads);
    shell.set(move |request| {
        if writes(request) {
            hidden.store(true, Ordering::Relaxed);
            return Some(Fate::Instead(Outcome::Unknown));
        }
        hidden.load(Ordering::Relaxed).then_some(Fate::Silence)
    });
    let sent = accounts
        .execute("alice", Move { cents: 1 })
        .timeout(Duration::from_millis(100));
    let error = sent.await.unwrap_err();
    let ExecuteError::Unknown { id } = error else {
        panic!("{error:?}");
    };
    assert!(error.is_unknown() && error.is_retryable());
    let node = Tenure::builder()
        .namespace("bank")
        .start_with(shell.healthy())
        .await
        .unwrap();
    let elsewhere = node.repository::<Account>().await.unwrap();
    let again = elsewhere
        .execute("alice", Move { cents: 1 })
        .id(id)
        .receipt()
        .await
        .unwrap();
    assert_eq!((again.reply, again.duplicate), (1, true));
    assert_eq!(elsewhere.version("alice").await.unwrap(), Version(1));
}

#[tokio::test]
async fn before_anything_was_sent_a_deadline_is_a_deadline() {
    let (shell, accounts) = faulty().await;
    let sent = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sent);
    shell.set(move |request| {
        count.fetch_add(u32::from(writes(request)), Ordering::Relaxed);
        (!writes(request)).then_some(Fate::Silence)
    });
    let late = accounts
        .execute("alice", Move { cents: 1 })
        .timeout(Duration::from_millis(50));
    let error = late.await.unwrap_err();
    assert!(matches!(error, ExecuteError::Deadline), "{error:?}");
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    // The question waits for its time-out, which is the node's.
    shell.set(|_| None);
    assert!(!accounts.exists("bob").await.unwrap());
}

#[tokio::test]
async fn a_refusal_for_good_reaches_the_caller() {
    let (shell, accounts) = faulty().await;
    shell
        .set(|request| writes(request).then_some(Fate::Answer(Outcome::Refused(Refused::NoSpace))));
    let error = accounts
        .execute("alice", Move { cents: 1 })
        .await
        .unwrap_err();
    assert!(
        matches!(error, ExecuteError::Store(Refused::NoSpace)),
        "{error:?}"
    );
    shell.set(|_| None);
    assert_eq!(
        accounts.execute("alice", Move { cents: 1 }).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_claim_that_was_refused_is_made_again_for_the_next_caller() {
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank");
    let node = node.start_with(shell.clone()).await.unwrap();
    let owned = node.repository::<Owned>().await.unwrap();
    shell
        .set(|request| writes(request).then_some(Fate::Answer(Outcome::Refused(Refused::NoSpace))));
    for _ in 0..2 {
        let error = owned.execute("c", Add(1)).await.unwrap_err();
        assert!(
            matches!(error, ExecuteError::Store(Refused::NoSpace)),
            "{error:?}"
        );
    }
    shell.set(|_| None);
    assert_eq!(owned.execute("c", Add(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_shard_that_another_process_took_is_not_taken_back() {
    let shell = FaultyShell::new();
    let node = || Tenure::builder().namespace("bank");
    let here = node().start_with(shell.clone()).await.unwrap();
    let there = node().start_with(shell.clone()).await.unwrap();
    let here = here.repository::<Owned>().await.unwrap();
    let there = there.repository::<Owned>().await.unwrap();
    assert_eq!(here.execute("c", Add(1)).await.unwrap(), 1);
    assert_eq!(there.execute("c", Add(1)).await.unwrap(), 2);
    for _ in 0..2 {
        let error = here.execute("c", Add(1)).await.unwrap_err();
        assert!(matches!(error, ExecuteError::NotOwner), "{error:?}");
    }
    assert_eq!(there.execute("c", Add(1)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_history_ends_where_the_store_does_that_lost_its_tail() {
    let (shell, accounts) = faulty().await;
    for _ in 0..3 {
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    }
    shell.disconnect();
    shell.healthy().with_store(|store| {
        let last = store.last("bank_ev_0");
        store.lose_tail("bank_ev_0", tenure::Sequence(last.0 - 1));
    });
    shell.connect();
    // Nobody has used the shard since, so it is the reader that meets the shorter stream.
    let past = accounts.history("alice").unwrap().collect().await.unwrap();
    assert_eq!(past.len(), 2);
    assert_eq!(
        accounts.execute("alice", Move { cents: 1 }).await.unwrap(),
        3
    );
}

#[tokio::test]
async fn a_reconnect_is_verified_and_commands_go_on() {
    let (shell, accounts) = faulty().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    for _ in 0..3 {
        shell.disconnect();
        shell.connect();
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    }
    shell.disconnect();
    let waiting = tokio::spawn(accounts.execute("alice", Move { cents: 1 }).into_future());
    shell.connect();
    assert_eq!(waiting.await.unwrap().unwrap(), 5);
}

/// A lane that is held up by the code that decides does not hear that its link was lost and came back:
/// what it decided before that is not sent over the next link (S8), where other nodes may have seen a
/// lost tail by then.
#[tokio::test]
async fn what_was_decided_over_one_link_is_not_sent_over_the_next() {
    static SHELL: OnceLock<FaultyShell> = OnceLock::new();
    static DECIDED: AtomicU32 = AtomicU32::new(0);

    #[derive(Clone, Debug, Default)]
    struct Held(i64);

    impl Aggregate for Held {
        type Event = ClumsyEvent;
        const KIND: &'static str = "held";

        fn evolve(&mut self, event: &ClumsyEvent) {
            let ClumsyEvent::Added(n) = event;
            self.0 += n;
        }
    }

    impl Decide<Add> for Held {
        type Reply = i64;
        type Error = ();

        fn decide(&self, add: &Add, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, ()> {
            let shell = SHELL.get().expect("a shell");
            if DECIDED.fetch_add(1, Ordering::Relaxed) == 1 {
                shell.disconnect();
                shell.connect();
            }
            Ok(Decision::event(ClumsyEvent::Added(add.0)).reply(self.0 + add.0))
        }
    }

    let shell = FaultyShell::new();
    assert!(SHELL.set(shell.clone()).is_ok());
    let node = Tenure::builder().namespace("bank").start_with(shell);
    let held = node.await.unwrap().repository::<Held>().await.unwrap();
    assert_eq!(held.execute("a", Add(1)).await.unwrap(), 1);
    assert_eq!(held.execute("a", Add(1)).await.unwrap(), 2);
    assert_eq!(DECIDED.load(Ordering::Relaxed), 3, "the second one twice");
}

#[tokio::test]
async fn a_namespace_that_is_no_more_at_a_reconnect_is_told_to_everyone_after() {
    let (shell, accounts) = faulty().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    shell.set(|request| {
        let looks = matches!(request, StoreRequest::StreamInfo { .. });
        looks.then_some(Fate::Answer(Outcome::Refused(Refused::NoJetStream)))
    });
    shell.disconnect();
    shell.connect();
    let timeout = Duration::from_millis(20);
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        // Until the loss is known commands go on, and until the failure is known they wait.
        let sent = accounts
            .execute("alice", Move { cents: 1 })
            .timeout(timeout);
        let result = sent.await;
        if matches!(result, Err(ExecuteError::Space(_))) {
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "{result:?}");
    }
    assert!(matches!(
        accounts.load("alice").await,
        Err(LoadError::Space(_))
    ));
    let history = accounts.history("alice").unwrap().next().await;
    assert!(matches!(history, Err(LoadError::Space(_))), "{history:?}");
}

/// The machine that keeps the namespace verified finds its state wrong: the shards cannot go on, and
/// nobody waits for a deadline to be told.
#[tokio::test]
async fn a_halt_of_the_namespaces_machine_is_told_to_everyone_after() {
    let (shell, accounts) = faulty().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    shell.set(|request| {
        let looks = matches!(request, StoreRequest::StreamInfo { .. });
        let page = Page {
            messages: Vec::new(),
            more: false,
        };
        looks.then_some(Fate::Answer(Outcome::Done(StoreDone::Page(page))))
    });
    shell.disconnect();
    shell.connect();
    let timeout = Duration::from_millis(20);
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        // Until the loss is known commands go on, and until the halt is known they wait.
        let sent = accounts
            .execute("alice", Move { cents: 1 })
            .timeout(timeout);
        let result = sent.await;
        if matches!(result, Err(ExecuteError::Halted { .. })) {
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "{result:?}");
    }
    let loaded = accounts.load("alice").await;
    assert!(matches!(loaded, Err(LoadError::Halted { .. })));
    let history = accounts.history("alice").unwrap().next().await;
    assert!(
        matches!(history, Err(LoadError::Halted { .. })),
        "{history:?}"
    );
}

/// An answer that no store gives: the machine finds its state wrong, and its shard ends. Who waits
/// is told, everyone after is told, other shards go on.
#[tokio::test]
async fn a_halt_answers_everyone_and_spares_other_shards() {
    let (shell, accounts) = faulty().await;
    let once = AtomicBool::new(true);
    shell.set(move |request| {
        let wrong = writes(request) && once.swap(false, Ordering::Relaxed);
        wrong.then(|| {
            let page = Page {
                messages: Vec::new(),
                more: false,
            };
            Fate::Answer(Outcome::Done(StoreDone::Page(page)))
        })
    });
    let first = accounts
        .execute("alice", Move { cents: 1 })
        .await
        .unwrap_err();
    assert!(matches!(first, ExecuteError::Unknown { .. }), "{first:?}");
    let later = accounts
        .execute("alice", Move { cents: 1 })
        .await
        .unwrap_err();
    assert!(matches!(later, ExecuteError::Halted { .. }), "{later:?}");
    assert!(matches!(
        accounts.load("alice").await,
        Err(LoadError::Halted { .. })
    ));
    let mut others = 0;
    for n in 0..20 {
        match accounts
            .execute(format!("other-{n}"), Move { cents: 1 })
            .await
        {
            Ok(_) => others += 1,
            Err(error) => assert!(matches!(error, ExecuteError::Halted { .. }), "{error:?}"),
        }
    }
    assert!(others >= 15, "the same shard got {} of 20", 20 - others);
}

/// The callers' futures are dropped; what they sent still takes effect.
#[tokio::test]
async fn a_dropped_future_gives_up_the_answer_only() {
    let (shell, accounts) = faulty().await;
    let held = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&held);
    shell.set(move |request| {
        seen.fetch_or(writes(request), Ordering::Relaxed);
        None
    });
    let mut command = accounts.execute("alice", Move { cents: 1 }).into_future();
    // Polled once, it is with the lane.
    assert!((&mut command).now_or_never().is_none());
    drop(command);
    assert_eq!(
        accounts.load_or_create("alice").await.unwrap().version,
        Version(1)
    );
    assert!(held.load(Ordering::Relaxed));
}

#[tokio::test]
async fn the_flight_recorder_tells_what_was_fed() {
    let (_, accounts) = faulty().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let node = Tenure::builder()
        .namespace("bank")
        .start("mem:")
        .await
        .unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let deposit =
        |_: &Account| -> Result<_, ()> { Ok(Decision::event(AccountEvent::Moved { cents: 1 })) };
    accounts.transact("alice", deposit).await.unwrap();
    let recordings = node.recordings().await;
    let text = recordings[0].to_string();
    assert!(text.starts_with("lane 0 dice "), "{text}");
    for part in ["space", "log shard", "Submit", "Decided", "Stored"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[tokio::test]
async fn what_one_log_wrote_every_log_of_the_node_must_take_in() {
    let node = World::mem().node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let command = accounts.execute("alice", Move { cents: 1 });
    let receipt = command.receipt().await.unwrap();
    let wrote = receipt.sequence.unwrap();
    let names = ["bob", "carol", "dave", "erin"];
    for name in names {
        accounts.load_or_create(name).await.unwrap();
        accounts.execute(name, Move { cents: 1 }).await.unwrap();
    }
    let recordings = node.recordings().await;
    let inputs = recordings.iter().flat_map(|lane| &lane.entries);
    let mut reads = 0;
    for entry in inputs {
        if let Recorded::Log(input) = &entry.input
            && let Input::Read(read) = input
        {
            reads += 1;
            assert!(read.at_least >= wrote, "{read:?} knows less than {wrote}");
        }
    }
    assert_eq!(reads, names.len());
}

#[tokio::test]
async fn a_kind_that_takes_too_long_says_what_was_in_the_way() {
    let shell = FaultyShell::new();
    let node = Tenure::builder()
        .namespace("bank")
        .timeout(Duration::from_millis(50))
        .start_with(shell.clone())
        .await
        .unwrap();
    shell.set(|request| {
        writes(request).then_some(Fate::Answer(Outcome::Refused(Refused::NoResponders)))
    });
    let error = node.repository::<Account>().await.unwrap_err();
    let KindError::Space(SpaceError::Timeout { last }) = &error else {
        panic!("{error:?}");
    };
    assert!(last.contains("nobody answers"), "{last}");
}
