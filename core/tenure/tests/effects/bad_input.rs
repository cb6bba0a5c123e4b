//! What cannot be an effect says so.

use super::calls::{Charge, Order};
use super::until;
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::{StartError, TenureError};

on_both_shells!(
    a_handler_has_a_name_of_its_own,
    an_effect_that_no_handler_knows_stays_undone_and_is_counted,
);

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "Send Mail", version = 1)]
struct Misnamed;

async fn refused(world: &World, builder: tenure::Builder) -> String {
    match builder.namespace("bank").start(world.place()).await {
        Err(TenureError::Start(StartError::Effect { text })) => text,
        other => panic!("{other:?}"),
    }
}

async fn a_handler_has_a_name_of_its_own(world: &World) {
    let policy = EffectPolicy::default();
    let builder = Tenure::builder().effect(policy, |_: EffectCall<Misnamed>| async {});
    let text = refused(world, builder).await;
    assert!(text.contains("\"Send Mail\""), "{text}");
    let builder = Tenure::builder().effect(policy, |_: EffectCall<Charge>| async {});
    let builder = builder.effect(policy, |_: EffectCall<Charge>| async {});
    let text = refused(world, builder).await;
    assert!(text.contains("two handlers"), "{text}");
}

async fn an_effect_that_no_handler_knows_stays_undone_and_is_counted(world: &World) {
    let node = world
        .start(Tenure::builder().namespace("bank").serve::<Order>())
        .await;
    let order = node.entity::<Order>("17");
    let place = super::calls::Place { cents: 1 };
    order.ask(place).timeout(super::SOON).await.unwrap();
    until("the count", || async {
        node.counters().await.intents_failed == 1
    })
    .await;
}
