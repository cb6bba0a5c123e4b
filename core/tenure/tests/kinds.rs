//! Kinds: fixed at first use, one type each, direct or owned, encoded as they say.

use crate::common::{Account, AccountEvent, World, on_both_shells};
use tenure::prelude::*;
use tenure::{CodecError, KindError, SnapshotPolicy, SpaceError};

on_both_shells!(
    a_kind_is_fixed_at_first_use,
    a_kind_is_one_type_in_a_process,
    an_owned_kind_is_written_by_a_lone_process,
    a_kind_in_json_is_read_back,
    a_kinds_name_is_checked,
    a_kind_without_snapshots_cannot_ask_for_them,
);

macro_rules! kind {
    ($name:ident, $kind:literal, $settings:expr) => {
        #[derive(Clone, Debug, Default)]
        struct $name(Account);

        impl Aggregate for $name {
            type Event = AccountEvent;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, event: &AccountEvent) {
                self.0.evolve(event);
            }

            fn settings() -> KindSettings {
                $settings
            }
        }
    };
}
kind!(Plain, "fixed", KindSettings::default());
kind!(Json, "fixed", KindSettings::default().json());
kind!(Owned, "owned", KindSettings::default().owned());
kind!(
    Written,
    "written",
    KindSettings::default().json().placed_before('/')
);
kind!(
    Unkept,
    "unkept",
    KindSettings::default().snapshots(SnapshotPolicy::every(10))
);
kind!(
    Uneven,
    "uneven",
    KindSettings::default().snapshots(SnapshotPolicy::every(0))
);
kind!(Misnamed, "Mis.named", KindSettings::default());

async fn deposit<A: Aggregate<Event = AccountEvent>>(
    accounts: &Repository<A>,
    id: &str,
) -> Result<(), ExecuteError<CodecError>> {
    let event = |_: &A| Ok(Decision::event(AccountEvent::Moved { cents: 1 }));
    accounts.transact(id, event).await
}

async fn a_kind_is_fixed_at_first_use(world: &World) {
    world.node().await.repository::<Plain>().await.unwrap();
    let other = world.node().await.repository::<Json>().await.unwrap_err();
    let KindError::Space(SpaceError::KindDiffers { what, .. }) = &other else {
        panic!("{other:?}");
    };
    assert_eq!(*what, "codec");
    world.node().await.repository::<Plain>().await.unwrap();
}

async fn a_kind_is_one_type_in_a_process(world: &World) {
    let node = world.node().await;
    node.repository::<Plain>().await.unwrap();
    node.repository::<Plain>().await.unwrap();
    let other = node.repository::<Json>().await.unwrap_err();
    assert!(matches!(other, KindError::Taken { .. }), "{other:?}");
    assert!(other.to_string().contains("Plain"), "{other}");
}

async fn an_owned_kind_is_written_by_a_lone_process(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Owned>().await.unwrap();
    for _ in 0..5 {
        deposit(&accounts, "alice").await.unwrap();
        deposit(&accounts, "bob").await.unwrap();
    }
    assert_eq!(accounts.load("alice").await.unwrap().state.0.cents, 5);
    node.stop().await;
    let accounts = world.node().await.repository::<Owned>().await.unwrap();
    deposit(&accounts, "alice").await.unwrap();
    assert_eq!(accounts.load("alice").await.unwrap().state.0.cents, 6);
    assert_eq!(
        accounts
            .history("bob")
            .unwrap()
            .collect()
            .await
            .unwrap()
            .len(),
        5
    );
}

async fn a_kind_in_json_is_read_back(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Written>().await.unwrap();
    deposit(&accounts, "eu/alice").await.unwrap();
    let elsewhere = world.node().await.repository::<Written>().await.unwrap();
    assert_eq!(elsewhere.load("eu/alice").await.unwrap().state.0.cents, 1);
    let log = node.log_with("written", Written::settings()).await.unwrap();
    let events = log.history("eu/alice").unwrap().collect().await.unwrap();
    assert_eq!(&events[0].event.data[..], br#"{"cents":1}"#);
}

async fn a_kinds_name_is_checked(world: &World) {
    let node = world.node().await;
    let misnamed = node.repository::<Misnamed>().await.unwrap_err();
    assert!(matches!(misnamed, KindError::Name(_)), "{misnamed:?}");
    assert!(matches!(node.log("").await, Err(KindError::Name(_))));
}

async fn a_kind_without_snapshots_cannot_ask_for_them(world: &World) {
    let error = world.node().await.repository::<Unkept>().await.unwrap_err();
    assert!(matches!(error, KindError::NoSnapshots { .. }), "{error:?}");
    assert!(error.to_string().contains("Aggregate::snapshot"), "{error}");
    let error = world.node().await.repository::<Uneven>().await.unwrap_err();
    assert!(
        matches!(error, KindError::SnapshotPolicy { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("every(1) or more"), "{error}");
}
