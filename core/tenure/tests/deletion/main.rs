//! Deleting entities: what is left of them, who is told, and how they come back.

mod archived;
mod owned;
mod told;

use crate::common::{Account, Balance, Move, World, on_both_shells_and_the_front, open};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{DELETED, SnapshotPolicy};

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

on_both_shells_and_the_front!(
    what_is_deleted_is_absent_and_may_begin_anew,
    what_does_not_exist_stays_so,
    an_expected_version_is_kept,
    a_command_is_remembered_over_a_deletion,
    a_decision_may_delete_with_a_last_event,
    its_history_begins_with_the_deletion,
    its_snapshots_go,
    a_node_that_holds_it_sees_that_it_is_gone,
);

async fn what_is_deleted_is_absent_and_may_begin_anew(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    accounts.create("bob", open("Bob", 1)).await.unwrap();
    let deleted = accounts.delete("alice").receipt().await.unwrap();
    assert_eq!(deleted.version, Version(3), "the deletion is an event");
    for accounts in [accounts, world.accounts().await] {
        assert!(!accounts.exists("alice").await.unwrap());
        assert_eq!(accounts.version("alice").await.unwrap(), Version::ABSENT);
        let missing = accounts.load("alice").await;
        assert!(
            matches!(missing, Err(LoadError::NotFound { .. })),
            "{missing:?}"
        );
        let begun = accounts.load_or_create("alice").await.unwrap();
        assert_eq!(begun.state, Account::default());
        let existing = accounts.execute("alice", Move { cents: 1 }).existing();
        let existing = existing.await;
        assert!(
            matches!(existing, Err(ExecuteError::NotFound { .. })),
            "{existing:?}"
        );
        assert_eq!(accounts.load("bob").await.unwrap().state.cents, 1);
    }
    let accounts = world.accounts().await;
    let created = accounts.create("alice", open("Alice again", 7));
    let created = created.receipt().await.unwrap();
    assert_eq!(created.version, Version(5), "no version comes twice");
    let elsewhere = world.accounts().await.load("alice").await.unwrap();
    assert_eq!(elsewhere.state.owner, "Alice again");
    assert_eq!((elsewhere.state.cents, elsewhere.version), (7, Version(5)));
    let again = accounts.create("alice", open("Eve", 2)).await;
    assert!(
        matches!(
            again,
            Err(ExecuteError::AlreadyExists {
                version: Version(5),
                ..
            })
        ),
        "{again:?}"
    );
}

async fn what_does_not_exist_stays_so(world: &World) {
    let accounts = world.accounts().await;
    let nothing = accounts.delete("nobody").receipt().await.unwrap();
    assert_eq!((nothing.version, nothing.sequence), (Version::ABSENT, None));
    accounts.create("alice", open("Alice", 1)).await.unwrap();
    accounts.delete("alice").await.unwrap();
    let again = accounts.delete("alice").receipt().await.unwrap();
    assert_eq!((again.version, again.sequence), (Version::ABSENT, None));
    let missing = accounts.delete("alice").existing().await;
    assert!(
        matches!(missing, Err(ExecuteError::NotFound { .. })),
        "{missing:?}"
    );
}

async fn an_expected_version_is_kept(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 1)).await.unwrap();
    let stale = accounts.delete("alice").expected(Version(1)).await;
    assert!(
        matches!(stale, Err(ExecuteError::Conflict { .. })),
        "{stale:?}"
    );
    assert!(accounts.exists("alice").await.unwrap());
    let met = accounts.delete("alice").expected(Version(2));
    met.await.unwrap();
    assert!(!accounts.exists("alice").await.unwrap());
}

async fn a_command_is_remembered_over_a_deletion(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let (moved, deleted) = (node.command_id(), node.command_id());
    let first = accounts.execute("alice", Move { cents: 1 }).id(moved);
    assert_eq!(first.await.unwrap(), 101);
    accounts.delete("alice").id(deleted).await.unwrap();
    for accounts in [accounts, world.accounts().await] {
        let again = accounts.execute("alice", Move { cents: 1 }).id(moved);
        let again = again.await.unwrap_err();
        assert!(again.took_effect() && !again.is_unknown(), "{again}");
        let ExecuteError::Deleted { id, command, .. } = again else {
            panic!("{again:?}");
        };
        assert_eq!((id.as_str(), command), ("alice", moved));
        let again = accounts.delete("alice").id(deleted).receipt();
        assert!(again.await.unwrap().duplicate);
        assert!(!accounts.exists("alice").await.unwrap());
    }
}

/// What can happen to a session.
#[derive(Debug, PartialEq, Event)]
enum SessionEvent {
    #[event(name = "begun", version = 1)]
    Begun,
    #[event(name = "ended", version = 1)]
    Ended,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Session {
    open: bool,
}

impl Aggregate for Session {
    type Event = SessionEvent;
    const KIND: &'static str = "session";

    fn evolve(&mut self, event: &SessionEvent) {
        self.open = *event == SessionEvent::Begun;
    }
}

async fn a_decision_may_delete_with_a_last_event(world: &World) {
    let node = world.node().await;
    let sessions = node.repository::<Session>().await.unwrap();
    let begin = |_: &Session| Ok::<_, Never>(Decision::event(SessionEvent::Begun));
    let end = |_: &Session| Ok::<_, Never>(Decision::event(SessionEvent::Ended).delete());
    sessions.transact("s", begin).await.unwrap();
    // Together, so that they come in one piece where that is possible: each stands for itself all the same.
    let (ended, begun, twice) = tokio::join!(
        sessions.transact("s", end),
        sessions.transact("s", begin),
        sessions.transact("s", end),
    );
    ended.unwrap();
    begun.unwrap();
    twice.unwrap();
    assert!(!sessions.exists("s").await.unwrap());
    let mut history = sessions.history("s").unwrap();
    let last = history.next().await.unwrap().unwrap();
    assert_eq!(
        (last.event, last.version),
        (SessionEvent::Ended, Version(4))
    );
    assert!(history.next().await.unwrap().is_none());
}

async fn its_history_begins_with_the_deletion(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    accounts.delete("alice").await.unwrap();
    let mut history = accounts.history("alice").unwrap();
    assert!(
        history.next().await.unwrap().is_none(),
        "the kind does not name the event"
    );
    for version in [Version(1), Version(2), Version(3)] {
        let gone = accounts.load_at("alice", version).await;
        assert!(matches!(gone, Err(LoadError::NotFound { .. })), "{gone:?}");
    }
    accounts.execute("alice", Move { cents: 5 }).await.unwrap();
    let then = accounts.load_at("alice", Version(4)).await.unwrap();
    assert_eq!((then.state.cents, then.state.owner.as_str()), (5, ""));
    let log = node.log(Account::KIND).await.unwrap();
    let mut events = log.history("alice").unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((&*first.event.name, first.version), (DELETED, Version(3)));
    let next = events.next().await.unwrap().unwrap();
    assert_eq!((&*next.event.name, next.version), ("moved", Version(4)));
}

/// An account with a snapshot after every second commit.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Kept(i64);

impl Aggregate for Kept {
    type Event = crate::common::AccountEvent;
    const KIND: &'static str = "kept";

    fn evolve(&mut self, event: &crate::common::AccountEvent) {
        if let crate::common::AccountEvent::Moved { cents } = event {
            self.0 += cents;
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().snapshots(SnapshotPolicy::every(2))
    }

    fn snapshot(&self, codec: tenure::Codec) -> Option<Result<tenure::Bytes, tenure::CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(bytes: &[u8], codec: tenure::Codec) -> Option<Result<Self, tenure::CodecError>> {
        Some(codec.decode(bytes))
    }
}

async fn its_snapshots_go(world: &World) {
    let node = world.node().await;
    let kept = node.repository::<Kept>().await.unwrap();
    let by = |cents| {
        move |kept: &Kept| {
            let moved = crate::common::AccountEvent::Moved { cents };
            Ok::<_, Never>(Decision::event(moved).reply(kept.0 + cents))
        }
    };
    for _ in 0..9 {
        kept.transact("k", by(1)).await.unwrap();
        crate::common::idle(&node).await;
    }
    let before = node.counters().await;
    assert!(before.snapshots_stored > 2, "{before:?}");
    kept.delete("k").await.unwrap();
    let all_gone = async {
        loop {
            let counters = node.counters().await;
            if counters.snapshots_deleted >= counters.snapshots_stored {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let all_gone = tokio::time::timeout(SOON, all_gone).await;
    assert!(all_gone.is_ok(), "{:?}", node.counters().await);
    for n in 1..=5 {
        assert_eq!(kept.transact("k", by(1)).await.unwrap(), n);
    }
    let elsewhere = world.node().await;
    let elsewhere = elsewhere.repository::<Kept>().await.unwrap();
    assert_eq!(elsewhere.load("k").await.unwrap().state.0, 5);
}

async fn a_node_that_holds_it_sees_that_it_is_gone(world: &World) {
    let (one, other) = (world.accounts().await, world.accounts().await);
    one.create("alice", open("Alice", 100)).await.unwrap();
    let asked = Balance { record: false };
    assert_eq!(other.execute("alice", asked).await.unwrap(), 100);
    one.delete("alice").await.unwrap();
    let moved = other.execute("alice", Move { cents: 3 });
    assert_eq!(moved.await.unwrap(), 3, "it was decided on nothing");
    assert_eq!(one.execute("alice", asked).await.unwrap(), 3);
    assert_eq!(one.load("alice").await.unwrap().version, Version(4));
}
