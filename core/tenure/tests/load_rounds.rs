//! How many round trips an entity takes to load that is not in memory (S12): one for the latest
//! message with its proof, one for each 64 listed commits, one for a snapshot; however many messages
//! of others there are. Counted in a world in which each message takes its time on a clock that does not
//! run by itself.

mod common;

use common::{Account, AccountEvent, Far, LEG};
use serde::{Deserialize, Serialize};
use tenure::prelude::*;
use tenure::{Bytes, Codec, CodecError, MemShell, SnapshotPolicy};
use tokio::time::Instant;

/// Loads an entity of so many commits on a fresh node, and counts the round trips.
async fn round_trips<A: Aggregate<Event = AccountEvent>>(commits: u64, others: u64) -> u128 {
    let store = MemShell::fresh();
    let writer = Tenure::builder()
        .namespace("bank")
        .start_with(store.clone())
        .await;
    let accounts = writer
        .expect("a node")
        .repository::<A>()
        .await
        .expect("a kind");
    let moved =
        |_: &A| -> Result<_, String> { Ok(Decision::event(AccountEvent::Moved { cents: 1 })) };
    for commit in 1..=commits {
        accounts.transact("alice", moved).await.expect("a commit");
        for other in others * (commit - 1) / commits..others * commit / commits {
            let id = format!("other-{}", other % 100);
            accounts.transact(id, moved).await.expect("a commit");
        }
    }
    let reader = Tenure::builder()
        .namespace("bank")
        .start_with(Far::new(store))
        .await;
    let accounts = reader
        .expect("a node")
        .repository::<A>()
        .await
        .expect("a kind");
    let begin = Instant::now();
    let loaded = accounts.load("alice").await.expect("the account");
    let rounds = begin.elapsed().as_nanos().div_ceil((2 * LEG).as_nanos());
    assert_eq!(loaded.version.0, commits);
    rounds
}

#[tokio::test(start_paused = true)]
async fn a_hundred_commits_are_loaded_in_three_round_trips_however_large_the_stream() {
    for others in [0, 10_000] {
        assert_eq!(
            round_trips::<Account>(100, others).await,
            3,
            "{others} others"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_sixty_four_commits_more_take_one_round_trip_more() {
    for (commits, rounds) in [(1, 1), (2, 2), (65, 2), (66, 3), (129, 3), (1_000, 17)] {
        assert_eq!(
            round_trips::<Account>(commits, 0).await,
            rounds,
            "{commits} commits"
        );
    }
}

/// An account that takes snapshots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    cents: i64,
}

impl Aggregate for Kept {
    type Event = AccountEvent;
    const KIND: &'static str = "kept";

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => {}
            AccountEvent::Moved { cents } => self.cents += cents,
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().snapshots(SnapshotPolicy::every(100))
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_commits_with_a_snapshot_are_loaded_in_at_most_five_round_trips() {
    let rounds = round_trips::<Kept>(10_000, 0).await;
    assert!((2..=5).contains(&rounds), "{rounds}");
}
