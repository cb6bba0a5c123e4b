//! Who carries bills out: it takes time, fails, panics and hangs, is cut off with its node, and tells the
//! shop what it did.

use super::Outside;
use super::book::Given;
use super::entity::{Bill, Pay, Shop};
use super::shape::Fate;
use std::time::Duration;
use tenure_core::api::effect::{EffectCall, EffectHandler};
use tenure_core::api::{AskError, ExecuteError};
use tenure_core::id::CommandId;

/// How long a shop may take.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Longer than any call may take.
const HANGS: Duration = Duration::from_secs(60);

impl Outside {
    /// The handler of a node.
    pub(super) fn handler(&self, node: usize) -> EffectHandler {
        let outside = self.clone();
        EffectHandler::new(self.shape.policy, move |call| {
            let outside = outside.clone();
            async move { outside.carries_out(node, call).await }
        })
    }

    async fn carries_out(self, node: usize, call: EffectCall<Bill>) -> Result<(), String> {
        let bill = call.effect;
        let given: Given = {
            let at = self.now();
            self.book().begins(at, node, &call)
        };
        let (fate, takes) = self.shape.fate(&given);
        call.sleep(takes).await;
        if matches!(fate, Fate::Fine | Fate::DoneAndFails | Fate::DoneAndHangs) {
            let at = self.now();
            self.book().does(at, bill);
            self.pays(node, &call).await?;
        }
        match fate {
            Fate::Fine => Ok(()),
            Fate::Fails | Fate::DoneAndFails => Err("not now".to_owned()),
            // Without the hook: it is no mistake of this program.
            Fate::Panics => std::panic::resume_unwind(Box::new("not now")),
            Fate::DoneAndHangs => {
                call.sleep(HANGS).await;
                Ok(())
            }
        }
    }

    /// Tells the shop, under an id that is the effect's key: so it is told once, whoever tells it.
    async fn pays(&self, node: usize, call: &EffectCall<Bill>) -> Result<(), String> {
        let tenure = self.sim().and_then(|sim| sim.node(node));
        let tenure = tenure.ok_or("its node is not up")?;
        let key: CommandId = call.key().parse().map_err(|_| "its key is no id")?;
        let bill = call.effect;
        let shop = tenure.entity::<Shop>(call.id().as_str());
        let ask = shop.ask(Pay { bill }).id(key).timeout(PATIENCE);
        match ask.await {
            Ok(()) => Ok(()),
            Err(AskError::Execute(ExecuteError::Expired { .. })) => {
                self.book().expired.insert(bill);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
